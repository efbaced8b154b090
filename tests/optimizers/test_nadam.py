"""Nadam's running product in closed form: exact for any step, at the cost of one."""

import itertools
import math

import mpmath
import pytest
from mpmath import mp, mpf

from deepmath.formulas.optimizers import nadam_correction
from deepmath.optimizers import Nadam

TIMES = [1, 2, 3, 10, 100, 379, 380, 381, 1000]


@pytest.mark.parametrize("decay", [0.0, 1e-6, 0.004, 0.1, 1.0, 50.0])
@pytest.mark.parametrize("beta", [0.0, 0.3, 0.9, 0.999, 0.9999999])
def test_closed_form_is_the_product(beta, decay):
    with mp.workdps(40):
        product, known = mpf(1), {}
        for t in range(1, TIMES[-1] + 1):
            product *= mpf(beta) * (1 - mpmath.power(mpf(0.96), mpf(decay) * t) / 2)
            known[t] = 1 - product
        for t in TIMES:
            exact = known[t]
            assert abs(mpf(nadam_correction(t, beta, decay)) - exact) < mpf("1e-14") * exact, t


def test_a_late_step_is_as_cheap_and_as_good():
    assert nadam_correction(10**12, 0.9, 0.004) == 1.0
    assert nadam_correction(10**12, 0.9999999999999, 0.004) == pytest.approx(1.0, rel=1e-15)
    assert all(map(math.isfinite, Nadam().coefficients(10**9)))


def test_the_correction_is_a_share_that_grows():
    values = [nadam_correction(t, 0.99, 0.004) for t in range(1, 3000)]
    assert all(0.0 < a <= b <= 1.0 for a, b in itertools.pairwise(values))
