"""Kernels in LLVM IR where values are not finite, rows lie apart, and names could collide."""

import inspect
import math

import numpy as np
import pytest
from accuracy import DTYPES
from helpers import assert_close, empty_results, kernel_arguments, kernel_of, rounded
from llvm_kernels import Compiled, compiled
from table import TABLE, by_name

from deepmath.formulas import activations
from deepmath.trace import trace

EXTREMES = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-30, -1e4, 1e4, 3e38]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [row.name for row in TABLE if hasattr(activations, row.name)])
def test_nan_and_infinity_come_out_where_the_formula_has_them(name, dtype):
    row = by_name(name)
    kernel = kernel_of(row, dtype)
    z = np.asarray([EXTREMES], dtype)
    arguments = [z] * len(row.kinds)
    results = empty_results(kernel, z.shape, dtype)
    Compiled(kernel, dtype)(*kernel_arguments(row, kernel, arguments, dtype), *results)
    with np.errstate(all="ignore"):
        expected = row.formula(np, *arguments)
    for test in (np.isnan, np.isposinf, np.isneginf):
        np.testing.assert_array_equal(test(results[0]), test(np.broadcast_to(expected, results[0].shape)))


def apart(array):
    """The same numbers in rows that are further apart than they are long, and may not be written to."""
    wide = np.full((array.shape[0], array.shape[1] + 3), 7, array.dtype)
    wide[:, 1:-2] = array
    wide.flags.writeable = False
    return wide[:, 1:-2]


@pytest.mark.parametrize("name", [row.name for row in TABLE if any(k.startswith("element") for k in row.kinds)])
def test_rows_may_lie_apart_and_are_only_read(name):
    row, dtype, shape = by_name(name), "float32", (5, 21)
    kernel = kernel_of(row, dtype)
    arguments = rounded(row.draw(np.random.default_rng(0), shape), dtype)
    passed = kernel_arguments(row, kernel, arguments, dtype)
    passed = [apart(a) if isinstance(a, np.ndarray) and a.ndim == 2 else a for a in passed]
    results = empty_results(kernel, shape, dtype)
    Compiled(kernel, dtype)(*passed, *results)
    assert_close(row, results, arguments, dtype, trace(row.formula, row.trace_kinds))


def test_a_result_named_like_an_argument_is_written_into_it():
    row = by_name("momentum")
    w, g, v, rate, mu = row.draw(np.random.default_rng(0), (3, 5))
    wanted = row.formula(np, w, g, v, rate, mu)
    compiled(row.formula, row.kinds, ["w", "v"], "float64")(w, g, v, rate, mu)
    for found, want in zip((w, v), wanted, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-14, atol=1e-15)


def test_names_do_not_collide():
    def formula(xp, r, tried, exp, entry, T):
        return xp.exp(r + tried) + exp * entry - T

    function = compiled(formula, ["element", "element", "row", "scalar", "element"], ["y"], "float64")
    x, y = np.full((1, 2), 0.5), np.empty((1, 2))
    function(x, x, np.asarray([2.0]), 3.0, x, y)
    np.testing.assert_allclose(y, np.exp(1.0) + 6.0 - 0.5, rtol=1e-15)


def test_every_row_counts_its_results():
    for row in TABLE:
        assert len(trace(row.formula, row.trace_kinds).outputs) == row.results
        required = [p for p in inspect.signature(row.formula).parameters.values() if p.default is p.empty]
        assert len(required) <= len(row.kinds) + 1 <= len(inspect.signature(row.formula).parameters)
