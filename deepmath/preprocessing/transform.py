"""What all preprocessing has in common: a description that is fitted, and the fitted value that is applied."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from deepmath.arrays import is_frame
from deepmath.errors import ConfigError, FormatError
from deepmath.preprocessing.inputs import Input, Map, admit

F = TypeVar("F", bound="Fitted")
ColumnMap = tuple[Map, tuple[Any, ...]]
"""(formula, constants): formula(xp, x, *constants) for elements x, with float64 constants [columns]."""


class Transform(abc.ABC):
    """A frozen description of a preprocessing. `fit` on the training part gives a `Fitted`, which does the work.

    One that `takes_frames` knows columns by their names.
    """

    takes_frames = False

    def fit(self, X: Any) -> Fitted:
        """What this preprocessing learns from X [rows, features]; the sums are taken in float64 on the host.

        Of a data frame it remembers the columns: it is fitted as the second step of a chain.
        """
        if is_frame(X):
            from deepmath.preprocessing.encode import encoded_first  # only who has frames pays for it

            return encoded_first(self, [X]).fit(X)
        return self.fitted_to(admit(self.who, X, rows=1))

    def fit_batches(self, batches: Iterable[Any]) -> Fitted:
        """As `fit` on all the batches' rows together. A `Chain` goes through the batches once for each step."""
        fitted: Fitted | None = None
        for X in batches:
            fitted = self.fit(X) if fitted is None else fitted.partial_fit(X)
        if fitted is None:
            raise ConfigError(f"{self.who}: fit_batches needs at least one batch; got none")
        return fitted

    def apply(self, X: Any) -> NoReturn:
        """Raises ConfigError: a description has seen no data."""
        raise ConfigError(
            f"{self.who} is not fitted, so it can't be applied. "
            f"Use fitted = {self.who}.fit(X_train), then fitted.apply(X)."
        )

    def invert(self, Y: Any) -> NoReturn:
        """Raises ConfigError, as `apply` does."""
        self.apply(Y)

    @property
    def who(self) -> str:
        """How messages name this."""
        return repr(self)

    @abc.abstractmethod
    def fitted_to(self, given: Input) -> Fitted:
        """`fit` behind the border."""

    @abc.abstractmethod
    def from_values(self, values: Mapping[str, Any]) -> Fitted:
        """The fitted value whose `values` these are. Raises FormatError for anything else."""


class Fitted(abc.ABC):
    """What a preprocessing has learnt: visible float64 values that never change."""

    transform: Transform
    """The description that was fitted."""

    takes_frames = False

    @property
    def description(self) -> Transform:
        """What a file holds beside `values`: the description, with what was learnt that is no number."""
        return self.transform

    @property
    @abc.abstractmethod
    def features(self) -> int:
        """The number of columns that `apply` takes."""

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """The number of columns that `apply` gives."""

    @abc.abstractmethod
    def mapped(self, given: Input) -> Any:
        """`apply` behind the border."""

    def maps(self) -> Sequence[ColumnMap] | None:
        """`mapped` as formulas that go element by element, one after the other, for who compiles them.

        They are computed in float64, each rounded to the inputs' type. None, as here, where it is no such thing.
        """
        return None

    @abc.abstractmethod
    def unmapped(self, given: Input) -> Any:
        """`invert` behind the border."""

    @abc.abstractmethod
    def joined(self: F, other: F) -> F:
        """`merge` behind the border."""

    @abc.abstractmethod
    def values(self) -> dict[str, Any]:
        """All that was learnt, as float64 NumPy arrays; `transform.from_values` reads it back."""

    def apply(self, X: Any) -> Any:
        """X [rows, features] preprocessed: [rows, outputs] in X's library, dtype and device; integers give floats."""
        return self.mapped(admit(self.transform.who, X, self.features))

    def invert(self, Y: Any) -> Any:
        """The way back from Y [rows, outputs] to [rows, features]; what `apply` left out stays out."""
        return self.unmapped(admit(f"{self.transform.who}.invert", Y, self.outputs, "Y"))

    def partial_fit(self: F, X: Any) -> F:
        """The value fitted to the rows seen so far and those of X [rows, features] too."""
        more = self.transform.fitted_to(admit(self.transform.who, X, self.features, rows=1))
        assert isinstance(more, type(self))
        return self.joined(more)

    def merge(self: F, other: F) -> F:
        """The value fitted to the rows of both."""
        if type(other) is not type(self) or other.transform != self.transform:
            name = repr(other.transform) if isinstance(other, Fitted) else repr(other)
            raise ConfigError(f"{self.transform.who}: merge takes another fitted {self.transform.who}; got {name}")
        if other.features != self.features:
            raise ConfigError(
                f"{self.transform.who}: merge takes a value fitted on {self.features} features; got {other.features}"
            )
        return self.joined(other)


def taken(who: str, values: Mapping[str, Any], ranks: Mapping[str, int]) -> dict[str, Any]:
    """Copies of the arrays named in `ranks`, which tells their numbers of axes. FormatError unless all fit.

    Every array with axes must be as long as "mean" or the first of them; all numbers must be finite.
    """
    if set(values) != set(ranks):
        raise FormatError(f"{who}: expected the values {', '.join(sorted(ranks))}; got {', '.join(sorted(values))}")
    found = {}
    for name, rank in ranks.items():
        value = np.array(values[name])
        if value.dtype != np.float64 or value.ndim != rank or not np.all(np.isfinite(value)):
            raise FormatError(
                f"{who}: value '{name}' must be finite float64 with {rank} axes; "
                f"got {value.dtype} of shape {value.shape}"
            )
        found[name] = value
    lengths = {v.shape[0] for n, v in found.items() if v.ndim and n != "deviations"}
    if len(lengths) != 1 or 0 in lengths:
        shapes = ", ".join(f"{n} {v.shape}" for n, v in found.items())
        raise FormatError(f"{who}: the values disagree about the number of features: {shapes}")
    for name in ("rows", "deviation", "deviations", "eps"):
        if name in found and np.any(found[name] < (1.0 if name == "rows" else 0.0)):
            raise FormatError(f"{who}: value '{name}' must be {'>= 1' if name == 'rows' else '>= 0'}")
    return found
