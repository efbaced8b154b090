"""Training equals PyTorch's in float64: random networks, step by step."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch_rules
import torch_table
from networks import ACTIVATIONS, LOSSES, PROGRAMS, Case, compiled
from random_networks import LAWS, RULES, random_case
from twin import Twin, base

from deepmath.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    GaussianNoise,
    LayerNormalization,
    PReLU,
)
from deepmath.optimizers import SGD, Adam
from deepmath.regularizers import L1, L1L2, L2, MaxNorm

NETWORKS, BLOCK, STEPS, REDRAWS = 200, 5, 20, 200
TOLERANCE = 1e-10
NEAR = 1e-6
"""A network is drawn again where a kink, or zero for a gradient's component, comes closer than this but isn't hit."""


@cache
def trained(seed: int) -> tuple[Case, list[dict[str, np.ndarray]], list[float]]:
    """A random network away from kinks and rounding: PyTorch's parameters and objective at each step."""
    for redraw in range(REDRAWS):
        case = random_case(seed, redraw)
        found, objectives, twin = follow(case, NEAR)
        if min(twin.kink, twin.smallest) > NEAR:
            return case, found, objectives
    raise AssertionError(f"network {seed}: every draw comes near a kink")


def follow(case: Case, near: float = 0.0) -> tuple[list[dict[str, np.ndarray]], list[float], Twin]:
    """PyTorch's way, as far as it keeps this distance from kinks and vanishing gradients."""
    twin = Twin(case)
    found, objectives = [], []
    for _ in range(STEPS):
        objectives.append(twin.step())
        if min(twin.kink, twin.smallest) < near:
            break
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


@pytest.mark.parametrize("block", range(0, NETWORKS, BLOCK))
def test_random_networks_follow_pytorch(block, record_property):
    """The reference and the fused program; the networks of a block share PyTorch's run."""
    found = {}
    for seed in range(block, block + BLOCK):
        case, expected, objectives = trained(seed)
        for backend in PROGRAMS:
            found[seed, backend] = worst_difference(case, backend, expected, objectives)
    record_property("worst", float(max(found.values())))
    off = {key: worst for key, worst in found.items() if not worst < TOLERANCE}
    assert not off, "\n".join(f"{key} differs by {worst}: {trained(key[0])[0]}" for key, worst in off.items())


def test_pytorch_has_a_row_for_every_activation_and_loss():
    assert set(torch_table.ACTIVATIONS) == set(ACTIVATIONS), "add rows to tests/torch_table.py"
    assert set(torch_table.LOSSES) == set(LOSSES), "add rows to tests/torch_table.py"


@cache
def cases() -> list[Case]:
    return [trained(seed)[0] for seed in range(NETWORKS)]


def test_the_random_networks_cover_every_part():
    layers = [layer for case in cases() for layer in case.layers]
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    functions = {layer.activation for layer in layers if getattr(layer, "activation", None) is not None}
    assert {base(f) for f in functions} == set(ACTIVATIONS)
    assert {base(f) for f in functions if "(" in f.name} == {"leaky_relu", "elu", "celu"}
    assert {case.loss.partition("(")[0] for case in cases()} == set(LOSSES)
    smoothed = {"categorical_crossentropy", "sparse_categorical_crossentropy"}
    assert {n.partition("(")[0] for c in cases() if "(" in (n := c.loss)} == smoothed | {"huber", "quantile", "focal"}
    kinds = {Dense, Activation, BatchNormalization, LayerNormalization, PReLU, Dropout, GaussianNoise}
    assert {type(layer) for layer in layers} == kinds
    assert {layer.use_bias for layer in dense} == {True, False}
    assert {type(layer.kernel_regularizer) for layer in dense} == {type(None), L1, L2, L1L2}
    assert {type(layer.kernel_constraint) for layer in dense} == {type(None), MaxNorm}
    assert {len([x for x in c.layers if isinstance(x, Dense)]) for c in cases()} == {1, 2, 3, 4}


def test_the_random_networks_cover_every_rule():
    assert {type(c.optimizer) for c in cases()} == set(torch_rules.OPTIMIZERS)
    assert {type(c.optimizer.learning_rate) for c in cases()} == {float, *torch_rules.LAWS}
    pairs = {(list(RULES)[seed % len(RULES)], list(LAWS)[seed % len(LAWS)]) for seed in range(NETWORKS)}
    assert len(pairs) == len(RULES) * len(LAWS), "every optimiser meets every law"
    assert any(c.optimizer.clipnorm for c in cases())
    assert any(c.optimizer.clipvalue for c in cases())
    assert any(c.weights is not None and not np.all(c.weights) for c in cases())
    assert {c.accumulate for c in cases()} == {1, 2, 3}
    assert any(len(c.X) % (c.batch_size * c.accumulate) and not c.drop_last for c in cases())
    assert {c.drop_last for c in cases()} == {c.shuffle for c in cases()} == {True, False}


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
