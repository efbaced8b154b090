"""Training equals PyTorch's in float64: random networks, step by step."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch_table
from networks import ACTIVATIONS, LOSSES, PROGRAMS, Case, compiled, random_case
from twin import Twin

from deepmath.layers import Activation, BatchNormalization, Dense, Dropout
from deepmath.optimizers import SGD, Adam
from deepmath.regularizers import L2
from deepmath.schedules import ExponentialDecay

NETWORKS, STEPS, REDRAWS = 100, 20, 5
TOLERANCE = 1e-10
NEAR = 1e-6
"""A network is drawn again where an activation's input, or the root of Adam's second moment, comes closer to zero."""


@cache
def trained(seed: int) -> tuple[Case, list[dict[str, np.ndarray]], list[float]]:
    """A random network away from kinks: PyTorch's parameters and objective at each step."""
    for redraw in range(REDRAWS):
        case = random_case(seed, redraw)
        found, objectives, twin = follow(case)
        if min(twin.kink, twin.smallest) > NEAR:
            return case, found, objectives
    raise AssertionError(f"network {seed}: every draw comes near a kink")


def follow(case: Case) -> tuple[list[dict[str, np.ndarray]], list[float], Twin]:
    twin = Twin(case)
    found, objectives = [], []
    for _ in range(STEPS):
        objectives.append(twin.step())
        named = {f"params.{n}": p for n, p in twin.params.items()} | {f"state.{n}": v for n, v in twin.moving.items()}
        found.append({n: v.detach().numpy().copy() for n, v in named.items()})
    return found, objectives, twin


def worst_difference(case: Case, backend: str, expected: list[dict[str, np.ndarray]], objectives: list[float]) -> float:
    """The largest difference from PyTorch at any step, relative to max(1, |w|)."""
    program = compiled(case, backend)
    worst = 0.0
    for want, objective in zip(expected, objectives, strict=True):
        row = np.asarray(program.run(1))[0]
        worst = max(worst, abs(row[0] - objective) / max(1.0, abs(objective)))
        state = program.state()
        for name, w in want.items():
            assert state[name].shape == w.shape, name
            worst = max(worst, float(np.max(np.abs(state[name] - w) / np.maximum(1.0, np.abs(w)), initial=0.0)))
    return worst


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("seed", range(NETWORKS))
def test_a_random_network_follows_pytorch(seed, backend, record_property):
    case, expected, objectives = trained(seed)
    worst = worst_difference(case, backend, expected, objectives)
    record_property("worst", float(worst))
    assert worst < TOLERANCE, case


def test_pytorch_has_a_row_for_every_activation_and_loss():
    assert set(torch_table.ACTIVATIONS) == set(ACTIVATIONS), "add rows to tests/torch_table.py"
    assert set(torch_table.LOSSES) == set(LOSSES), "add rows to tests/torch_table.py"


def test_the_random_networks_cover_everything():
    cases = [random_case(seed) for seed in range(NETWORKS)]
    layers = [layer for case in cases for layer in case.layers]
    used = {layer.activation.name for layer in layers if getattr(layer, "activation", None) is not None}
    assert used == set(ACTIVATIONS)
    assert {case.loss for case in cases} == set(LOSSES)
    assert {type(layer) for layer in layers} == {Dense, Activation, BatchNormalization}
    assert {layer.use_bias for layer in layers if isinstance(layer, Dense)} == {True, False}
    assert any(isinstance(layer.kernel_regularizer, L2) for layer in layers if isinstance(layer, Dense))
    rules = [case.optimizer for case in cases]
    kinds = {(type(r), bool(getattr(r, "momentum", 0.0)), getattr(r, "nesterov", False)) for r in rules}
    assert kinds == {(SGD, False, False), (SGD, True, False), (SGD, True, True), (Adam, False, False)}
    assert {isinstance(r.learning_rate, ExponentialDecay) for r in rules} == {True, False}
    assert any(r.clipnorm for r in rules)
    assert any(r.clipvalue for r in rules)
    assert any(c.weights is not None and not np.all(c.weights) for c in cases)
    assert {c.accumulate for c in cases} == {1, 2, 3}
    assert any(len(c.X) % (c.batch_size * c.accumulate) and not c.drop_last for c in cases)
    assert {c.drop_last for c in cases} == {c.shuffle for c in cases} == {True, False}
    assert {len([x for x in c.layers if isinstance(x, Dense)]) for c in cases} == {1, 2, 3, 4}


def dropout_case(accumulate: int, optimizer: SGD | Adam) -> Case:
    rng = np.random.default_rng(5)
    layers = (Dense(9, "tanh"), Dropout(0.3), Dense(6, "sigmoid"), BatchNormalization(), Dropout(0.5), Dense(2))
    X, y = rng.standard_normal((23, 5)), rng.standard_normal((23, 2))
    return Case(layers, "mse", optimizer, X, y, batch_size=5, accumulate=accumulate, seed=11)


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("optimizer", [SGD(0.05), Adam(0.01)], ids=["sgd", "adam"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_dropout_follows_pytorch_with_the_same_mask(accumulate, optimizer, backend):
    case = dropout_case(accumulate, optimizer)
    expected, objectives, twin = follow(case)
    assert twin.smallest > NEAR
    assert worst_difference(case, backend, expected, objectives) < TOLERANCE


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("clip", [{"clipnorm": 0.1}, {"clipvalue": 0.01}], ids=["clipnorm", "clipvalue"])
def test_a_batch_in_which_no_row_counts_changes_nothing(clip, backend):
    rng = np.random.default_rng(0)
    weights = np.array([1.0, 2.0, 0.0, 0.0, 0.5])
    layers = (Dense(3, "tanh"), Dense(1))
    X, y = rng.standard_normal((5, 2)), rng.standard_normal((5, 1))
    case = Case(layers, "mse", SGD(0.1, **clip), X, y, weights, batch_size=2, shuffle=False)
    program = compiled(case, backend)
    program.run(1)
    before = program.state()
    program.run(1)
    after = program.state()
    assert after.pop("step") == before.pop("step") + 1
    assert {n: v.tolist() for n, v in after.items()} == {n: v.tolist() for n, v in before.items()}
    expected, objectives, _ = follow(case)
    assert worst_difference(case, backend, expected, objectives) < TOLERANCE


@pytest.mark.parametrize("backend", PROGRAMS)
def test_predictions_follow_pytorch(backend):
    case = dropout_case(1, SGD(0.05))
    twin, program = Twin(case), compiled(case, backend)
    program.run(7)
    for _ in range(7):
        twin.step()
    np.testing.assert_allclose(np.asarray(program.predict(case.X)), twin.predict(case.X), rtol=1e-10, atol=1e-12)


def test_a_rate_that_is_off_by_a_millionth_is_seen():
    case = dropout_case(1, SGD(0.05))
    expected, objectives, _ = follow(case)
    wrong = Case(case.layers, "mse", SGD(0.05 * (1 + 1e-6)), case.X, case.y, batch_size=5, seed=11)
    assert worst_difference(wrong, "reference", expected, objectives) > 10 * TOLERANCE
