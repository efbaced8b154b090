"""Every optimiser and option against PyTorch, and against Optax where it has the same rule; float64, 50 steps.

Optax has other rules for three of them: its nadam keeps the momentum constant, its amsgrad takes the maximum of
corrected moments, and its adagrad has epsilon inside the root (the same only as epsilon goes to 0).
"""

import array_api_compat.numpy as xnp
import jax
import numpy as np
import optax
import pytest
import torch

from deepmath.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, Nadam, RMSprop
from deepmath.schedules import CosineDecay

STEPS, SIZE, TOLERANCE = 50, 40, 1e-12


def drawn(seed=0):
    """Parameters, and gradients of very different sizes; one parameter never has any."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(SIZE)
    g = rng.standard_normal((STEPS, SIZE)) * 10.0 ** rng.uniform(-4, 3, SIZE)
    g[:, 0] = 0.0
    return w, g


def run(optimizer, w, gradients):
    """The parameters after each step, by the formulas."""
    slots = [np.zeros_like(w) for _ in optimizer.slots]
    found = []
    for step, g in enumerate(gradients):
        w, *slots = optimizer.update(xnp, w, g, *slots, *optimizer.coefficients(step))
        found.append(w)
    return found


@pytest.fixture(autouse=True)
def double():
    """PyTorch keeps NAdam's running product in the default precision, whatever the parameters'."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def run_torch(kind, settings, w, gradients, rate=None):
    p = torch.nn.Parameter(torch.tensor(w))
    rule = kind([p], **settings)
    found = []
    for step, g in enumerate(gradients):
        if rate is not None:
            rule.param_groups[0]["lr"] = rate(step)
        p.grad = torch.tensor(g)
        rule.step()
        found.append(p.detach().numpy().copy())
    return found


def run_optax(rule, w, gradients):
    found = []
    with jax.enable_x64(True):
        w = jax.numpy.asarray(w)
        state = rule.init(w)
        for g in gradients:
            updates, state = rule.update(jax.numpy.asarray(g), state, w)
            w = optax.apply_updates(w, updates)
            found.append(np.asarray(w))
    assert found[0].dtype == np.float64
    return found


def worst(found, wanted):
    """The largest difference at any step, relative to the size of each parameter's path."""
    size = np.max(np.abs(wanted), axis=0)
    return float(np.max(np.abs(np.asarray(found) - np.asarray(wanted)) / size))


