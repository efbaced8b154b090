"""What the traces of formulas tell: which values a derivative needs, and what can't be compiled."""

from __future__ import annotations

from deepmath.activations import ActivationFunction
from deepmath.errors import TraceError
from deepmath.graph import needed
from deepmath.optimizers import Optimizer
from deepmath.printers.loops import traced_kind
from deepmath.program import Head, head_formula, head_kinds
from deepmath.trace import Formula, trace
from deepmath_numpy.cache import remembered


def needs(backward: Formula, constants: int) -> tuple[bool, bool]:
    """Whether the derivative (xp, z, y, dy, *constants) needs the activation's input z, and its output y."""
    traced = trace(backward, [*["element"] * 3, *["scalar"] * constants])
    used = {n.number for n in needed(traced.outputs)}
    return traced.arguments[0].number in used, traced.arguments[1].number in used


def is_identity(backward: Formula) -> bool:
    """Whether the derivative hands dy on as it is."""
    return trace(lambda xp, dy: backward(xp, None, None, dy), ["element"]).outputs[0].op == "argument"


@remembered
def keeps_input(function: ActivationFunction) -> bool:
    """Whether an activation's derivative needs its input."""
    return needs(function.backward(), len(function.constants))[0]


@remembered
def untraceable(what: ActivationFunction | Head | Optimizer) -> str:
    """Why a formula can't be compiled, or nothing if it can."""
    try:
        if isinstance(what, ActivationFunction):
            constants = ["scalar"] * len(what.constants)
            trace(what.value, ["element", *constants])
            trace(what.backward(), [*["element"] * 3, *constants])
        elif isinstance(what, Head):
            kinds = [*map(traced_kind, head_kinds(what)), *["scalar"] * len(what.loss.constants)]
            trace(head_formula(what), kinds)
        else:
            scalars = ["scalar"] * len(what.coefficients(0))
            trace(what.update, [*["element"] * (2 + len(what.slots)), *scalars])
    except TraceError as error:
        return str(error)
    return ""
