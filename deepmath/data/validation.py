"""Validation: everything is checked and converted once, before the first step.

Behind it there are only finite numbers of one precision, on one device, and labels in range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath import output_checks
from deepmath.arrays import namespace_of, to_numpy
from deepmath.backend import Backend
from deepmath.checks import (
    LabelCures,
    RowName,
    check_finite,
    is_sparse,
    real_numbers,
    real_sparse,
    row_weights,
    whole_labels,
)
from deepmath.data.encoding import encoded_targets
from deepmath.data.rows import Rows
from deepmath.data.weights import ALIKE, RowWeighting
from deepmath.errors import ConfigError, LabelError
from deepmath.metrics.targets import check_targets
from deepmath.program import Data, Head, Recipe


@dataclass(frozen=True)
class Validator:
    """Checks rows for one recipe on one backend, and puts them there; `target` is how the model encodes targets."""

    backend: Backend
    recipe: Recipe
    weighting: RowWeighting = ALIKE
    target: Any = None
    training: bool = False
    """Whether the model shall learn these targets, and not only be measured on them."""

    def data(self, rows: Rows, row: RowName | None = None, name: str = "X") -> Data:
        """Checked data; `row` is given for a piece of a data set, as for `validated`."""
        head = self.recipe.head
        assert head is not None
        y = rows.y if self.target is None else encoded_targets(self.target, head, rows.y)
        self.weighting.check(head)
        y, weights = self.weighting.of(y, rows.weights, row or int)
        label = self.weighting.ignore_label
        if row is None and label is not None and weights is not None and not np.any(weights):
            raise ConfigError(f"no row counts: each has the label to ignore, {label}, or weight zero")
        return validated(self.backend, self.recipe, rows.X, y, weights, name, row, self.training)

    def inputs(self, rows: Rows, row: RowName | None = None) -> Data:
        """Checked inputs, without targets."""
        shape = self.recipe.parts[0].shape
        return Data(validated_inputs(self.backend, self.recipe.precision, rows.X, shape, row=row or int), None)


def validated(
    backend: Backend,
    recipe: Recipe,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    name: str = "X",
    row: RowName | None = None,
    training: bool = False,
) -> Data:
    """Checked data in the backend's library.

    X is [rows, *features], y [rows], [rows, 1] or [rows, outputs]; lists are taken as NumPy takes them. `row` is given
    for a piece of a data set: its rows are called by their places in the whole, and its weights may all be zero.
    Targets for `training` must be what the model can learn. Raises LabelError, NumericError or ConfigError that say
    where and what.
    """
    head, precision = recipe.head, recipe.precision
    assert head is not None
    named = row or int
    x = validated_inputs(backend, precision, X, recipe.parts[0].shape, name, named)
    y = real_numbers(y, "y")
    if y.ndim == 0:
        raise ConfigError(f"y must have a target for each row; got {y!s} alone")
    if y.shape[:1] != x.shape[:1]:
        counts = [int(x.shape[0]), int(y.shape[0])]
        raise ConfigError(f"Found input variables with inconsistent numbers of samples: {counts}")
    targets = _labels(head, y, named) if head.labelled else _numbers(head, y, named)
    weights = row_weights(sample_weight, int(x.shape[0]), row=named)
    if not head.labelled:
        host = to_numpy(targets)
        if head.metrics or head.scores:
            check_targets((*head.metrics, *head.scores), head.loss.targets, host, named, weights)
        output_checks.check_rows(head, host, weights, named)
        if training:
            output_checks.check_reach(head, host, weights, named)
            output_checks.check_scale(head, host, precision, named)
    if weights is not None and row is None and not weights.any():
        raise ConfigError("sample_weight is zero for every row; at least one row must count")
    with np.errstate(over="ignore"):
        return Data(x, backend.put(targets, "int64" if head.labelled else precision), weights)


def validated_inputs(
    backend: Backend, precision: str, X: Any, shape: tuple[int, ...] | None, name: str = "X", row: RowName = int
) -> Any:
    """Checked inputs in the backend's library, or sparse rows; `shape` is what a row must have."""
    x = real_sparse(X, name) if is_sparse(X) else real_numbers(X, name)
    given, wanted = row_shape(x.shape, name), shape
    if x.shape[0] == 0:
        raise ConfigError(f"Found array with 0 sample(s) (shape={tuple(x.shape)}) while a minimum of 1 is required.")
    if wanted is not None and given != wanted:
        if len(given) == len(wanted) == 1:
            raise ConfigError(
                f"{name} has {given[0]} features, but the model is expecting {wanted[0]} features as input."
            )
        raise ConfigError(f"{name} has rows of shape {given}; the model expects {wanted}")
    with np.errstate(over="ignore"):
        placed = backend.put(x, precision)
    check_finite(placed, f"Input {name}", row, dtype=precision)
    return placed


