"""Kernels in LLVM IR against the formula in float64: every formula, both dtypes, awkward shapes and blocks."""

import itertools
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
from llvm_kernels import LANES, Compiled, compiled
from table import TABLE, by_name

from deepmath.errors import TraceError
from deepmath.formulas import losses, normalization, optimizers, regularizers
from deepmath.formulas.random import philox
from deepmath.printers import llvm, loops
from deepmath.trace import trace

NAMES = [row.name for row in TABLE]
REDUCED = [
    n
    for n in NAMES
    if any(a.op in ("row_sum", "row_max") for a in trace(by_name(n).formula, by_name(n).trace_kinds).needed())
]
EXTREMES = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-30, -1e4, 1e4, 3e38, -1e-42]
SIZES = [0, 1, 3, 15, 16, 17, 64, 257]


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


# Blocks


def _blocks(size, at):
    """0 ... size in pieces that end at these places."""
    ends = sorted({0, size, *(e for e in at if e < size)})
    return list(itertools.pairwise(ends)) or [(0, 0)]


def _bits(arrays):
    return [a.tobytes() for a in arrays]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_any_split_into_blocks_has_the_same_bits(size, dtype):
    rng = np.random.default_rng(size)
    rows = 37
    x, y = rng.normal(size=(2, rows, size)).astype(dtype)
    b, w = rng.normal(size=size).astype(dtype), rng.normal(size=rows).astype(dtype)

    def formula(xp, x, y, b, w, s):
        z = xp.tanh(x * y + b) * w + s
        return z, xp.batch_sum(z * x), xp.batch_sum(y), xp.exp(w) * s

    function = compiled(formula, ["element", "element", "column", "row", "scalar"], ["z", "d", "e", "v"], dtype)

    def results(row_blocks, column_blocks):
        arrays = [np.full((rows, size), 7, dtype), np.zeros((2, size), dtype), np.full(rows, 7, dtype)]
        for r in row_blocks:
            for c in column_blocks:
                function(x, y, b, w, 0.3, arrays[0], *arrays[1], arrays[2], rows=r, columns=c)
        return arrays

    whole = results([(0, rows)], [(0, size)])
    assert _bits(whole) == _bits(results([(0, rows)], _blocks(size, (1, 16, 40, 41, 130))))
    rowwise = results(_blocks(rows, (1, 16, 30)), _blocks(size, (5, 63, 200)))
    assert _bits(whole[:1] + whole[2:]) == _bits(rowwise[:1] + rowwise[2:])
    want = np.tanh(x * y.astype("f8") + b) * w[:, None] + 0.3
    np.testing.assert_allclose(whole[0], want, rtol=0, atol=20 * np.finfo(dtype).eps)
    np.testing.assert_allclose(whole[1], [(want * x).sum(0), y.sum(0)], rtol=0, atol=600 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("size", SIZES[1:])
def test_rows_that_are_summed_have_the_same_bits_in_any_block(size, short, dtype):
    rng = np.random.default_rng(size)
    x, rows = rng.normal(size=(35, size)).astype(dtype), 35
    function = compiled(
        normalization.normalize, ["element", "column", "column", "scalar"], ["y", "m", "v"], dtype, short=short
    )
    gamma, beta = rng.normal(size=(2, size)).astype(dtype)

    def results(blocks):
        arrays = [np.full_like(x, 7), *np.full((2, rows), 7, dtype)]
        for r in blocks:
            function(x, gamma, beta, 1e-3, *arrays, rows=r, columns=(0, size))
        return arrays

    whole = results([(0, rows)])
    assert _bits(whole) == _bits(results(_blocks(rows, (1, 2, 17, 33))))
    exact_ones = normalization.normalize(np, x.astype("f8"), gamma.astype("f8"), beta.astype("f8"), 1e-3)
    scale = 1 if size > 1 else 40
    for got, want in zip(whole, exact_ones, strict=True):
        np.testing.assert_allclose(got, want.reshape(got.shape), rtol=0, atol=scale * 60 * np.finfo(dtype).eps)


@pytest.mark.parametrize("size", [1, 10, 17, 64])
def test_sums_over_rows_of_a_kernel_that_reduces_rows_too(size):
    row = by_name("normalize_pullback")

    def formula(xp, x, mean, variance, gamma, dy, eps):
        dx, share = row.formula(xp, x, mean, variance, gamma, dy, eps)
        return dx, xp.batch_sum(share), xp.batch_sum(dy)

    rng = np.random.default_rng(1)
    x, dy = rng.normal(size=(2, 21, size)).astype("f4")
    mean, variance, gamma = (rng.random(n).astype("f4") for n in (21, 21, size))
    function = compiled(
        formula, ["element", "row", "row", "column", "element", "scalar"], ["dy", "dg", "db"], "float32"
    )
    dx, dgamma, dbeta = dy.copy(), np.full(size, 7, "f4"), np.full(size, 7, "f4")
    function(x, mean, variance, gamma, dx, 0.1, dgamma, dbeta)
    doubles = [a.astype("f8") for a in (x, mean[:, None], variance[:, None], gamma, dy)]
    want, share = row.formula(np, *doubles, 0.1)
    np.testing.assert_allclose(dx, want, atol=5e-5)
    np.testing.assert_allclose(dgamma, share.sum(0), atol=1e-4)
    np.testing.assert_allclose(dbeta, dy.sum(0), atol=1e-5)


@pytest.mark.parametrize("lanes", [0, 4])
@pytest.mark.parametrize("short", [False, True])
def test_nothing_outside_the_block_is_touched(short, lanes):
    def formula(xp, x, k, w):
        y = xp.exp(x - xp.max(x, axis=-1, keepdims=True)) * w
        return y, xp.where(k > 3, k, 0), x > 0.0, xp.sum(y, axis=-1, keepdims=True)

    kinds, outputs = ["element", "element:int", "row"], ["x", "k", "t", "s"]
    function = compiled(formula, kinds, outputs, "float32", short=short, lanes=lanes)
    rng = np.random.default_rng(0)
    x, k = rng.normal(size=(9, 50)).astype("f4"), rng.integers(0, 9, (9, 60))
    w, t, s = rng.normal(size=9).astype("f4"), np.full((9, 70), 7, np.int8), np.full(9, 7, "f4")
    before = [a.copy() for a in (x, k, t, s)]
    function(x, k, w, t, s, rows=(2, 7), columns=(0, 23))
    for array, old in zip((x, k, t, s), before, strict=True):
        changed = array != old
        inside = np.zeros_like(changed)
        inside[(slice(2, 7), slice(0, 23))[: changed.ndim]] = True
        assert not changed[~inside].any()
    want = np.exp(before[0][2:7, :23] - before[0][2:7, :23].max(1, keepdims=True)) * w[2:7, None]
    np.testing.assert_allclose(x[2:7, :23], want, rtol=1e-6)
    np.testing.assert_allclose(s[2:7], want.sum(1), rtol=1e-5)
    np.testing.assert_array_equal(k[2:7, :23], np.where(before[1] > 3, before[1], 0)[2:7, :23])
    np.testing.assert_array_equal(t[2:7, :23], (before[0] > 0)[2:7, :23])


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_lie_closely_packed_are_one_long_row(dtype):
    function = compiled(lambda xp, x, s: xp.maximum(x, 0.0) * s, ["element", "scalar"], ["x"], dtype)
    rng = np.random.default_rng(0)
    for shape in ((5, 1), (3, 7), (40, 10), (0, 3), (4, 0)):
        wide = rng.normal(size=(shape[0], shape[1] + 2)).astype(dtype)
        packed = np.ascontiguousarray(wide[:, 1:-1])
        want = np.maximum(packed, 0) * np.dtype(dtype).type(3)
        for x in (packed, wide[:, 1:-1]):
            function(x, 3.0, rows=(0, shape[0]), columns=(0, shape[1]))
            np.testing.assert_array_equal(x, want)
    x = np.ones((6, 5), dtype)
    function(x, 3.0, rows=(2, 4), columns=(0, 5))
    np.testing.assert_array_equal(x, np.repeat([[1], [1], [3], [3], [1], [1]], 5, axis=1))


def test_totals():
    def formula(xp, x, w):
        rows = xp.sum(x * x, axis=-1, keepdims=True) * w
        return xp.batch_sum(rows), xp.batch_sum(x), rows

    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(19, 5)).astype("f4"), rng.random(19, dtype="f4")
    total, columns, rows = np.full(1, 7, "f4"), np.full(5, 7, "f4"), np.full(19, 7, "f4")
    function = compiled(formula, ["element", "row"], ["total", "columns", "rows"], "float32")
    function(x, w, total, columns, rows)
    want = (x.astype("f8") ** 2).sum(1) * w
    np.testing.assert_allclose(rows, want, rtol=1e-6)
    np.testing.assert_allclose(total[0], want.sum(), rtol=1e-6)
    np.testing.assert_allclose(columns, x.astype("f8").sum(0), atol=1e-5)
    function(x, w, total, columns, rows, rows=(0, 0), columns=(0, 5))
    assert total[0] == 0.0
    assert not columns.any()


