"""Optimisers that follow the gradient, or its sign, through one velocity: SGD and Lion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deepmath.descriptions import check_number, described
from deepmath.errors import ConfigError
from deepmath.formulas import optimizers as formulas
from deepmath.optimizers.base import Optimizer, Rate, check, check_shares
from deepmath.typing import Namespace


@described
@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent: w - rate g. With momentum: v = momentum v + g; w - rate v. Nesterov: w - rate (g + momentum v).

    The rate stands outside the velocity (PyTorch); Keras has it inside, which differs once the rate changes.
    The exponential average v = beta v + (1 - beta) g; w - alpha v of article 3 is `SGD.averaged(alpha, beta)`.
    """

    learning_rate: Rate = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    clipnorm: float | None = None
    clipvalue: float | None = None

    def __post_init__(self) -> None:
        check(self)
        check_shares(self, "momentum")
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

    @classmethod
    def averaged(cls, alpha: float, beta: float) -> SGD:
        """Momentum as an exponential average, v = beta v + (1 - beta) g; w - alpha v (article 3).

        Its v is 1 - beta times the velocity here, so that the parameters are those of rate alpha (1 - beta).

        >>> SGD.averaged(1.0, 0.75)
        SGD(learning_rate=0.25, momentum=0.75, nesterov=False, clipnorm=None, clipvalue=None)
        """
        alpha = check_number("SGD.averaged", "alpha", alpha, low=0.0)
        beta = check_number("SGD.averaged", "beta", beta, low=0.0, high=1.0, open_high=True)
        return cls(learning_rate=alpha * (1.0 - beta), momentum=beta)


@described
@dataclass(frozen=True)
class Lion(Optimizer):
    """Lion: w - rate (sign(beta_1 m + (1 - beta_1) g) + weight_decay w), then m = beta_2 m + (1 - beta_2) g.

    Every parameter moves by the rate: take about a tenth of what suits Adam. Chen et al. (2023), algorithm 2.

    >>> Lion(0.001).coefficients(0)[:2]
    (0.001, 0.0)
    """

    learning_rate: Rate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.99
    weight_decay: float = 0.0
    clipnorm: float | None = None
    clipvalue: float | None = None

    def __post_init__(self) -> None:
        check(self)
        check_shares(self, "beta_1", "beta_2")
        check_number("Lion", "weight_decay", self.weight_decay, low=0.0)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m",)

    def coefficients(self, step: int) -> tuple[float, ...]:
        rate = self.rate(step)
        return rate, rate * self.weight_decay, self.beta_1, 1.0 - self.beta_1, self.beta_2, 1.0 - self.beta_2

    def update(self, xp: Namespace, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        return formulas.lion(xp, w, g, *rest)
