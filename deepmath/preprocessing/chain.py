"""Preprocessings one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepmath.descriptions import described, set_field
from deepmath.errors import ConfigError, FormatError
from deepmath.preprocessing.inputs import Input
from deepmath.preprocessing.transform import ColumnMap, Fitted, Transform


@described
@dataclass(frozen=True)
class Chain(Transform):
    """Each step is fitted to what the steps in front of it give.

    >>> from deepmath.preprocessing import MinMax, Standardize
    >>> Chain([Standardize(), MinMax(-1.0, 1.0)]).fit([[1.0], [2.0], [5.0]]).apply([[2.0]])
    array([[-0.5]])
    """

    steps: Sequence[Transform]

    def __post_init__(self) -> None:
        steps = tuple(self.steps) if isinstance(self.steps, (list, tuple)) else ()
        if not steps or not all(isinstance(s, Transform) for s in steps):
            raise ConfigError(f"Chain: steps must be preprocessings such as [Standardize()]; got {self.steps!r}")
        set_field(self, "steps", steps)

    @property
    def takes_frames(self) -> bool:  # type: ignore[override]
        """Whether its first step does."""
        return self.steps[0].takes_frames

    def fit(self, X: Any) -> Fitted:
        if not self.takes_frames:
            return super().fit(X)
        first = self.steps[0].fit(X)
        return self._behind([first], Input(first.apply(X)))

    def fitted_to(self, given: Input) -> Chained:
        return self._behind([], given)

    def _behind(self, fitted: list[Fitted], given: Input) -> Chained:
        for step in self.steps[len(fitted) :]:
            fitted.append(step.fitted_to(given))
            given = Input(fitted[-1].mapped(given))
        return Chained(self, tuple(fitted))

    def fit_batches(self, batches: Iterable[Any]) -> Chained:
        """As `fit` on all the batches' rows together; `batches` must be something that can be gone through again."""
        if iter(batches) is batches and len(self.steps) > 1:
            raise ConfigError(f"{self.who}: fit_batches goes through the batches {len(self.steps)} times; pass a list")
        fitted: list[Fitted] = []
        for step in self.steps:
            done = tuple(fitted)
            fitted.append(step.fit_batches(_through(done, X) for X in batches))
        return Chained(self, tuple(fitted))

    def from_values(self, values: Mapping[str, Any]) -> Chained:
        parts: list[dict[str, Any]] = [{} for _ in self.steps]
        for name, value in values.items():
            number, _, rest = name.partition(".")
            if not number.isdecimal() or int(number) >= len(parts):
                raise FormatError(f"{self.who}: value '{name}' belongs to none of the {len(parts)} steps")
            parts[int(number)][rest] = value
        fitted = tuple(s.from_values(p) for s, p in zip(self.steps, parts, strict=True))
        for before, after in itertools.pairwise(fitted):
            if before.outputs != after.features:
                raise FormatError(f"{self.who}: {before.outputs} outputs of a step meet {after.features} features")
        return Chained(self, fitted)


def _through(fitted: Sequence[Fitted], X: Any) -> Any:
    for f in fitted:
        X = f.apply(X)
    return X


@dataclass(frozen=True, eq=False)
class Chained(Fitted):
    """A fitted `Chain`."""

    transform: Chain
    fitted: tuple[Fitted, ...]

    @property
    def description(self) -> Chain:
        return Chain([f.description for f in self.fitted])

    @property
    def features(self) -> int:
        return self.fitted[0].features

    @property
    def outputs(self) -> int:
        return self.fitted[-1].outputs

    @property
    def takes_frames(self) -> bool:  # type: ignore[override]
        """Whether its first step does."""
        return self.fitted[0].takes_frames

    @property
    def encoding(self) -> Any:
        """What each column of a table becomes, where it takes frames."""
        return self.fitted[0].encoding  # type: ignore[attr-defined]

    def apply(self, X: Any) -> Any:
        return _through(self.fitted, X) if self.takes_frames else super().apply(X)

    def mapped(self, given: Input) -> Any:
        for f in self.fitted:
            given = Input(f.mapped(given))
        return given.x

    def maps(self) -> list[ColumnMap] | None:
        found = [f.maps() for f in self.fitted]
        return None if None in found else [step for steps in found if steps is not None for step in steps]

    def unmapped(self, given: Input) -> Any:
        for f in reversed(self.fitted):
            given = Input(f.unmapped(given))
        return given.x

    def partial_fit(self, X: Any) -> Chained:
        """More rows for a chain of one step; ConfigError for more, since the first step's change changes all behind."""
        self._need_one_step()
        return Chained(self.transform, (self.fitted[0].partial_fit(X),))

    def joined(self, other: Chained) -> Chained:
        self._need_one_step()
        return Chained(self.transform, (self.fitted[0].joined(other.fitted[0]),))

    def _need_one_step(self) -> None:
        if len(self.fitted) > 1:
            raise ConfigError(
                f"{self.transform.who}: a chain can't be fitted further, because each step sees what the steps before "
                "it give. Use fit_batches(list of batches)."
            )

    def values(self) -> dict[str, Any]:
        return {f"{i}.{name}": v for i, f in enumerate(self.fitted) for name, v in f.values().items()}
