"""Smooth clipping: values far out come closer, so that a few of them don't rule a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.descriptions import check_number, described
from deepmath.errors import ConfigError, FormatError
from deepmath.formulas.preprocessing import smooth_clip, undo_smooth_clip
from deepmath.preprocessing.inputs import Input
from deepmath.preprocessing.transform import ColumnMap, Fitted, Transform, taken


@described
@dataclass(frozen=True)
class SmoothClip(Transform):
    """x / sqrt(1 + (x / limit)^2): nearly x where |x| is well below `limit`, which nothing reaches.

    It belongs behind `Standardize`, whose outputs are small but for outliers. Source: Holzmueller et al. (2024),
    "Better by default", section 3, with limit 3.

    >>> SmoothClip().fit([[0.0]]).apply([[0.3], [4.0], [1e9]]).round(3).tolist()
    [[0.299], [2.4], [3.0]]
    """

    limit: float = 3.0

    def __post_init__(self) -> None:
        check_number("SmoothClip", "limit", self.limit, low=0.0, open_low=True)

    def fitted_to(self, given: Input) -> SmoothClipped:
        return SmoothClipped(self, np.full(given.columns, float(self.limit)))

    def from_values(self, values: Mapping[str, Any]) -> SmoothClipped:
        limits = taken(self.who, values, {"limits": 1})["limits"]
        if np.any(limits != self.limit):
            raise FormatError(f"{self.who}: value 'limits' must be {self.limit} for each feature")
        return SmoothClipped(self, limits)


@dataclass(frozen=True, eq=False)
class SmoothClipped(Fitted):
    """A fitted `SmoothClip`: the limit of each feature, float64 [features]."""

    transform: SmoothClip
    limits: Any

    @property
    def features(self) -> int:
        return len(self.limits)

    @property
    def outputs(self) -> int:
        return self.features

    def mapped(self, given: Input) -> Any:
        return given.mapped(smooth_clip, self.limits)

    def maps(self) -> list[ColumnMap]:
        return [(smooth_clip, (self.limits,))]

    def unmapped(self, given: Input) -> Any:
        limit = float(self.transform.limit)
        for block in given.host_blocks():
            if np.any(np.abs(block) >= self.limits):
                raise ConfigError(f"{self.transform.who}.invert: Y must lie between -{limit:g} and {limit:g}")
        return given.mapped(undo_smooth_clip, self.limits)

    def joined(self, other: SmoothClipped) -> SmoothClipped:
        return self

    def values(self) -> dict[str, Any]:
        return {"limits": self.limits}
