"""Activations by name, each a formula with its derivative.

>>> from deepmath import activations
>>> activations.get("relu").name
'relu'
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepmath.derivative import pullback as derive
from deepmath.descriptions import Table
from deepmath.formulas import activations as formulas
from deepmath.formulas.softmax import softmax, softmax_pullback
from deepmath.trace import Formula

__all__ = ["ActivationFunction", "get", "names", "register"]


@dataclass(frozen=True)
class ActivationFunction:
    """y = value(xp, z), with a derivative in one of three forms.

    `slope(xp, z, y)` is dy/dz for an element-wise function; `pullback(xp, z, y, dy)` is dz for one that works
    along rows. With neither, the derivative is taken on the formula's graph. A hand-written one exists where
    it is more accurate.
    """

    name: str
    value: Formula
    slope: Formula | None = None
    pullback: Formula | None = None

    def backward(self) -> Formula:
        """The formula (xp, z, y, dy) -> dz, whichever way it is known."""
        if self.pullback is not None:
            return self.pullback
        if self.slope is not None:
            slope = self.slope
            return lambda xp, z, y, dy: dy * slope(xp, z, y)
        derived = derive(self.value, ["element"])
        return lambda xp, z, y, dy: derived(xp, z, dy)


def _wrap(function: Callable[..., Any]) -> ActivationFunction:
    return ActivationFunction(getattr(function, "__name__", "custom"), function)


_TABLE = Table("activation", ActivationFunction, _wrap)
register, get, names = _TABLE.add, _TABLE.get, _TABLE.names

register(ActivationFunction("linear", formulas.linear, formulas.linear_slope))
register(ActivationFunction("relu", formulas.relu, formulas.relu_slope))
register(ActivationFunction("sigmoid", formulas.sigmoid, formulas.sigmoid_slope))
register(ActivationFunction("tanh", formulas.tanh, formulas.tanh_slope))
register(ActivationFunction("softmax", softmax, pullback=softmax_pullback))
