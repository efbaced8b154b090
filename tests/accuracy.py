"""The judge of formulas against 50 digits: errors in units of what a rounding of the argument would do."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import array_api_compat.numpy as xnp
import mpmath
import numpy as np
from deepmath_numpy.target import host
from helpers import empty_results, kernel_arguments
from llvm_kernels import Compiled
from mpmath import mpf
from table import by_name

from deepmath.printers import loops

DTYPES = ["float32", "float64"]
ALLOWED = 4.0
"""Units in the last place, times 1 + |z f'/f|."""

POINTS = [
    0.0, -0.0, 1e-300, -1e-300, 1e-38, -1e-20, 1e-8, -1e-8, 1e-4, -1e-3, 0.05, -0.1, 0.3, -0.5, 0.6931471805599453,
    1.0, -1.0, 1.5, -2.5, 4.0, -7.0, 8.9, -12.0, 16.7, -20.0, 37.0, -50.0, 88.0, -88.5, -103.0, 300.0, -700.0, -745.0,
    1e4, -1e4, np.inf, -np.inf,
]  # fmt: skip


class Exact(NamedTuple):
    """A number, the factor that its argument's last digit allows, and the size that its error counts against.

    `scale` is the largest of the terms where the number is a difference that may vanish.
    """

    value: Any
    factor: Any = 1
    scale: Any = 0


def exact(value: Any, moved: Any = 0, scale: Any = 0) -> Exact:
    """`moved` is the sum of |z f'| over the arguments z: what their last digits may change, relative to them."""
    size = max(abs(value), scale)
    finite = mpmath.isfinite(size) and size
    return Exact(value, 1 + (abs(moved) / size if finite else 0), scale if finite else 0)


def run(name: str, dtype: str, printed: bool, *arguments: Any) -> Any:
    """A row's result on arrays of this dtype, by the reference or compiled for this processor."""
    row = by_name(name)
    if not printed:
        with np.errstate(all="ignore"):
            return row.formula(xnp, *arguments)
    out = empty_results(kernel(name), arguments[0].shape, dtype)
    compiled(name, dtype)(*kernel_arguments(row, kernel(name), arguments, dtype), *out)
    return out[0]


@functools.cache
def kernel(name: str) -> Any:
    row = by_name(name)
    return loops.kernel(f"accuracy_{name}", row.formula, row.kinds, ["result"])


@functools.cache
def compiled(name: str, dtype: str) -> Any:
    return Compiled(kernel(name), dtype, host().lanes(dtype))


def ulp(x: Any, dtype: str) -> Any:
    """The distance between the numbers of dtype around x."""
    info = np.finfo(dtype)
    least = mpf(float(info.smallest_subnormal))
    if x == 0:
        return least
    return max(mpf(2) ** (mpmath.floor(mpmath.log(abs(x), 2)) - info.nmant), least)


def error(found: Any, wanted: Exact, dtype: str) -> float:
    """The error in units in the last place, over the factor; overflow must be infinity of the right sign."""
    value = mpf(wanted.value)
    if mpmath.isinf(value) or abs(value) > mpf(float(np.finfo(dtype).max)):
        return 0.0 if found == (np.inf if value > 0 else -np.inf) else np.inf
    if not np.isfinite(found):
        return np.inf
    size = max(abs(value), wanted.scale)
    return float(abs(mpf(float(found)) - value) / (ulp(size, dtype) * wanted.factor))


def judge(found: Iterable[Any], wanted: Iterable[Exact], dtype: str, places: Iterable[str], record: Any = None) -> None:
    """No error is larger than allowed; says where the largest are, and records the largest."""
    rows = [(error(f, w, dtype), p, f, w.value) for f, w, p in zip(found, wanted, places, strict=True)]
    rows.sort(key=lambda row: -row[0])
    if record is not None:
        record("worst", rows[0][0])
    off = [
        f"{p}: {float(f)!r} instead of {mpmath.nstr(mpf(v), 17)} ({e:.3g} units)" for e, p, f, v in rows if e > ALLOWED
    ]
    assert not off, f"{len(off)} of {len(rows)} points\n" + "\n".join(off[:8])


def number(x: Any) -> Any:
    """A float as an exact number."""
    return mpf(float(x))


def moved_by(f: Any, x: Any) -> Any:
    """|x f'(x)| by a difference quotient of 50 digits and more; 0 where x says nothing about f nearby."""
    if x == 0 or not mpmath.isfinite(x):
        return mpf(0)
    change = abs(x * mpmath.diff(f, x, relative=True))
    return change if mpmath.isfinite(change) else mpf(0)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + mpmath.exp(-z))


def softplus(z: Any) -> Any:
    return mpmath.log1p(mpmath.exp(z)) if z < 100 else z + mpmath.log1p(mpmath.exp(-z))


def log(x: Any) -> Any:
    return mpmath.log(x) if x > 0 else -mpmath.inf


def ratio(a: Any, b: Any) -> Any:
    """a / b with 0 / 0 = 0."""
    if a == 0:
        return mpf(0)
    return a / b if b != 0 else (mpmath.inf if a > 0 else -mpmath.inf)
