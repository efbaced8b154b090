"""A kernel in LLVM IR over blocks of rows and columns: any split has the same bits, and nothing outside is touched."""

import itertools

import numpy as np
import pytest
from accuracy import DTYPES
from llvm_kernels import compiled
from table import by_name

from deepmath.formulas import normalization

SIZES = [0, 1, 3, 15, 16, 17, 64, 257]


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