# The kernels of a program


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [1, 2, 10, 17, 100])
def test_the_head_of_a_classifier(classes, dtype):
    def formula(xp, z, label, index, weight):
        d = losses.one_hot(xp, label, index, z)
        slope = losses.categorical_crossentropy_logits_slope(xp, z, d)
        return slope * weight, losses.categorical_crossentropy_logits(xp, z, d)

    rng = np.random.default_rng(classes)
    z = (5 * rng.normal(size=(33, classes))).astype(dtype)
    label, weight = rng.integers(0, classes, 33), rng.random(33).astype(dtype)
    kernel = loops.kernel("head", formula, ["element", "row:int", "index", "row"], ["dz", "loss"])
    short = llvm.is_short(kernel, classes, LANES[dtype])
    assert short == (3 * classes <= 2 * LANES[dtype])
    dz, loss = np.full_like(z, 7), np.full(33, 7, dtype)
    Compiled(kernel, dtype, short=short)(z, label, weight, dz, loss)
    want = formula(
        losses_namespace(), z.astype("f8"), label[:, None], np.arange(classes)[None], weight[:, None].astype("f8")
    )
    np.testing.assert_allclose(dz, want[0], rtol=0, atol=8 * np.finfo(dtype).eps)
    np.testing.assert_allclose(loss, want[1][:, 0], rtol=0, atol=40 * np.finfo(dtype).eps)


