"""Mistakes in gradients, planted one by one: the checker of `test_gradients.py` sees each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from differences import TOLERANCE, gradient_error, network
from networks import PROGRAMS, Case

from deepmath import activations, derivative, losses
from deepmath.activations import ActivationFunction
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


RULES = dict(derivative.RULES)
"""The right ones."""


def _is(node: Any, name: str) -> bool:
    """Whether a node is a layer's parameter of this name."""
    return node.op == "argument" and str(node.value).endswith(f".{name}")


def _untransposed(da: bool) -> Any:
    """The rule of products without a transpose, where the shapes allow that."""

    def rule(xp: Any, y: Any, c: Any, a: Any, w: Any) -> Any:
        dx, dw = RULES["matmul"](xp, y, c, a, w)
        if w.dims != (4, 4):
            return dx, dw
        return (xp.matmul(c, w), dw) if da else (dx, xp.matrix_transpose(dw))

    return rule


def _biased(change: Any) -> Any:
    """The rule of sums with another gradient of biases."""
    return lambda xp, y, c, a, b: (c, change(c, y) if _is(b, "bias") else c)


def _moment_forgotten(squares: bool) -> Any:
    """The rule of sums where those of squares, or all others, count as constants."""
    return lambda xp, y, c, a: (None if (a.op == "*") == squares else c,)


def _of_raw_inputs(xp: Any, y: Any, c: Any, a: Any, b: Any) -> Any:
    right = RULES["*"](xp, y, c, a, b)
    return (c * b.args[0].args[0], right[1]) if _is(a, "gamma") else right


def _alpha_forgotten(xp: Any, y: Any, c: Any, a: Any, b: Any) -> Any:
    da, db = RULES["*"](xp, y, c, a, b)
    return None if _is(b, "alpha") else da, None if _is(a, "alpha") else db


def _of_all_inputs(xp: Any, y: Any, c: Any, a: Any, b: Any) -> Any:
    right = RULES["*"](xp, y, c, a, b)
    return (c.args[2] * b, right[1]) if _is(a, "alpha") else right  # what the choice of z <= 0 was made from


_SQUARE = network(Dense(4, "tanh"), Dense(4, "tanh"), Dense(3))
_NORMALISED = network(Dense(5), BatchNormalization(), Activation("tanh"), Dense(3))
_ROWS = network(Dense(5), LayerNormalization(), Activation("tanh"), Dense(3))
_LEARNT = network(Dense(5), PReLU(), Dense(3))

RULED = {
    "no transpose in dx": (_SQUARE, "matmul", _untransposed(True)),
    "no transpose in dW": (_SQUARE, "matmul", _untransposed(False)),
    "bias by the mean": (_SQUARE, "+", _biased(lambda c, y: c / y.dims[0])),
    "sign of the bias": (_SQUARE, "+", _biased(lambda c, y: -c)),
    "batch norm's mean forgotten": (_NORMALISED, "batch_sum", _moment_forgotten(False)),
    "batch norm's variance forgotten": (_NORMALISED, "batch_sum", _moment_forgotten(True)),
    "gamma's gradient of raw inputs": (_NORMALISED, "*", _of_raw_inputs),
    "layer norm's mean forgotten": (_ROWS, "row_sum", _moment_forgotten(False)),
    "layer norm's variance forgotten": (_ROWS, "row_sum", _moment_forgotten(True)),
    "alpha forgotten": (_LEARNT, "*", _alpha_forgotten),
    "alpha's gradient of all inputs": (_LEARNT, "*", _of_all_inputs),
}
"""Mistakes in the rules by which the graph of a layer is differentiated, where its own parameters or sums come by."""


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("name", RULED)
def test_a_mistake_inside_a_layer_is_caught(name, backend, monkeypatch):
    case, op, change = RULED[name]
    assert gradient_error(case, backend) < TOLERANCE
    monkeypatch.setitem(derivative.RULES, op, change)
    assert gradient_error(case, backend) > 1e3 * TOLERANCE


def test_that_many_mistakes_were_planted():
    assert len(PLANTED) + len(RULED) >= 24
