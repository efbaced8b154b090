"""What a user brings without kernels: each part runs by the reference between kernels, agrees, and is named."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from cuda_programs import on_shim
from networks import Case, compiled

from deepmath import Sequential
from deepmath.activations import ActivationFunction
from deepmath.descriptions import described
from deepmath.layers import Activation, BatchNormalization, Dense, Dropout, Layer, LayerNormalization
from deepmath.losses import Loss
from deepmath.optimizers import LBFGS, SGD, Adam, Optimizer
from deepmath.regularizers import Constraint, Regularizer

RNG = np.random.default_rng(0)
X = RNG.standard_normal((41, 5))
Y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)


@described
@dataclass(frozen=True)
class Noisy(Layer):
    """Scales by a parameter, adds noise from the step's random bits, and counts its calls in a state."""

    def init(self, shape, draws):
        return {"scale": np.linspace(0.5, 1.5, shape[0])}, {"calls": np.zeros(1), "mean": np.zeros(shape)}

    def apply(self, xp, params, state, x, bits, training):
        noise = xp.astype(bits(x.shape[0], x.shape[1]), x.dtype) / 2.0**26 if training else 0.0
        y = x * params["scale"] + noise

        def pullback(dy):
            return dy * params["scale"], {"scale": xp.sum(dy * x, axis=0)}

        return y, pullback, {"calls": state["calls"] + 1.0, "mean": 0.5 * state["mean"] + 0.5 * xp.mean(x, axis=0)}


@described
@dataclass(frozen=True)
class Folded(Layer):
    """Rows of numbers as matrices: what stands behind it has inputs of two axes."""

    columns: int

    def init(self, shape, draws):
        return {}, {}

    def apply(self, xp, params, state, x, bits, training):
        y = xp.reshape(x, (x.shape[0], *self.output_shape(x.shape[1:])))
        return y, lambda dy: (xp.reshape(dy, x.shape), {}), {}

    def output_shape(self, shape):
        size = int(np.prod(shape))
        return (size // self.columns, self.columns) if len(shape) == 1 else (size,)


def branching(xp, z):
    return z if bool(xp.all(z > 10.0)) else 0.5 * z


def missing(xp, p, d):
    worst = float(xp.max(xp.abs(p - d)))
    return xp.mean((p - d) ** 2, axis=-1, keepdims=True) * (1.0 if worst < 1e6 else 0.0)


def missing_slope(xp, p, d):
    return 2.0 * (p - d) / p.shape[-1] * (1.0 if float(xp.max(xp.abs(p))) < 1e6 else 0.0)


@dataclass(frozen=True)
class Deciding(Optimizer):
    """Momentum that looks at its numbers."""

    learning_rate: float = 0.05
    clipnorm: float | None = None
    clipvalue: float | None = None

    @property
    def slots(self):
        return ("v",)

    def coefficients(self, step):
        return (self.rate(step), 0.9 if step else 0.0)

    def update(self, xp, w, g, v, rate, momentum):
        v = momentum * v + g if bool(xp.any(v != 0.0)) else g
        return w - rate * v, v


@dataclass(frozen=True)
class Lengthwise(Deciding):
    """Its step has the length of the parameter, so that it must see the parameter alone, and in its shape."""

    @property
    def slots(self):
        return ()

    def update(self, xp, w, g, rate, momentum):
        size = xp.sqrt(xp.sum(g * g, axis=-1, keepdims=True)) + 1e-3
        return (w - rate * g / size,)


class Widest(Regularizer):
    """Adds the largest weight's magnitude."""

    strengths = (0.1,)

    def penalty(self, xp, w, strength):
        return strength * xp.max(xp.abs(w), axis=-1, keepdims=True) * (1.0 if float(xp.max(w)) < 1e6 else 0.0)

    def slope(self, xp, w, strength):
        return strength * xp.astype(xp.abs(w) == float(xp.max(xp.abs(w))), w.dtype) * xp.sign(w)


class Bounded(Constraint):
    """No weight above a limit, if there is any."""

    limits = (0.4,)

    def project(self, xp, w, limit):
        return xp.clip(w, -limit, limit) if float(xp.max(xp.abs(w))) > limit else w


def case(*layers, loss="mse", optimizer=None, **rest):
    return Case((*layers, Dense(2)), loss, optimizer or SGD(0.05), X, Y, batch_size=12, **rest)


OWN = Loss("own", missing, missing_slope)
CASES = {
    "Noisy": (case(Dense(6, "tanh"), Noisy(), Dense(4, "relu"), accumulate=2), "Noisy has no kernels"),
    "first": (case(Noisy(), Dense(4, "relu")), "Noisy has no kernels"),
    "Activation": (
        case(Dense(6, ActivationFunction("own", branching, lambda xp, z, y: y * 0.0 + 0.5))),
        "'own' can't be compiled: xp.all is outside what can be traced",
    ),
    "Dense": (
        case(Folded(5), Dense(4, "tanh"), LayerNormalization(), BatchNormalization(), Dropout(0.2), Folded(1)),
        "its inputs have more than one axis",
    ),
    "loss": (
        case(Dense(6, "relu"), loss=OWN, metrics=("mae",), weights=np.linspace(0.0, 2.0, 41)),
        "'own' or a metric",
    ),
    "optimizer": (case(Dense(6, "relu"), optimizer=Deciding(clipnorm=0.5)), "Deciding can't be compiled: "),
    "penalty of 0.kernel": (case(Dense(6, kernel_regularizer=Widest())), "a reduction must be along the last axis"),
    "constraint of 0.kernel": (case(Dense(6, kernel_constraint=Bounded())), "a reduction must be along the last axis"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_agrees_with_the_reference_and_is_named(shim, name):
    chosen, why = CASES[name]
    backend = on_shim()
    reference, found = compiled(chosen), compiled(chosen, backend)
    for program in (reference, found):
        program.results = np.concatenate([program.run(7), program.run(2)])
    np.testing.assert_allclose(found.results, reference.results, rtol=1e-11, atol=1e-12)
    states = found.state(), reference.state()
    for key, value in states[1].items():
        np.testing.assert_allclose(states[0][key], value, rtol=1e-11, atol=1e-12, err_msg=key)
    np.testing.assert_allclose(found.measure(found.data), reference.measure(reference.data), rtol=1e-11)
    np.testing.assert_allclose(found.predict(X), reference.predict(X), rtol=1e-11, atol=1e-13)
    who = name if name != "first" else "Noisy"
    told = [text for part, text in found.plan() if part == who and text.startswith("reference on cupy: ")]
    assert told
    assert why in told[0]
    part, steps = found.plan()[-1]
    assert part == "steps"
    assert steps.startswith("issued node by node: ")
    assert who in steps
    assert backend.runtime.recordings == 0
    assert any(name.startswith("product") for name in backend.runtime.launched) or name == "Dense"


@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-5), ("tf32", 1e-5), ("bf16", 0.05), ("float16", 0.01)])
def test_every_precision_takes_it(shim, precision, bound):
    chosen = replace(CASES["Noisy"][0], loss=OWN, optimizer=Deciding(), accumulate=1)
    reference, found = compiled(chosen, "reference", "float32"), compiled(chosen, on_shim(), precision)
    results = found.run(5), reference.run(5)
    np.testing.assert_allclose(results[0][:, 0], results[1][:, 0], rtol=bound)
    predictions = found.predict(found.data.x), reference.predict(reference.data.x)
    np.testing.assert_allclose(*predictions, rtol=bound, atol=2 * bound)
    if precision in ("bf16", "float16"):
        assert np.abs(results[0][:, 0] / results[1][:, 0] - 1.0).max() > 1e-6  # it is the shorter precision that ran


