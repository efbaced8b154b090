"""Functions that processors have no instruction for, as LLVM IR on `Vectors`.

Those of float32 are polynomials: weighted least-squares fits in 40 digits, rounded to float32; their relative errors
stand beside them. Those of float64 are the C library's, called for each lane.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from llvmlite import ir

if TYPE_CHECKING:
    from deepmath.printers.vectors import Vectors

I32 = ir.IntType(32)
MAGIC = 12582912.0
"""1.5 * 2^23: what is added to it is rounded to a whole number, which stands in the last bits of the sum."""
LN2 = 0.693145751953125, 1.42860682030941723e-06
"""ln 2 in two parts, of which multiples of the first are exact."""
HALF_PI = 1.5703125, 0.0004837512969970703, 7.549790126404332e-08
"""pi / 2 in three parts; multiples of the first two are exact up to 2^13 of them."""
EXP = 1.98517911485396326e-04, 1.39420258346945047e-03, 8.33338033407926559e-03, 4.16663438081741333e-02, \
    0.1666666567325592, 0.5  # fmt: skip
LOG = -0.07362867891788483, 0.1262032687664032, -0.13202103972434998, 0.14227114617824554, -0.16621370613574982, \
    0.19999825954437256, -0.2500085234642029, 0.3333335518836975  # fmt: skip
SIN = -0.0001951789454324171, 0.008332187309861183, -0.16666655242443085
COS = 2.4432330974377692e-05, -0.0013887309469282627, 0.04166664555668831


def _polynomial(v: Vectors, x: Any, coefficients: Sequence[float]) -> Any:
    """Horner's rule, from the coefficient of the highest power to the constant."""
    value = v.constant(coefficients[0])
    for c in coefficients[1:]:
        value = v.multiply_add(value, x, v.constant(c))
    return value


def _bits(v: Vectors, x: Any) -> Any:
    return v.builder.bitcast(x, v.shaped(I32))


def _number(v: Vectors, bits: Any) -> Any:
    return v.builder.bitcast(bits, v.types["float"])


def _whole_part(v: Vectors, x: Any, factor: float) -> tuple[Any, Any]:
    """x * factor rounded to a whole number, as a float and as an integer."""
    b, magic = v.builder, v.constant(MAGIC)
    shifted = v.multiply_add(x, v.constant(factor), magic)
    return b.fsub(shifted, magic), b.sub(_bits(v, shifted), v.whole(0x4B400000))


def _where(v: Vectors, x: Any, comparison: str, limit: float, then: Any, otherwise: Any) -> Any:
    """`then` where x compares so with the limit; never for NaN."""
    return v.builder.select(v.builder.fcmp_ordered(comparison, x, v.constant(limit)), then, otherwise)


def _two_powers(v: Vectors, n: Any) -> tuple[Any, Any]:
    """2^n as two factors: so results down to the smallest subnormal and up to infinity come out right."""
    b = v.builder
    first = b.ashr(n, v.whole(1))
    biased = (b.add(i, v.whole(127)) for i in (first, b.sub(n, first)))
    low, high = (_number(v, b.shl(i, v.whole(23))) for i in biased)
    return low, high


def _reduced(v: Vectors, x: Any) -> tuple[Any, Any]:
    """(e^r - 1, n) with x = n ln 2 + r and |r| <= ln 2 / 2; relative error of e^r - 1: 3e-10."""
    n, whole = _whole_part(v, x, 1.4426950408889634)
    for part in LN2:
        x = v.multiply_add(n, v.constant(-part), x)
    return v.multiply_add(_polynomial(v, x, EXP), v.builder.fmul(x, x), x), whole


def _limited(v: Vectors, x: Any, low: float, high: float) -> Any:
    x = _where(v, x, ">", high, v.constant(high), x)
    return _where(v, x, "<", low, v.constant(low), x)


def exp(v: Vectors, x: Any) -> Any:
    b = v.builder
    p, n = _reduced(v, _limited(v, x, -104.0, 89.0))
    first, second = _two_powers(v, n)
    return b.fmul(b.fmul(b.fadd(p, v.constant(1)), first), second)


