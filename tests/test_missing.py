"""A saved model predicts without its owner's loss, metric or optimiser, and asks for them where it trains."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import pytest

from deepmath import Activation, Dense, Sequential, load_model, losses, metrics, study
from deepmath.descriptions import config_of
from deepmath.errors import ConfigError
from deepmath.initializers import Initializer
from deepmath.layers import Layer
from deepmath.losses import Loss
from deepmath.optimizers import SGD
from deepmath.regularizers import L2, MaxNorm
from deepmath.schedules import Schedule

X = np.linspace(-1.0, 1.0, 24).reshape(12, 2)
Y = np.sin(X[:, :1])


def fourth(xp, p, d):
    return xp.mean((p - d) ** 4, axis=-1, keepdims=True)


def worst(xp, p, d):
    return xp.max(xp.abs(p - d), axis=-1, keepdims=True)


@dataclass(frozen=True)
class Heavy(SGD):
    """Descent under another name."""


@dataclass(frozen=True)
class Falling(Schedule):
    """0.1 / (1 + step)."""

    def __call__(self, step):
        return 0.1 / (1.0 + step)


@dataclass(frozen=True)
class Stiff(L2):
    """L2 under another name."""


@dataclass(frozen=True)
class Short(MaxNorm):
    """MaxNorm under another name."""


@dataclass(frozen=True)
class Halves(Initializer):
    """0.5 everywhere."""

    def draw(self, draws, shape):
        return np.full(shape, 0.5)


def model(optimizer="sgd", loss="mse", metric="mae", **settings):
    made = Sequential([Dense(3, "tanh", input_dim=2, **settings), Dense(1)], seed=3)
    made.compile(optimizer, loss, metric)
    made.fit(X, Y, epochs=2, verbose=0, backend="reference")
    return made


OWN = {
    "loss 'fourth'": ({"loss": fourth}, fourth, True),
    "loss 'mse'": ({"loss": Loss("mse", fourth)}, Loss("mse", fourth), True),
    "metric 'worst'": ({"metric": worst}, worst, True),
    "optimizer 'Heavy'": ({"optimizer": Heavy(0.1)}, Heavy, False),
    "optimizer 'Falling'": ({"optimizer": SGD(Falling())}, Falling, False),
    "regularizer 'Stiff'": ({"kernel_regularizer": Stiff(0.1)}, Stiff, True),
    "constraint 'Short'": ({"kernel_constraint": Short(1.0)}, Short, False),
    "initializer 'Halves'": ({"kernel_initializer": Halves()}, Halves, False),
}


@pytest.mark.parametrize("what", OWN)
def test_it_predicts_without_and_trains_with(what, tmp_path):
    settings, thing, measured = OWN[what]
    made, name = model(**settings), what.split("'")[1]
    made.save(tmp_path / "m")
    found = load_model(tmp_path / "m")
    expected = made.predict(X, backend="reference")
    assert found.predict(X, backend="reference").tobytes() == expected.tobytes()
    assert "Dense" in found.summary() + found.plan(backend="reference")
    asked = (
        rf"{what} of this model isn't known here: load it by load_model\(path, custom_objects={{'{name}': {name}}}\)"
    )
    for call in (found.fit, found.train_on_batch):
        with pytest.raises(ConfigError, match=rf"^{call.__name__}: {asked}"):
            call(X, Y, backend="reference")
    with pytest.raises(ConfigError, match=f"^explain_step: {asked}"):
        study.explain_step(found, X[:1], Y[:1])
    with pytest.raises(ConfigError, match=f"^k_fold: {asked}"):
        study.k_fold(found, X, Y)
    if measured:
        with pytest.raises(ConfigError, match=f"^evaluate: {asked}"):
            found.evaluate(X, Y, backend="reference")
    else:
        assert found.evaluate(X, Y, backend="reference") == made.evaluate(X, Y, backend="reference")
    again = copy.deepcopy(found)
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes(), "names and values stay"
    whole = load_model(tmp_path / "again", custom_objects={name: thing})
    histories = [m.fit(X, Y, epochs=2, verbose=0, backend="reference").history for m in (made, whole)]
    assert histories[0] == histories[1]


def test_another_choice_by_compile_needs_nothing(tmp_path):
    model(Heavy(0.1), fourth, worst).save(tmp_path / "m")
    found = load_model(tmp_path / "m")
    with pytest.raises(ConfigError, match=r"or choose another by compile$"):
        found.fit(X, Y)
    found.compile("adam", "mse")
    found.fit(X, Y, verbose=0, backend="reference")


def test_weights_cannot_be_drawn_by_an_initialiser_that_is_not_there(tmp_path):
    model(kernel_initializer=Halves()).save(tmp_path / "m")
    found = load_model(tmp_path / "m")
    found.layers.pop()
    found.build((2,))
    with pytest.raises(ConfigError, match=r"^build: initializer 'Halves' of this model isn't known here"):
        found.build((5,))
    assert np.all(np.isfinite(found.predict(X, backend="reference")))


def bent(xp, z):
    return z * z


class Turned(Layer):
    """A layer of one's own."""

    def init(self, shape, draws):
        return {}, {}

    def apply(self, xp, params, state, x, bits, training):
        return -x, lambda dy: (-dy, {}), {}


def test_what_predicts_must_be_known(tmp_path):
    made = Sequential([Dense(2, bent, input_dim=2), Activation("relu")])
    made.save(tmp_path / "m")
    told = r"'bent' is a function or an object of one's own\. deepmath never imports code from a model file: load_model"
    with pytest.raises(ConfigError, match=told + r"\(path, custom_objects={'bent': bent}\)$"):
        load_model(tmp_path / "m")
    found = load_model(tmp_path / "m", custom_objects={"bent": bent})
    assert found.predict(X, backend="reference").tobytes() == made.predict(X, backend="reference").tobytes()


def test_a_thing_of_ones_own_is_not_mistaken_for_a_known_one_of_its_name():
    assert config_of(losses.get("mse")) == "mse"
    assert config_of(losses.get("huber(0.5)")) == "huber(0.5)"
    assert config_of(Loss("mse", fourth)) == {"own": "mse"}
    for name in metrics.names():
        metric = copy.deepcopy(metrics.get(name))
        assert "own" not in config_of(metric), "a copy of a metric is still the one that has this name"
