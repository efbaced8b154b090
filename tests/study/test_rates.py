"""The learning-rate range test: its losses are those of a loop by hand, and its suggestion learns."""

import numpy as np
import pytest

from deepmath import Dense, Sequential, datasets
from deepmath.errors import ConfigError
from deepmath.optimizers import LBFGS, SGD, Adam
from deepmath.study import lr_find


def line(optimizer):
    """One weight on data whose mean square is 1: the loss (w - 3)^2 halves its distance at rate 1/4, breaks above 1."""
    model = Sequential([Dense(1, use_bias=False, kernel_initializer="zeros", input_dim=1)])
    model.compile(optimizer, "mse")
    X = np.asarray([[-1.0], [1.0]])
    return model, X, 3.0 * X[:, 0]


def test_losses_are_those_of_a_loop_by_hand():
    model, X, y = line(SGD(0.7))
    found = lr_find(model, X, y, low=1e-3, high=0.5, steps=20, batch_size=2)
    w = average = 0.0
    for i, rate in enumerate(np.geomspace(1e-3, 0.5, 20)):
        loss = (w - 3.0) ** 2
        average = 0.9 * average + 0.1 * loss
        assert found.rates[i] == pytest.approx(rate, rel=1e-12)
        assert found.losses[i] == pytest.approx(loss, rel=1e-9, abs=1e-12)
        assert found.smoothed[i] == pytest.approx(average / (1.0 - 0.9 ** (i + 1)), rel=1e-9)
        w -= rate * 2.0 * (w - 3.0)


def test_the_test_ends_where_the_loss_breaks_out_and_suggests_a_stable_rate():
    model, X, y = line("sgd")
    before = model.get_weights()
    found = lr_find(model, X, y, high=1e3, batch_size=2)
    assert found.rates[-1] < 1e3
    assert 0.01 < found.suggestion < 1.0  # above 1 every step is farther off
    assert np.array_equal(before[0], model.get_weights()[0])
    assert found.text().startswith(f"suggested learning rate: {found.suggestion:.2g}\n")


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_the_suggestion_learns(optimizer):
    X, y = datasets.moons(300)
    layers = [Dense(16, "tanh"), Dense(1, "sigmoid")]
    model = Sequential(layers)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    rate = lr_find(model, X, y).suggestion
    model.compile(type(model.optimizer)(rate), "binary_crossentropy", metrics=["accuracy"])
    model.fit(X, y, epochs=30, verbose=0)
    assert model.evaluate(X, y)["accuracy"] > 0.85


def test_no_fall_gives_no_suggestion():
    model, X, y = line("sgd")
    model.set_weights([[[3.0]]])
    found = lr_find(model, X, y, batch_size=2)
    assert found.suggestion is None
    assert found.text().startswith("no suggestion: the loss fell at no rate\n")


@pytest.mark.parametrize(
    ("optimizer", "settings", "message"),
    [
        (Adam(), {"low": 0.0}, "lr_find: low must be a number > 0; got 0.0"),
        (Adam(), {"low": 1.0, "high": 0.1}, "lr_find: high must be a number > 1; got 0.1"),
        (Adam(), {"steps": 5}, "lr_find: steps must be a whole number >= 10; got 5"),
        (LBFGS(), {}, "lr_find: LBFGS searches for its own step; choose another optimiser in compile"),
    ],
)
def test_what_cannot_be_used_is_refused(optimizer, settings, message):
    model, X, y = line(optimizer)
    with pytest.raises(ConfigError, match=f"^{message}$"):
        lr_find(model, X, y, **settings)