def row_shape(shape: tuple[int, ...], name: str = "X") -> tuple[int, ...]:
    """The shape of a row of arrays of this shape. Raises ConfigError for arrays that have no rows."""
    if len(shape) < 2:
        hint = "Reshape your data using X.reshape(-1, 1) (one feature) or X.reshape(1, -1) (one sample)."
        raise ConfigError(
            f"Expected 2D array, got {len(shape)}D array instead: {name} has shape={tuple(shape)}. {hint}"
        )
    return tuple(shape[1:])


def _numbers(head: Head, y: Any, row: RowName) -> Any:
    """Targets [rows, outputs] for losses that take numbers."""
    if y.ndim == 1:
        y = namespace_of(y).reshape(y, (-1, 1))
    if y.ndim != 2 or y.shape[1] != head.outputs:
        hint = ""
        if head.loss.name.partition("(")[0] == "categorical_crossentropy" and y.ndim == 2 and y.shape[1] == 1:
            hint = " For whole-number labels use loss='sparse_categorical_crossentropy'."
        raise ConfigError(f"y has shape {tuple(y.shape)}, but the model has {head.outputs} outputs.{hint}")
    check_finite(y if "float" in str(y.dtype) else to_numpy(y), "Input y", row, dtype="float64")
    if head.loss.targets == "signs":
        return _yes_or_no(head, to_numpy(y), row)
    _check_range(head, to_numpy(y), row)
    return y


def _yes_or_no(head: Head, targets: Any, row: RowName) -> Any:
    """0 for no and 1 for yes, from 0 or -1 and 1. Raises LabelError for other targets."""
    known = (0, 1) if not np.any(targets == -1) else (-1, 1)
    bad = np.argwhere(~np.isin(targets, known))
    if len(bad):
        place, column = bad[0]
        raise LabelError(
            f"target {targets[place, column]:g} at row {row(int(place))} is neither {known[0]} nor 1; loss "
            f"'{head.loss.name}' takes 0 and 1, or -1 and 1. Encode the classes so; for regression use loss='mse'."
        )
    return np.where(targets == 1, 1.0, 0.0)


def _check_range(head: Head, targets: Any, row: RowName) -> None:
    """Raise LabelError for a target that the loss has no value for."""
    name = head.loss.name
    if head.loss.targets == "shares":
        bad = np.argwhere((targets < 0) | (targets > 1))
        what, cure = "outside 0..1", "Encode the classes as 0 and 1; for regression use loss='mse'."
    elif head.loss.targets == "counts":
        bad = np.argwhere(targets < 0)
        what, cure = "negative", "Give counts >= 0; for other numbers use loss='mse'."
    else:
        return
    if len(bad):
        place, column = bad[0]
        raise LabelError(
            f"target {targets[place, column]:g} at row {row(int(place))} is {what}; loss '{name}' can't take it. {cure}"
        )


def _labels(head: Head, y: Any, row: RowName) -> Any:
    """Whole-number labels [rows] in 0 ... outputs - 1."""
    host = to_numpy(y)
    if host.ndim == 2 and host.shape[1] == 1:
        host = host[:, 0]
    if host.ndim != 1:
        raise LabelError(
            f"loss '{head.loss.name}' takes one whole-number label for each row; y has shape {tuple(host.shape)}. "
            "For one-hot rows use loss='categorical_crossentropy'."
        )
    return whole_labels(
        host, head.outputs, row=row,
        cures=LabelCures(
            fraction="For regression use loss='mse'.",
            negative='If {label} means "ignore", pass ignore_label={label}.',
            large=f"The model has {head.outputs} outputs: fix the labels or give the last layer {{classes}} units.",
        ),
    )  # fmt: skip
