"""Whitening: features without correlation and of variance 1."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.descriptions import check_number, described
from deepmath.errors import ConfigError
from deepmath.formulas.preprocessing import unwhiten, whiten
from deepmath.preprocessing.inputs import Input, admit
from deepmath.preprocessing.scatter import Factor, Scatter, factor_of
from deepmath.preprocessing.transform import Fitted, Transform


class Whitening(Transform):
    """What the two whitenings share: what they learn, and how."""

    def fitted_to(self, given: Input) -> Fitted:
        return self.from_scatter(factor_of(self.who, given).scatter(given.eps))

    def fit_batches(self, batches: Iterable[Any]) -> Fitted:
        """As `fit` on all the batches' rows together; one decomposition at the end, so rounding doesn't pile up."""
        total: Factor | None = None
        eps = 0.0
        for X in batches:
            given = admit(self.who, X, None if total is None else len(total.moments.mean), rows=1)
            one = factor_of(self.who, given)
            total, eps = one if total is None else total.merge(one), max(eps, given.eps)
        if total is None:
            return super().fit_batches(())
        return self.from_scatter(total.scatter(eps))

    def from_values(self, values: Mapping[str, Any]) -> Fitted:
        return self.from_scatter(Scatter.read(self.who, values))

    @abc.abstractmethod
    def from_scatter(self, scatter: Scatter) -> Fitted:
        """The fitted value for data that scatter so."""


@described
@dataclass(frozen=True)
class PCAWhitening(Whitening):
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

    def from_scatter(self, scatter: Scatter) -> PCAWhitened:
        features = len(scatter.mean)
        if self.components is not None and self.components > features:
            raise ConfigError(f"{self.who}: components must be <= the {features} features of X; got {self.components}")
        return PCAWhitened(self, scatter)


@described
@dataclass(frozen=True)
class ZCAWhitening(Whitening):
    """PCA whitening turned back into the features' own axes: of all whitenings the one nearest to the data.

    Gives [rows, features]. Directions that `PCAWhitening` would drop become 0, so the covariance of the result is
    the projector onto the others. Source: article 5; Bell and Sejnowski (1997).

    >>> fitted = ZCAWhitening().fit([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0], [0.0, -3.0]])
    >>> fitted.apply([[1.0, 3.0]]).round(6).tolist()
    [[1.414214, 1.414214]]
    """

    def from_scatter(self, scatter: Scatter) -> ZCAWhitened:
        return ZCAWhitened(self, scatter)


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

    # Two products with axes, not one with the symmetric matrix: the way back would magnify the rounding of that
    # matrix by the condition number.
    def mapped(self, given: Input) -> Any:
        s, k = self.scatter, self.scatter.kept
        basis = s.basis[:, :k]
        return given.mapped(_there_and_back, (s.mean, s.rest), basis / s.deviations[:k], basis.T)

    def unmapped(self, given: Input) -> Any:
        s, k = self.scatter, self.scatter.kept
        basis = s.basis[:, :k]
        return given.mapped(
            lambda xp, y, mean, rest, axes, back: unwhiten(xp, xp.matmul(y, axes), mean, rest, back),
            (s.mean, s.rest),
            basis,
            (basis * s.deviations[:k]).T,
        )

    def joined(self, other: ZCAWhitened) -> ZCAWhitened:
        return ZCAWhitened(self.transform, self.scatter.merge(other.scatter))

    def values(self) -> dict[str, Any]:
        return self.scatter.values()


def _there_and_back(xp: Any, x: Any, mean: Any, rest: Any, matrix: Any, back: Any) -> Any:
    return xp.matmul(whiten(xp, x, mean, rest, matrix), back)
