"""L-BFGS: a method that needs all rows and several evaluations for each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from deepmath.descriptions import check_number, described
from deepmath.errors import ConfigError, TraceError
from deepmath.optimizers.base import Optimizer, Rate
from deepmath.typing import Namespace


@described
@dataclass(frozen=True)
class LBFGS(Optimizer):
    """L-BFGS by SciPy: quasi-Newton steps from the last `history` ones, with a line search, on all rows at once.

    It ends after `max_iter` steps or `max_evaluations` of the objective (None: as many as the steps need), or where
    the largest component of the gradient is at most `tolerance`, or where the objective falls by less than the share
    `loss_tolerance` of it (None: 64 units in the last place). The line search chooses the length of a
    step: no rate and no clipping. Source: Byrd, Lu, Nocedal and Zhu (1995), without bounds.

    >>> LBFGS(learning_rate=0.1)
    Traceback (most recent call last):
    ...
    deepmath.errors.ConfigError: LBFGS: learning_rate must be left out, its line search finds it; got 0.1
    """

    max_iter: int = 15000
    history: int = 10
    tolerance: float = 1e-5
    learning_rate: Rate = 1.0
    clipnorm: float | None = None
    clipvalue: float | None = None
    max_evaluations: int | None = None
    loss_tolerance: float | None = None

    def __post_init__(self) -> None:
        check_number("LBFGS", "max_iter", self.max_iter, low=1, whole=True)
        check_number("LBFGS", "history", self.history, low=1, whole=True)
        check_number("LBFGS", "tolerance", self.tolerance, low=0.0)
        if self.max_evaluations is not None:
            check_number("LBFGS", "max_evaluations", self.max_evaluations, low=1, whole=True)
        if self.loss_tolerance is not None:
            check_number("LBFGS", "loss_tolerance", self.loss_tolerance, low=0.0)
        if self.learning_rate != 1.0:
            raise ConfigError(
                f"LBFGS: learning_rate must be left out, its line search finds it; got {self.learning_rate!r}"
            )
        for name in ("clipnorm", "clipvalue"):
            if getattr(self, name) is not None:
                raise ConfigError(f"LBFGS: {name} must be left out, its line search needs the true gradient")

    def coefficients(self, step: int) -> tuple[float, ...]:
        return ()

    def update(self, xp: Namespace, w: Any, g: Any, *rest: Any) -> NoReturn:
        raise TraceError("LBFGS has no update element by element: deepmath.training.lbfgs.fit_lbfgs runs it")


@dataclass(frozen=True)
class Standing(Optimizer):
    """Leaves every parameter where it is: `Program.apply` then takes over the layers' state and counts a step."""

    learning_rate: Rate = 0.0

    def coefficients(self, step: int) -> tuple[float, ...]:
        return ()

    def update(self, xp: Namespace, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        return (w,)
