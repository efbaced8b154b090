"""Functions of float64 for Numba kernels: the C library's. This text stands in front of every float64 kernel."""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

T = np.float64
FAST = {"contract", "nsz"}
CACHED = __name__.startswith("deepmath_kernel_")
exp, expm1, log, log1p, tanh, floor = math.exp, math.expm1, math.log, math.log1p, math.tanh, math.floor


@intrinsic
def add(typingctx, total, value):
    """total + value, in any order: a sum over a row vectorises."""

    def code(context, builder, signature, args):
        return builder.fadd(args[0], args[1], flags=("reassoc", "contract", "nsz"))

    return types.float64(types.float64, types.float64), code


def _llvm(name):
    def build(typingctx, a, b):
        def code(context, builder, signature, args):
            number = args[0].type
            function = builder.module.declare_intrinsic(f"llvm.{name}", [number], ir.FunctionType(number, [number] * 2))
            return builder.call(function, args, fastmath=("nsz",))

        return types.float64(types.float64, types.float64), code

    return build


maximum = intrinsic(_llvm("maximum"))
minimum = intrinsic(_llvm("minimum"))
