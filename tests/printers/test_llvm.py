"""Kernels in LLVM IR against the formula in float64: every formula, both dtypes, awkward shapes and blocks."""

import math

import everything
import mpmath
import numpy as np
import pytest
from accuracy import DTYPES, POINTS, exact, judge, number
from helpers import (
    SHAPES,
    assert_close,
    empty_results,
    error_bounds,
    has_row_max,
    kernel_arguments,
    kernel_of,
    rounded,
)
from llvm_kernels import Compiled, compiled
from table import TABLE, by_name

from deepmath.errors import TraceError
from deepmath.printers import llvm, loops
from deepmath.trace import trace

NAMES = [row.name for row in TABLE]
REDUCED = [
    n
    for n in NAMES
    if any(a.op in ("row_sum", "row_max") for a in trace(by_name(n).formula, by_name(n).trace_kinds).needed())
]
EXTREMES = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-30, -1e4, 1e4, 3e38, -1e-42]


def run(row, dtype, function, kernel, shape):
    arguments = rounded(row.draw(np.random.default_rng(shape), shape), dtype)
    results = empty_results(kernel, shape, dtype)
    function(*kernel_arguments(row, kernel, arguments, dtype), *results)
    assert_close(row, results, arguments, dtype, trace(row.formula, row.trace_kinds))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_every_formula(name, dtype):
    row = by_name(name)
    kernel = kernel_of(row, dtype)
    function = Compiled(kernel, dtype)
    for shape in [*SHAPES, (2, 67)]:
        if shape[0] or not has_row_max(row):
            run(row, dtype, function, kernel, shape)


@pytest.mark.parametrize("name", REDUCED)
def test_every_formula_with_a_row_in_each_lane(name):
    row = by_name(name)
    kernel = kernel_of(row, "float32")
    function = Compiled(kernel, "float32", short=True)
    for shape in [(1, 1), (3, 1), (16, 2), (17, 10), (33, 3)]:
        run(row, "float32", function, kernel, shape)


@pytest.mark.parametrize("lanes", [1, 4, 8, 12])
@pytest.mark.parametrize("name", ["softmax", "adam", "normalize_pullback", "dropout", "philox_counters", "gelu"])
def test_any_number_of_lanes(name, lanes):
    row = by_name(name)
    kernel = kernel_of(row, "float32")
    for short in (False, True):
        function = Compiled(kernel, "float32", lanes, short=short)
        for shape in [(1, 1), (5, 16), (9, 37)]:
            run(row, "float32", function, kernel, shape)


@pytest.mark.parametrize("lanes", [1, 4, 16, 20])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_function_and_operator(dtype, lanes):
    arguments, expected = everything.arguments_and_results(dtype)
    outputs = trace(everything.formula, everything.KINDS).outputs
    kernel = loops.kernel("everything", everything.formula, everything.KINDS, [f"y{i}" for i in range(len(outputs))])
    results = empty_results(kernel, arguments[0].shape, dtype)
    Compiled(kernel, dtype, lanes)(*arguments, *results)
    for output, got, want in zip(outputs, results, expected, strict=True):
        everything.assert_equal(got, want, arguments[0], str(output))


# Functions


def _near(points, dtype):
    """Points and their neighbours."""
    with np.errstate(all="ignore"):
        x = np.asarray(points, dtype)
        return np.unique(
            np.concatenate([x, np.nextafter(x, np.inf, dtype=dtype), np.nextafter(x, -np.inf, dtype=dtype)])
        )


def _draws(dtype):
    """Numbers of every magnitude and of usual ones."""
    rng = np.random.default_rng(5)
    top = 38 if dtype == "float32" else 307
    wild = rng.choice([-1, 1], 150) * 10.0 ** rng.uniform(-top - 6, top, 150)
    return [*POINTS, *wild, *rng.uniform(-20, 20, 150), *rng.normal(size=100), *np.arange(-8, 9) * math.pi / 4]


MOVED = {
    "exp": lambda x: x * mpmath.exp(x),
    "expm1": lambda x: x * mpmath.exp(x),
    "tanh": lambda x: x * mpmath.sech(x) ** 2,
    "cos": lambda x: x * mpmath.sin(x),
    "sin": lambda x: x * mpmath.cos(x),
    "log": lambda x: mpmath.mpf(1),
    "log1p": lambda x: x / (1 + x),
    "sqrt": lambda x: mpmath.sqrt(x) / 2,
}
LEAST = {"log": 0.0, "log1p": -1.0, "sqrt": 0.0}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MOVED)
def test_functions_against_fifty_digits(name, dtype, record_property):
    low = LEAST.get(name, -math.inf)
    x = np.asarray([v for v in _near(_draws(dtype), dtype) if np.isfinite(v) and v > low], dtype)
    out = np.empty((1, x.size), dtype)
    compiled(lambda xp, z: getattr(xp, name)(z), ["element"], ["y"], dtype)(x[None, :], out)
    with mpmath.workdps(400 if name in ("sin", "cos") else 50):
        wanted = [exact(getattr(mpmath, name)(number(v)), MOVED[name](number(v))) for v in x]
        judge(out[0], wanted, dtype, [repr(float(v)) for v in x], record_property)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MOVED)
