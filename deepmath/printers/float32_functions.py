"""Functions of float32 that LLVM vectorises under Numba.

Polynomials are weighted least-squares fits in 40 digits, rounded to float32; their relative errors stand beside
them.
"""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from deepmath.printers.loop_functions import FAST

T = np.float32


@intrinsic
def to_bits(typingctx, x):
    """The bits of a float32 as int32."""

    def code(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), code


@intrinsic
def from_bits(typingctx, i):
    """The float32 with these bits."""

    def code(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), code


@intrinsic
def power_of_two(typingctx, i):
    """2^i for -126 <= i <= 127."""

    def code(context, builder, signature, args):
        exponent = builder.add(args[0], ir.Constant(ir.IntType(32), 127))
        return builder.bitcast(builder.shl(exponent, ir.Constant(ir.IntType(32), 23)), ir.FloatType())

    return types.float32(types.int32), code


@intrinsic
def half(typingctx, i):
    """i // 2 of an int32, as int32."""

    def code(context, builder, signature, args):
        return builder.ashr(args[0], ir.Constant(ir.IntType(32), 1))

    return types.int32(types.int32), code


@intrinsic
def less(typingctx, a, b):
    """a - b of int32, as int32."""

    def code(context, builder, signature, args):
        return builder.sub(args[0], args[1])

    return types.int32(types.int32, types.int32), code


@njit(forceinline=True, error_model="numpy", fastmath=FAST)
def reduced(x):
    """(e^r - 1, n) with x = n ln 2 + r and |r| <= ln 2 / 2; relative error of e^r - 1: 3e-10."""
    shifted = x * T(1.4426950408889634) + T(12582912.0)  # 1.5 * 2^23: the sum is rounded to a whole number
    n = shifted - T(12582912.0)
    r = (x - n * T(0.693145751953125)) - n * T(1.42860682030941723e-06)  # ln 2 in two parts
    q = T(1.98517911485396326e-04)
    q = q * r + T(1.39420258346945047e-03)
    q = q * r + T(8.33338033407926559e-03)
    q = q * r + T(4.16663438081741333e-02)
    q = q * r + T(0.1666666567325592)
    q = q * r + T(0.5)
    return q * (r * r) + r, less(to_bits(shifted), to_bits(T(12582912.0)))


@njit(forceinline=True, error_model="numpy", fastmath=FAST)
def exp(x):
    x = T(89.0) if x > T(89.0) else x
    x = T(-104.0) if x < T(-104.0) else x
    p, n = reduced(x)
    first = half(n)  # two factors, so that results down to the smallest denormal and up to infinity come out right
    return ((p + T(1.0)) * power_of_two(first)) * power_of_two(less(n, first))


@njit(forceinline=True, error_model="numpy", fastmath=FAST)
def expm1(x):
    x = T(89.0) if x > T(89.0) else x
    low = T(-18.0) if x < T(-18.0) else x
    p, n = reduced(low)
    first = half(n)
    a = power_of_two(first)
    b = power_of_two(less(n, first))
    y = ((p * a) * b) + (a * b - T(1.0))
    large = ((p + T(1.0)) * a) * b  # a * b overflows in front of the result
    y = large if x > T(60.0) else y
    return x if abs(x) < T(1e-10) else y


@njit(forceinline=True, error_model="numpy", fastmath=FAST)
def log(x):
    """Relative error 7e-9 + rounding. -inf at 0, NaN below."""
    tiny = x < T(1.17549435e-38)
    scaled = x * T(8388608.0) if tiny else x
    bits = to_bits(scaled)
    # the mantissa in [sqrt(1/2), sqrt(2)): 0x3f3504f3 is sqrt(1/2)
    shifted = less(bits, np.int32(0x3F3504F3))
    exponent = shifted >> np.int32(23)
    m = from_bits(np.int32(less(bits, np.int32(np.int32(exponent) << np.int32(23)))))
    e = T(exponent) - (T(23.0) if tiny else T(0.0))
    f = m - T(1.0)
    p = T(-0.07362867891788483)
    p = p * f + T(0.1262032687664032)
    p = p * f + T(-0.13202103972434998)
    p = p * f + T(0.14227114617824554)
    p = p * f + T(-0.16621370613574982)
    p = p * f + T(0.19999825954437256)
    p = p * f + T(-0.2500085234642029)
    p = p * f + T(0.3333335518836975)
    s = f * f
    y = (p * (s * f) + e * T(1.42860682030941723e-06)) - T(0.5) * s
    y = (y + f) + e * T(0.693145751953125)
    y = x if x == T(np.inf) else y
    y = T(-np.inf) if x == T(0.0) else y
    y = T(np.nan) if x < T(0.0) else y
    return x if x != x else y


@njit(forceinline=True, error_model="numpy", fastmath=FAST)
def log1p(x):
    u = T(1.0) + x
    lost = (x - (u - T(1.0))) / u  # what the sum 1 + x rounded away
    lost = lost if (u > T(0.0)) & (u < T(np.inf)) else T(0.0)
    return log(u) + lost


@njit(forceinline=True, error_model="numpy", fastmath=FAST)
def tanh(x):
    a = abs(x)
    e = expm1(T(20.0) if a > T(10.0) else T(2.0) * a)
    y = e / (e + T(2.0))
    y = y if x == x else x
    return -y if x < T(0.0) else y


@njit(forceinline=True, error_model="numpy")
def cos(x):
    return T(math.cos(x))


@njit(forceinline=True, error_model="numpy")
def sin(x):
    return T(math.sin(x))
