"""Gradients of whole networks equal central differences, and the checker sees planted mistakes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from networks import (
    ACTIVATIONS,
    LOSSES,
    OUTPUTS,
    PROGRAMS,
    Case,
    Probe,
    first_values_of,
    random_case,
    targets,
    whole_batch,
)
from torch_table import ACTIVATIONS as TORCH_ACTIVATIONS
from torch_table import LOSSES as TORCH_LOSSES
from twin import Twin

from deepmath import activations, losses
from deepmath.activations import ActivationFunction
from deepmath.batches import InMemory
from deepmath.formulas import affine as affine_formulas
from deepmath.formulas import normalization
from deepmath.layers import Activation, BatchNormalization, Dense, Dropout, Layer
from deepmath.losses import Loss
from deepmath.optimizers import SGD
from deepmath.regularizers import L2
from deepmath.training import door

H = 1e-3
TOLERANCE = 1e-6
MARGIN = 0.02
"""Nothing may be nearer to a jump of a derivative, so that no difference reaches over it."""


def gradient_error(case: Case, backend: str) -> float:
    """How far gradients are from 5-point differences of the objective, relative to each parameter's differences.

    A parameter without influence has differences that are only rounding: they count against 1e-3 of the whole.
    """
    probe = Probe(case, backend)
    values = first_values_of(case)
    found = probe.gradients(values, whole_batch(case))
    expected = {n: differences(probe, values, f"params.{n}") for n in found}
    whole = np.sqrt(sum(float(np.sum(e * e)) for e in expected.values()))
    assert whole > 1e-3, "a gradient this small proves nothing"
    errors = [
        float(np.linalg.norm(found[n] - e) / max(float(np.linalg.norm(e)), 1e-3 * whole)) for n, e in expected.items()
    ]
    return max(errors) if np.all(np.isfinite(errors)) else np.inf


def differences(probe: Probe, values: dict[str, Any], name: str) -> Any:
    """The objective's derivative by each number of one parameter; the error is H^4 / 30 times the fifth."""
    out = np.empty_like(values[name])

    def at(place: tuple[int, ...], change: float) -> float:
        moved = values[name].copy()
        moved[place] += change
        return probe.objective(values | {name: moved})

    for place in np.ndindex(out.shape):
        near, far = at(place, H) - at(place, -H), at(place, 2 * H) - at(place, -2 * H)
        out[place] = (8.0 * near - far) / (12.0 * H)
    return out


def network(*layers: Layer, loss: Any = "mse", outputs: int = 3, rows: int = 7, weighted: bool = False) -> Case:
    """A case of one batch, in which the rows keep their order; data are drawn until they lie away from kinks."""
    for seed in range(50):
        case = _network(seed, layers, loss, outputs, rows, weighted)
        if getattr(loss, "name", loss) not in TORCH_LOSSES or any(_name(x) not in TORCH_ACTIVATIONS for x in layers):
            return case
        twin = Twin(case)
        twin.objective()
        if twin.kink > MARGIN:
            return case
    raise AssertionError("no data away from kinks")


def _name(layer: Layer) -> str:
    given = getattr(layer, "activation", None)
    return "linear" if given is None else given.name


def _network(seed: int, layers: Any, loss: Any, outputs: int, rows: int, weighted: bool) -> Case:
    rng = np.random.default_rng(seed)
    name = getattr(loss, "name", loss)
    y = targets(rng, name, rows, outputs)
    weights = rng.choice([0.0, 0.5, 2.0], rows) if weighted else None
    return Case(layers, loss, SGD(0.0), rng.standard_normal((rows, 4)), y, weights, batch_size=rows, shuffle=False)


