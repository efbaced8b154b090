"""Mistakes in gradients, planted one by one: the checker of `test_gradients.py` sees each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from differences import TOLERANCE, gradient_error, network
from networks import PROGRAMS, Case

from deepmath import activations, losses
from deepmath.activations import ActivationFunction
from deepmath.formulas import affine as affine_formulas
from deepmath.formulas import normalization
from deepmath.layers import Activation, BatchNormalization, Dense, Dropout, LayerNormalization, PReLU
from deepmath.losses import Loss
from deepmath.regularizers import L1, L2


def wrong_activation(name: str, slope: Any = None, pullback: Any = None) -> Case:
    right = activations.get(name)
    wrong = ActivationFunction(right.name, right.value, slope, pullback, right.constants)
    return network(Dense(5), Activation(wrong), Dense(3))


def wrong_loss(slope: Any, name: str = "mse", last: str | None = None) -> Case:
    right = losses.get(name)
    wrong = Loss(right.name, right.value, slope, right.targets, constants=right.constants)
    return network(Dense(4, "tanh"), Dense(3, last), loss=wrong)


@dataclass(frozen=True)
class WrongL2(L2):
    """Its slope is that of l sum(w^2), its value (l / 2) sum(w^2)."""

    def slope(self, xp: Any, w: Any, *strengths: Any) -> Any:
        return 2.0 * strengths[0] * w


@dataclass(frozen=True)
class WrongL1(L1):
    """Its slope is that of the square."""

    def slope(self, xp: Any, w: Any, *strengths: Any) -> Any:
        return strengths[0] * w


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
    "wrong penalty": network(Dense(3, kernel_regularizer=WrongL1(0.5))),
    "another constant": wrong_activation("leaky_relu(0.3)", lambda xp, z, y, c: xp.where(z > 0.0, 1.0, 0.1 + 0.0 * z)),
    "a constant forgotten": wrong_activation("elu(0.5)", lambda xp, z, y, c: xp.exp(xp.minimum(z, 0.0))),
    "no limit in huber": wrong_loss(lambda xp, p, d, delta: (p - d) / 3.0, "huber(0.4)"),
    "the other side's share": wrong_loss(lambda xp, p, d, q: xp.where(p < d, q - 1.0, q) / 3.0, "quantile(0.2)"),
    "smoothing forgotten": wrong_loss(lambda xp, p, d, s: -(d / p), "categorical_crossentropy(0.3)", "softmax"),
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


def _prelu_without_alpha(xp, z, alpha, dy):
    return xp.where(z > 0.0, dy, 0.0 * dy), xp.where(z > 0.0, 0.0, z * dy)


def _prelu_of_all_inputs(xp, z, alpha, dy):
    return xp.where(z > 0.0, dy, alpha * dy), z * dy


_SQUARE = network(Dense(4, "tanh"), Dense(4, "tanh"), Dense(3))
_NORMALISED = network(Dense(5), BatchNormalization(), Activation("tanh"), Dense(3))
_ROWS = network(Dense(5), LayerNormalization(), Activation("tanh"), Dense(3))
_LEARNT = network(Dense(5), PReLU(), Dense(3))
_PULLBACK = "normalization.normalize_pullback"
_PRELU = "rectifiers.prelu_pullback"

MONKEYPATCHED = {
    "no transpose in dx": (_SQUARE, "affine", lambda w, dy, dx, dw, db: (dy @ w if w.shape == (4, 4) else dx, dw, db)),
    "no transpose in dW": (_SQUARE, "affine", lambda w, dy, dx, dw, db: (dx, dw.T if w.shape == (4, 4) else dw, db)),
    "bias by the mean": (_SQUARE, "affine", lambda w, dy, dx, dw, db: (dx, dw, db / dy.shape[0])),
    "bias of one row": (_SQUARE, "affine", lambda w, dy, dx, dw, db: (dx, dw, dy[0])),
    "batch norm's mean forgotten": (_NORMALISED, _PULLBACK, _pullback_without_mean),
    "batch norm's variance forgotten": (_NORMALISED, _PULLBACK, _pullback_without_variance),
    "gamma's gradient of raw inputs": (_NORMALISED, _PULLBACK, _pullback_with_inputs),
    "layer norm's mean forgotten": (_ROWS, _PULLBACK, _pullback_without_mean),
    "layer norm's variance forgotten": (_ROWS, _PULLBACK, _pullback_without_variance),
    "alpha forgotten": (_LEARNT, _PRELU, _prelu_without_alpha),
    "alpha's gradient of all inputs": (_LEARNT, _PRELU, _prelu_of_all_inputs),
}
"""Mistakes inside layers, where the reference computes them."""


@pytest.mark.parametrize("name", MONKEYPATCHED)
def test_a_mistake_inside_a_layer_is_caught(name, monkeypatch):
    case, where, change = MONKEYPATCHED[name]
    if where == "affine":
        monkeypatch.setattr("deepmath.layers.dense.affine", _affine_with(change))
    else:
        monkeypatch.setattr(f"deepmath.formulas.{where}", change)
    assert gradient_error(case, "reference") > 1e3 * TOLERANCE


def test_that_many_mistakes_were_planted():
    assert len(PLANTED) + len(MONKEYPATCHED) >= 24
