"""What every optimiser is."""

from __future__ import annotations

import abc
from typing import Any

from deepmath.descriptions import check_number, set_field
from deepmath.schedules import Constant, Schedule
from deepmath.typing import Namespace

Rate = float | Schedule
"""A learning rate: a number, or a schedule."""


class Optimizer(abc.ABC):
    """How parameters follow their gradient.

    A subclass is a frozen dataclass with the fields `learning_rate`, and if it wants them `clipnorm` and
    `clipvalue`. `slots` names its state for each parameter, zero at the start. `coefficients(step)` gives the
    numbers of update 0, 1, ... in float64. `update` is the formula, element by element.
    """

    learning_rate: Rate
    clipnorm: float | None = None
    clipvalue: float | None = None

    @property
    def slots(self) -> tuple[str, ...]:
        return ()

    @abc.abstractmethod
    def coefficients(self, step: int) -> tuple[float, ...]:
        """What the formula takes after the slots in update number `step`."""

    @abc.abstractmethod
    def update(self, xp: Namespace, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        """(xp, w, g, *slots, *coefficients) -> (new w, *new slots); all arrays are [size]."""

    def rate(self, step: int) -> float:
        """The learning rate of update number `step`."""
        law = self.learning_rate
        return law(step) if isinstance(law, Schedule) else float(law)


def check(optimizer: Any) -> None:
    """Raise ConfigError unless the settings that all optimisers share can be used."""
    owner = type(optimizer).__name__
    if isinstance(optimizer.learning_rate, Constant):
        set_field(optimizer, "learning_rate", optimizer.learning_rate.rate)
    if not isinstance(optimizer.learning_rate, Schedule):
        check_number(owner, "learning_rate", optimizer.learning_rate, low=0.0)
    for name in ("clipnorm", "clipvalue"):
        if getattr(optimizer, name) is not None:
            check_number(owner, name, getattr(optimizer, name), low=0.0, open_low=True)


def check_shares(optimizer: Any, *names: str) -> None:
    """Raise ConfigError unless these settings, shares of an average that are kept, are in [0, 1)."""
    for name in names:
        check_number(type(optimizer).__name__, name, getattr(optimizer, name), low=0.0, high=1.0, open_high=True)


def check_epsilon(optimizer: Any) -> None:
    """Raise ConfigError unless `epsilon` > 0: without it a parameter whose gradients are all zero becomes NaN."""
    check_number(type(optimizer).__name__, "epsilon", optimizer.epsilon, low=0.0, open_low=True)
