"""A user's own functions are called once when they are handed over, and judged by what comes out."""

from __future__ import annotations

import numpy as np
import pytest

from deepmath import Activation, Dense, Sequential
from deepmath.activations import ActivationFunction
from deepmath.errors import ConfigError, TraceError
from deepmath.losses import Loss, get
from deepmath.optimizers import SGD
from deepmath.own_functions import ELEMENTS, ROWS, check_function


def sloped(xp, p, d):
    return p - d


def unreduced(xp, p, d):
    return (p - d) ** 2


def whole_batch(xp, p, d):
    return xp.mean((p - d) ** 2)


def without_axis(xp, p, d):
    return xp.sum((p - d) ** 2, axis=-1)


def two_arguments(p, d):
    return (p - d) ** 2


def a_number(xp, p, d):
    return 3.0


def a_pair(xp, p, d):
    return p, d


def nothing(xp, p, d):
    p - d


def with_a_mistake(xp, p, d):
    return xp.mean(misspelt(p), axis=-1, keepdims=True)  # noqa: F821 - the mistake


def of_truths(xp, p, d):
    return xp.max(p, axis=-1, keepdims=True) > 0.5


def of_targets_alone(xp, p, d):
    return xp.mean(d * d, axis=-1, keepdims=True)


REFUSED = [
    (unreduced, r"must give \[batch, 1\], one number for each row; got \[batch, 3\]: reduce over the last axis"),
    (whole_batch, "got one number for the whole batch: reduce over the last axis with keepdims=True"),
    (without_axis, r"got \[batch\]: reduce over the last axis with keepdims=True, as xp.mean"),
    (two_arguments, r"must be a function of \(xp, p, d\); it is one of \(p, d\)"),
    (a_number, "got one number for the whole batch"),
    (a_pair, "got a tuple"),
    (nothing, "got nothing"),
    (with_a_mistake, "failed when it was called once: NameError: name 'misspelt' is not defined"),
    (of_truths, r"gives true or false; make them numbers: xp.astype\(result, p.dtype\)"),
]


@pytest.mark.parametrize(("formula", "message"), REFUSED, ids=[f.__name__ for f, _ in REFUSED])
@pytest.mark.parametrize("slope", [None, sloped], ids=["derived", "sloped"])
def test_a_loss_that_gives_something_else_is_refused(formula, message, slope):
    with pytest.raises(ConfigError, match=rf"^loss '{formula.__name__}' .*{message}"):
        Loss(formula.__name__, formula, slope).check(3)


def test_a_loss_of_targets_alone_teaches_nothing():
    with pytest.raises(ConfigError, match="loss 'of_targets_alone' doesn't depend on p, so that nothing could be lea"):
        get(of_targets_alone).check(3)


def numpys(xp, p, d):
    return np.mean((p - d) ** 2, axis=-1, keepdims=True)


def numpys_ufunc(xp, p, d):
    return xp.mean(np.exp(p - d), axis=-1, keepdims=True)


def method(xp, p, d):
    return xp.mean((p - d) ** 2, axis=-1, keepdims=True) / p.max()


def python_float(xp, p, d):
    return xp.mean((p - d) ** 2, axis=-1, keepdims=True) * float(p[0, 0])


def loop(xp, p, d):
    return sum(xp.mean(abs(row - d), axis=-1, keepdims=True) for row in p)


def remainder(xp, p, d):
    return xp.mean((p - d) % 1.0, axis=-1, keepdims=True)


UNTRACED = [
    (numpys, "the formula calls np.mean; write xp.mean"),
    (numpys_ufunc, "the formula calls np.exp; write xp.exp"),
    (method, r"uses .max of an array, which not every library has; write xp.max\(...\)"),
    (python_float, r"takes an array apart by \[...\]"),
    (loop, "goes through an array one by one"),
    (remainder, "derivative passes through '%', which has none; write its slope"),
]


@pytest.mark.parametrize(("formula", "message"), UNTRACED, ids=[f.__name__ for f, _ in UNTRACED])
def test_what_has_no_derivative_needs_a_slope(formula, message):
    with pytest.raises(TraceError, match=rf"^loss '{formula.__name__}'.*{message}"):
        get(formula).check(3)
    Loss("mine", formula, sloped).check(3)


def test_a_slope_is_checked_too():
    with pytest.raises(ConfigError, match=r"^the slope of loss 'f' must give \[batch, units\], one number for each el"):
        Loss("f", numpys, numpys).check()


def takes_two_columns(xp, p, d):
    return p[:, :1] * p[:, 1:2] + 0.0 * d[:, :1]


