"""Min-max scaling: each feature of the training part fills one interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.descriptions import check_number, described
from deepmath.errors import ConfigError, FormatError
from deepmath.formulas.preprocessing import min_max, undo_min_max
from deepmath.preprocessing.inputs import Input
from deepmath.preprocessing.moments import check_range
from deepmath.preprocessing.transform import ColumnMap, Fitted, Transform, taken


@described
@dataclass(frozen=True)
class MinMax(Transform):
    """The line that takes a feature's least value to `low` and its largest to `high`; a constant feature gives `low`.

    New data may leave the interval. Source: article 5.

    >>> fitted = MinMax().fit([[1.0, 7.0], [5.0, 7.0]])
    >>> fitted.apply([[2.0, 7.0]])
    array([[0.25, 0.  ]])
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        check_number("MinMax", "low", self.low)
        check_number("MinMax", "high", self.high)
        if not self.low < self.high:
            raise ConfigError(f"MinMax: low must be below high; got low={self.low!r}, high={self.high!r}")

    def fitted_to(self, given: Input) -> MinMaxed:
        ends = [(b.min(axis=0), b.max(axis=0)) for b in given.host_blocks()]
        least, most = (f([e[i] for e in ends], axis=0) for i, f in enumerate((np.min, np.max)))
        with np.errstate(over="ignore"):
            check_range(self.who, most - least)
        return MinMaxed(self, least, most)

    def from_values(self, values: Mapping[str, Any]) -> MinMaxed:
        v = taken(self.who, values, {"least": 1, "most": 1})
        if np.any(v["least"] > v["most"]):
            raise FormatError(f"{self.who}: value 'least' must not be above 'most'")
        return MinMaxed(self, v["least"], v["most"])


@dataclass(frozen=True, eq=False)
class MinMaxed(Fitted):
    """A fitted `MinMax`: the least and the largest value of each feature, float64 [features]."""

    transform: MinMax
    least: Any
    most: Any

    @property
    def features(self) -> int:
        return len(self.least)

    @property
    def outputs(self) -> int:
        return self.features

    def mapped(self, given: Input) -> Any:
        return given.mapped(self._with_ends(min_max), self.least, self.most)

    def maps(self) -> list[ColumnMap]:
        return [(self._with_ends(min_max), (self.least, self.most))]

    def unmapped(self, given: Input) -> Any:
        return given.mapped(self._with_ends(undo_min_max), self.least, self.most)

    def _with_ends(self, formula: Any) -> Any:
        low, high = float(self.transform.low), float(self.transform.high)
        return lambda xp, x, least, most: formula(xp, x, least, most, low, high)

    def joined(self, other: MinMaxed) -> MinMaxed:
        return MinMaxed(self.transform, np.minimum(self.least, other.least), np.maximum(self.most, other.most))

    def values(self) -> dict[str, Any]:
        return {"least": self.least, "most": self.most}
