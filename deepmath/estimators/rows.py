"""Rows as an estimator trains on them: inputs, encoded targets, labels as they came, and weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from deepmath.estimators.network import take


@dataclass(frozen=True)
class EncodedRows:
    """Rows that train or are held out: inputs, encoded targets, their labels as they came, and weights."""

    X: Any
    targets: Any
    y: Any
    weights: Any = None

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.targets)

    def chosen(self, numbers: Any) -> EncodedRows:
        """The rows of these numbers."""
        weights = None if self.weights is None else self.weights[numbers]
        return EncodedRows(take(self.X, numbers), self.targets[numbers], self.y[numbers], weights)

    def weighted(self, estimator: Any, trained: Any) -> EncodedRows:
        """With the weights of their classes, "balanced" as counted in the labels that train."""
        return replace(self, weights=estimator._weighted(self.y, self.weights, trained))
