"""Activations by name, each a formula with its derivative.

>>> from deepmath import activations
>>> activations.get("relu").name
'relu'
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deepmath.derivative import pullback as derive
from deepmath.descriptions import Parametrized, Table
from deepmath.formulas import activations as formulas
from deepmath.formulas import gelu, rectifiers, smooth, softmax
from deepmath.own_functions import ELEMENTS, check_function
from deepmath.ranges import ANY, UNKNOWN, Range
from deepmath.trace import Formula, with_slope

__all__ = ["ActivationFunction", "get", "names", "register"]


@dataclass(frozen=True)
class ActivationFunction(Parametrized):
    """y = value(xp, z, *constants), with a derivative in one of three forms.

    `slope(xp, z, y, *constants)` is dy/dz for an element-wise function; `pullback(xp, z, y, dy, *constants)` is dz
    for one that works along rows. With neither, the derivative is taken on the formula's graph. A hand-written
    one exists where it is more accurate.

    `gives` says which values it can give, or is a function of the constants that does; of an activation of one's own
    that isn't told, and then nothing is concluded from it.
    """

    name: str
    value: Formula = field(repr=False)
    slope: Formula | None = field(default=None, repr=False)
    pullback: Formula | None = field(default=None, repr=False)
    constants: tuple[float, ...] = field(default=(), repr=False)
    limits: tuple[tuple[str, float, float], ...] = field(default=(), repr=False)
    gives: Range | Callable[..., Range] = field(default=UNKNOWN, repr=False)

    @property
    def range(self) -> Range:
        """Which values it can give, for the constants that it has."""
        return self.gives(*self.constants) if callable(self.gives) else self.gives

    def check(self, units: int | None = None) -> None:
        """Call the formulas once: ConfigError for results of a wrong shape, TraceError for one without a derivative.

        `units` is the number of elements in a row, which only what can't be traced needs to be known.
        """
        _check(self, units)

    def of(self, xp: Any, z: Any, *constants: Any) -> Any:
        """y = value(xp, z, *constants), which a traced step differentiates by `backward`."""
        return with_slope(xp, self.value, self.backward(), z, *constants)

    def backward(self) -> Formula:
        """The formula (xp, z, y, dy, *constants) -> dz, whichever way it is known."""
        if self.pullback is not None:
            return self.pullback
        if self.slope is not None:
            slope = self.slope
            return lambda xp, z, y, dy, *constants: dy * slope(xp, z, y, *constants)
        derived = derive(self.value, ["element", *["scalar"] * len(self.constants)])
        return lambda xp, z, y, dy, *constants: derived(xp, z, *constants, dy)


@functools.lru_cache(maxsize=256)
def _check(function: ActivationFunction, units: int | None) -> None:
    who, written = f"activation '{function.name}'", function.slope or function.pullback
    settings: dict[str, Any] = {"constants": function.constants, "units": units}
    check_function(who, function.value, ("z",), ELEMENTS, derived=written is None, **settings)
    if written is not None:
        arguments = ("z", "y") if function.pullback is None else ("z", "y", "dy")
        check_function(f"the slope of {who}", written, arguments, ELEMENTS, **settings)


def _wrap(function: Callable[..., Any]) -> ActivationFunction:
    return ActivationFunction(getattr(function, "__name__", "custom"), function)


def _row(name: str, value: Formula, slope: Formula | None, gives: Any, **rest: Any) -> None:
    register(ActivationFunction(name, value, slope, gives=gives, **rest))


def _leaky_relu_range(negative_slope: float) -> Range:
    return ANY if negative_slope > 0.0 else _POSITIVE_OR_ZERO


def _elu_range(alpha: float) -> Range:
    return Range(low=-alpha)


_TABLE = Table("activation", ActivationFunction, _wrap)
register, get, names = _TABLE.add, _TABLE.get, _TABLE.names
_NEGATIVE = (("negative_slope", 0.0, 1e6),)
_ALPHA = (("alpha", 1e-6, 1e6),)

_POSITIVE, _POSITIVE_OR_ZERO = Range(low=0.0), Range(low=0.0, low_reached=True)
_SHARES = Range(0.0, 1.0, sums_to_one=True, alone="1")

_row("linear", formulas.linear, formulas.linear_slope, ANY)
_row("relu", formulas.relu, formulas.relu_slope, _POSITIVE_OR_ZERO)
_row("sigmoid", formulas.sigmoid, formulas.sigmoid_slope, Range(0.0, 1.0))
_row("tanh", formulas.tanh, formulas.tanh_slope, Range(-1.0, 1.0))
_row("softmax", softmax.softmax, None, _SHARES, pullback=softmax.softmax_pullback)
_row("log_softmax", softmax.log_softmax, None, Range(high=0.0, alone="0"), pullback=softmax.log_softmax_pullback)
_LEAKY: dict[str, Any] = {"constants": (0.01,), "limits": _NEGATIVE}
_row("leaky_relu", rectifiers.leaky_relu, rectifiers.leaky_relu_slope, _leaky_relu_range, **_LEAKY)
_row("hard_sigmoid", rectifiers.hard_sigmoid, rectifiers.hard_sigmoid_slope, Range(0.0, 1.0, True, True))
_row("hard_swish", rectifiers.hard_swish, rectifiers.hard_swish_slope, Range(low=-0.375, low_reached=True))
_row("elu", smooth.elu, smooth.elu_slope, _elu_range, constants=(1.0,), limits=_ALPHA)
_row("selu", smooth.selu, smooth.selu_slope, Range(low=-smooth.SELU_SCALE * smooth.SELU_ALPHA))
_row("celu", smooth.celu, smooth.celu_slope, _elu_range, constants=(1.0,), limits=_ALPHA)
_row("softplus", smooth.softplus, smooth.softplus_slope, _POSITIVE)
_row("softsign", smooth.softsign, smooth.softsign_slope, Range(-1.0, 1.0))
_row("gelu", gelu.gelu, gelu.gelu_slope, Range(low=-0.16997120747990369, low_reached=True))
_row("gelu_tanh", gelu.gelu_tanh, gelu.gelu_tanh_slope, Range(low=-0.17004075057125412, low_reached=True))
_row("silu", smooth.silu, smooth.silu_slope, Range(low=-0.27846454276107380, low_reached=True))
_row("mish", smooth.mish, smooth.mish_slope, Range(low=-0.30884341301725043, low_reached=True))
_TABLE.add(get("linear"), "identity")
_TABLE.add(get("silu"), "swish")
