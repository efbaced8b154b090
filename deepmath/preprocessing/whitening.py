"""Whitening: features without correlation and of variance 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import array_api_compat.numpy as xnp
import numpy as np

from deepmath.descriptions import check_number, described
from deepmath.errors import ConfigError, FormatError
from deepmath.formulas.preprocessing import EPS, principal_axes, unwhiten, whiten
from deepmath.preprocessing.inputs import Input
from deepmath.preprocessing.moments import Moments, check_range
from deepmath.preprocessing.transform import Fitted, Transform, taken


@described
@dataclass(frozen=True)
class PCAWhitening(Transform):
    """Coordinates along the principal axes, from the largest variance, each divided by its standard deviation.

    Gives [rows, kept]. Kept are the first `components` axes (all, if None), without those that rounding alone may
    have made: singular values below max(n, d) eps s0, or below what rounding the entries themselves can make
    (eps of the data's dtype times their norm). Data without any spread give one column of zeros.

    The covariance of the result, divided by n as everywhere here, is the identity: to 1e-10 up to condition number
    1e5, to 1e-15 times it beyond. Signs are fixed: the largest entry of an axis is positive.
    scikit-learn's PCA(whiten=True) divides by n - 1 and keeps every axis. Source: article 5.

    >>> fitted = PCAWhitening().fit([[0.0, 0.0], [2.0, 2.0], [4.0, 4.0], [6.0, 6.0]])
    >>> fitted.outputs, fitted.apply([[3.0, 3.0], [6.0, 6.0]]).round(6).tolist()
    (1, [[0.0], [1.341641]])
    """

    components: int | None = None

    def __post_init__(self) -> None:
        if self.components is not None:
            check_number("PCAWhitening", "components", self.components, low=1, whole=True)

    def fitted_to(self, given: Input) -> PCAWhitened:
        if self.components is not None and self.components > given.columns:
            raise ConfigError(
                f"{self.who}: components must be <= the {given.columns} features of X; got {self.components}"
            )
        return PCAWhitened(self, _scatter_of(self.who, given))

    def from_values(self, values: Mapping[str, Any]) -> PCAWhitened:
        return PCAWhitened(self, Scatter.read(self.who, values))


@described
@dataclass(frozen=True)
class ZCAWhitening(Transform):
    """PCA whitening turned back into the features' own axes: of all whitenings the one nearest to the data.

    Gives [rows, features]. Directions that `PCAWhitening` would drop become 0, so the covariance of the result is
    the projector onto the others. Source: article 5; Bell and Sejnowski (1997).

    >>> fitted = ZCAWhitening().fit([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0], [0.0, -3.0]])
    >>> fitted.apply([[1.0, 3.0]]).round(6).tolist()
    [[1.414214, 1.414214]]
    """

    def fitted_to(self, given: Input) -> ZCAWhitened:
        return ZCAWhitened(self, _scatter_of(self.who, given))

    def from_values(self, values: Mapping[str, Any]) -> ZCAWhitened:
        return ZCAWhitened(self, Scatter.read(self.who, values))


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
        a, b = (_Factor(Moments(p.rows, p.mean, p.rest, np.zeros(len(p.mean))), p.factor) for p in (self, other))
        return a.merge(b).scatter(max(self.eps, other.eps))

    @staticmethod
    def read(who: str, values: Mapping[str, Any]) -> Scatter:
        v = taken(who, values, {"rows": 0, "mean": 1, "rest": 1, "basis": 2, "deviations": 1, "eps": 0})
        if v["basis"].shape[1] != len(v["deviations"]):
            raise FormatError(
                f"{who}: value 'basis' has {v['basis'].shape[1]} axes, 'deviations' has {len(v['deviations'])}"
            )
        if np.any(np.diff(v["deviations"]) > 0.0):
            raise FormatError(f"{who}: value 'deviations' must fall")
        return Scatter(float(v["rows"]), v["mean"], v["rest"], v["basis"], v["deviations"], float(v["eps"]))

    def values(self) -> dict[str, Any]:
        return {name: np.asarray(value, np.float64) for name, value in self._asdict().items()}


class _Factor(NamedTuple):
    """Moments, and a matrix F [at most features, features] with F^T F = sum of (x - mean)^T (x - mean)."""

    moments: Moments
    factor: Any

    @staticmethod
    def of(x: Any) -> _Factor:
        moments = Moments.of(x)
        return _Factor(moments, _reduced((x - moments.mean) - moments.rest))

    def merge(self, other: _Factor) -> _Factor:
        a, b = self.moments, other.moments
        gap = (b.mean - a.mean) + (b.rest - a.rest)
        between = gap * (a.rows * (b.rows / (a.rows + b.rows))) ** 0.5
        return _Factor(a.merge(b), _reduced(np.concatenate([self.factor, other.factor, between[None, :]])))

    def scatter(self, eps: float) -> Scatter:
        m = self.moments
        values, basis = principal_axes(xnp, self.factor)
        return Scatter(m.rows, m.mean, m.rest, np.ascontiguousarray(basis), values / m.rows**0.5, eps)


def _reduced(x: Any) -> Any:
    """The triangle of x's QR decomposition where that is smaller than x: the same scatter, at no loss of digits."""
    return x if x.shape[0] <= x.shape[1] else np.linalg.qr(x, mode="r")


