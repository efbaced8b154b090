"""Activations and their slopes against 50 digits: at most 4 ulp x (1 + |z f'/f|), by the reference and compiled.

The factor is what a rounding of z alone would do to f: no formula can promise less than its argument's last digit.
It grows at a simple root as the bound of an absolute error does.
"""

import functools

import mpmath
import numpy as np
import pytest
from accuracy import DTYPES, POINTS, exact, judge, moved_by, number, run, sigmoid, softplus
from mpmath import mpf
from table import by_name

from deepmath import activations
from deepmath.formulas.smooth import SELU_ALPHA, SELU_SCALE

ROOTS = [-0.7517915246935645, -0.7524614220710163, -1.2784645427610737, -1.1924312145154, 3.0, -3.0, 2.999, -2.999]
"""Where slopes vanish or pieces meet."""
MORE = [2.0, -1.5, -4.0, 6.0, -9.5, 13.3, 25.0, -37.6, 1e10, -1e10, 1e30, -3e38, 5e-39, -1e-42]


def phi(z):
    return mpf(0) if z < -1e6 else mpmath.erfc(-z / mpmath.sqrt(2)) / 2


def density(z):
    return mpmath.exp(-z * z / 2) / mpmath.sqrt(2 * mpmath.pi)


def twice(z):
    return 2 * mpmath.sqrt(2 / mpmath.pi) * (z + mpf("0.044715") * z**3)


def twice_slope(z):
    return 2 * mpmath.sqrt(2 / mpmath.pi) * (1 + 3 * mpf("0.044715") * z**2)


def step(z):
    return mpf(1) if z > 0 else mpf(0)


def elu(z, a):
    return z if z > 0 else a * mpmath.expm1(z)


def elu_slope(z, a):
    return mpf(1) if z > 0 else a * mpmath.exp(z)


def hard_swish_slope(z):
    return (2 * z + 3) / 6 if abs(z) < 3 else step(z)


def silu_slope(z):
    return sigmoid(z) + z * sigmoid(z) * sigmoid(-z)


def mish_slope(z):
    s = softplus(z)
    return mpmath.tanh(s) + z * mpmath.sech(s) ** 2 * sigmoid(z)


def gelu_tanh_slope(z):
    return sigmoid(twice(z)) + z * sigmoid(twice(z)) * sigmoid(-twice(z)) * twice_slope(z)


ALPHA, SCALE = mpf(SELU_ALPHA), mpf(SELU_SCALE)
INF = mpmath.inf

# name: (f, f', (f at -inf, f at inf), (f' at -inf, f' at inf), constants)
TABLE = {
    "linear": (lambda z: z, lambda z: mpf(1), (-INF, INF), (1, 1), ()),
    "relu": (lambda z: max(z, mpf(0)), step, (0, INF), (0, 1), ()),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * sigmoid(-z), (0, 1), (0, 0), ()),
    "tanh": (mpmath.tanh, lambda z: mpmath.sech(z) ** 2, (-1, 1), (0, 0), ()),
    "leaky_relu": (
        lambda z, c: z if z > 0 else c * z, lambda z, c: mpf(1) if z > 0 else c, (-INF, INF), (0.2, 1), (0.2,)
    ),
    "hard_sigmoid": (
        lambda z: min(max(z + 3, mpf(0)), mpf(6)) / 6, lambda z: mpf(abs(z) < 3) / 6, (0, 1), (0, 0), ()
    ),
    "hard_swish": (
        lambda z: z * min(max(z + 3, mpf(0)), mpf(6)) / 6, hard_swish_slope, (0, INF), (0, 1), ()
    ),
    "elu": (elu, elu_slope, (-0.7, INF), (0, 1), (0.7,)),
    "selu": (
        lambda z: SCALE * elu(z, ALPHA), lambda z: SCALE * elu_slope(z, ALPHA), (-SCALE * ALPHA, INF), (0, SCALE), ()
    ),
    "celu": (
        lambda z, a: z if z > 0 else a * mpmath.expm1(z / a), lambda z, a: mpmath.exp(min(z, mpf(0)) / a),
        (-0.7, INF), (0, 1), (0.7,),
    ),
    "softplus": (softplus, sigmoid, (0, INF), (0, 1), ()),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2, (-1, 1), (0, 0), ()),
    "gelu": (lambda z: z * phi(z), lambda z: phi(z) + z * density(z), (0, INF), (0, 1), ()),
    "gelu_tanh": (lambda z: z * sigmoid(twice(z)), gelu_tanh_slope, (0, INF), (0, 1), ()),
    "silu": (lambda z: z * sigmoid(z), silu_slope, (0, INF), (0, 1), ()),
    "mish": (lambda z: z * mpmath.tanh(softplus(z)), mish_slope, (0, INF), (0, 1), ()),
}  # fmt: skip


