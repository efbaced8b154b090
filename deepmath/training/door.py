"""Data at the door: everything is checked and converted once, before the first step.

Behind the door there are only finite numbers of one precision, on one device, and labels in range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.arrays import is_array, is_finite, namespace_of, to_numpy
from deepmath.backend import Backend
from deepmath.errors import ConfigError, LabelError, NumericError
from deepmath.metrics.targets import check_targets
from deepmath.program import Data, Head, Recipe
from deepmath.training.sources import Rows
from deepmath.training.weights import ALIKE, Counting, Place


@dataclass(frozen=True)
class Door:
    """Where data come in, for one recipe on one backend."""

    backend: Backend
    recipe: Recipe
    counting: Counting = ALIKE

    def admit(self, rows: Rows, place: Place | None = None, name: str = "X") -> Data:
        """Checked data; `place` is given for a piece of a data set, as for `door.admit`."""
        assert self.recipe.head is not None
        self.counting.check(self.recipe.head)
        y, weights = self.counting.of(rows.y, rows.weights, place or int)
        label = self.counting.ignore_label
        if place is None and label is not None and weights is not None and not np.any(weights):
            raise ConfigError(f"no row counts: each has the label to ignore, {label}, or weight zero")
        return admit(self.backend, self.recipe, rows.X, y, weights, name, place)

    def admit_inputs(self, rows: Rows, place: Place | None = None) -> Data:
        """Checked inputs, without targets."""
        shape = self.recipe.parts[0].shape
        return Data(admit_inputs(self.backend, self.recipe.precision, rows.X, shape, row=place or int), None)


def admit(
    backend: Backend,
    recipe: Recipe,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    name: str = "X",
    place: Place | None = None,
) -> Data:
    """Checked data in the backend's library.

    X is [rows, *features], y [rows], [rows, 1] or [rows, outputs]; lists and tables are taken as NumPy takes
    them. `place` is given for a piece of a data set: its rows are called by their places in the whole, and its
    weights may all be zero. Raises LabelError, NumericError or ConfigError that say where and what.
    """
    head, precision = recipe.head, recipe.precision
    assert head is not None
    row = place or int
    x = admit_inputs(backend, precision, X, recipe.parts[0].shape, name, row)
    y = _plain(y, "y")
    if y.shape[:1] != x.shape[:1]:
        counts = [int(x.shape[0]), int(y.shape[0]) if y.ndim else 0]
        raise ConfigError(f"Found input variables with inconsistent numbers of samples: {counts}")
    targets = _labels(head, y, row) if head.labelled else _numbers(head, y, row)
    placed = backend.put(targets, "int64") if head.labelled else backend.put(targets, precision)
    weights = _weights(sample_weight, int(x.shape[0]), row)
    if weights is not None and place is None and not weights.any():
        raise ConfigError("sample_weight is zero for every row; at least one row must count")
    if not head.labelled and (head.metrics or head.scores):
        check_targets((*head.metrics, *head.scores), head.loss.targets, to_numpy(targets), row, weights)
    return Data(x, placed, weights)


def admit_inputs(
    backend: Backend, precision: str, X: Any, shape: tuple[int, ...] | None, name: str = "X", row: Place = int
) -> Any:
    """Checked inputs in the backend's library; `shape` is what a row must have."""
    x = _plain(X, name)
    given, wanted = features(x.shape, name), shape
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
    check_finite(placed, name, precision, row)
    return placed


def features(shape: tuple[int, ...], name: str = "X") -> tuple[int, ...]:
    """The shape of a row of arrays of this shape. Raises ConfigError for arrays that have no rows."""
    if len(shape) < 2:
        hint = "Reshape your data using X.reshape(-1, 1) (one feature) or X.reshape(1, -1) (one sample)."
        raise ConfigError(
            f"Expected 2D array, got {len(shape)}D array instead: {name} has shape={tuple(shape)}. {hint}"
        )
    return tuple(shape[1:])


def check_finite(x: Any, name: str, precision: str, row: Place = int) -> None:
    """Raise NumericError that names the first NaN or infinity in x [rows, ...]."""
    if is_finite(x):
        return
    host = to_numpy(x)
    place = np.argwhere(~np.isfinite(host))[0]
    count = int(np.sum(~np.isfinite(host)))
    where = (
        f"first at row {row(int(place[0]))}"
        + (f", column {place[1]}" if len(place) > 1 else "")
        + f"; {count} value{'s' * (count > 1)}"
    )
    if np.isnan(host[tuple(place)]):
        raise NumericError(f"Input {name} contains NaN ({where}). Impute or drop it.")
    hint = "Scale the data or use precision='float64'." if precision == "float32" else "Clip or drop it."
    raise NumericError(
        f"Input {name} contains infinity or a value too large for dtype('{precision}') ({where}). {hint}"
    )