def test_what_cannot_be_traced_is_called_with_arrays_as_wide_as_the_outputs():
    def unfolded(xp, p, d):
        return xp.mean(xp.reshape(p, (p.shape[0], 2, 2))[:, 0, :], axis=-1, keepdims=True)

    loss = Loss("unfolded", unfolded, sloped)
    loss.check()  # nobody knows the outputs yet
    loss.check(4)
    with pytest.raises(ConfigError, match=r"loss 'unfolded' failed when it was called with arrays of shape \(5, 3\)"):
        loss.check(3)
    Loss("columns", takes_two_columns, sloped).check(5)


def cumulated(xp, z):
    return xp.cumsum(z, axis=-1)


def row_sum(xp, z):
    return xp.sum(z, axis=-1, keepdims=True)


ACTIVATIONS = [
    (
        row_sum,
        ConfigError,
        r"must give \[batch, units\], one number for each element; got \[batch, 1\]: work element by",
    ),
    (lambda z: z, ConfigError, r"must be a function of \(xp, z\); it is one of \(z\)"),
    (lambda xp, z: 1.0, ConfigError, "got one number for the whole batch"),
    (lambda xp, z: np.tanh(z), TraceError, "can't be traced, and without a slope .* calls np.tanh; write xp.tanh"),
    (lambda xp, z: z if z > 0 else -z, TraceError, "branches on a value; use xp.where"),
    (cumulated, TraceError, "xp.cumsum is outside what can be traced"),
    (lambda xp, z: 0.0 * xp.astype(z > 0.0, "float") + z - z[:1], TraceError, r"takes an array apart by \[...\]"),
]


@pytest.mark.parametrize(("function", "error", "message"), ACTIVATIONS)
def test_an_activation_is_checked_where_it_is_given(function, error, message):
    with pytest.raises(error, match=message):
        Dense(4, function)
    with pytest.raises(error, match=message.replace("4", "units")):
        Activation(function)


def test_an_activation_that_cannot_be_traced_may_have_a_slope():
    assert Dense(4, ActivationFunction("cumulated", cumulated, pullback=lambda xp, z, y, dy: dy)).units == 4
    with pytest.raises(ConfigError, match=r"the slope of activation 'f' must be a function of \(xp, z, y\)"):
        Dense(4, ActivationFunction("f", cumulated, lambda xp, z: z))


def by_hand(x, y, epochs, rate=0.01):
    """Losses of descent on all rows, where summing along the units is a product with ones on and above the diagonal."""
    model = Sequential([Dense(4), Dense(2)], seed=1)
    model.build((3,))
    w1, b1, w2, b2 = model.get_weights()
    ones, found = np.triu(np.ones((4, 4))), []
    for _ in range(epochs):
        h = (x @ w1 + b1) @ ones
        e = h @ w2 + b2 - y
        found.append(np.mean(e * e))
        dp = 2.0 * e / e.size
        dz = dp @ w2.T @ ones.T
        w1, b1, w2, b2 = w1 - rate * x.T @ dz, b1 - rate * dz.sum(0), w2 - rate * h.T @ dp, b2 - rate * dp.sum(0)
    return found


@pytest.mark.parametrize("backend", ["reference", "numpy"])
def test_an_activation_that_cannot_be_traced_trains_behind_weights(backend):
    def back(xp, z, y, dy):
        return xp.flip(xp.cumulative_sum(xp.flip(dy, axis=-1), axis=-1), axis=-1)

    summed = ActivationFunction("summed", lambda xp, z: xp.cumulative_sum(z, axis=-1), pullback=back)
    model = Sequential([Dense(4, summed), Dense(2)], seed=1)
    model.compile(SGD(0.01), "mse")
    x = np.linspace(-1.0, 1.0, 30).reshape(10, 3) ** 3
    y = x[:, :2]
    settings = {"batch_size": "full", "epochs": 9, "verbose": 0, "precision": "float64"}
    assert model.fit(x, y, backend=backend, **settings).history["loss"] == pytest.approx(by_hand(x, y, 9), rel=1e-11)


def test_numbers_of_numpy_are_constants():
    half = np.float32(0.5)
    Dense(4, lambda xp, z: half * z + z * np.int64(3) - np.float64(2.0) ** z).activation.check(4)


def test_a_metric_needs_no_derivative():
    check_function("metric 'f'", lambda xp, p, d, index: xp.max(p * index, axis=-1, keepdims=True), ("p", "d", "index"),
                   ROWS)  # fmt: skip
    check_function("metric 'f'", numpys, ("p", "d"), ROWS)
    with pytest.raises(ConfigError, match=r"metric 'f' must give \[batch, 1\].*got \[batch, units\]"):
        check_function("metric 'f'", lambda xp, p, d: np.abs(p - d), ("p", "d"), ROWS)
    with pytest.raises(ConfigError, match=r"metric 'f' must give \[batch, units\]"):
        check_function("metric 'f'", numpys, ("p", "d"), ELEMENTS)
