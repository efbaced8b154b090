"""Learning-rate schedules: a rate for each update, computed in float64."""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.descriptions import check_number, check_of_step, described, set_field
from deepmath.errors import ConfigError
from deepmath.formulas import schedules as formulas

__all__ = [
    "Constant", "CosineDecay", "CosineRestarts", "ExponentialDecay", "FunctionSchedule", "InverseTimeDecay",
    "OneCycle", "PiecewiseConstant", "PolynomialDecay", "Schedule", "SqrtDecay",
]  # fmt: skip


class Schedule(abc.ABC):
    """A law that gives the learning rate of update t = 0, 1, ..."""

    @abc.abstractmethod
    def __call__(self, t: int) -> float: ...

    def at(self, step: Any) -> Any:
        """The rate of update number `step`, or those of an array of them: one call for each, since a law may branch."""
        return np.asarray([self(t) for t in step.tolist()]) if isinstance(step, np.ndarray) else self(step)


@dataclass(frozen=True, repr=False)
class FunctionSchedule(Schedule):
    """The rate that a function of yours gives for each update: what `learning_rate=function` means.

    `function(step)` gets 0, 1, ... as a Python int and gives the rate, a finite number >= 0; anything else is a
    ConfigError, at step 0 before anything is trained. A model's file holds its name alone, and
    `load_model(path, custom_objects={name: function})` gives it back.

    >>> FunctionSchedule(lambda step: 0.1 if step < 100 else 0.01)(100)
    0.01
    """

    function: Callable[[int], Any]

    def __post_init__(self) -> None:
        check_of_step(self.function, self.name)
        self(0)

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def __repr__(self) -> str:
        return f"FunctionSchedule({self.name})"

    def __call__(self, t: int) -> float:
        return checked_rate(f"learning_rate: {self.name}({t})", self.function(t))


def checked_rate(who: str, value: Any) -> float:
    """What a function gave as a learning rate. Raises ConfigError unless it is a finite number >= 0."""
    number = np.asarray(value)
    if number.ndim or number.dtype.kind not in "iuf" or not 0.0 <= float(number) < math.inf:
        raise ConfigError(f"{who} must give a finite number >= 0; got {value!r}")
    return float(number)


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

    With `staircase` it falls at t = steps, 2 steps, ... only: t / steps is rounded down.

    >>> ExponentialDecay(0.1, factor=0.5, steps=100)(200)
    0.025
    """

    rate: float
    factor: float = 0.96
    steps: float = 1000
    staircase: bool = False

    def __post_init__(self) -> None:
        _check(self, above_zero=("factor", "steps"))

    def __call__(self, t: int) -> float:
        return formulas.exponential(_time(self, t), self.rate, self.factor, self.steps)


@described
@dataclass(frozen=True)
class InverseTimeDecay(Schedule):
    """rate / (1 + decay t / steps): article 3's 1 / (1 + decay epoch), with t / steps as the epoch.

    With `staircase` it falls at t = steps, 2 steps, ... only: t / steps is rounded down.

    >>> InverseTimeDecay(0.1, decay=1.0, steps=100)(100)
    0.05
    """

    rate: float
    decay: float = 1.0
    steps: float = 1000
    staircase: bool = False

    def __post_init__(self) -> None:
        _check(self, "decay", above_zero=("steps",))

    def __call__(self, t: int) -> float:
        return formulas.inverse_time(_time(self, t), self.rate, self.decay, self.steps)


@described
@dataclass(frozen=True)
class SqrtDecay(Schedule):
    """rate k / sqrt(1 + t / steps).

    With `steps` updates in an epoch and `staircase` this is article 3's alpha = alpha_0 k / sqrt(epoch), epochs
    counted from 1; without `staircase` it falls at each update and agrees at the start of each epoch.

    >>> SqrtDecay(0.1, k=2.0, steps=100, staircase=True)(399)
    0.1
    """

    rate: float
    k: float = 1.0
    steps: float = 1000
    staircase: bool = False

    def __post_init__(self) -> None:
        _check(self, "k", above_zero=("steps",))

    def __call__(self, t: int) -> float:
        return formulas.inverse_root(_time(self, t), self.rate, self.k, self.steps)


@described
@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """end + (rate - end) (1 - t / steps)^power, and `end` from t = steps on. Power 1 is a straight line.

    >>> PolynomialDecay(0.1, end=0.02, steps=100)(50)
    0.06
    """

    rate: float
    end: float = 0.0
    steps: float = 1000
    power: float = 1.0

    def __post_init__(self) -> None:
        _check(self, "end", above_zero=("steps", "power"))

    def __call__(self, t: int) -> float:
        return formulas.polynomial(t, self.rate, self.end, self.steps, self.power)


@described
@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a cosine from `rate` at t = warmup to `end` at t = steps, where it stays.

    Before, the rate grows in a line: rate (t + 1) / (warmup + 1). `steps` counts the warm-up in.

    >>> CosineDecay(0.1, steps=100)(50)
    0.05
    """

    rate: float
    steps: float = 1000
    warmup: float = 0
    end: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "warmup", "end", above_zero=("steps",))
        if self.warmup >= self.steps:
            raise ConfigError(f"CosineDecay: warmup must be < steps, which is {self.steps}; got {self.warmup}")

    def __call__(self, t: int) -> float:
        return formulas.warmed_cosine(t, self.rate, self.steps, self.warmup, self.end)


