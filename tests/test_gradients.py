"""Gradients of whole networks equal central differences, for every layer, activation, loss and penalty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from differences import TOLERANCE, gradient_error, network
from networks import ACTIVATIONS, LOSSES, OUTPUTS, PROGRAMS, Probe, first_values_of, whole_batch
from random_networks import random_case

from deepmath import layers
from deepmath.batches import InMemory
from deepmath.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    GaussianNoise,
    LayerNormalization,
    PReLU,
)
from deepmath.program import Data
from deepmath.regularizers import L1, L1L2, L2, MaxNorm

OWN_ACTIVATIONS = ("leaky_relu(0.3)", "elu(0.5)", "celu(1.7)")
OWN_LOSSES = (
    "huber(0.4)", "quantile(0.2)", "categorical_crossentropy(0.1)", "sparse_categorical_crossentropy(0.3)",
    "focal(0.0, 0.5)", "focal(3.0, 0.7)",
)  # fmt: skip
"""With constants of their own."""

TABLE = {
    **{f"hidden {a}": network(Dense(5, a), Dense(3)) for a in (*ACTIVATIONS, *OWN_ACTIVATIONS)},
    **{f"output {a}": network(Dense(3, a)) for a in (*ACTIVATIONS, *OWN_ACTIVATIONS)},
    **{
        f"{loss} {a}": network(Dense(4, "tanh"), Dense(3, a), loss=loss)
        for loss in (*LOSSES, *OWN_LOSSES)
        for a in OUTPUTS.get(loss.partition("(")[0], (None, "tanh"))
    },
    "one unit": network(Dense(1, "sigmoid"), loss="binary_crossentropy", outputs=1),
    "no bias": network(Dense(5, "tanh", use_bias=False), Dense(3, use_bias=False)),
    "regularised": network(Dense(5, "tanh", kernel_regularizer=L2(0.3)), Dense(3, kernel_regularizer=L2(2.0))),
    "regularised by l1": network(Dense(5, "tanh", kernel_regularizer=L1(0.3)), Dense(3)),
    "regularised by both": network(Dense(5, "tanh"), Dense(3, kernel_regularizer=L1L2(0.2, 0.7))),
    "normalised": network(Dense(5), BatchNormalization(), Activation("tanh"), Dense(3)),
    "normalised inputs": network(BatchNormalization(epsilon=0.1), Dense(3)),
    "normalised rows": network(Dense(5), LayerNormalization(), Activation("tanh"), Dense(3)),
    "normalised rows of inputs": network(LayerNormalization(epsilon=0.1), Dense(3)),
    "learnt rectifier": network(Dense(5), PReLU(), Dense(3)),
    "learnt rectifier of inputs": network(PReLU(-0.5), Dense(3)),
    "noise": network(Dense(5, "tanh"), GaussianNoise(0.3), Dense(3)),
    "noise of inputs": network(GaussianNoise(0.2), Dense(5, "sigmoid"), Dense(3)),
    "constrained": network(Dense(5, "tanh", kernel_constraint=MaxNorm(0.5)), Dense(3)),
    "dropout": network(Dense(6, "tanh"), Dropout(0.4), Dense(3)),
    "dropout of inputs": network(Dropout(0.2), Dense(3)),
    "weighted": network(Dense(5, "tanh"), Dense(3, "softmax"), loss="categorical_crossentropy", weighted=True),
    "deep": network(Dense(4, "tanh"), Dense(5, "relu"), Dense(3, "sigmoid"), Dense(3)),
}


def test_the_table_has_every_layer():
    used = {type(layer) for case in TABLE.values() for layer in case.layers}
    assert used == {getattr(layers, name) for name in layers.__all__ if name != "Layer"}


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
    data = Data(case.X, case.y, case.weights)
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