T = torch.optim
TORCH = {
    "sgd": (SGD(0.1), T.SGD, {"lr": 0.1}),
    "momentum": (SGD(0.1, momentum=0.8), T.SGD, {"lr": 0.1, "momentum": 0.8}),
    "nesterov": (SGD(0.1, momentum=0.8, nesterov=True), T.SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
    "rmsprop": (RMSprop(), T.RMSprop, {"lr": 0.001}),
    "rmsprop momentum": (RMSprop(0.02, 0.9, 0.8), T.RMSprop, {"lr": 0.02, "alpha": 0.9, "momentum": 0.8}),
    "rmsprop centered": (RMSprop(0.02, centered=True), T.RMSprop, {"lr": 0.02, "centered": True}),
    "rmsprop both": (RMSprop(0.02, 0.9, 0.5, True, 1e-3), T.RMSprop,
        {"lr": 0.02, "alpha": 0.9, "momentum": 0.5, "centered": True, "eps": 1e-3}),
    "adam": (Adam(), T.Adam, {}),
    "adam epsilon": (Adam(0.1, 0.8, 0.95, 0.1), T.Adam, {"lr": 0.1, "betas": (0.8, 0.95), "eps": 0.1}),
    "amsgrad": (Adam(0.1, 0.8, 0.9, amsgrad=True), T.Adam, {"lr": 0.1, "betas": (0.8, 0.9), "amsgrad": True}),
    "adamw": (AdamW(), T.AdamW, {}),
    "adamw amsgrad": (AdamW(0.1, 0.3, amsgrad=True), T.AdamW, {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True}),
    "adamw no decay": (AdamW(0.1, 0.0), T.Adam, {"lr": 0.1}),
    "nadam": (Nadam(), T.NAdam, {"lr": 0.001}),
    "nadam decay": (Nadam(0.1, 0.8, 0.9, 1e-2, 0.5), T.NAdam,
        {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-2, "momentum_decay": 0.5}),
    "nadam no decay": (Nadam(0.1, momentum_decay=0.0), T.NAdam, {"lr": 0.1, "momentum_decay": 0.0}),
    "adagrad": (Adagrad(), T.Adagrad, {"lr": 0.001}),
    "adagrad initial": (Adagrad(0.1, 0.3, 1e-3), T.Adagrad, {"lr": 0.1, "initial_accumulator_value": 0.3, "eps": 1e-3}),
    "adadelta": (Adadelta(), T.Adadelta, {"lr": 0.001, "rho": 0.95}),
    "adadelta rate": (Adadelta(1.0, 0.8, 1e-3), T.Adadelta, {"lr": 1.0, "rho": 0.8, "eps": 1e-3}),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_pytorch_agrees(name):
    ours, kind, settings = TORCH[name]
    w, g = drawn()
    assert worst(run(ours, w, g), run_torch(kind, settings, w, g)) < TOLERANCE


OPTAX = {
    "sgd": (SGD(0.1), optax.sgd(0.1)),
    "momentum": (SGD(0.1, momentum=0.8), optax.sgd(0.1, momentum=0.8)),
    "nesterov": (SGD(0.1, momentum=0.8, nesterov=True), optax.sgd(0.1, momentum=0.8, nesterov=True)),
    "rmsprop": (RMSprop(0.02, 0.9), optax.rmsprop(0.02, decay=0.9, eps_in_sqrt=False)),
    "adam": (Adam(0.1), optax.adam(0.1)),
    "adamw": (AdamW(0.1, 0.3), optax.adamw(0.1, weight_decay=0.3)),
    "adagrad": (Adagrad(0.1, 0.1, 1e-300), optax.adagrad(0.1, 0.1, eps=0.0)),
    "adadelta": (Adadelta(1.0, 0.8, 1e-3), optax.adadelta(1.0, rho=0.8, eps=1e-3)),
    "lion": (Lion(0.1), optax.lion(0.1, weight_decay=0.0)),
    "lion decay": (Lion(0.1, 0.8, 0.95, 0.3), optax.lion(0.1, b1=0.8, b2=0.95, weight_decay=0.3)),
}


@pytest.mark.parametrize("name", OPTAX)
def test_optax_agrees(name):
    ours, rule = OPTAX[name]
    w, g = drawn()
    assert worst(run(ours, w, g), run_optax(rule, w, g)) < TOLERANCE


def test_lion_is_its_written_rule():
    w, g = drawn(1)
    wanted, m, x = [], np.zeros(SIZE), w
    for gradient in g:
        x = x - 0.1 * (np.sign(0.8 * m + 0.2 * gradient) + 0.3 * x)
        m = 0.95 * m + 0.05 * gradient
        wanted.append(x)
    assert worst(run(Lion(0.1, 0.8, 0.95, 0.3), w, g), wanted) < TOLERANCE


@pytest.mark.parametrize(("ours", "kind", "settings"), [
    (AdamW(CosineDecay(0.1, 60), 0.3), T.AdamW, {"weight_decay": 0.3}),
    (Nadam(CosineDecay(0.1, 60)), T.NAdam, {}),
    (RMSprop(CosineDecay(0.1, 60), momentum=0.8), T.RMSprop, {"momentum": 0.8}),
], ids=["adamw", "nadam", "rmsprop"])  # fmt: skip
def test_pytorch_agrees_when_the_rate_changes(ours, kind, settings):
    w, g = drawn()
    assert worst(run(ours, w, g), run_torch(kind, settings, w, g, ours.rate)) < TOLERANCE


@pytest.mark.parametrize(("alpha", "beta"), [(0.1, 0.9), (1.0, 0.0), (0.01, 0.999)])
def test_an_exponential_average_is_sgd_at_another_rate(alpha, beta):
    w, g = drawn(2)
    wanted, v, x = [], np.zeros(SIZE), w
    for gradient in g:
        v = beta * v + (1 - beta) * gradient
        x = x - alpha * v
        wanted.append(x)
    assert SGD.averaged(alpha, beta) == SGD(learning_rate=alpha * (1 - beta), momentum=beta)
    assert worst(run(SGD.averaged(alpha, beta), w, g), wanted) < TOLERANCE


def test_the_judge_sees_other_rules():
    w, g = drawn()
    centered = run(RMSprop(0.02, centered=True), w, g)
    assert worst(centered, run(RMSprop(0.02), w, g)) > 1e6 * TOLERANCE
    assert worst(run(RMSprop(0.02, 0.9), w, g), run_optax(optax.rmsprop(0.02, decay=0.9), w, g)) > 1e3 * TOLERANCE
    assert worst(run(Nadam(0.1), w, g), run_optax(optax.nadam(0.1), w, g)) > 1e6 * TOLERANCE
    amsgrad = run(Adam(0.1, 0.8, 0.9, amsgrad=True), w, g)
    assert worst(amsgrad, run_optax(optax.amsgrad(0.1, 0.8, 0.9), w, g)) > 1e6 * TOLERANCE
