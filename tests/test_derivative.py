"""Derivatives against five-point differences: of graphs, of hand-written slopes, and of slopes that are wrong."""

import array_api_compat.numpy as xp
import numpy as np
import pytest
from helpers import numerical_gradient, tupled
from table import TABLE, by_name

from deepmath.derivative import pullback
from deepmath.errors import TraceError
from deepmath.formulas import activations, losses, normalization, regularizers
from deepmath.formulas.softmax import softmax, softmax_pullback
from deepmath.printers import loops

SHAPE = (3, 4)


def disagreement(found, expected):
    """The largest difference, as a share of the largest expected number."""
    expected = np.asarray(expected)
    return float(np.max(np.abs(found - expected)) / max(np.max(np.abs(expected)), 1e-3))


@pytest.mark.parametrize("name", [row.name for row in TABLE if row.smooth])
def test_derivatives_of_the_table(name):
    row = by_name(name)
    rng = np.random.default_rng(5)
    arguments = row.draw(rng, SHAPE)
    seeds = [rng.standard_normal(np.shape(r)) for r in tupled(row.formula(xp, *arguments))]
    derivative = pullback(row.formula, row.trace_kinds, row.smooth)
    for place, found in zip(row.smooth, tupled(derivative(xp, *arguments, *seeds)), strict=True):

        def weighed(x, place=place):
            results = tupled(row.formula(xp, *arguments[:place], x, *arguments[place + 1 :]))
            return sum(np.sum(s * r) for s, r in zip(seeds, results, strict=True))

        expected = numerical_gradient(weighed, arguments[place])
        found = np.reshape(found, np.shape(expected)) if np.size(found) == np.size(expected) else found
        assert disagreement(found, expected) < 1e-6, f"argument {place}"


def slope_disagreement(value, slope, arguments):
    """How far a slope (xp, *arguments) is from the derivative of sum(value(xp, *arguments)) by the first argument."""
    expected = numerical_gradient(lambda x: np.sum(value(xp, x, *arguments[1:])), arguments[0])
    return disagreement(slope(xp, *arguments), expected)


def of_activation(f, f_slope):
    """A slope that takes z and y = f(z), as one of z alone."""
    return f, lambda xp, z: f_slope(xp, z, f(xp, z))


def weighed_softmax(xp, z, dy):
    return xp.sum(dy * softmax(xp, z), axis=-1, keepdims=True)


def weighed_normalize(xp, x, dy):
    return dy * normalization.normalize(xp, x, 1.5, -0.5, 1e-3)[0]


def normalize_slope(xp, x, dy):
    mean, variance = normalization.moments(xp, x)
    return normalization.normalize_pullback(xp, x, mean, variance, 1.5, dy, 1e-3)[0]


LOSSES = [
    "mse",
    "sse",
    "binary_crossentropy",
    "binary_crossentropy_logits",
    "categorical_crossentropy",
    "categorical_crossentropy_logits",
]
PAIRS = {
    **{
        n: of_activation(getattr(activations, n), getattr(activations, f"{n}_slope"))
        for n in ("linear", "relu", "sigmoid", "tanh")
    },
    **{n: (getattr(losses, n), getattr(losses, f"{n}_slope")) for n in LOSSES},
    "softmax": (weighed_softmax, lambda xp, z, dy: softmax_pullback(xp, z, softmax(xp, z), dy)),
    "normalize": (weighed_normalize, normalize_slope),
    "l2": (lambda xp, w: regularizers.l2(xp, w, 0.3), lambda xp, w: regularizers.l2_slope(xp, w, 0.3)),
}


def drawn(name, shape=SHAPE):
    """Arguments of a pair's value."""
    rng = np.random.default_rng(11)
    z = rng.standard_normal(shape) * 2.0
    z = z + np.copysign(0.05, z)
    if name in LOSSES:
        predictions = rng.uniform(0.05, 0.95, shape) if "crossentropy" in name and "logits" not in name else z
        return [predictions, rng.choice([0.0, 1.0, 0.25], shape)]
    return [z, rng.standard_normal(shape)] if name in ("softmax", "normalize") else [z]


@pytest.mark.parametrize("name", PAIRS)
def test_hand_written_slopes(name):
    value, slope = PAIRS[name]
    assert slope_disagreement(value, slope, drawn(name)) < 1e-6


