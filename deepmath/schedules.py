"""Learning-rate schedules: a rate for each update, computed in float64."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from deepmath.descriptions import check_number, described
from deepmath.formulas import schedules as formulas

__all__ = ["Constant", "ExponentialDecay", "Schedule"]


class Schedule(abc.ABC):
    """A law that gives the learning rate of update t = 0, 1, ..."""

    @abc.abstractmethod
    def __call__(self, t: int) -> float: ...


@described
@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate always; what a plain number as learning rate means.

    >>> Constant(0.1)(1000)
    0.1
    """

    rate: float

    def __post_init__(self) -> None:
        check_number("Constant", "rate", self.rate, low=0.0)

    def __call__(self, t: int) -> float:
        return self.rate


@described
@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """rate * factor^(t / steps): after every `steps` updates the rate is `factor` times what it was.

    >>> ExponentialDecay(0.1, factor=0.5, steps=100)(200)
    0.025
    """

    rate: float
    factor: float = 0.96
    steps: float = 1000

    def __post_init__(self) -> None:
        check_number("ExponentialDecay", "rate", self.rate, low=0.0)
        check_number("ExponentialDecay", "factor", self.factor, low=0.0, open_low=True)
        check_number("ExponentialDecay", "steps", self.steps, low=0.0, open_low=True)

    def __call__(self, t: int) -> float:
        return formulas.exponential(t, self.rate, self.factor, self.steps)