@described
@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Half a cosine from `rate` towards `end` in `period` updates, again and again, each `factor` times as long.

    Loshchilov and Hutter (2017), SGDR. `end` itself is reached at no update: there the next cycle begins.

    >>> [CosineRestarts(0.1, period=100)(t) for t in (0, 50, 100, 200, 300)]
    [0.1, 0.05, 0.1, 0.05, 0.1]
    """

    rate: float
    period: float = 1000
    factor: float = 2.0
    end: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "end", above_zero=("period",))
        check_number("CosineRestarts", "factor", self.factor, low=1.0)

    def __call__(self, t: int) -> float:
        return formulas.cosine_restarts(t, self.rate, self.period, self.factor, self.end)


@described
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from max_rate / div_factor to max_rate in a share `pct_start` of `steps`, then down, along half cosines.

    It ends at max_rate / div_factor / final_div_factor at update steps - 1 and stays there. Smith and Topin
    (2018) in PyTorch's form: two phases, and the momentum is not cycled (PyTorch cycles it unless told otherwise).

    >>> [round(OneCycle(0.1, steps=100)(t), 6) for t in (0, 29, 99)]
    [0.004, 0.1, 0.0]
    """

    max_rate: float
    steps: int = 1000
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        check_number("OneCycle", "max_rate", self.max_rate, low=0.0)
        check_number("OneCycle", "steps", self.steps, low=2, whole=True)
        check_number("OneCycle", "pct_start", self.pct_start, low=0.0, high=1.0, open_high=True)
        check_number("OneCycle", "div_factor", self.div_factor, low=0.0, open_low=True)
        check_number("OneCycle", "final_div_factor", self.final_div_factor, low=0.0, open_low=True)

    def __call__(self, t: int) -> float:
        low = self.max_rate / self.div_factor
        return formulas.one_cycle(t, low, self.max_rate, low / self.final_div_factor, self.steps, self.pct_start)


@described
@dataclass(frozen=True)
class PiecewiseConstant(Schedule):
    """rates[i] from update boundaries[i - 1] on, until before boundaries[i]; one rate more than boundaries.

    >>> [PiecewiseConstant((0.1, 0.01), (100,))(t) for t in (0, 99, 100)]
    [0.1, 0.1, 0.01]
    """

    rates: Sequence[float]
    boundaries: Sequence[float]

    def __post_init__(self) -> None:
        for name in ("rates", "boundaries"):
            given = getattr(self, name)
            if not isinstance(given, (tuple, list)):
                raise ConfigError(f"PiecewiseConstant: {name} must be a list of numbers; got {given!r}")
            set_field(self, name, tuple(given))
            for value in given:
                check_number("PiecewiseConstant", f"each of {name}", value, low=0.0)
        if len(self.rates) != len(self.boundaries) + 1:
            counts = f"{len(self.rates)} rates for {len(self.boundaries)} boundaries"
            raise ConfigError(f"PiecewiseConstant: there must be one rate more than boundaries; got {counts}")
        if any(a >= b for a, b in itertools.pairwise(self.boundaries)):
            raise ConfigError(f"PiecewiseConstant: boundaries must increase; got {list(self.boundaries)}")

    def __call__(self, t: int) -> float:
        return formulas.piecewise_constant(t, self.rates, self.boundaries)


def _check(schedule: Any, *at_least_zero: str, above_zero: tuple[str, ...]) -> None:
    """Check `rate` and these settings."""
    owner = type(schedule).__name__
    for name in ("rate", *at_least_zero):
        check_number(owner, name, getattr(schedule, name), low=0.0)
    for name in above_zero:
        check_number(owner, name, getattr(schedule, name), low=0.0, open_low=True)


def _time(schedule: Any, t: int) -> float:
    """The update that a decay law is asked for: rounded down to a multiple of `steps` for a staircase."""
    return formulas.staircase(t, schedule.steps) if schedule.staircase else t