@pytest.mark.parametrize("name", PAIRS)
def test_hand_written_slopes_equal_the_graph_s(name):
    value, slope = PAIRS[name]
    arguments = drawn(name)
    derivative = pullback(value, ["element"] * len(arguments))
    seed = np.ones(np.shape(value(xp, *arguments)))
    np.testing.assert_allclose(slope(xp, *arguments), derivative(xp, *arguments, seed), rtol=1e-9, atol=1e-12)


def uncentred(xp, x, dy):
    """The normalisation's pullback without the part that flows through the mean."""
    mean, variance = normalization.moments(xp, x)
    spread = xp.sqrt(variance + 1e-3)
    n, u = (x - mean) / spread, 1.5 * dy
    return (u - n * xp.mean(u * n, axis=-1, keepdims=True)) / spread


def without_spread(xp, x, dy):
    """The normalisation's pullback without the part that flows through the variance."""
    variance = normalization.moments(xp, x)[1]
    u = 1.5 * dy
    return (u - xp.mean(u, axis=-1, keepdims=True)) / xp.sqrt(variance + 1e-3)


WRONG = [
    ("relu", "sign", lambda xp, z: -xp.astype(z > 0.0, z.dtype)),
    ("relu", "inverted mask", lambda xp, z: xp.astype(z < 0.0, z.dtype)),
    ("relu", "mask of another threshold", lambda xp, z: xp.astype(z > -1.0, z.dtype)),
    ("relu", "no mask", lambda xp, z: xp.ones_like(z)),
    ("sigmoid", "factor", lambda xp, z: 2.0 * activations.sigmoid_slope(xp, z, z)),
    ("sigmoid", "z in place of y", lambda xp, z: z * (1.0 - z)),
    ("sigmoid", "rows in another order", lambda xp, z: activations.sigmoid_slope(xp, z[::-1], z)),
    ("tanh", "stale y", lambda xp, z: 1.0 - xp.tanh(z - 0.1) ** 2),
    ("tanh", "not squared", lambda xp, z: 1.0 - xp.abs(xp.tanh(z))),
    ("mse", "missing mean", losses.sse_slope),
    ("mse", "missing factor 2", lambda xp, p, d: (p - d) / p.shape[-1]),
    ("mse", "mean over rows", lambda xp, p, d: 2.0 * (p - d) / p.shape[0]),
    ("sse", "targets and predictions exchanged", lambda xp, p, d: 2.0 * (d - p)),
    ("binary_crossentropy", "only the first term", lambda xp, p, d: -(d / p) / p.shape[-1]),
    ("binary_crossentropy_logits", "missing mean", lambda xp, z, d: activations.sigmoid(xp, z) - d),
    ("binary_crossentropy_logits", "targets shifted by a row",
     lambda xp, z, d: losses.binary_crossentropy_logits_slope(xp, z, xp.roll(d, 1, axis=0))),
    ("categorical_crossentropy", "sign", lambda xp, p, d: d / p),
    ("categorical_crossentropy_logits", "targets that don't sum to 1", lambda xp, z, d: softmax(xp, z) - d),
    ("softmax", "diagonal only", lambda xp, z, dy: dy * softmax(xp, z) * (1.0 - softmax(xp, z))),
    ("softmax", "no correction", lambda xp, z, dy: dy * softmax(xp, z)),
    ("softmax", "along the wrong axis", lambda xp, z, dy: softmax_pullback(xp, z.T, softmax(xp, z.T), dy.T).T),
    ("normalize", "mean taken as constant", uncentred),
    ("normalize", "variance taken as constant", without_spread),
    ("l2", "twice", lambda xp, w: 2.0 * 0.3 * w),
    ("l2", "transposed", lambda xp, w: 0.3 * w.T),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fault", "slope"), WRONG, ids=[f"{n}: {fault}" for n, fault, _ in WRONG])
def test_wrong_slopes_are_found(name, fault, slope):
    shape = (4, 4) if "axis" in fault or fault == "transposed" else SHAPE
    assert slope_disagreement(PAIRS[name][0], slope, drawn(name, shape)) > 1e-3


def slopes_at(formula, *values):
    arguments = [np.asarray([[v]]) for v in values]
    derivative = pullback(formula, ["element"] * len(values), range(len(values)))
    return [float(g[0, 0]) for g in tupled(derivative(xp, *arguments, np.ones((1, 1))))]


@pytest.mark.parametrize(("formula", "values", "slopes"), [
    (lambda xp, a: xp.abs(a), [0.0], [0.0]),
    (lambda xp, a: xp.maximum(a, 0.0), [0.0], [0.0]),
    (lambda xp, a: xp.minimum(a, 0.0), [0.0], [0.0]),
    (lambda xp, a, b: xp.maximum(a, b), [2.0, 2.0], [0.0, 0.0]),
    (lambda xp, a, b: xp.minimum(a, b), [2.0, 2.0], [0.0, 0.0]),
    (lambda xp, a, b: xp.maximum(a, b), [2.0, 1.0], [1.0, 0.0]),
    (lambda xp, a, b: xp.minimum(a, b), [2.0, 1.0], [0.0, 1.0]),
    (lambda xp, a: xp.where(a >= 0.0, 3.0 * a, a), [0.0], [3.0]),
    (lambda xp, a: xp.sign(a) * a, [0.0], [0.0]),
    (lambda xp, a: xp.floor(a) * a, [2.0], [2.0]),
])  # fmt: skip
def test_kinks(formula, values, slopes):
    assert slopes_at(formula, *values) == slopes


def test_the_largest_of_a_row_share_its_cotangent():
    derivative = pullback(lambda xp, x: xp.max(x, axis=-1, keepdims=True), ["element"])
    x = np.asarray([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]])
    assert derivative(xp, x, np.asarray([[4.0], [5.0]])).tolist() == [[0.0, 2.0, 2.0], [5.0, 0.0, 0.0]]


