"""How data scatter about their mean: principal axes, and what they are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from deepmath.errors import FormatError
from deepmath.formulas.preprocessing import EPS, principal_axes
from deepmath.preprocessing.inputs import Input
from deepmath.preprocessing.moments import Moments, check_range
from deepmath.preprocessing.transform import taken


class Scatter(NamedTuple):
    """How data scatter: rows, mean + rest [features], principal axes in the columns of `basis` [features, axes], the
    standard deviations along them, and the eps of the data's dtype."""

    rows: float
    mean: Any
    rest: Any
    basis: Any
    deviations: Any
    eps: float

    @property
    def kept(self) -> int:
        """How many axes hold more than rounding."""
        if not len(self.deviations):
            return 0
        s = self.deviations * self.rows**0.5
        entries = np.hypot(np.linalg.norm(s), self.rows**0.5 * np.linalg.norm(self.mean))
        least = max(max(self.rows, len(self.mean)) * EPS * s[0], self.eps * entries)
        return int(np.sum((s > 0.0) & (s >= least)))

    @property
    def factor(self) -> Any:
        """A matrix [axes, features] with the singular values and axes of the centred data."""
        return (self.deviations * self.rows**0.5)[:, None] * self.basis.T

    def merge(self, other: Scatter) -> Scatter:
        """Of both parts' rows."""
        a, b = (Factor(Moments(p.rows, p.mean, p.rest, np.zeros(len(p.mean))), p.factor) for p in (self, other))
        return a.merge(b).scatter(max(self.eps, other.eps))

    @staticmethod
    def read(who: str, values: Mapping[str, Any]) -> Scatter:
        """What `values` gave. Raises FormatError for anything else."""
        v = taken(who, values, {"rows": 0, "mean": 1, "rest": 1, "basis": 2, "deviations": 1, "eps": 0})
        if v["basis"].shape[1] != len(v["deviations"]):
            raise FormatError(
                f"{who}: value 'basis' has {v['basis'].shape[1]} axes, 'deviations' has {len(v['deviations'])}"
            )
        if np.any(np.diff(v["deviations"]) > 0.0):
            raise FormatError(f"{who}: value 'deviations' must fall")
        return Scatter(float(v["rows"]), v["mean"], v["rest"], v["basis"], v["deviations"], float(v["eps"]))

    def values(self) -> dict[str, Any]:
        """Every part as a float64 array."""
        return {name: np.asarray(value, np.float64) for name, value in self._asdict().items()}


class Factor(NamedTuple):
    """Moments, and a matrix F [at most features, features] with F^T F = sum of (x - mean)^T (x - mean)."""

    moments: Moments
    factor: Any

    @staticmethod
    def of(x: Any) -> Factor:
        """Of one block: float64 NumPy [rows, features]."""
        moments = Moments.of(x)
        return Factor(moments, _reduced((x - moments.mean) - moments.rest))

    def merge(self, other: Factor) -> Factor:
        """Of both blocks' rows."""
        a, b = self.moments, other.moments
        gap = (b.mean - a.mean) + (b.rest - a.rest)
        between = gap * (a.rows * (b.rows / (a.rows + b.rows))) ** 0.5
        return Factor(a.merge(b), _reduced(np.concatenate([self.factor, other.factor, between[None, :]])))

    def scatter(self, eps: float) -> Scatter:
        """The principal axes, for data written with this eps."""
        m = self.moments
        values, basis = principal_axes(np, self.factor)
        return Scatter(m.rows, m.mean, m.rest, np.ascontiguousarray(basis), values / m.rows**0.5, eps)


def _reduced(x: Any) -> Any:
    """The triangle of x's QR decomposition where that is smaller than x: the same scatter, at no loss of digits."""
    return x if x.shape[0] <= x.shape[1] else np.linalg.qr(x, mode="r")


def factor_of(who: str, given: Input) -> Factor:
    """Of all rows. Raises NumericError where numbers are so large that their differences overflow."""
    total: Factor | None = None
    with np.errstate(over="ignore", invalid="ignore"):
        for block in given.host_blocks():
            one = Factor.of(block)
            check_range(who, one.moments.spread, one.moments.mean)
            total = one if total is None else total.merge(one)
    assert total is not None
    check_range(who, total.moments.spread)
    return total
