"""How fast an optimiser goes: its learning rate, times what callbacks and parameters multiply it by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath.optimizers import Optimizer
from deepmath.schedules import FunctionSchedule, Schedule


class Pace:
    """An optimiser's coefficients with its learning rate multiplied by `factor`, which callbacks may change.

    A callback may also put a rate of its own, `base`, in the place of the optimiser's.

    >>> from deepmath.optimizers import SGD
    >>> pace = Pace(SGD(0.5))
    >>> pace.factor = 0.5
    >>> pace.rate(0), pace.coefficients(0, 0.1)
    (0.25, (0.025,))
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._plain = optimizer
        self._factor = 1.0
        self._base: float | None = None
        self._scaled: dict[float, Optimizer] = {}

    @property
    def factor(self) -> float:
        """What the learning rate is multiplied by."""
        return self._factor

    @factor.setter
    def factor(self, value: float) -> None:
        self._set(value, self._base)

    @property
    def base(self) -> float | None:
        """The rate in the place of the optimiser's, or None."""
        return self._base

    @base.setter
    def base(self, value: float | None) -> None:
        self._set(self._factor, value)

    @property
    def value(self) -> Any:
        """What a program's state holds as "rate": the factor, or where there is a base [factor, base]."""
        return np.asarray(self._factor if self._base is None else [self._factor, self._base], np.float64)

    @value.setter
    def value(self, value: Any) -> None:
        factor, *base = np.ravel(value).tolist()
        self._set(factor, base[0] if base else None)

    @property
    def scheduled(self) -> bool:
        """Whether the optimiser's rate is a schedule."""
        return isinstance(self._plain.learning_rate, Schedule)

    def coefficients(self, step: int, share: float = 1.0) -> tuple[float, ...]:
        """What the update of number `step` takes, for parameters whose rate is this share of the others'."""
        return self._at(self._factor * share).coefficients(step)

    def table(self, first: int, steps: int, shares: Sequence[float]) -> Any:
        """The coefficients of so many updates from number `first` on, for each share: float64 [steps, shares, numbers].

        Rules that take an array of steps are asked once for all; always for two at least, so that an update has the
        same numbers in whatever company it is asked for. No rule is asked for an update that isn't made.
        """
        numbers = np.arange(first, first + steps) if steps > 1 else np.asarray([first, first])
        columns = []
        for share in shares:
            optimizer = self._at(self._factor * share)
            try:
                given = optimizer.coefficients(numbers)  # type: ignore[arg-type]
                table = np.empty((len(numbers), len(given)))
                for i, column in enumerate(given):
                    table[:, i] = column
            except (TypeError, ValueError):  # a rule for one step alone: it branches, or calls math
                table = np.array([optimizer.coefficients(int(number)) for number in numbers])
            columns.append(table[:steps])
        return np.stack(columns, axis=1) if len(columns) > 1 else columns[0][:, None, :]

    def rate(self, step: int) -> float:
        """The learning rate of update number `step`, where no share of its own is set."""
        return self._at(self._factor).rate(step)

    def ask(self, first: int, steps: int) -> None:
        """Let a function of somebody's raise what it raises for one of these updates before any of them is made."""
        if isinstance(self._plain.learning_rate, FunctionSchedule):
            self.rates(range(first, first + steps))

    def rates(self, steps: Sequence[int]) -> list[float]:
        """The learning rates of these updates."""
        optimizer = self._at(self._factor)
        if isinstance(optimizer.learning_rate, Schedule):
            return [optimizer.rate(step) for step in steps]
        return [optimizer.rate(0)] * len(steps)

    def _set(self, factor: float, base: float | None) -> None:
        self._factor, self._base = float(factor), base
        self._scaled = {}

    def _at(self, factor: float) -> Optimizer:
        if factor == 1.0 and self._base is None:
            return self._plain
        if factor not in self._scaled:
            law: Any = self._plain.learning_rate if self._base is None else self._base
            rate = ScaledRate(law, factor) if isinstance(law, Schedule) else factor * law
            self._scaled[factor] = replace(self._plain, learning_rate=rate)  # type: ignore[type-var]
        return self._scaled[factor]


@dataclass(frozen=True)
class ScaledRate(Schedule):
    """A learning rate times a factor."""

    law: Any
    factor: float

    def __call__(self, t: int) -> float:
        return self.factor * (self.law(t) if isinstance(self.law, Schedule) else self.law)
