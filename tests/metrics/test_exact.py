"""Sums without rounding, against whole fractions and mpmath."""

import math
from fractions import Fraction

import mpmath
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deepmath.metrics.exact import ExactSums, products, ratio

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(FLOATS, st.integers(0, 3)), max_size=30))
def test_sums_are_exact(pairs):
    sums = ExactSums()
    for half in (pairs[::2], pairs[1::2]):
        sums.add([v for v, _ in half], [c for _, c in half])
    for cell in range(4):
        assert sums[cell] == sum((Fraction(v) for v, c in pairs if c == cell), Fraction(0))


@given(st.lists(FLOATS, max_size=20))
def test_the_sum_is_that_of_fsum(values):
    sums = ExactSums()
    sums.add(values)
    try:
        expected = math.fsum(values)
    except OverflowError:
        return
    assert float(sums[0]) == expected


SAFE = st.floats(1e-60, 1e60) | st.floats(-1e60, -1e-60)


@given(SAFE, SAFE, SAFE)
def test_products_are_exact(a, b, c):
    assert sum(Fraction(float(t)) for t in products(a, b, c)) == Fraction(a) * Fraction(b) * Fraction(c)


def test_extremes():
    sums = ExactSums()
    sums.add([5e-324, 1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -0.0])
    assert float(sums[0]) == 1e-323
    sums.add([math.inf, 1.0], [5, 5])
    assert sums.infinite == {5: 1}
    assert ratio(Fraction(1), Fraction(3)) == 1 / 3
    assert math.isnan(ratio(Fraction(0), Fraction(0)))
    assert ratio(Fraction(10) ** 400, Fraction(1)) == math.inf


def test_mpmath_agrees():
    values = np.random.default_rng(0).lognormal(sigma=20, size=500)
    sums = ExactSums()
    sums.add(values)
    with mpmath.workdps(200):
        assert float(sums[0]) == float(mpmath.fsum(map(mpmath.mpf, values.tolist())))
