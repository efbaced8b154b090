"""The verdict on each activation under each loss, of one, two and three outputs: what the loss's numbers say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from deepmath import Dense, Sequential, activations, losses
from deepmath.errors import ConfigError
from deepmath.output_checks import fault

FINE, ODD, UNDEFINED = "fine", "odd", "undefined"
KINDS = {
    "numbers": ("mse", "sse", "mae", "huber", "log_cosh", "quantile", "mean_squared_error", "mean_absolute_error"),
    "positive": ("poisson",),
    "chances": ("binary_crossentropy", "focal"),
    "distribution": ("categorical_crossentropy", "sparse_categorical_crossentropy", "kl_divergence"),
    "margins": ("hinge", "squared_hinge"),
}
EXPECTED = {
    ("linear", "identity", "leaky_relu"): (FINE, UNDEFINED, UNDEFINED, UNDEFINED, FINE),
    ("tanh", "softsign", "elu", "selu", "celu"): (FINE, UNDEFINED, UNDEFINED, UNDEFINED, FINE),
    ("relu", "gelu", "gelu_tanh", "silu", "swish", "mish", "hard_swish"): (FINE, UNDEFINED, UNDEFINED, UNDEFINED, ODD),
    ("hard_sigmoid",): (FINE, UNDEFINED, UNDEFINED, UNDEFINED, ODD),
    ("softplus",): (FINE, FINE, UNDEFINED, UNDEFINED, ODD),
    ("sigmoid",): (FINE, FINE, FINE, ODD, ODD),
    ("softmax",): (FINE, FINE, ODD, FINE, ODD),
    ("log_softmax",): (FINE, UNDEFINED, UNDEFINED, UNDEFINED, ODD),
}
"""Of two outputs or more, by kind of loss in the order of `KINDS`. Of one, softmax and log_softmax are a constant."""
LABELS = ("sparse_categorical_crossentropy",)
"""Losses of labels, of which one output has a single class."""

CROSS = [
    (name, loss, outputs, UNDEFINED if outputs == 1 and ("softmax" in name or loss in LABELS) else verdict)
    for names, verdicts in EXPECTED.items()
    for (_, kind), verdict in zip(KINDS.items(), verdicts, strict=True)
    for name, loss, outputs in itertools.product(names, kind, (1, 2, 3))
]


def test_the_cross_is_whole():
    assert {name for name, *_ in CROSS} == set(activations.names())
    assert {loss for _, loss, *_ in CROSS} == set(losses.names())


def given(name, outputs, far):
    """Predictions [n, outputs] that the activation gives, for scores of all sizes up to `far`."""
    scores = np.array([-far, -8.0, -3.0, -1.5, -1.0, -0.2, 0.0, 0.7, 1.5, 3.0, 8.0, far])
    z = np.array(list(itertools.product(scores, repeat=outputs)))
    function = activations.get(name)
    with np.errstate(all="ignore"):
        return function.value(np, z, *function.constants)


def targets(loss, predictions):
    """Rows of targets that the loss takes."""
    outputs = predictions.shape[1]
    if loss.targets == "values":
        return predictions[[0, len(predictions) // 3, len(predictions) // 2]]
    if loss.targets == "counts":
        return np.maximum(predictions[np.argsort(predictions.sum(axis=1))[[-1, -3, len(predictions) // 2]]], 0.0)
    if loss.predictions == "distribution" and outputs > 1:
        return np.eye(outputs)
    return np.array(list(itertools.product((0.0, 1.0), repeat=outputs)))


def right(loss, p, d):
    """Whether predictions [n, outputs] say what the targets [outputs] say."""
    if loss.predictions == "margins":
        return np.all((2 * d - 1) * p >= 1.0 - 1e-6, axis=1)
    return np.all(np.abs(p - d) <= 1e-3, axis=1)


def measured(name, loss, outputs):
    """The verdict that the loss's numbers give."""
    p = given(name, outputs, 1e8 if loss.predictions == "margins" else 15.0)
    if np.ptp(p) == 0.0:
        return UNDEFINED  # the same for every input: no weight has a slope
    if loss.targets == "labels" and outputs == 1:
        return UNDEFINED  # labels of one class: there is nothing to tell apart
    told = False
    for d in targets(loss, p):
        with np.errstate(all="ignore"):
            near = loss.value(np, p, np.broadcast_to(d, p.shape), *loss.constants)[:, 0]
            beyond = given(name, outputs, 1e9)
            below = loss.value(np, beyond, np.broadcast_to(d, beyond.shape), *loss.constants)[:, 0]
        if not np.all(np.isfinite(near)) or np.nanmin(below) < near.min() - 1.0:
            return UNDEFINED
        best = near <= near.min() + 1e-9
        told = told or not np.all(right(loss, p[best], d))
    return ODD if told else FINE


@pytest.mark.parametrize(("name", "loss", "outputs", "expected"), CROSS)
def test_each_verdict_has_its_reason(name, loss, outputs, expected):
    assert measured(name, losses.get(loss), outputs) == expected
    found = fault(losses.get(loss), [Dense(outputs, name)])
    assert (FINE if found is None else ODD if found.odd else UNDEFINED) == expected
    model = Sequential([Dense(3), Dense(outputs, name)])
    if expected == UNDEFINED:
        with pytest.raises(ConfigError, match=r"^compile: .*: use .*\.$"):
            model.compile("sgd", loss, unusual=True)
    elif expected == ODD:
        with pytest.raises(
            ConfigError, match=r"^compile: loss '.*: use .*\. If that is meant: unusual=True in compile"
        ):
            model.compile("sgd", loss)
        model.compile("sgd", loss, unusual=True)
    else:
        model.compile("sgd", loss)


@pytest.mark.parametrize("name", activations.names())
def test_the_range_of_an_activation_is_what_it_gives(name):
    function = activations.get(name)
    gives = function.range
    assert gives.known
    for outputs in (1, 2):
        p = given(name, outputs, 1e6)
        assert gives.low - 1e-12 <= p.min()
        assert p.max() <= gives.high + 1e-12
        alone = np.ptp(p) == 0.0
        assert (float(gives.alone) == p[0, 0] if alone else outputs > 1 or not gives.alone) or outputs > 1
        if gives.sums_to_one:
            np.testing.assert_allclose(p.sum(axis=1), 1.0)
    z = np.concatenate([np.linspace(-8.0, 8.0, 200_001), [-1e6, 1e6]])[:, None] * [[1.0, 0.0]]
    p = function.value(np, z, *function.constants)[:, 0]
    for bound, reached, found in ((gives.low, gives.low_reached, p.min()), (gives.high, gives.high_reached, p.max())):
        assert abs(found - bound) < 1e-4 if np.isfinite(bound) else abs(found) >= 1e4 or name.startswith("log_")
        if reached:
            assert np.isclose(found, bound, atol=1e-8)


@pytest.mark.parametrize(
    ("text", "low"), [("elu(0.5)", -0.5), ("celu(2)", -2.0), ("leaky_relu(0.2)", -np.inf), ("leaky_relu(0)", 0.0)]
)
def test_constants_decide_the_range(text, low):
    assert activations.get(text).range.low == low