TABLE = {
    **{f"hidden {a}": network(Dense(5, a), Dense(3)) for a in ACTIVATIONS},
    **{f"output {a}": network(Dense(3, a)) for a in ACTIVATIONS},
    **{
        f"{loss} {a}": network(Dense(4, "tanh"), Dense(3, a), loss=loss)
        for loss in LOSSES
        for a in OUTPUTS.get(loss, (None, "tanh"))
    },
    "one unit": network(Dense(1, "sigmoid"), loss="binary_crossentropy", outputs=1),
    "no bias": network(Dense(5, "tanh", use_bias=False), Dense(3, use_bias=False)),
    "regularised": network(Dense(5, "tanh", kernel_regularizer=L2(0.3)), Dense(3, kernel_regularizer=L2(2.0))),
    "normalised": network(Dense(5), BatchNormalization(), Activation("tanh"), Dense(3)),
    "normalised inputs": network(BatchNormalization(epsilon=0.1), Dense(3)),
    "dropout": network(Dense(6, "tanh"), Dropout(0.4), Dense(3)),
    "dropout of inputs": network(Dropout(0.2), Dense(3)),
    "weighted": network(Dense(5, "tanh"), Dense(3, "softmax"), loss="categorical_crossentropy", weighted=True),
    "deep": network(Dense(4, "tanh"), Dense(5, "relu"), Dense(3, "sigmoid"), Dense(3)),
}


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("name", TABLE)
def test_gradients_equal_central_differences(name, backend):
    assert gradient_error(TABLE[name], backend) < TOLERANCE


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_micro_batches_add_up_to_the_gradient_of_the_logical_batch(seed, backend):
    case = replace(random_case(seed), batch_size=4, accumulate=3, drop_last=False)
    case = replace(case, layers=tuple(x for x in case.layers if not isinstance(x, BatchNormalization)))
    probe = Probe(case, backend)
    data = door.Data(case.X, case.y, case.weights)
    micro = InMemory(probe.program.recipe, data).at(0)
    assert len(micro) > 1
    values = first_values_of(case)
    whole = Probe(replace(case, batch_size=12, accumulate=1), backend)
    one = InMemory(whole.program.recipe, data).at(0)
    assert len(one) == 1
    found, expected = probe.gradients(values, micro), whole.gradients(values, one)
    for name, g in expected.items():
        np.testing.assert_allclose(found[name], g, rtol=1e-11, atol=1e-13 * max(1.0, np.abs(g).max()))


@pytest.mark.parametrize("backend", PROGRAMS)
def test_gradients_change_no_visible_value(backend):
    case = TABLE["normalised"]
    program = Probe(case, backend).program
    before = program.state()
    program.gradients(whole_batch(case)[0])
    after = program.state()
    assert {n: v.tolist() for n, v in after.items()} == {n: v.tolist() for n, v in before.items()}


def wrong_activation(name: str, slope: Any = None, pullback: Any = None) -> Case:
    value = activations.get(name).value
    return network(Dense(5), Activation(ActivationFunction(f"wrong_{name}", value, slope, pullback)), Dense(3))


def wrong_loss(slope: Any) -> Case:
    return network(Dense(4, "tanh"), Dense(3), loss=Loss("mse", losses.get("mse").value, slope))


@dataclass(frozen=True)
class WrongL2(L2):
    """Its slope is that of l sum(w^2), its value (l / 2) sum(w^2)."""

    def slope(self, xp: Any, w: Any, *strengths: Any) -> Any:
        return 2.0 * strengths[0] * w


@dataclass(frozen=True)
class StaleDropout(Dropout):
    """Its pullback uses the noise of the row before."""

    def apply(self, xp: Any, params: Any, state: Any, x: Any, bits: Any, training: bool) -> Any:
        y, _, state = super().apply(xp, params, state, x, bits, training)

        def stale(rows: int, units: int) -> Any:
            return xp.roll(bits(rows, units), 1, axis=0)

        _, pullback, _ = super().apply(xp, params, state, x, stale, training)
        return y, pullback, state


def _wrong_logits(xp: Any, z: Any, d: Any) -> Any:
    return d - activations.get("sigmoid").value(xp, z)


_BINARY = losses.get("binary_crossentropy")