@functools.cache
def wanted(name, x, slope):
    """The exact value or slope at a float."""
    f, derivative, ends, slope_ends, constants = TABLE[name]
    if np.isinf(x):
        return exact(mpf((slope_ends if slope else ends)[x > 0]))
    z, rest = number(x), [number(c) for c in constants]
    if not slope:
        return exact(f(z, *rest), z * derivative(z, *rest))
    bent = abs(z) == 3
    return exact(derivative(z, *rest), 0 if bent else moved_by(lambda t: derivative(t, *rest), z))


@pytest.mark.parametrize("printed", [False, True], ids=["reference", "compiled"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["value", "slope"])
@pytest.mark.parametrize("name", TABLE)
def test_activations(name, kind, dtype, printed, record_property):
    constants = TABLE[name][4]
    z = np.asarray([POINTS + ROOTS + MORE], dtype)
    with np.errstate(all="ignore"):
        z = np.concatenate([z, np.nextafter(z, np.inf, dtype=dtype), np.nextafter(z, -np.inf, dtype=dtype)], axis=1)
    if kind == "value":
        found = run(name, dtype, printed, z, *constants)
    else:
        y = run(name, dtype, False, z, *constants)
        found = run(f"{name}_slope", dtype, printed, z, y, *constants)
    exacts = [wanted(name, float(x), kind == "slope") for x in z[0]]
    judge(found[0], exacts, dtype, [repr(x) for x in z[0]], record_property)


def test_every_activation_by_elements_has_a_row():
    rows = {activations.get(n) for n in activations.names()}
    along_rows = {"softmax", "log_softmax"}
    assert {row.name for row in rows} == set(TABLE) | along_rows


@pytest.mark.parametrize("printed", [False, True], ids=["reference", "compiled"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_complementary_error_function(dtype, printed, record_property):
    x = np.asarray([[p for p in POINTS + MORE if abs(p) < 1e30]], dtype)
    found = run("erfc", dtype, printed, x)
    exacts = [
        exact(mpmath.erfc(number(v)), 2 * number(v) * mpmath.exp(-(number(v) ** 2)) / mpmath.sqrt(mpmath.pi))
        for v in x[0]
    ]
    judge(found[0], exacts, dtype, [repr(v) for v in x[0]], record_property)


def test_the_judge_finds_a_slope_that_loses_its_digits():
    z = 12.0
    y = 1 / (1 + np.exp(-z))
    right = wanted("sigmoid", z, True)
    judge([float(right.value)], [right], "float64", ["right"])
    with pytest.raises(AssertionError, match="1 of 1 points\ny"):
        judge([y * (1 - y)], [right], "float64", ["y (1 - y)"])


def test_the_judge_finds_a_wrong_limit():
    with pytest.raises(AssertionError, match="instead of 0"):
        judge([np.nan], [wanted("gelu", -np.inf, False)], "float64", ["-inf"])
    assert by_name("gelu").formula(np, np.asarray([[-np.inf]])) == 0.0
