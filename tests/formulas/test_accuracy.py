"""Formulas against 50 digits: at most 4 ulp x (1 + |z f'/f|), by the reference and as printed for Numba.

The factor is what a rounding of z alone would do to f: no formula can promise less than its argument's last digit.
Where f is a difference that may vanish, the error is measured against the larger of the two terms.
"""

import functools

import array_api_compat.numpy as xnp
import mpmath
import numpy as np
import pytest
from helpers import compiled_by_numba, empty_results
from mpmath import mp, mpf
from table import by_name

from deepmath.printers import loops

DTYPES = ["float32", "float64"]
POINTS = [
    0.0, -0.0, 1e-300, -1e-300, 1e-38, -1e-20, 1e-8, -1e-8, 1e-4, -1e-3, 0.05, -0.1, 0.3, -0.5, 0.6931471805599453,
    1.0, -1.0, 1.5, -2.5, 4.0, -7.0, 8.9, -12.0, 16.7, -20.0, 37.0, -50.0, 88.0, -88.5, -103.0, 300.0, -700.0, -745.0,
    1e4, -1e4, np.inf, -np.inf,
]  # fmt: skip


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(50):
        yield


def sigmoid(z):
    return 1 / (1 + mpmath.exp(-z))


def softplus(z):
    return mpmath.log1p(mpmath.exp(z)) if z < 100 else z + mpmath.exp(-z)


def sigmoid_slope(z):
    return sigmoid(z) * sigmoid(-z)


def tanh_slope(z):
    return mpmath.sech(z) ** 2


def relu(z):
    return max(z, mpf(0))


def step(z):
    return mpf(1) if z > 0 else mpf(0)


def zero(z):
    return mpf(0)


# name: (f, f', f at -inf, f at inf)
ELEMENTWISE = {
    "relu": (relu, step, 0, mpmath.inf),
    "relu_slope": (step, zero, 0, 1),
    "sigmoid": (sigmoid, sigmoid_slope, 0, 1),
    "sigmoid_slope": (sigmoid_slope, lambda z: sigmoid_slope(z) * (sigmoid(-z) - sigmoid(z)), 0, 0),
    "tanh": (mpmath.tanh, tanh_slope, -1, 1),
    "tanh_slope": (tanh_slope, lambda z: -2 * mpmath.tanh(z) * tanh_slope(z), 0, 0),
}


def run(name, dtype, printed, *arguments):
    """A row's result on arrays of this dtype, by the reference or through Numba."""
    row = by_name(name)
    if not printed:
        with np.errstate(all="ignore"):
            return row.formula(xnp, *arguments)
    out = empty_results(kernel(name), arguments[0].shape, dtype)
    compiled(name, dtype)(*arguments, *out)
    return out[0]


@functools.cache
def kernel(name):
    row = by_name(name)
    return loops.kernel(f"accuracy_{name}", row.formula, row.kinds, ["result"])


@functools.cache
def compiled(name, dtype):
    return compiled_by_numba(kernel(name), dtype)


def ulp(x, dtype):
    """The distance between the numbers of dtype around x."""
    info = np.finfo(dtype)
    if x == 0:
        return mpf(float(info.smallest_subnormal))
    exponent = mpmath.floor(mpmath.log(abs(x), 2))
    return max(mpf(2) ** (exponent - info.nmant), mpf(float(info.smallest_subnormal)))


def assert_accurate(found, exact, dtype, factor, where, scale=None):
    """`factor` x 4 ulp of the exact number, or of `scale` where that is larger; overflow rounds to infinity."""
    if mpmath.isinf(exact) or abs(exact) > mpf(float(np.finfo(dtype).max)):
        assert found == (np.inf if exact > 0 else -np.inf), where
        return
    allowed = 4 * ulp(max(abs(exact), scale or 0), dtype) * factor
    assert abs(mpf(float(found)) - exact) <= allowed, f"{where}: {found!r} instead of {mpmath.nstr(exact, 20)}"


