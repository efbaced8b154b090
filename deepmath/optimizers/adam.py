"""Adam and its kin: an average of gradients divided by the root of an average of their squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deepmath.descriptions import check_number, described
from deepmath.formulas import optimizers as formulas
from deepmath.optimizers.base import Optimizer, Rate, check, check_epsilon, check_shares
from deepmath.typing import Namespace


@described
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam, algorithm 1 of Kingma and Ba (2014): the step is rate m_hat / (sqrt(v_hat) + epsilon).

    With `amsgrad`, v is replaced by the largest so far, taken before its bias is corrected (PyTorch's form).
    """

    learning_rate: Rate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    clipnorm: float | None = None
    clipvalue: float | None = None
    amsgrad: bool = False

    def __post_init__(self) -> None:
        _check(self)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m", "v", "top") if self.amsgrad else ("m", "v")

    def coefficients(self, step: int) -> tuple[float, ...]:
        return formulas.adam_coefficients(step + 1, self.rate(step), self.beta_1, self.beta_2, self.epsilon)

    def update(self, xp: Namespace, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        return (formulas.amsgrad if self.amsgrad else formulas.adam)(xp, w, g, *rest)


@described
@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay: w = w - rate weight_decay w before each of Adam's steps.

    All trainable parameters decay, biases too. Loshchilov and Hutter (2019), algorithm 2, in PyTorch's form:
    the rate of the step, schedule and all, multiplies the decay.

    >>> AdamW(0.1, weight_decay=0.5).coefficients(0)[-1]
    0.05
    """

    learning_rate: Rate = 0.001
    weight_decay: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    clipnorm: float | None = None
    clipvalue: float | None = None
    amsgrad: bool = False

    def __post_init__(self) -> None:
        _check(self)
        check_number("AdamW", "weight_decay", self.weight_decay, low=0.0)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m", "v", "top") if self.amsgrad else ("m", "v")

    def coefficients(self, step: int) -> tuple[float, ...]:
        rate = self.rate(step)
        adam = formulas.adam_coefficients(step + 1, rate, self.beta_1, self.beta_2, self.epsilon)
        return (*adam, rate * self.weight_decay)

    def update(self, xp: Namespace, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        *rest_of_adam, shrink = rest
        step = formulas.amsgrad if self.amsgrad else formulas.adam
        return step(xp, formulas.decayed(xp, w, shrink), g, *rest_of_adam)


@described
@dataclass(frozen=True)
class Nadam(Optimizer):
    """Adam with Nesterov's momentum, which grows towards beta_1 as `momentum_decay` says.

    Dozat (2016), in PyTorch's form: momentum beta_1 (1 - 0.96^(momentum_decay t) / 2) at update t = 1, 2, ...
    """

    learning_rate: Rate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    momentum_decay: float = 0.004
    clipnorm: float | None = None
    clipvalue: float | None = None

    def __post_init__(self) -> None:
        _check(self)
        check_number("Nadam", "momentum_decay", self.momentum_decay, low=0.0)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m", "v")

    def coefficients(self, step: int) -> tuple[float, ...]:
        return formulas.nadam_coefficients(
            step + 1, self.rate(step), self.beta_1, self.beta_2, self.epsilon, self.momentum_decay
        )

    def update(self, xp: Namespace, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        return formulas.nadam(xp, w, g, *rest)


def _check(optimizer: Any) -> None:
    check(optimizer)
    check_shares(optimizer, "beta_1", "beta_2")
    check_epsilon(optimizer)
