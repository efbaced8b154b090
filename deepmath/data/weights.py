"""How much each row counts."""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.checks import RowName
from deepmath.errors import ConfigError
from deepmath.program import Head


@dataclass(frozen=True)
class RowWeighting:
    """How much each row counts: its sample weight times the weight of its class, and nothing if it is ignored.

    A row whose label is `ignore_label` gets weight 0 and class 0, so that all labels behind validation are in range.
    Class weights go by label, and are the same for rows that train and that validate; "balanced" must be `counted`
    first, on those that train, which `balanced` remembers.
    """

    class_weight: Mapping[Any, float] | str | None = None
    ignore_label: float | None = None
    balanced: bool = False

    def __post_init__(self) -> None:
        weights, label = self.class_weight, self.ignore_label
        if isinstance(weights, Mapping):
            _check_table(weights)
        elif weights is not None and not (isinstance(weights, str) and weights == "balanced"):
            what = "a dictionary such as {0: 1.0, 1: 5.0}, or 'balanced'"
            raise ConfigError(f"class_weight must be {what}; got {' '.join(repr(weights).split())[:60]}")
        if label is not None and not (isinstance(label, (int, float, np.number)) and np.isfinite(label)):
            raise ConfigError(f"ignore_label must be one finite number, such as -1; got {label!r}")

    def check(self, head: Head) -> None:
        """Raise ConfigError for a class weight of what can be no label of the model: misspelt, it would do nothing."""
        several = head.outputs > 1
        if not isinstance(self.class_weight, Mapping) or not (several or head.loss.targets in ("shares", "signs")):
            return
        low, high = (0, head.outputs - 1) if several else (0 if head.loss.targets == "shares" else -1, 1)
        for label in self.class_weight:
            if not low <= label <= high and label != self.ignore_label:
                raise ConfigError(
                    f"class_weight has a weight for class {label!r}; the classes of this model are {low}..{high}"
                )

    def of(self, y: Any, weights: Any, row: RowName = int) -> tuple[Any, Any]:
        """Targets, and the weights [rows] or None where all rows count alike; `row` is what messages call a row."""
        ignored = self._ignored(y)
        if ignored is not None:
            host = to_numpy(y)
            y = np.where(ignored.reshape(host.shape), np.zeros_like(host), host)
        if self.class_weight is not None:
            weights = self._times_class(y, weights, ignored, row)
        if ignored is None:
            return y, weights
        given = np.ones(len(ignored)) if weights is None else np.asarray(to_numpy(weights))
        return y, np.where(ignored, 0.0, given) if given.shape == ignored.shape else given

    def counted(self, targets: Iterable[Any]) -> RowWeighting:
        """The same with a number for each class; "balanced" takes one pass over the labels. Raises ConfigError."""
        if self.class_weight != "balanced":
            return self
        counts: Counter[Any] = Counter()
        for y in targets:
            ignored = self._ignored(y)
            labels = _classes(y, None if ignored is None else ~ignored)
            if labels is not None:
                labels = labels if ignored is None else labels[~ignored]
                counts.update(dict(zip(*(a.tolist() for a in np.unique(labels, return_counts=True)), strict=True)))
        return replace(self, class_weight=balanced(counts), balanced=True)

    def _ignored(self, y: Any) -> Any:
        """Which rows are ignored: booleans [rows], or None where none is."""
        if self.ignore_label is None:
            return None
        host = to_numpy(y)
        if host.ndim != 1 and host.shape[1:] != (1,):
            raise ConfigError(
                f"ignore_label goes with one label for each row; y has shape {host.shape}. "
                "Give the rows to ignore sample_weight 0"
            )
        ignored = np.asarray(host.reshape(-1) == self.ignore_label)
        return ignored if ignored.any() else None

    def _times_class(self, y: Any, weights: Any, ignored: Any, row: RowName) -> Any:
        """Weights times those of the classes; rows that don't count need no class."""
        table, rows = self.class_weight, np.shape(y)[:1]
        assert isinstance(table, Mapping), "class weights that are not counted yet"
        given = np.ones(rows) if weights is None else np.asarray(to_numpy(weights), np.float64)
        if given.shape != rows:
            return weights  # which is told where weights are checked
        counted = given != 0.0 if ignored is None else ~ignored & (given != 0.0)
        labels = _classes(y, counted, row)
        if labels is None:
            return weights
        classes, number = np.unique(labels, return_inverse=True)
        missing = sorted(set(labels[counted].tolist()) - set(table))
        if missing and self.balanced:
            raise ConfigError(
                f"class_weight='balanced' has no weight for class {missing[0]!r}, which no row that trains has; "
                "give the weights as a dictionary, or leave such rows out"
            )
        if missing:
            raise ConfigError(f"class_weight has no weight for class {missing[0]!r}; it has {sorted(table)}")
        return np.asarray([float(table.get(label, 0.0)) for label in classes.tolist()])[number] * given


ALIKE = RowWeighting()
"""Every row counts as its sample weight says."""


def balanced(counts: Mapping[Any, int]) -> dict[Any, float]:
    """Weights by class that give every class the same say: rows / (classes x rows of the class).

    Source: G. King and L. Zeng, "Logistic regression in rare events data" (2001); "balanced" in scikit-learn.

    >>> balanced({"a": 3, "b": 1})
    {'a': 0.6666666666666666, 'b': 2.0}
    """
    rows = sum(counts.values())
    return {label: rows / (len(counts) * count) for label, count in sorted(counts.items())}


def _check_table(weights: Mapping[Any, Any]) -> None:
    """Raise ConfigError unless these are numbers >= 0 by labels, which are whole numbers."""
    for label, weight in weights.items():
        if not isinstance(label, numbers.Real) or label != label // 1:
            what = f"; write {label.strip()}" if isinstance(label, str) and label.strip().lstrip("-").isdigit() else ""
            raise ConfigError(f"class_weight goes by whole-number labels, as they stand in y; got {label!r}{what}")
        if not isinstance(weight, numbers.Real) or not 0.0 <= float(weight) < np.inf:
            raise ConfigError(f"class_weight must be finite and >= 0; got {weight!r} for class {label!r}")


def _classes(y: Any, counted: Any = None, name: RowName = int) -> Any:
    """The class of each row: labels [rows], or the place of the 1 in one-hot rows; None for what is no number.

    Raises ConfigError where a row that is `counted`, booleans [rows] or None for all, has several classes or none.
    """
    given = labels = to_numpy(y)
    if labels.ndim == 2:
        labels = labels[:, 0] if labels.shape[1] == 1 else np.argmax(labels, axis=1)
    if labels.ndim != 1 or given.dtype.kind not in "biuf":
        return None
    if given.ndim == 2 and given.shape[1] > 1:
        wrong = np.any((given != 0) & (given != 1), axis=1) | (np.sum(given, axis=1) != 1)
    elif not np.isfinite(labels).all():
        return None  # which is told where targets are checked
    else:
        wrong = labels != np.floor(labels) if labels.dtype.kind == "f" else np.zeros(len(labels), bool)
    wrong = wrong if counted is None else wrong & counted
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ConfigError(
            f"class_weight is for one class a row, as a whole-number label or a one-hot row; y of row {name(row)} is "
            f"{given[row].tolist()}. Give sample_weight, one number for each row, instead."
        )
    return labels
