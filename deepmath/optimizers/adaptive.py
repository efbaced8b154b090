"""Optimisers that scale each parameter by its own past gradients: RMSprop, Adagrad, Adadelta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deepmath.descriptions import check_number, described
from deepmath.formulas import adaptive as formulas
from deepmath.optimizers.base import Optimizer, Rate, check, check_epsilon, check_shares
from deepmath.typing import Namespace


@described
@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop: v = rho v + (1 - rho) g^2; the step is rate g / (sqrt(v) + epsilon).

    `centered` divides by the root of v minus the squared mean of the gradients; `momentum` collects the scaled
    gradients as in SGD. PyTorch's form: epsilon outside the root (Keras: inside), rho 0.99 (Keras: 0.9).

    >>> RMSprop(momentum=0.9, centered=True).slots
    ('v', 'm', 'b')
    """

    learning_rate: Rate = 0.001
    rho: float = 0.99
    momentum: float = 0.0
    centered: bool = False
    epsilon: float = 1e-8
    clipnorm: float | None = None
    clipvalue: float | None = None

    def __post_init__(self) -> None:
        check(self)
        check_shares(self, "rho", "momentum")
        check_epsilon(self)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("v", *(("m",) if self.centered else ()), *(("b",) if self.momentum else ()))

    def coefficients(self, step: int) -> tuple[float, ...]:
        numbers = (self.rate(step), self.rho, 1.0 - self.rho, self.epsilon)
        return (*numbers, self.momentum) if self.momentum else numbers

    def update(self, xp: Namespace, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        if self.centered:
            centered = formulas.rmsprop_centered_momentum if self.momentum else formulas.rmsprop_centered
            return centered(xp, w, g, *rest)
        return (formulas.rmsprop_momentum if self.momentum else formulas.rmsprop)(xp, w, g, *rest)


@described
@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad: the step is rate g / (sqrt(initial_accumulator_value + sum of g^2 so far) + epsilon).

    PyTorch's form and its initial value 0 (Keras and Optax start from 0.1), Keras's learning rate (PyTorch: 0.01).
    """

    learning_rate: Rate = 0.001
    initial_accumulator_value: float = 0.0
    epsilon: float = 1e-10
    clipnorm: float | None = None
    clipvalue: float | None = None

    def __post_init__(self) -> None:
        check(self)
        check_number("Adagrad", "initial_accumulator_value", self.initial_accumulator_value, low=0.0)
        check_epsilon(self)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("total",)

    def coefficients(self, step: int) -> tuple[float, ...]:
        return self.rate(step), self.initial_accumulator_value, self.epsilon

    def update(self, xp: Namespace, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        return formulas.adagrad(xp, w, g, *rest)


@described
@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Adadelta: the step is rate d, where d = sqrt(u + epsilon) / sqrt(v + epsilon) g.

    v and u are averages of g^2 and d^2. Zeiler (2012), where the rate is 1, as in PyTorch; 0.001 is Keras's.
    """

    learning_rate: Rate = 0.001
    rho: float = 0.95
    epsilon: float = 1e-6
    clipnorm: float | None = None
    clipvalue: float | None = None

    def __post_init__(self) -> None:
        check(self)
        check_shares(self, "rho")
        check_epsilon(self)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("v", "u")

    def coefficients(self, step: int) -> tuple[float, ...]:
        return self.rate(step), self.rho, 1.0 - self.rho, self.epsilon

    def update(self, xp: Namespace, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        return formulas.adadelta(xp, w, g, *rest)
