"""Optimisers. Update rules are PyTorch's, names and default rates Keras's."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

from deepmath.descriptions import Table, check_number, described, set_field
from deepmath.errors import ConfigError
from deepmath.formulas import optimizers as formulas
from deepmath.schedules import Constant, Schedule
from deepmath.typing import Namespace

__all__ = ["SGD", "Adam", "Optimizer", "Rate", "get", "names"]

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


def _check(optimizer: Any) -> None:
    """The settings that all optimisers share."""
    owner = type(optimizer).__name__
    if isinstance(optimizer.learning_rate, Constant):
        set_field(optimizer, "learning_rate", optimizer.learning_rate.rate)
    if not isinstance(optimizer.learning_rate, Schedule):
        check_number(owner, "learning_rate", optimizer.learning_rate, low=0.0)
    for name in ("clipnorm", "clipvalue"):
        if getattr(optimizer, name) is not None:
            check_number(owner, name, getattr(optimizer, name), low=0.0, open_low=True)


@described
@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent: w - rate g. With momentum: v = momentum v + g; w - rate v. Nesterov: w - rate (g + momentum v).

    The rate stands outside the velocity (PyTorch); Keras has it inside, which differs once the rate changes.
    """

    learning_rate: Rate = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    clipnorm: float | None = None
    clipvalue: float | None = None

    def __post_init__(self) -> None:
        _check(self)
        check_number("SGD", "momentum", self.momentum, low=0.0, high=1.0, open_high=True)
        if self.nesterov and not self.momentum:
            raise ConfigError("SGD: nesterov needs momentum > 0; got momentum 0")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("v",) if self.momentum else ()

    def coefficients(self, step: int) -> tuple[float, ...]:
        return (self.rate(step), self.momentum) if self.momentum else (self.rate(step),)

    def update(self, xp: Namespace, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        if not self.momentum:
            return formulas.sgd(xp, w, g, *rest)
        return (formulas.nesterov if self.nesterov else formulas.momentum)(xp, w, g, *rest)


@described
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam, algorithm 1 of Kingma and Ba (2014): the step is rate m_hat / (sqrt(v_hat) + epsilon)."""

    learning_rate: Rate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    clipnorm: float | None = None
    clipvalue: float | None = None

    def __post_init__(self) -> None:
        _check(self)
        check_number("Adam", "beta_1", self.beta_1, low=0.0, high=1.0, open_high=True)
        check_number("Adam", "beta_2", self.beta_2, low=0.0, high=1.0, open_high=True)
        check_number("Adam", "epsilon", self.epsilon, low=0.0, open_low=True)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m", "v")

    def coefficients(self, step: int) -> tuple[float, ...]:
        return formulas.adam_coefficients(step + 1, self.rate(step), self.beta_1, self.beta_2, self.epsilon)

    def update(self, xp: Namespace, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        return formulas.adam(xp, w, g, *rest)


_TABLE: Table[Optimizer] = Table("optimizer", Optimizer)  # type: ignore[type-abstract]
register, get, names = _TABLE.add, _TABLE.get, _TABLE.names
register(SGD(), "sgd")
register(Adam(), "adam")
