"""How much each row counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.data.sources import Adapter
from deepmath.errors import ConfigError


@dataclass(frozen=True)
class RowWeighting:
    """How much each row counts: its sample weight times the weight of its class, and nothing if it is ignored.

    A row whose label is `ignore_label` gets weight 0 and class 0, so that all labels behind validation are in range.
    Class weights go by label; "balanced" must be `counted` first.
    """

    class_weight: Mapping[Any, float] | str | None = None
    ignore_label: float | None = None

    def __post_init__(self) -> None:
        weights, label = self.class_weight, self.ignore_label
        if not (weights is None or weights == "balanced" or isinstance(weights, Mapping)):
            what = "a dictionary such as {0: 1.0, 1: 5.0}, or 'balanced'"
            raise ConfigError(f"class_weight must be {what}; got {weights!r}")
        if label is not None and not (isinstance(label, (int, float, np.number)) and np.isfinite(label)):
            raise ConfigError(f"ignore_label must be one finite number, such as -1; got {label!r}")

    def of(self, y: Any, weights: Any) -> tuple[Any, Any]:
        """Targets, and the weights [rows] or None where all rows count alike."""
        ignored = self._ignored(y)
        if ignored is not None:
            host = to_numpy(y)
            y = np.where(ignored.reshape(host.shape), np.zeros_like(host), host)
        if self.class_weight is not None:
            weights = self._times_class(y, weights, ignored)
        if ignored is None:
            return y, weights
        given = np.ones(len(ignored)) if weights is None else np.asarray(to_numpy(weights))
        return y, np.where(ignored, 0.0, given) if given.shape == ignored.shape else given

    def counted(self, given: Adapter) -> RowWeighting:
        """The same with a number for each class; "balanced" takes one pass over the labels. Raises ConfigError."""
        if self.class_weight != "balanced":
            return self
        counts: Counter[Any] = Counter()
        for y in given.targets():
            labels, ignored = _classes(y), self._ignored(y)
            if labels is not None:
                labels = labels if ignored is None else labels[~ignored]
                counts.update(dict(zip(*(a.tolist() for a in np.unique(labels, return_counts=True)), strict=True)))
        return replace(self, class_weight=balanced(counts))

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

    def _times_class(self, y: Any, weights: Any, ignored: Any) -> Any:
        """Weights times those of the classes."""
        table, labels = self.class_weight, _classes(y)
        assert isinstance(table, Mapping), "class weights that are not counted yet"
        if labels is None:
            return weights
        classes, place = np.unique(labels, return_inverse=True)
        needed = set((labels if ignored is None else labels[~ignored]).tolist())
        missing = sorted(needed - set(table))
        if missing:
            raise ConfigError(f"class_weight has no weight for class {missing[0]!r}; it has {sorted(table)}")
        by_class = np.asarray([float(table.get(label, 0.0)) for label in classes.tolist()])[place]
        given = by_class if weights is None else np.asarray(to_numpy(weights), np.float64)
        return given if weights is None or given.shape != by_class.shape else by_class * given


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


def _classes(y: Any) -> Any:
    """The class of each row: labels [rows], or the place of the largest in one-hot rows; None for what is no label."""
    labels = to_numpy(y)
    if labels.ndim == 2:
        labels = labels[:, 0] if labels.shape[1] == 1 else np.argmax(labels, axis=1)
    good = labels.ndim == 1 and labels.dtype.kind in "biuf" and bool(np.isfinite(labels).all())
    return labels if good else None