def expm1(v: Vectors, x: Any) -> Any:
    b, one = v.builder, v.constant(1)
    p, n = _reduced(v, _limited(v, x, -18.0, 89.0))
    first, second = _two_powers(v, n)
    small = b.fadd(b.fmul(b.fmul(p, first), second), b.fsub(b.fmul(first, second), one))
    large = b.fmul(b.fmul(b.fadd(p, one), first), second)  # first * second overflows in front of the result
    y = _where(v, x, ">", 60.0, large, small)
    return _where(v, v.apply("abs", "float", [x]), "<", 1e-10, x, y)


def log(v: Vectors, x: Any) -> Any:
    """Relative error 7e-9 + rounding. -inf at 0, NaN below."""
    b = v.builder
    tiny = b.fcmp_ordered("<", x, v.constant(1.17549435e-38))
    bits = _bits(v, b.select(tiny, b.fmul(x, v.constant(8388608.0)), x))
    # the mantissa in [sqrt(1/2), sqrt(2)): 0x3f3504f3 is sqrt(1/2)
    exponent = b.ashr(b.sub(bits, v.whole(0x3F3504F3)), v.whole(23))
    mantissa = _number(v, b.sub(bits, b.shl(exponent, v.whole(23))))
    offset = b.select(tiny, v.constant(23), v.constant(0))
    e = b.fsub(b.sitofp(exponent, v.types["float"]), offset)
    f = b.fsub(mantissa, v.constant(1))
    s = b.fmul(f, f)
    y = v.multiply_add(e, v.constant(LN2[1]), b.fmul(_polynomial(v, f, LOG), b.fmul(s, f)))
    y = b.fadd(v.multiply_add(s, v.constant(-0.5), y), f)
    y = v.multiply_add(e, v.constant(LN2[0]), y)
    y = _where(v, x, "==", math.inf, x, y)
    y = _where(v, x, "==", 0.0, v.constant(-math.inf), y)
    y = _where(v, x, "<", 0.0, v.constant(math.nan), y)
    return b.select(b.fcmp_unordered("uno", x, x), x, y)


def log1p(v: Vectors, x: Any) -> Any:
    b, one = v.builder, v.constant(1)
    u = b.fadd(x, one)
    lost = b.fdiv(b.fsub(x, b.fsub(u, one)), u)  # what the sum 1 + x rounded away
    zero = v.constant(0)
    lost = _where(v, u, ">", 0.0, _where(v, u, "<", math.inf, lost, zero), zero)
    return b.fadd(log(v, u), lost)


def tanh(v: Vectors, x: Any) -> Any:
    b = v.builder
    a = v.apply("abs", "float", [x])
    twice = _where(v, a, ">", 10.0, v.constant(20), b.fadd(a, a))
    e = expm1(v, twice)
    y = b.fdiv(e, b.fadd(e, v.constant(2)))
    y = b.select(b.fcmp_ordered("ord", x, x), y, x)
    return _where(v, x, "<", 0.0, b.fneg(y), y)


def cos(v: Vectors, x: Any) -> Any:
    return _circular(v, x, 1, "cos")


def sin(v: Vectors, x: Any) -> Any:
    return _circular(v, x, 0, "sin")


def _circular(v: Vectors, x: Any, quarters: int, name: str) -> Any:
    """sin(x + quarters pi / 2). Relative errors 4e-9 and 1e-10 + rounding; beyond 8192 the C library's."""
    b = v.builder
    n, whole = _whole_part(v, x, 2.0 / math.pi)
    r = x
    for part in HALF_PI:
        r = v.multiply_add(n, v.constant(-part), r)
    s = b.fmul(r, r)
    sine = v.multiply_add(_polynomial(v, s, SIN), b.fmul(s, r), r)
    half = v.multiply_add(s, v.constant(-0.5), v.constant(1))
    cosine = v.multiply_add(_polynomial(v, s, COS), b.fmul(s, s), half)
    turn = b.add(whole, v.whole(quarters))
    odd = b.icmp_signed("!=", b.and_(turn, v.whole(1)), v.whole(0))
    sign = b.shl(b.and_(turn, v.whole(2)), v.whole(30))
    near = _number(v, b.xor(_bits(v, b.select(odd, cosine, sine)), sign))
    return _beyond(v, x, 8192.0, near, name)