def test_functions_of_special_values(name, dtype):
    x = np.asarray([[math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, -2.0, 1.0, 1e-45, -1e-45, 3e38, -3e38, 1e300]])
    with np.errstate(all="ignore"):
        x = x.astype(dtype)
        want = getattr(np, name)(x)
    got = np.empty_like(x)
    compiled(lambda xp, z: getattr(xp, name)(z), ["element"], ["y"], dtype)(x, got)
    for test in (np.isnan, np.isposinf, np.isneginf):
        np.testing.assert_array_equal(test(got), test(want), err_msg=str(x))
    finite = np.isfinite(want)
    np.testing.assert_allclose(got[finite], want[finite], rtol=4 * np.finfo(dtype).eps, atol=1e-44)


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers(dtype):
    base = np.asarray([[0.0, 1.0, 2.0, 0.5, 10.0, 3e30, math.inf, math.nan, 7.25, 1e-40]]).astype(dtype)
    for exponent in (0.0, 1.0, 0.5, -1.5, 3.0, math.inf, math.nan):
        got = np.empty_like(base)
        compiled(lambda xp, x, p: xp.pow(x, p), ["element", "scalar"], ["y"], dtype)(base, exponent, got)
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(
                got, np.power(base, np.dtype(dtype).type(exponent)), rtol=4 * np.finfo(dtype).eps
            )


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_lane_has_the_same_bits_whatever_the_others_hold(dtype):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=40), [1e5, math.nan, math.inf, 1e-42, 3e7]]).astype(dtype)
    for name in MOVED:
        together = np.empty((1, x.size), dtype)
        alone = np.empty((1, x.size), dtype)
        function = compiled(lambda xp, z, name=name: getattr(xp, name)(xp.abs(z)), ["element"], ["y"], dtype)
        function(x[None, :], together)
        for i in range(x.size):
            function(x[None, :], alone, columns=(i, i + 1))
        assert together.tobytes() == alone.tobytes(), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_tests_and_signs_of_every_number(dtype):
    z = np.asarray([[*EXTREMES, 0.5, -0.5]]).astype(dtype)
    for name in ("sign", "floor", "abs", "isnan", "isinf", "isfinite"):
        want = getattr(np, name)(z)
        got = np.empty_like(want)
        compiled(lambda xp, z, name=name: getattr(xp, name)(z), ["element"], ["y"], dtype)(z, got)
        np.testing.assert_array_equal(got, want, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_passes_through_maxima(dtype):
    x = np.arange(1.0, 42.0).reshape(1, 41).astype(dtype).repeat(41, axis=0)
    x[np.arange(41), np.arange(41)] = math.nan

    def formula(xp, z):
        return xp.maximum(z, 3.0), xp.minimum(1e3, z), xp.max(z, axis=-1, keepdims=True)

    up, down, top = np.empty_like(x), np.empty_like(x), np.empty(41, dtype)
    for short in (False, True):
        compiled(formula, ["element"], ["up", "down", "top"], dtype, short=short)(x, up, down, top)
        np.testing.assert_array_equal(np.isnan(up), np.isnan(x))
        np.testing.assert_array_equal(np.isnan(down), np.isnan(x))
        assert np.isnan(top).all()


def test_whole_numbers_never_trap():
    least = np.iinfo(np.int64).min
    a = np.asarray([[7, -7, least, least, 5, 0, least, 9]], np.int64)
    c = np.asarray([[2, 2, -1, 1, 0, 0, 0, -2]], np.int64)
    got = [np.empty_like(a) for _ in range(2)]
    compiled(lambda xp, a, c: (a // c, a % c), ["element:int"] * 2, ["q", "r"], "float32")(a, c, *got)
    assert got[0].tolist() == [[3, -4, least, least, 0, 0, 0, -5]]
    assert got[1].tolist() == [[1, 1, 0, 0, 0, 0, 0, -1]]


def test_arithmetic_of_truths_says_what_to_write():
    kernel = loops.kernel("truths", lambda xp, z: -(z > 0.0), ["element"], ["y"])
    with pytest.raises(TraceError, match="neg on truths; turn them into its own numbers by"):
        llvm.module(kernel, "float32", 16)


def test_results_are_as_exact_as_operations_explain():
    """The bound that the other tests use is one that a wrong kernel breaks."""
    row = by_name("softmax")
    x = np.random.default_rng(0).normal(size=(3, 5))
    bound = error_bounds(trace(row.formula, row.trace_kinds), [x], "float32")[0]
    assert (bound < 1e-5).all()


def test_subnormal_numbers_stay():
    x = np.asarray([[1e-40, -3e-42, 1e-45]], "f4")
    out = np.empty_like(x)
    compiled(lambda xp, z: z * 0.5 + z * 0.5, ["element"], ["y"], "float32")(x, out)
    np.testing.assert_allclose(out, x, rtol=0, atol=2e-45)
    assert (out != 0).sum() >= 2