def losses_namespace():
    import array_api_compat.numpy as xnp

    return xnp


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_update_in_place(dtype):
    kinds, names = ["element"] * 4 + ["scalar"] * 6, [*"wgmv", *(f"c{i}" for i in range(6))]
    function = compiled(optimizers.adam, kinds, ["w", "m", "v"], dtype, names=names)
    rng = np.random.default_rng(0)
    numbers = optimizers.adam_coefficients(3, 1e-3, 0.9, 0.999, 1e-8)
    for size in SIZES:
        w, g, m, v = np.abs(rng.normal(size=(4, 1, size))).astype(dtype)
        want = optimizers.adam(np, *(a.astype("f8") for a in (w, g, m, v)), *numbers)
        function(w, g, m, v, *numbers)
        for got, exact_one in zip((w, m, v), want, strict=True):
            np.testing.assert_allclose(got, exact_one, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_clipping_by_the_norm(dtype):
    function = compiled(regularizers.clip_by_norm, ["element", "scalar"], ["g", "norm"], dtype, names=["g", "c0"])
    for size in SIZES[1:]:
        g = np.random.default_rng(size).normal(size=(1, size)).astype(dtype)
        clipped, norm = regularizers.clip_by_norm(np, g.astype("f8"), 0.5)
        found = np.empty(1, dtype)
        function(g, 0.5, found)
        np.testing.assert_allclose(g, clipped, rtol=20 * np.finfo(dtype).eps)
        np.testing.assert_allclose(found, norm[0], rtol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("units", [4, 8, 68, 132])
def test_random_words_lie_in_one_another(units, dtype):
    def formula(xp, unit, row, first, step, layer, seed, stream):
        return philox(xp, unit, row + first, step, layer, seed, stream)

    kinds, outputs = ["index", "row_index", *["scalar:int"] * 5], list("pqrs")
    function = compiled(formula, kinds, outputs, dtype, steps=dict.fromkeys(outputs, 4))
    words = np.full((7, units), -1, np.int64)
    places = [words[:, i:] for i in range(4)]
    for rows, columns in (((0, 3), (0, units // 4)), ((3, 7), (0, 1)), ((3, 7), (1, units // 4))):
        function(5, 2**32 - 1, 2, 99, 1, *places, rows=rows, columns=columns)
    counters = np.arange(units // 4)[None, :], np.arange(7)[:, None] + 5
    four = philox(np, *counters, 2**32 - 1, 2, 99, 1)
    np.testing.assert_array_equal(words, np.stack(four, axis=-1).reshape(7, units))


def test_what_a_holds():
    def formula(xp, x, label, b, s):
        y = x * b + s
        return y, xp.where(label > 0, xp.sum(y, axis=-1, keepdims=True), 0.0), xp.batch_sum(y)

    kernel = loops.kernel("held", formula, ["element", "row:int", "column", "scalar"], ["x", "r", "c"])
    assert [tuple(e) for e in llvm.entries(kernel)] == [
        ("x", "element", "float"), ("label", "row", "int"), ("b", "column", "float"), ("s", "scalar", "float"),
        ("out_r", "row", "float"), ("out_c", "column", "float"),
    ]  # fmt: skip
    assert sum(e.places for e in llvm.entries(kernel)) == 11


def test_results_are_as_exact_as_operations_explain():
    """The bound that the other tests use is one that a wrong kernel breaks."""
    row = by_name("softmax")
    x = np.random.default_rng(0).normal(size=(3, 5))
    bound = error_bounds(trace(row.formula, row.trace_kinds), [x], "float32")[0]
    assert (bound < 1e-5).all()


# Subnormal numbers


def test_subnormal_numbers_stay():
    x = np.asarray([[1e-40, -3e-42, 1e-45]], "f4")
    out = np.empty_like(x)
    compiled(lambda xp, z: z * 0.5 + z * 0.5, ["element"], ["y"], "float32")(x, out)
    np.testing.assert_allclose(out, x, rtol=0, atol=2e-45)
    assert (out != 0).sum() >= 2
