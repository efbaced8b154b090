"""A user's activation, loss and optimiser, ten lines each and without a slope, train everywhere as in PyTorch."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pytest
import torch
from networks import Case, compiled
from twin import Twin

from deepmath import Dense, Sequential, initializers, load_model, schedules
from deepmath.activations import ActivationFunction
from deepmath.descriptions import config_of, from_config
from deepmath.errors import ConfigError
from deepmath.losses import Loss
from deepmath.optimizers import SGD, Optimizer
from deepmath.regularizers import L2

TARGETS = ("reference", "numpy", "array_api_strict", "torch", "jax")
RNG = np.random.default_rng(12)
X = RNG.standard_normal((22, 4))
Y = np.sin(X @ RNG.standard_normal((4, 2)))


def swish(xp, z):
    """z sigmoid(z)."""
    return z / (1.0 + xp.exp(-z))


def log_cosh(xp, p, d):
    """The mean of log(cosh(p - d)), without overflow."""
    e = xp.abs(p - d)
    return xp.mean(e + xp.log1p(xp.exp(-2.0 * e)) - 0.6931471805599453, axis=-1, keepdims=True)


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """s = s + g^2; w - rate g / (sqrt(s) + 1e-10)."""

    learning_rate: float = 0.1
    clipnorm: float | None = None
    clipvalue: float | None = None

    @property
    def slots(self):
        return ("s",)

    def coefficients(self, step):
        return (self.rate(step),)

    def update(self, xp, w, g, s, rate):
        s = s + g * g
        return w - rate * g / (xp.sqrt(s) + 1e-10), s


class TorchAdaGrad(torch.optim.Optimizer):
    """The same rule on PyTorch's tensors."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 1.0})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                squares = self.state[p].setdefault("sum", torch.zeros_like(p))
                squares += p.grad**2
                p -= group["lr"] * p.grad / (squares.sqrt() + 1e-10)


class CustomTwin(Twin):
    """The network with PyTorch's own versions of the three."""

    def __init__(self, case: Case) -> None:
        def loss(p: Any, d: Any) -> Any:
            return torch.log(torch.cosh(p - d)).mean(-1)

        super().__init__(case, activations={"swish": torch.nn.functional.silu}, losses={"log_cosh": loss})

    def _optimizer(self) -> Any:
        if isinstance(self.case.optimizer, AdaGrad):
            return TorchAdaGrad(list(self.params.values()))
        return super()._optimizer()


def case_of(activation: Any, loss: Any, optimizer: Optimizer) -> Case:
    return Case((Dense(6, activation), Dense(2)), loss, optimizer, X, Y, batch_size=5, seed=3)


CASES = {
    "activation": case_of(swish, "mse", SGD(0.1)),
    "loss": case_of("tanh", log_cosh, SGD(0.1)),
    "optimizer": case_of("tanh", "mse", AdaGrad()),
    "all three": case_of(swish, log_cosh, AdaGrad(clipnorm=0.2)),
}


@pytest.mark.parametrize("backend", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_it_follows_its_twin(name, backend):
    case = CASES[name]
    twin = CustomTwin(case)
    with jax.enable_x64(True) if backend == "jax" else contextlib.nullcontext():
        program = compiled(case, backend)
        for _ in range(8):
            objective = twin.step()
            assert np.asarray(program.run(1))[0, 0] == pytest.approx(objective, rel=1e-10)
        for parameter, w in twin.params.items():
            found = program.state()[f"params.{parameter}"]
            np.testing.assert_allclose(found, w.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("backend", TARGETS)
def test_it_trains_a_model_in_float32(backend):
    model = Sequential([Dense(6, swish), Dense(2)], seed=1)
    model.compile(AdaGrad(0.3), log_cosh)
    losses = model.fit(X, Y, epochs=15, batch_size=8, verbose=0, backend=backend).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_a_model_with_own_parts_is_loaded_with_them(tmp_path):
    own_swish, own_loss = ActivationFunction("swish_of_mine", swish), Loss("log_cosh_of_mine", log_cosh)
    model = Sequential([Dense(6, own_swish, input_dim=4), Dense(2)], seed=1)
    model.compile(AdaGrad(0.3), own_loss)
    model.fit(X, Y, verbose=0, backend="reference")
    model.save(tmp_path / "m")
    with pytest.raises(ConfigError, match=r"of_mine.*deepmath never imports code from a model file"):
        load_model(tmp_path / "m")
    custom = {"swish_of_mine": own_swish, "log_cosh_of_mine": own_loss, "AdaGrad": AdaGrad}
    other = load_model(tmp_path / "m", custom_objects=custom)
    assert other.predict(X, backend="reference").tobytes() == model.predict(X, backend="reference").tobytes()
    histories = [m.fit(X, Y, epochs=2, verbose=0, backend="reference").history for m in (model, other)]
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    "thing",
    [
        SGD(schedules.Constant(0.1)),
        schedules.ExponentialDecay(0.1, 0.5, 7),
        initializers.get("zeros"),
        L2(0.3),
        SGD(0.2, 0.9),
    ],
    ids=repr,
)
def test_a_description_comes_back_from_its_configuration(thing):
    assert from_config(config_of(thing), {}) in (thing, getattr(thing, "name", thing))
