"""What every Numba kernel uses, whatever its precision. This text stands in front of the precision's own functions."""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

FAST = {"contract", "nsz"}
"""The only freedoms of the compiler: `reassoc` would cost exp three digits, `nnan` and `ninf` would lose NaN."""
CACHED = __name__.startswith("deepmath_kernel_")

__all__ = ["CACHED", "FAST", "add", "math", "maximum", "minimum", "njit", "np"]


@intrinsic
def add(typingctx, total, value):
    """total + value, in any order: a sum over a row vectorises."""

    def code(context, builder, signature, args):
        return builder.fadd(args[0], args[1], flags=("reassoc", "contract", "nsz"))

    return total(total, value), code


def _llvm(of_floats, of_integers):
    """The larger or smaller of two numbers as LLVM's own instruction, which vectorises; NaN passes."""

    def build(typingctx, a, b):
        floats = isinstance(a, types.Float)
        kind = a if floats else types.int64
        name, flags = (of_floats, ("nsz",)) if floats else (of_integers, ())

        def code(context, builder, signature, args):
            number = args[0].type
            function = builder.module.declare_intrinsic(f"llvm.{name}", [number], ir.FunctionType(number, [number] * 2))
            return builder.call(function, args, fastmath=flags)

        return kind(kind, kind), code

    return build


maximum = intrinsic(_llvm("maximum", "smax"))
minimum = intrinsic(_llvm("minimum", "smin"))