def _scatter_of(who: str, given: Input) -> Scatter:
    total: _Factor | None = None
    with np.errstate(over="ignore", invalid="ignore"):
        for block in given.host_blocks():
            one = _Factor.of(block)
            check_range(who, one.moments.spread, one.moments.mean)
            total = one if total is None else total.merge(one)
    assert total is not None
    check_range(who, total.moments.spread)
    return total.scatter(given.eps)


@dataclass(frozen=True, eq=False)
class PCAWhitened(Fitted):
    """A fitted `PCAWhitening`."""

    transform: PCAWhitening
    scatter: Scatter

    @property
    def features(self) -> int:
        return len(self.scatter.mean)

    @property
    def outputs(self) -> int:
        return max(1, min(self.scatter.kept, self.transform.components or self.features))

    def mapped(self, given: Input) -> Any:
        s, k = self.scatter, min(self.scatter.kept, self.outputs)
        matrix = s.basis[:, :k] / s.deviations[:k] if k else np.zeros((self.features, 1))
        return given.mapped(whiten, (s.mean, s.rest), matrix)

    def unmapped(self, given: Input) -> Any:
        s, k = self.scatter, min(self.scatter.kept, self.outputs)
        matrix = (s.basis[:, :k] * s.deviations[:k]).T if k else np.zeros((1, self.features))
        return given.mapped(unwhiten, (s.mean, s.rest), matrix)

    def joined(self, other: PCAWhitened) -> PCAWhitened:
        return PCAWhitened(self.transform, self.scatter.merge(other.scatter))

    def values(self) -> dict[str, Any]:
        return self.scatter.values()


@dataclass(frozen=True, eq=False)
class ZCAWhitened(Fitted):
    """A fitted `ZCAWhitening`."""

    transform: ZCAWhitening
    scatter: Scatter

    @property
    def features(self) -> int:
        return len(self.scatter.mean)

    @property
    def outputs(self) -> int:
        return self.features

    def mapped(self, given: Input) -> Any:
        s, k = self.scatter, self.scatter.kept
        basis = s.basis[:, :k]
        return given.mapped(whiten, (s.mean, s.rest), (basis / s.deviations[:k]) @ basis.T)

    def unmapped(self, given: Input) -> Any:
        s, k = self.scatter, self.scatter.kept
        basis = s.basis[:, :k]
        return given.mapped(unwhiten, (s.mean, s.rest), (basis * s.deviations[:k]) @ basis.T)

    def joined(self, other: ZCAWhitened) -> ZCAWhitened:
        return ZCAWhitened(self.transform, self.scatter.merge(other.scatter))

    def values(self) -> dict[str, Any]:
        return self.scatter.values()
