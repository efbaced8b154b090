"""Fused loops for the formulas of a program, traced, printed and compiled on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from deepmath.activations import ActivationFunction
from deepmath.errors import TraceError
from deepmath.formulas.random import philox
from deepmath.graph import needed
from deepmath.optimizers import Optimizer
from deepmath.printers import numba
from deepmath.printers.loops import kernel
from deepmath.regularizers import Constraint, Regularizer
from deepmath.trace import Formula, trace
from deepmath_numpy import cache

Compiled = Callable[..., Any]


@dataclass(frozen=True)
class Kernels:
    """Compiles formulas for one precision. Every method raises TraceError for a formula that can't be traced."""

    precision: str

    def compiled(
        self,
        name: str,
        formula: Formula,
        kinds: Sequence[str],
        outputs: Sequence[str],
        names: Sequence[str] | None = None,
    ) -> Compiled:
        """The fused loop of a formula; see `deepmath.printers.numba.module` for how it is called."""
        module = cache.load(numba.module(kernel(name, formula, kinds, outputs, names), self.precision))
        function: Compiled = getattr(module, name)
        return function

    def activation(self, function: ActivationFunction | None, bias: bool) -> ActivationKernels:
        """Forward and backward loops of y = f(z + b), either part of which may be absent."""
        value = function.value if function is not None else (lambda xp, z: z)
        backward = function.backward() if function is not None else (lambda xp, z, y, dy: dy)
        constants = function.constants if function is not None else ()
        keeps_z, keeps_y = kept(backward, len(constants))
        forward = self._forward(value, bias, keeps_z, len(constants)) if function is not None or bias else None
        back = self._backward(backward, keeps_z, keeps_y, bias, len(constants))
        return ActivationKernels(forward, back, keeps_z, keeps_y, constants)

    def _forward(self, value: Formula, bias: bool, keeps_z: bool, constants: int) -> Compiled:
        def formula(xp: Any, z: Any, *rest: Any) -> Any:
            shifted = z + rest[0] if bias else z
            y = value(xp, shifted, *rest[bias:])
            return (shifted, y) if keeps_z else y

        kinds = ["element", *["column"] * bias, *["scalar"] * constants]
        names = ["z", *["b"] * bias, *_scalars(constants)]
        return self.compiled("activation", formula, kinds, ["z", "y"] if keeps_z else ["z"], names)

    def _backward(self, backward: Formula, keeps_z: bool, keeps_y: bool, bias: bool, constants: int) -> Compiled | None:
        saved = keeps_z + keeps_y
        identity = (
            not saved and trace(lambda xp, dy: backward(xp, None, None, dy), ["element"]).outputs[0].op == "argument"
        )

        def formula(xp: Any, dy: Any, *rest: Any) -> Any:
            z = rest[0] if keeps_z else None
            y = rest[saved - 1] if keeps_y else None
            dz = backward(xp, z, y, dy, *rest[saved:])
            if identity:
                return xp.batch_sum(dz)
            return (dz, xp.batch_sum(dz)) if bias else dz

        if identity and not bias:
            return None
        outputs = ["db"] if identity else (["dy", "db"] if bias else ["dy"])
        names = ["dy", *["z"] * keeps_z, *["y"] * keeps_y, *_scalars(constants)]
        kinds = [*["element"] * (1 + saved), *["scalar"] * constants]
        return self.compiled("activation_back", formula, kinds, outputs, names)

    def optimizer(self, optimizer: Optimizer) -> Compiled:
        """The update, in place over flat [1, size] arrays: (w, g, *slots, *coefficients)."""
        slots = [f"slot{i}" for i in range(len(optimizer.slots))]
        scalars = _scalars(len(optimizer.coefficients(0)))
        kinds = ["element"] * (2 + len(slots)) + ["scalar"] * len(scalars)
        return self.compiled("optimizer", optimizer.update, kinds, ["w", *slots], ["w", "g", *slots, *scalars])

    def regularizer(self, regularizer: Regularizer) -> Compiled:
        """(w, g, *strengths, penalty): adds the slope to g in place and writes the penalty, over flat [1, size]."""

        def formula(xp: Any, w: Any, g: Any, *strengths: Any) -> Any:
            return g + regularizer.slope(xp, w, *strengths), regularizer.penalty(xp, w, *strengths)

        scalars = _scalars(len(regularizer.strengths))
        kinds = ["element", "element", *["scalar"] * len(scalars)]
        return self.compiled("regularizer", formula, kinds, ["g", "penalty"], ["w", "g", *scalars])

    def constraint(self, constraint: Constraint) -> Compiled:
        """(w, *limits): puts weights [units, features] back into what is allowed, in place."""
        scalars = _scalars(len(constraint.limits))
        kinds = ["element", *["scalar"] * len(scalars)]
        return self.compiled("constraint", constraint.project, kinds, ["w"], ["w", *scalars])

    def noise(self) -> Compiled:
        """24 random bits for rows and groups of four units: (first, step, layer, seed, stream, a, b, c, d)."""

        def formula(xp: Any, unit: Any, row: Any, first: Any, step: Any, layer: Any, seed: Any, stream: Any) -> Any:
            return tuple(w >> 8 for w in philox(xp, unit, row + first, step, layer, seed, stream))

        kinds = ["index", "row_index", *["scalar:int"] * 5]
        return self.compiled("noise", formula, kinds, ["a", "b", "c", "d"])


@dataclass(frozen=True)
class ActivationKernels:
    """`run_forward` and `run_backward` work in place on z and dy; where nothing is to do, the loop is None.

    Where z is kept, y goes to an array of its own; else it replaces z.
    """

    forward: Compiled | None
    backward: Compiled | None
    keeps_z: bool
    keeps_y: bool
    constants: tuple[float, ...]

    def run_forward(self, z: Any, y: Any, bias: Any) -> None:
        """y = f(z + b), and z + b in z where it is kept."""
        if self.forward is not None:
            given = () if bias is None else (bias,)
            self.forward(z, *given, *self.constants, *((y,) if self.keeps_z else ()))

    def run_backward(self, dy: Any, z: Any, y: Any, db: Any) -> None:
        """dy becomes dz; its sum over the rows goes to db."""
        if self.backward is not None:
            saved = [*([z] if self.keeps_z else []), *([y] if self.keeps_y else [])]
            self.backward(dy, *saved, *self.constants, *(() if db is None else (db,)))


def kept(backward: Formula, constants: int) -> tuple[bool, bool]:
    """Whether the derivative (xp, z, y, dy, *constants) needs the activation's input z, and its output y."""
    traced = trace(backward, [*["element"] * 3, *["scalar"] * constants])
    used = {n.number for n in needed(traced.outputs)}
    return traced.arguments[0].number in used, traced.arguments[1].number in used


def traceable(function: ActivationFunction) -> str | None:
    """Why an activation can't be compiled, or None if it can."""
    constants = ["scalar"] * len(function.constants)
    try:
        trace(function.value, ["element", *constants])
        trace(function.backward(), [*["element"] * 3, *constants])
    except TraceError as error:
        return str(error)
    return None


def _scalars(count: int) -> list[str]:
    return [f"c{i}" for i in range(count)]
