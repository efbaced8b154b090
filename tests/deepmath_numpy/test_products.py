"""Our own products of small matrices: right at every edge, and nothing is written beside the result."""

import itertools

import numpy as np
import pytest
from deepmath_numpy import is_fused, loop
from deepmath_numpy.kernels import Kernels

pytestmark = pytest.mark.skipif(not is_fused(), reason="needs numba")

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33)
MARK = 77.0


def multiplied(kind, left, right, rows, columns, inner, strides, precision):
    """The product, with rows that are further apart than they are long."""
    out = np.full((rows + 1, columns + 3), MARK, precision)
    places = [a.ctypes.data for a in (left, right, out)]
    a = np.asarray([*places, inner, *strides, columns + 3], np.int64)
    loop.function(Kernels(precision).products()[kind])(a.ctypes.data, a.ctypes.data, rows, columns)
    assert (out[rows:] == MARK).all()
    assert (out[:, columns:] == MARK).all()
    return out[:rows, :columns]


def tolerance(left, right, precision):
    """What rounding may differ by: so many additions, each by half a unit of the sum of magnitudes."""
    return len(right) * np.finfo(precision).eps * (np.abs(left) @ np.abs(right))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("rows", SIZES)
def test_products_at_all_edges(rows, precision):
    draw = np.random.default_rng(rows)
    for columns, inner in itertools.product(SIZES, SIZES):
        left, right = (draw.standard_normal(s).astype(precision) for s in ((rows, inner), (inner, columns)))
        expected = left.astype(np.float64) @ right.astype(np.float64)
        bound = tolerance(left, right, precision)
        turned_left, turned_right = np.ascontiguousarray(left.T), np.ascontiguousarray(right.T)
        for kind, a, b, strides in (
            ("times", left, right, (inner, 1, columns)),
            ("times", turned_left, right, (1, rows, columns)),
            ("times_turned", left, turned_right, (inner, 1, inner)),
        ):
            found = multiplied(kind, a, b, rows, columns, inner, strides, precision)
            assert (np.abs(found - expected) <= bound).all(), (kind, rows, columns, inner)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_row_does_not_depend_on_the_others(precision):
    draw = np.random.default_rng(1)
    left, right = draw.standard_normal((13, 21)).astype(precision), draw.standard_normal((21, 19)).astype(precision)
    whole = multiplied("times", left, right, 13, 19, 21, (21, 1, 19), precision)
    for r in range(13):
        alone = multiplied("times", left[r : r + 1].copy(), right, 1, 19, 21, (21, 1, 19), precision)
        np.testing.assert_array_equal(alone[0], whole[r])


def test_nan_and_infinity_pass():
    left, right = np.ones((5, 6), np.float32), np.ones((6, 18), np.float32)
    left[2, 3], right[1, 4] = np.nan, np.inf
    for found in (
        multiplied("times", left, right, 5, 18, 6, (6, 1, 18), "float32"),
        multiplied("times_turned", left, np.ascontiguousarray(right.T), 5, 18, 6, (6, 1, 6), "float32"),
    ):
        np.testing.assert_array_equal(found, left @ right)