def _plain(values: Any, name: str) -> Any:
    """An array of numbers: that of a library as it is, anything else as NumPy takes it."""
    if is_array(values) and not isinstance(values, np.ndarray):
        return values
    array = np.asarray(values)
    if array.dtype == object or array.dtype.kind in "USV":
        flat = array.reshape(-1)
        text = next((v for v in flat if isinstance(v, str)), None)
        what = f"; it holds text ({text!r})" if text is not None else ""
        raise ConfigError(f"{name} has dtype {array.dtype}; expected numbers{what}. Encode it first.")
    return array


def _numbers(head: Head, y: Any, place: Place) -> Any:
    """Targets [rows, outputs] for losses that take numbers."""
    if y.ndim == 1:
        y = namespace_of(y).reshape(y, (-1, 1))
    if y.ndim != 2 or y.shape[1] != head.outputs:
        hint = ""
        if head.loss.name.partition("(")[0] == "categorical_crossentropy" and y.ndim == 2 and y.shape[1] == 1:
            hint = " For whole-number labels use loss='sparse_categorical_crossentropy'."
        raise ConfigError(f"y has shape {tuple(y.shape)}, but the model has {head.outputs} outputs.{hint}")
    check_finite(y if "float" in str(y.dtype) else to_numpy(y), "y", "float64", place)
    if head.loss.targets == "signs":
        return _yes_or_no(head, to_numpy(y), place)
    _check_range(head, to_numpy(y), place)
    return y


def _yes_or_no(head: Head, targets: Any, place: Place) -> Any:
    """0 for no and 1 for yes, from 0 or -1 and 1. Raises LabelError for other targets."""
    known = (0, 1) if not np.any(targets == -1) else (-1, 1)
    bad = np.argwhere(~np.isin(targets, known))
    if len(bad):
        row, column = bad[0]
        raise LabelError(
            f"target {targets[row, column]:g} at row {place(int(row))} is neither {known[0]} nor 1; loss "
            f"'{head.loss.name}' takes 0 and 1, or -1 and 1. Encode the classes so; for regression use loss='mse'."
        )
    return np.where(targets == 1, 1.0, 0.0)


def _check_range(head: Head, targets: Any, place: Place) -> None:
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
        row, column = bad[0]
        raise LabelError(
            f"target {targets[row, column]:g} at row {place(int(row))} is {what}; loss '{name}' can't take it. {cure}"
        )


def _labels(head: Head, y: Any, place: Place) -> Any:
    """Whole-number labels [rows] in 0 ... outputs - 1."""
    host = to_numpy(y)
    if host.ndim == 2 and host.shape[1] == 1:
        host = host[:, 0]
    if host.ndim != 1:
        raise LabelError(
            f"loss '{head.loss.name}' takes one whole-number label for each row; y has shape {tuple(host.shape)}. "
            "For one-hot rows use loss='categorical_crossentropy'."
        )
    if host.dtype == bool:
        host = host.astype(np.int64)
    bad = np.flatnonzero(~np.isfinite(host)) if host.dtype.kind == "f" else np.empty(0, np.int64)
    if len(bad):
        raise LabelError(
            f"label {host[bad[0]]} at row {place(int(bad[0]))} is not a number. Drop the row or give it a label."
        )
    whole = host.astype(np.int64)
    fractional = np.flatnonzero(whole != host)
    if len(fractional):
        row = fractional[0]
        raise LabelError(
            f"labels must be whole numbers for loss '{head.loss.name}'; row {place(int(row))} is {host[row]:g}. "
            "For regression use loss='mse'."
        )
    last = head.outputs - 1
    negative, large = np.flatnonzero(whole < 0), np.flatnonzero(whole > last)
    if len(negative):
        raise LabelError(
            f"label {whole[negative[0]]} at row {place(int(negative[0]))} is negative; class labels must be 0..{last}. "
            f'If {whole[negative[0]]} means "ignore", pass ignore_label={whole[negative[0]]}.'
        )
    if len(large):
        label, row = whole[large[0]], large[0]
        raise LabelError(
            f"label {label} at row {place(int(row))} is outside 0..{last} (the model has {head.outputs} outputs). "
            f"Fix the labels or give the last layer {whole.max() + 1} units."
        )
    return whole


def _weights(given: Any, rows: int, place: Place) -> Any:
    """Sample weights [rows] as float64 on the host, or None."""
    if given is None:
        return None
    weights = np.asarray(to_numpy(given), np.float64)
    if weights.shape != (rows,):
        raise ConfigError(
            f"sample_weight must have shape ({rows},), one number for each row; got {tuple(weights.shape)}"
        )
    bad = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
    if len(bad):
        raise ConfigError(f"sample_weight must be finite and >= 0; got {weights[bad[0]]} at row {place(int(bad[0]))}")
    return weights
