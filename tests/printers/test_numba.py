"""Numba text against the formula in float64: every formula, both dtypes, awkward shapes and layouts."""

import inspect
import math
import types

import everything
import numpy as np
import pytest
from helpers import (
    SHAPES,
    assert_close,
    compiled_by_numba,
    empty_results,
    has_row_max,
    kernel_arguments,
    kernel_of,
    rounded,
)
from table import TABLE, Row, by_name

from deepmath.formulas import activations
from deepmath.printers import loops, numba
from deepmath.trace import trace

NAMES = [row.name for row in TABLE]
EXTREMES = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-30, -1e4, 1e4, 3e38]


def run(row: Row, dtype: str, function, kernel, shape, change=lambda a: a) -> None:
    rng = np.random.default_rng(shape)
    arguments = rounded(row.draw(rng, shape), dtype)
    passed = kernel_arguments(row, kernel, arguments, dtype)
    passed = [change(a) if isinstance(a, np.ndarray) else a for a in passed]
    results = empty_results(kernel, shape, dtype)
    function(*passed, *results)
    assert_close(row, results, arguments, dtype, trace(row.formula, row.trace_kinds))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_contiguous(name, dtype):
    row = by_name(name)
    kernel = kernel_of(row, dtype)
    function = compiled_by_numba(kernel, dtype)
    for shape in SHAPES:
        if shape[0] or not has_row_max(row):
            run(row, dtype, function, kernel, shape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_stored_the_other_way_round(name, dtype):
    """Element arrays [columns, rows]: the same formula with its inner loop over the rows."""
    row = by_name(name)
    kernel = kernel_of(row, dtype)
    function = compiled_by_numba(kernel, dtype, transposed=True)

    def turned(*given):
        arrays = [np.ascontiguousarray(a.T) if isinstance(a, np.ndarray) and a.ndim == 2 else a for a in given]
        function(*arrays)
        for mine, array in zip(arrays, given, strict=True):
            if mine is not array:
                array[...] = mine.T

    for shape in SHAPES:
        if shape[0] or not has_row_max(row):
            run(row, dtype, turned, kernel, shape)


def transposed(a):
    return np.ascontiguousarray(a.T).T


def strided(a):
    wide = np.repeat(a, 2, axis=-1)
    return wide[..., ::2]


def read_only(a):
    strided_array = strided(a)
    strided_array.flags.writeable = False
    return strided_array


@pytest.mark.parametrize("name", [row.name for row in TABLE if any(k.startswith("element") for k in row.kinds)])
def test_non_contiguous(name):
    row, dtype = by_name(name), "float32"
    kernel = kernel_of(row, dtype)
    function = compiled_by_numba(kernel, dtype)
    for change in (transposed, strided, read_only):
        run(row, dtype, function, kernel, (5, 16), change)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [n for n in NAMES if hasattr(activations, n)])
def test_non_finite_pattern(name, dtype):
    row = by_name(name)
    kernel = kernel_of(row, dtype)
    function = compiled_by_numba(kernel, dtype)
    z = np.asarray([EXTREMES], dtype)
    arguments = [z] * len(row.kinds)
    results = empty_results(kernel, z.shape, dtype)
    function(*arguments, *results)
    with np.errstate(all="ignore"):
        expected = row.formula(np, *arguments)
    for test in (np.isnan, np.isposinf, np.isneginf):
        np.testing.assert_array_equal(test(results[0]), test(expected))


def test_a_result_named_like_an_argument_is_written_into_it():
    row = by_name("momentum")
    kernel = loops.kernel("in_place", row.formula, row.kinds, ["w", "v"])
    rng = np.random.default_rng(0)
    w, g, v, rate, mu = row.draw(rng, (3, 5))
    new_w, new_v = row.formula(np, w, g, v, rate, mu)
    compiled_by_numba(kernel, "float64")(w, g, v, rate, mu)
    np.testing.assert_allclose(w, new_w, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(v, new_v, rtol=1e-14, atol=1e-15)


def test_module_is_self_contained():
    text = numba.module(kernel_of(by_name("softmax"), "float32"), "float32")
    module = types.ModuleType("alone")
    exec(compile(text, "<alone>", "exec"), module.__dict__)
    out = np.empty((1, 2), np.float32)
    module.softmax_float32(np.zeros((1, 2), np.float32), out)
    assert out.tolist() == [[0.5, 0.5]]
    assert "deepmath" not in text.replace("deepmath_kernel_", "")


def test_argument_names_do_not_collide():
    def formula(xp, r, R, T, t0, exp):
        return xp.exp(r + R) + T * t0 - exp

    kernel = loops.kernel("collide", formula, ["element", "element", "row", "scalar", "element"], ["y"])
    x = np.full((1, 2), 0.5)
    out = np.empty((1, 2))
    compiled_by_numba(kernel, "float64")(x, x, np.asarray([2.0]), 3.0, x, out)
    np.testing.assert_allclose(out, np.exp(1.0) + 6.0 - 0.5, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sign_of_every_number(dtype):
    kernel = loops.kernel(f"signs_{dtype}", lambda xp, z: xp.sign(z), ["element"], ["y"])
    z = np.asarray([EXTREMES], dtype)
    out = np.empty_like(z)
    compiled_by_numba(kernel, dtype)(z, out)
    np.testing.assert_array_equal(out, np.sign(z))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_function_and_operator(dtype):
    arguments, expected = everything.arguments_and_results(dtype)
    outputs = trace(everything.formula, everything.KINDS).outputs
    names = [f"y{i}" for i in range(len(outputs))]
    kernel = loops.kernel(f"everything_{dtype}", everything.formula, everything.KINDS, names)
    results = empty_results(kernel, arguments[0].shape, dtype)
    compiled_by_numba(kernel, dtype)(*arguments, *results)
    for output, got, want in zip(outputs, results, expected, strict=True):
        if (output.op, dtype) != ("floor", "float64"):  # has its own test
            everything.assert_equal(got, want, arguments[0], str(output))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floor_of_every_number(dtype):
    kernel = loops.kernel(f"floors_{dtype}", lambda xp, z: xp.floor(z), ["element"], ["y"])
    z = np.asarray([[*EXTREMES, 0.5, -0.5]], dtype)
    out = np.empty_like(z)
    compiled_by_numba(kernel, dtype)(z, out)
    np.testing.assert_array_equal(out, np.floor(z))


def test_every_row_counts_its_results():
    for row in TABLE:
        assert len(trace(row.formula, row.trace_kinds).outputs) == row.results
        required = [p for p in inspect.signature(row.formula).parameters.values() if p.default is p.empty]
        assert len(required) <= len(row.kinds) + 1 <= len(inspect.signature(row.formula).parameters)
