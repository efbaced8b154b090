"""What every optimiser is."""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable
from typing import Any

from deepmath.descriptions import check_number, set_field
from deepmath.schedules import Constant, FunctionSchedule, Schedule
from deepmath.typing import Namespace

logger = logging.getLogger("deepmath")

Rate = float | Schedule | Callable[[int], float]
"""A learning rate: a number, a schedule, or a function of the step, which becomes a `FunctionSchedule`."""


class Optimizer(abc.ABC):
    """How parameters follow their gradient.

    A subclass is a frozen dataclass with the fields `learning_rate`, and if it wants them `clipnorm` and
    `clipvalue`. `slots` names its state for each parameter, zero at the start. `coefficients(step)` gives the
    numbers of update 0, 1, ... in float64. `update` is the formula, element by element.
    """

    learning_rate: Rate
    clipnorm: float | None = None
    clipvalue: float | None = None

    def __post_init__(self) -> None:
        check(self)

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
        law: Any = self.learning_rate
        return law.at(step) if isinstance(law, Schedule) else float(law)

    def goes_on_from(self, other: Optimizer, step: int) -> bool:
        """Whether it can go on with the memory that another has after so many steps: only numbers differ.

        Warns where a new schedule is asked for the rate of a late step, and not of its first.
        """
        if type(self) is not type(other) or self.slots != other.slots:
            return False
        law = self.learning_rate
        if step and isinstance(law, Schedule) and law != other.learning_rate:
            logger.warning(
                "compile: the new schedule goes on at step %d, which the optimizer has reached; "
                "with reset_optimizer=True it begins at step 0, without what the optimizer remembers", step,
            )  # fmt: skip
        return True


def check(optimizer: Any) -> None:
    """Raise ConfigError unless the settings that all optimisers share can be used."""
    owner = type(optimizer).__name__
    if isinstance(optimizer.learning_rate, Constant):
        set_field(optimizer, "learning_rate", optimizer.learning_rate.rate)
    if callable(optimizer.learning_rate) and not isinstance(optimizer.learning_rate, Schedule):
        set_field(optimizer, "learning_rate", FunctionSchedule(optimizer.learning_rate))
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
