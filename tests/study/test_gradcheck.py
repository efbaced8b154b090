"""gradcheck: planted mistakes are found and named, right networks pass, kinks don't mislead it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import test_planted as planted
from differences import network
from networks import Case
from random_networks import random_case
from studied import model_of

from deepmath import Dense, Sequential, derivative, errors, gradcheck, losses
from deepmath.layers import Activation, BatchNormalization, GaussianNoise, LayerNormalization
from deepmath.regularizers import L1
from deepmath.study.differences import slope


def checked(case: Case, **settings):
    return gradcheck(model_of(case), case.X, case.y, sample_weight=case.weights, **settings)


@dataclass(frozen=True)
class LoudNoise(GaussianNoise):
    """Its pullback takes the noise for a factor."""

    def apply(self, xp, params, state, x, bits, training):
        y, _, state = super().apply(xp, params, state, x, bits, training)
        return y, lambda dy: (dy * (1.0 + self.stddev), {}), state


NAMES = {
    "sign of a slope": "layer 2 (Activation tanh): inputs",
    "half a slope": "layer 2 (Activation sigmoid): inputs",
    "no mask in relu": "layer 2 (Activation relu): inputs",
    "softmax's diagonal only": "layer 2 (Activation softmax): inputs",
    "softmax's mean forgotten": "layer 2 (Activation softmax): inputs",
    "missing 1/units": "loss mse",
    "missing 1/rows": "loss mse",
    "missing factor 2": "loss mse",
    "sign of the cross-entropy's slope": "loss binary_crossentropy",
    "wrong regulariser factor": "penalty WrongL2 on 0.kernel",
    "wrong penalty": "penalty WrongL1 on 0.kernel",
    "another constant": "layer 2 (Activation leaky_relu(0.3)): inputs",
    "a constant forgotten": "layer 2 (Activation elu(0.5)): inputs",
    "no limit in huber": "loss huber(0.4)",
    "the other side's share": "loss quantile(0.2)",
    "smoothing forgotten": "loss categorical_crossentropy(0.3)",
    "stale mask": "layer 2 (StaleDropout): inputs",
    "loud noise": "layer 2 (LoudNoise): inputs",
}
PLANTED = {**planted.PLANTED, "loud noise": network(Dense(5, "tanh"), LoudNoise(0.3), Dense(3))}


def test_every_planted_mistake_has_a_name():
    assert set(NAMES) == set(PLANTED)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found_and_named(name):
    result = checked(PLANTED[name])
    assert not result
    assert result.wrong == (NAMES[name],)
    assert f"WRONG: {NAMES[name]}" in result.text()


INSIDE = {
    "no transpose in dx": "layer 2 (Dense): inputs",
    "no transpose in dW": "layer 2 (Dense): kernel",
    "bias by the mean": "layer 2 (Dense): bias",
    "sign of the bias": "layer 2 (Dense): bias",
    "batch norm's mean forgotten": "layer 2 (BatchNormalization): inputs",
    "batch norm's variance forgotten": "layer 2 (BatchNormalization): inputs",
    "gamma's gradient of raw inputs": "layer 2 (BatchNormalization): gamma",
    "layer norm's mean forgotten": "layer 2 (LayerNormalization): inputs",
    "layer norm's variance forgotten": "layer 2 (LayerNormalization): inputs",
    "alpha forgotten": "layer 2 (PReLU): inputs",
    "alpha's gradient of all inputs": "layer 2 (PReLU): alpha",
}


@pytest.mark.parametrize("name", planted.RULED)
def test_a_mistake_inside_a_layer_is_found_and_named(name, monkeypatch):
    case, op, change = planted.RULED[name]
    monkeypatch.setitem(derivative.RULES, op, change)
    kind = INSIDE[name].partition(": ")[2]
    result = checked(case)
    assert INSIDE[name] in result.wrong
    assert all(f.endswith(f": {kind}") for f in result.wrong)


def no_alarm(seed):
    result = checked(random_case(seed))
    assert result, result.text()
    assert result.ratio < 1e-6


@pytest.mark.parametrize("seed", range(0, 200, 20))
def test_no_false_alarm(seed):
    no_alarm(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200))
def test_no_false_alarm_over_200_random_networks(seed):
    no_alarm(seed)


def test_the_fused_program_s_gradient_can_be_checked():
    assert checked(random_case(4), backend="numpy")


def test_a_wrong_program_is_named_by_its_parameters(monkeypatch):
    case = network(Dense(5, "tanh"), Dense(3))
    true = __import__("deepmath.study.check", fromlist=["gradient"]).gradient

    def wrong(chosen, backend):
        found = true(chosen, backend)
        return found | {"1.bias": 1.01 * found["1.bias"]}

    monkeypatch.setattr("deepmath.study.check.gradient", wrong)
    assert checked(case).wrong == ("1.bias",)


def test_kinks_at_the_very_point_are_dodged():
    model = Sequential([Dense(4, "relu", kernel_initializer="zeros", kernel_regularizer=L1(0.1)), Dense(2)])
    model.compile("sgd", "mae")
    assert gradcheck(model, np.zeros((5, 3)), np.zeros((5, 2)))


def test_large_models_are_checked_along_random_directions():
    rng = np.random.default_rng(0)
    layers = [
        Dense(60, use_bias=False),
        BatchNormalization(),
        Activation("relu"),
        LayerNormalization(),
        Dense(10, "softmax"),
    ]
    model = Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy")
    seen = []
    result = gradcheck(
        model, rng.standard_normal((20, 50)), rng.integers(0, 10, 20), progress=lambda *told: seen.append(told)
    )
    assert result
    assert not result.every
    assert "random directions" in result.text()
    assert seen[-1][0] == "part 5"
    wrong = replace(losses.get("sparse_categorical_crossentropy"), logits=None)
    wrong = replace(wrong, slope=lambda xp, p, d: -(d / p) * (1.0 + 1e-4))
    model.compile("adam", wrong)
    assert gradcheck(model, rng.standard_normal((20, 50)), rng.integers(0, 10, 20)).wrong == (f"loss {wrong.name}",)


@pytest.mark.slow
def test_a_million_parameters():
    """In seconds, which are printed with -rP."""
    import time

    rng = np.random.default_rng(1)
    model = Sequential([Dense(1000, "relu"), Dense(900, "relu"), Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    start = time.perf_counter()
    result = gradcheck(model, rng.uniform(0.0, 1.0, (32, 100)), rng.integers(0, 10, 32))
    print(f"{result.parameters:,} parameters: {time.perf_counter() - start:.1f} s")
    assert result
    assert result.parameters > 1_000_000


def test_the_step_is_chosen():
    assert slope(lambda t: abs(t + 2e-6), 1.0, 1.0, 1.0).right
    assert slope(lambda t: np.sin(300.0 * t), 300.0, 1.0, 1.0).right
    assert not slope(lambda t: np.sin(300.0 * t), 300.01, 1.0, 1.0).right
    assert not slope(lambda t: float("nan"), 1.0, 1.0, 1.0).right


def test_refusals():
    model = Sequential([Dense(1, input_dim=1)])
    with pytest.raises(errors.ConfigError, match=r"gradcheck: the model has no loss; call model.compile"):
        gradcheck(model, [[1.0]], [1.0])
    with pytest.raises(errors.ConfigError, match=r"gradcheck: model must be a Sequential; got int"):
        gradcheck(3, [[1.0]], [1.0])
    empty = Sequential([Activation("relu")])
    empty.compile("sgd", "mse")
    with pytest.raises(errors.ConfigError, match="gradcheck: the model has no parameters"):
        gradcheck(empty, [[1.0]], [1.0])
    model.compile("sgd", "mse")
    model.set_weights([[[1e160]], [0.0]])
    with pytest.raises(errors.NonFiniteError, match="gradcheck: the objective is inf on these rows"):
        gradcheck(model, [[1.0]], [1.0])
