"""Standardising: each feature gets mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.descriptions import described
from deepmath.formulas.preprocessing import column_scale, standardize, unstandardize
from deepmath.preprocessing.inputs import Input, two_parts
from deepmath.preprocessing.moments import Moments, moments_of
from deepmath.preprocessing.transform import ColumnMap, Fitted, Transform, taken


@described
@dataclass(frozen=True)
class Standardize(Transform):
    """(x - mean) / std for each feature, with the std divided by n.

    A feature whose spread is no more than rounding of its mean (scikit-learn's bound n eps) is only centred:
    constant data give zeros. The mean is kept in two parts, so that far from zero no digit is lost.
    Source: article 5.

    >>> fitted = Standardize().fit([[1.0, 7.0], [3.0, 7.0]])
    >>> fitted.apply([[1.0, 7.0], [5.0, 7.0]])
    array([[-1.,  0.],
           [ 3.,  0.]])
    >>> fitted.invert([[3.0, 0.0]])
    array([[5., 7.]])
    """

    def fitted_to(self, given: Input) -> Standardized:
        return Standardized(self, moments_of(self.who, given))

    def from_values(self, values: Mapping[str, Any]) -> Standardized:
        v = taken(self.who, values, {"rows": 0, "mean": 1, "rest": 1, "deviation": 1})
        return Standardized(self, Moments(float(v["rows"]), v["mean"], v["rest"], v["deviation"] * v["rows"] ** 0.5))


@dataclass(frozen=True, eq=False)
class Standardized(Fitted):
    """A fitted `Standardize`."""

    transform: Standardize
    moments: Moments

    @property
    def features(self) -> int:
        return len(self.moments.mean)

    @property
    def outputs(self) -> int:
        return self.features

    @property
    def scale(self) -> Any:
        """What each feature is divided by: float64 [features]."""
        return column_scale(np, self.moments.rows, self.moments.mean, self.moments.spread)

    def mapped(self, given: Input) -> Any:
        return given.mapped(standardize, (self.moments.mean, self.moments.rest), self.scale)

    def maps(self) -> list[ColumnMap]:
        return [(standardize, (*two_parts("float64", self.moments.mean, self.moments.rest), self.scale))]

    def unmapped(self, given: Input) -> Any:
        return given.mapped(unstandardize, (self.moments.mean, self.moments.rest), self.scale)

    def joined(self, other: Standardized) -> Standardized:
        return Standardized(self.transform, self.moments.merge(other.moments))

    def values(self) -> dict[str, Any]:
        rows, mean, rest, spread = self.moments
        return {"rows": np.asarray(rows), "mean": mean, "rest": rest, "deviation": spread / rows**0.5}