PLANTED = {
    "sign of a slope": wrong_activation("tanh", lambda xp, z, y: -(1.0 - y * y)),
    "half a slope": wrong_activation("sigmoid", lambda xp, z, y: y),
    "no mask in relu": wrong_activation("relu", lambda xp, z, y: xp.where(y == y, 1.0, y)),
    "softmax's diagonal only": wrong_activation("softmax", None, lambda xp, z, y, dy: y * (1.0 - y) * dy),
    "softmax's mean forgotten": wrong_activation("softmax", None, lambda xp, z, y, dy: y * dy),
    "missing 1/units": wrong_loss(lambda xp, p, d: 2.0 * (p - d)),
    "missing 1/rows": wrong_loss(lambda xp, p, d: 7.0 * 2.0 * (p - d) / 3.0),
    "missing factor 2": wrong_loss(lambda xp, p, d: (p - d) / 3.0),
    "sign of the cross-entropy's slope": network(
        Dense(3, "sigmoid"),
        loss=replace(_BINARY, logits=("sigmoid", _BINARY.logits[1], _wrong_logits)),
    ),
    "wrong regulariser factor": network(Dense(3, kernel_regularizer=WrongL2(0.5))),
    "stale mask": network(Dense(6, "tanh"), StaleDropout(0.4), Dense(3)),
}


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_caught(name, backend):
    assert gradient_error(PLANTED[name], backend) > 1e3 * TOLERANCE


_DEFINITION = normalization.normalize_pullback


def _affine_with(change: Any) -> Any:
    def affine(xp: Any, x: Any, w: Any, b: Any) -> Any:
        y, pullback = affine_formulas.affine(xp, x, w, b)
        return y, lambda dy: change(w, dy, *pullback(dy))

    return affine


def _pullback_without_mean(xp, x, mean, variance, gamma, dy, eps):
    n = (x - mean) / xp.sqrt(variance + eps)
    u = gamma * dy
    return (u - n * xp.mean(u * n, axis=-1, keepdims=True)) / xp.sqrt(variance + eps), dy * n


def _pullback_without_variance(xp, x, mean, variance, gamma, dy, eps):
    n = (x - mean) / xp.sqrt(variance + eps)
    u = gamma * dy
    return (u - xp.mean(u, axis=-1, keepdims=True)) / xp.sqrt(variance + eps), dy * n


def _pullback_with_inputs(xp, x, mean, variance, gamma, dy, eps):
    return _DEFINITION(xp, x, mean, variance, gamma, dy, eps)[0], dy * x


_SQUARE = network(Dense(4, "tanh"), Dense(4, "tanh"), Dense(3))
_NORMALISED = TABLE["normalised"]

MONKEYPATCHED = {
    "no transpose in dx": (_SQUARE, "affine", lambda w, dy, dx, dw, db: (dy @ w if w.shape == (4, 4) else dx, dw, db)),
    "no transpose in dW": (_SQUARE, "affine", lambda w, dy, dx, dw, db: (dx, dw.T if w.shape == (4, 4) else dw, db)),
    "bias by the mean": (_SQUARE, "affine", lambda w, dy, dx, dw, db: (dx, dw, db / dy.shape[0])),
    "bias of one row": (_SQUARE, "affine", lambda w, dy, dx, dw, db: (dx, dw, dy[0])),
    "batch norm's mean forgotten": (_NORMALISED, "normalize_pullback", _pullback_without_mean),
    "batch norm's variance forgotten": (_NORMALISED, "normalize_pullback", _pullback_without_variance),
    "gamma's gradient of raw inputs": (_NORMALISED, "normalize_pullback", _pullback_with_inputs),
}
"""Mistakes inside layers, where the reference computes them."""


@pytest.mark.parametrize("name", MONKEYPATCHED)
def test_a_mistake_inside_a_layer_is_caught(name, monkeypatch):
    case, where, change = MONKEYPATCHED[name]
    if where == "affine":
        monkeypatch.setattr("deepmath.layers.affine", _affine_with(change))
    else:
        monkeypatch.setattr("deepmath.layers.normalization.normalize_pullback", change)
    assert gradient_error(case, "reference") > 1e3 * TOLERANCE
