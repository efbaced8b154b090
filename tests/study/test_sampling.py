"""Risk, bias and variance, AIC: held against what probability says."""

import math

import numpy as np
import pytest

from deepmath import Dense, Sequential, datasets
from deepmath.errors import ConfigError
from deepmath.optimizers import SGD
from deepmath.study import aic, bias_variance, risk


def still(**settings):
    """Predicts 0, at first."""
    made = Sequential([Dense(1, kernel_initializer="zeros", input_dim=1, **settings)])
    made.compile(SGD(0.5), "mse")
    return made


def draw(rows, seed):
    x = np.random.default_rng(seed).standard_normal((rows, 1))
    return x, x[:, 0]


def test_empirical_risk_comes_near_the_expected_one():
    """E[x^2] = 1, with a standard deviation of sqrt(2 / m)."""
    found = risk(still(), draw, sizes=(10, 1000, 100_000), fresh=40_000)
    assert not found.trained
    for m, value in zip(found.sizes, found.empirical, strict=True):
        assert abs(value - 1.0) < 5.0 * math.sqrt(2.0 / m)
    for value, error in zip(found.expected, found.error, strict=True):
        assert abs(value - 1.0) < 5.0 * math.sqrt(2.0 / 40_000)
        assert 0.2 < error / math.sqrt(2.0 / 40_000) < 2.5


def test_rows_that_trained_flatter_a_model():
    def noise(rows, seed):
        rng = np.random.default_rng(seed)
        return rng.standard_normal((rows, 8)), rng.standard_normal(rows)

    model = Sequential([Dense(1)])
    model.compile(SGD(0.1), "mse")
    found = risk(model, noise, sizes=(10, 2000), epochs=60, fresh=2000)
    assert found.trained
    assert found.empirical[0] < 0.7 < 1.3 < found.expected[0]
    assert found.empirical[1] == pytest.approx(found.expected[1], rel=0.2)
    assert len(found.text().splitlines()) == 4


def zeros(rows, seed):
    return np.zeros((rows, 1))


def test_the_mean_of_n_rows_has_a_variance_of_noise_over_n():
    """With inputs of 0 only the bias trains; one step of rate 1/2 on all rows makes it their mean."""
    found = bias_variance(
        still(), lambda x: 3.0 + x[:, 0] ** 2, [[0.0], [2.0]], noise=0.5, inputs=zeros, rows=20, trials=400, epochs=1,
        batch_size="full", precision="float64", backend="reference",
    )  # fmt: skip
    variance = 0.25 / 20
    assert found.variance[0] == pytest.approx(variance, rel=5.0 * math.sqrt(2.0 / 400))
    assert found.bias_squared[0] < 16.0 * variance / 400
    assert found.bias_squared[1] == pytest.approx(16.0, rel=0.02)
    assert found.noise == 0.25
    assert found.predictions.shape == (400, 2)
    assert np.all(np.abs(found.total - found.measured) < 4.0 * found.error)
    assert len(found.text().splitlines()) == 4


def test_the_parts_add_up_to_what_is_measured_for_a_network():
    def inputs(rows, seed):
        return np.random.default_rng(seed).uniform(-2.0, 2.0, (rows, 1))

    model = Sequential([Dense(6, "tanh"), Dense(1)])
    model.compile("adam", "mse")
    points = np.linspace(-2.0, 2.0, 5)[:, None]
    found = bias_variance(
        model, lambda x: np.sin(2.0 * x[:, 0]), points, noise=0.2, inputs=inputs, rows=30, trials=60, epochs=10
    )
    assert np.all(np.abs(found.total - found.measured) < 4.5 * found.error)
    same = bias_variance(
        model, lambda x: x[:, 0], points, noise=0.0, inputs=lambda rows, seed: inputs(rows, 0), trials=2, epochs=1,
        redraw=False,
    )  # fmt: skip
    assert np.all(same.variance == 0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"x0": [0.0]}, r"bias_variance: x0 must be rows \[points, features\]; got shape \(1,\)"),
        ({"noise": -1.0}, "bias_variance: noise must be a number >= 0; got -1.0"),
        ({"trials": 1}, "bias_variance: trials must be a whole number >= 2; got 1"),
    ],
)
def test_what_cannot_be_sampled_is_refused(settings, message):
    given = {"x0": [[0.0]], "noise": 0.1, "inputs": zeros} | settings
    with pytest.raises(ConfigError, match=f"^{message}$"):
        bias_variance(still(), lambda x: x[:, 0], **given)


def test_aic_of_least_squares_is_that_of_article_3():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3))
    y = X @ [1.0, -2.0, 0.5] + 0.3 * rng.standard_normal(50)
    design = np.hstack([X, np.ones((50, 1))])
    w, (sse,), *_ = np.linalg.lstsq(design, y)
    model = Sequential([Dense(1, input_dim=3)])
    for loss in ("mse", "sse"):
        model.compile("sgd", loss)
        model.set_weights([w[:3, None], w[3:]])
        assert aic(model, X, y) == pytest.approx(50 * math.log(sse / 50) + 2 * 4, rel=1e-12)


@pytest.mark.parametrize(
    ("units", "activation", "loss"),
    [(1, "sigmoid", "binary_crossentropy"), (2, "softmax", "sparse_categorical_crossentropy")],
)
def test_aic_of_classes_takes_the_chances_of_the_labels(units, activation, loss):
    X, y = datasets.moons(40)
    model = Sequential([Dense(units, activation, input_dim=2)])
    model.compile("sgd", loss)
    p = np.asarray(model.predict(X.astype(np.float64), precision="float64"))
    chances = np.where(y == 1, p[:, -1], 1.0 - p[:, -1])
    k = 3 * units
    assert aic(model, X, y) == pytest.approx(2 * k - 2 * np.sum(np.log(chances)), rel=1e-12)


def test_aic_needs_a_likelihood():
    model = still()
    model.compile("sgd", "mae")
    with pytest.raises(ConfigError, match=r"^aic: loss 'mae' is no likelihood; use mse, sse or one of binary_cross"):
        aic(model, [[1.0]], [1.0])