@pytest.mark.parametrize(("formula", "value", "slope"), [
    (lambda xp, a: xp.exp(a), 0.7, np.exp(0.7)),
    (lambda xp, a: xp.expm1(a), 0.7, np.exp(0.7)),
    (lambda xp, a: xp.log(a), 0.7, 1 / 0.7),
    (lambda xp, a: xp.log1p(a), 0.7, 1 / 1.7),
    (lambda xp, a: xp.sqrt(a), 0.7, 0.5 / np.sqrt(0.7)),
    (lambda xp, a: xp.tanh(a), 0.7, 1 / np.cosh(0.7) ** 2),
    (lambda xp, a: xp.tanh(a), 30.0, 4 * np.exp(-60.0)),
    (lambda xp, a: xp.pow(a, 3.0), 0.7, 3 * 0.7**2),
    (lambda xp, a: xp.pow(2.0, a), 0.7, 2**0.7 * np.log(2.0)),
    (lambda xp, a: 1.0 / a, 0.7, -1 / 0.7**2),
    (lambda xp, a: -a, 0.7, -1.0),
    (lambda xp, a: xp.abs(a), -0.7, -1.0),
])  # fmt: skip
def test_rules_of_the_operations(formula, value, slope):
    assert slopes_at(formula, value)[0] == pytest.approx(slope, rel=1e-14)


def test_values_that_all_rows_share_get_the_sum_over_the_rows():
    derivative = pullback(lambda xp, x, b: x * b, ["element", "column"], [1])
    x = np.asarray([[1.0, 2.0], [3.0, 4.0]])
    assert derivative(xp, x, np.ones(2), np.ones((2, 2))).tolist() == [4.0, 6.0]


def test_an_argument_that_no_result_depends_on_has_derivative_zero():
    assert (
        pullback(lambda xp, x, y: x, ["element", "element"], [1])(xp, np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)))
        == 0.0
    )


def test_what_has_no_derivative_says_so():
    with pytest.raises(TraceError, match="passes through '%', which has none; write its slope"):
        pullback(lambda xp, x: x % 2.0, ["element"])


def test_a_shared_argument_used_twice_is_summed_over_rows_once_and_at_the_end():
    """Kernels can end with a sum over the rows, and with nothing behind it."""
    x, b = np.asarray([[1.0, 2.0], [3.0, 4.0]]), np.asarray([0.5, -0.5])
    derived = pullback(lambda xp, x, b: xp.tanh(x) * xp.exp(b) * b, ["element", "column"], [1])
    np.testing.assert_allclose(derived(np, x, b, np.ones((2, 2))), (np.tanh(x) * np.exp(b) * (1 + b)).sum(axis=0))
    assert loops.kernel("shared", derived, ["element", "column", "element"], ["db"]).outputs[0][1] == "column"