def _beyond(v: Vectors, x: Any, limit: float, near: Any, name: str) -> Any:
    """`near` up to the limit; farther lanes by the C library, which is called only if there are any."""
    b = v.builder
    far = b.fcmp_ordered(">", v.apply("abs", "float", [x]), v.constant(limit))
    lanes = ir.IntType(v.lanes)
    some = b.icmp_unsigned("!=", b.bitcast(far, lanes), lanes(0)) if v.lanes > 1 else far
    before = b.block
    slow, after = b.append_basic_block(), b.append_basic_block()
    b.cbranch(some, slow, after)
    b.position_at_end(slow)
    chosen = b.select(far, from_library(v, name, [x]), near)
    b.branch(after)
    b.position_at_end(after)
    result = b.phi(near.type)
    result.add_incoming(near, before)
    result.add_incoming(chosen, slow)
    return result


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": exp, "expm1": expm1, "log": log, "log1p": log1p, "tanh": tanh, "cos": cos, "sin": sin,
}  # fmt: skip
"""float32's, by name."""

WEIGHTS = {
    "exp": 24, "expm1": 30, "log": 32, "log1p": 40, "tanh": 40, "cos": 40, "sin": 40, "pow": 80, "/": 3, "sqrt": 3,
}  # fmt: skip
"""About how many instructions an operation is, where that isn't one."""


def from_library(v: Vectors, name: str, values: Sequence[Any]) -> Any:
    """The C library's function, called for each lane."""
    b, number = v.builder, v.scalars["float"]
    full = name + ("f" if v.precision == "float32" else "")
    function = v.module.globals.get(full)
    if function is None:
        function = ir.Function(v.module, ir.FunctionType(number, [number] * len(values)), full)
    if v.lanes == 1:
        return b.call(function, values)
    result = v.constant(0)
    for lane in map(I32, range(v.lanes)):
        given = [b.extract_element(x, lane) for x in values]
        result = b.insert_element(result, b.call(function, given), lane)
    return result


def divided(v: Vectors, a: Any, c: Any) -> tuple[Any, Any]:
    """a // c and a % c of floats, rounded down: Python's, and infinities and NaN as in NumPy."""
    b, zero = v.builder, v.constant(0)
    rest = v.function("fmod", a, c)
    quotient = b.fdiv(b.fsub(a, rest), c)
    nonzero = b.fcmp_unordered("!=", rest, zero)
    opposite = b.xor(b.fcmp_ordered("<", c, zero), b.fcmp_ordered("<", rest, zero))
    wrong = b.and_(nonzero, opposite)
    down = b.select(wrong, b.fsub(quotient, v.constant(1)), quotient)
    floor = v.apply("floor", "float", [down])
    near = _where(v, b.fsub(down, floor), ">", 0.5, b.fadd(floor, v.constant(1)), floor)
    plain = b.fdiv(a, c)
    near = _where(v, down, "==", 0.0, _signed_zero(v, plain), near)
    near = _where(v, c, "==", 0.0, plain, near)
    rest = b.select(nonzero, b.select(wrong, b.fadd(rest, c), rest), _signed_zero(v, c))
    return near, rest


def _signed_zero(v: Vectors, like: Any) -> Any:
    """0 with the sign of a number."""
    return v.builder.fmul(v.constant(0), _where(v, like, "<", 0.0, v.constant(-1), v.constant(1)))


def divided_integers(v: Vectors, a: Any, c: Any) -> tuple[Any, Any]:
    """a // c and a % c of whole numbers, rounded down; both are 0 where c is. No lane traps."""
    b = v.builder
    zero, one, less = (v.constant(n, "int") for n in (0, 1, -1))
    none, negated = b.icmp_signed("==", c, zero), b.icmp_signed("==", c, less)
    divisor = b.select(b.or_(none, negated), one, c)  # the smallest number divided by -1 would trap too
    quotient = b.sdiv(a, divisor)
    rest = b.sub(a, b.mul(quotient, divisor))
    wrong = b.and_(b.icmp_signed("!=", rest, zero), b.icmp_signed("<", b.xor(rest, divisor), zero))
    quotient = b.select(wrong, b.sub(quotient, one), quotient)
    rest = b.select(wrong, b.add(rest, divisor), rest)
    quotient = b.select(negated, b.neg(a), quotient)
    return b.select(none, zero, quotient), rest