@pytest.mark.parametrize("printed", [False, True], ids=["reference", "numba"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_activations(name, dtype, printed):
    f, slope, low, high = ELEMENTWISE[name]
    z = np.asarray([POINTS], dtype)
    y = run(name.removesuffix("_slope"), dtype, False, z)
    found = run(name, dtype, printed, *[z, y][: len(by_name(name).kinds)])
    for x, got in zip(z[0], found[0], strict=True):
        if np.isinf(x):
            exact, factor = mpf(low if x < 0 else high), mpf(1)
        else:
            exact = f(mpf(float(x)))
            factor = 1 + (abs(float(x) * slope(mpf(float(x))) / exact) if exact else 0)
        assert_accurate(got, exact, dtype, factor, f"{name}({x!r})")


ROWS = [
    [0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [-1.0, 0.5, 0.25], [1e4, 0.0, -1e4], [1e4, 9999.0, 1e4], [-1e4, -1e4, -10003.0],
    [1e-30, -1e-30, 0.0], [5.0, -np.inf, 4.0], [88.0, -88.0, 0.0], [50.0, 49.5, -30.0], [1e-4, 0.0, 2e-4],
    [700.0, 0.0, 1.0], [3.0, -100.0, -104.0], [16.0, 0.0, -0.5],
]  # fmt: skip


def exact_softmax(z):
    """Exact probabilities, and for each the factor that roundings of z - max(z) allow."""
    centred = [mpf(float(x)) - mpf(float(max(z))) for x in z]
    e = [mpmath.exp(c) for c in centred]
    p = [x / sum(e) for x in e]
    sizes = [abs(c) if mpmath.isfinite(c) else mpf(0) for c in centred]
    spread = sum(a * b for a, b in zip(p, sizes, strict=True))
    return p, [1 + size + spread for size in sizes], centred, sum(e)


@pytest.mark.parametrize("printed", [False, True], ids=["reference", "numba"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax(dtype, printed):
    z = np.asarray(ROWS, dtype)
    found = run("softmax", dtype, printed, z)
    for row, got in zip(z, found, strict=True):
        exact, factors, _, _ = exact_softmax(row)
        for g, p, factor in zip(got, exact, factors, strict=True):
            assert_accurate(g, p, dtype, factor, f"softmax({row})")


def binary_terms(z, d):
    """The binary cross-entropy of a logit, and its slope as the difference of two terms."""
    z, d = mpf(float(z)), mpf(float(d))
    value = (d * softplus(-z) if d else 0) + ((1 - d) * softplus(z) if d < 1 else 0)
    return value, (1 - d) * sigmoid(z), d * sigmoid(-z)


def limits(z, d):
    """`binary_terms` at an infinite logit."""
    right = (z > 0) == (d == 1.0)
    return mpf(0) if right and d in (0.0, 1.0) else mpmath.inf, mpf((1 - d) * (z > 0)), mpf(d * (z < 0))


@pytest.mark.parametrize("printed", [False, True], ids=["reference", "numba"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", [0.0, 1.0, 0.25])
def test_binary_crossentropy_from_logits(target, dtype, printed):
    z = np.asarray(POINTS, dtype)[:, None]
    d = np.full_like(z, target)
    losses = run("binary_crossentropy_logits", dtype, printed, z, d)
    slopes = run("binary_crossentropy_logits_slope", dtype, printed, z, d)
    for x, loss, slope in zip(z[:, 0], losses.ravel(), slopes.ravel(), strict=True):
        value, up, down = limits(x, target) if np.isinf(x) else binary_terms(x, target)
        size = abs(mpf(float(x))) if np.isfinite(x) else mpf(0)
        factor = 1 + (size * abs(up - down) / value if value and mpmath.isfinite(value) else 0)
        assert_accurate(loss, value, dtype, factor, f"loss({x!r}, {target})")
        change = sigmoid(x) * sigmoid(-x) if np.isfinite(x) else mpf(0)
        factor = 1 + (size * change / max(up, down) if max(up, down) else 0)
        assert_accurate(slope, up - down, dtype, factor, f"slope({x!r}, {target})", max(up, down))


@pytest.mark.parametrize("printed", [False, True], ids=["reference", "numba"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_categorical_crossentropy_from_logits(dtype, printed):
    for hot in range(3):
        z = np.asarray(ROWS, dtype)
        d = np.zeros_like(z)
        d[:, hot] = 1.0
        losses = run("categorical_crossentropy_logits", dtype, printed, z, d)
        slopes = run("categorical_crossentropy_logits_slope", dtype, printed, z, d)
        for row, loss, slope in zip(z, losses.ravel(), slopes, strict=True):
            p, factors, centred, total = exact_softmax(row)
            spread = mpmath.log(total)
            # a difference of log(sum) and z - max, each with its own rounding; the sum is at least 1, so that log is
            # as far from its root as the sum's last digit can tell
            exact = spread - centred[hot]
            scale = max(spread, abs(centred[hot]), mpf(1)) if mpmath.isfinite(exact) else None
            assert_accurate(loss, exact, dtype, 1, f"loss({row}, {hot})", scale)
            for number, (got, want, factor) in enumerate(zip(slope, p, factors, strict=True)):
                hit = 1 if number == hot else 0
                assert_accurate(got, want - hit, dtype, factor, f"slope({row}, {hot})", max(want, hit))


def test_the_judge_finds_a_slope_that_loses_its_digits():
    z = np.asarray([[12.0]])
    y = 1 / (1 + np.exp(-z))
    with pytest.raises(AssertionError, match="instead of"):
        assert_accurate((y * (1 - y))[0, 0], sigmoid_slope(mpf(12)), "float64", 13, "y (1 - y)")