def test_a_rule_that_joins_elements_sees_each_parameter_in_its_shape(shim):
    chosen = case(Dense(6, "relu"), optimizer=Lengthwise())
    reference, found = compiled(chosen), compiled(chosen, on_shim())
    np.testing.assert_allclose(found.run(9), reference.run(9), rtol=1e-11)
    assert dict(found.plan())["optimizer"] == "reference on cupy: Lengthwise looks at more than one element at a time"


def test_frozen_parameters_stay(shim):
    chosen = case(Dense(6, "relu"), Dense(3), optimizer=Deciding())
    plain = compiled(chosen)
    recipe = replace(plain.recipe, rates={"0.kernel": 0.0, "1.bias": 0.5})
    from deepmath.backend import load_backend

    programs = [b.compile(recipe, plain.state(), plain.data) for b in (load_backend("reference"), on_shim())]
    np.testing.assert_allclose(programs[1].run(8), programs[0].run(8), rtol=1e-11)
    for key, value in programs[0].state().items():
        np.testing.assert_allclose(programs[1].state()[key], value, rtol=1e-11, err_msg=key)


def test_inputs_of_more_axes_go_in_and_come_out(shim):
    model = Sequential([Dense(3, activation="relu"), Dense(1)])
    given = RNG.standard_normal((2, 5, 4))
    found = model.predict(given, backend=on_shim())
    assert found.shape == (2, 5, 1)
    np.testing.assert_allclose(found, model.predict(given, backend="reference"), rtol=1e-5, atol=1e-6)


def test_lbfgs_and_single_points_run_by_kernels(shim):
    backend, weights = on_shim(), []
    for chosen in ("reference", backend):
        model = Sequential([Dense(6, activation="tanh", input_dim=5), Dense(2)], seed=4)
        model.compile(LBFGS(), "mse")
        model.fit(X, Y, epochs=5, batch_size="full", verbose=0, backend=chosen, precision="float64")
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-9)
    assert backend.runtime.launched
    assert "work" not in backend.runtime.launched


def test_a_pass_forward_alone_keeps_nothing(shim):
    program = compiled(case(Noisy(), Activation("relu"), optimizer=Adam()), on_shim())
    program.predict(X)
    stage = program._plan.stages[0]
    assert stage._pullback is None
    program.run(1)
    assert stage._pullback is None
