"""Every optimiser learns XOR through `model.fit`."""

import dataclasses

import numpy as np
import pytest

from deepmath import Dense, Sequential
from deepmath.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, Lion, Nadam, RMSprop
from deepmath.schedules import CosineRestarts, OneCycle, SqrtDecay

X = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.asarray([0.0, 1.0, 1.0, 0.0])
RATES = {SGD: 0.5, RMSprop: 0.03, Adam: 0.05, AdamW: 0.05, Nadam: 0.05, Adagrad: 0.3, Adadelta: 3.0, Lion: 0.02}


def final_loss(optimizer, backend, epochs=400):
    model = Sequential([Dense(8, "tanh", input_dim=2), Dense(1, "sigmoid")], seed=3)
    model.compile(optimizer, "binary_crossentropy", ["accuracy"])
    history = model.fit(X, Y, epochs=epochs, batch_size="full", backend=backend, verbose=0)
    assert np.all(np.isfinite(history.history["loss"]))
    return history.history["loss"][-1], history.history["accuracy"][-1]


@pytest.mark.parametrize("backend", ["reference", "numpy"])
def test_xor_is_learnt(optimizer, backend):
    changes = {"learning_rate": RATES[type(optimizer)]}
    if getattr(optimizer, "momentum", 0.0):
        changes["learning_rate"] *= 0.3
    if getattr(optimizer, "weight_decay", 0.0):
        changes["weight_decay"] = 0.001
    loss, accuracy = final_loss(dataclasses.replace(optimizer, **changes), backend)
    assert accuracy == 1.0
    assert loss < 0.2


@pytest.mark.parametrize("law", [SqrtDecay(0.1, steps=50), CosineRestarts(0.1, 100), OneCycle(0.1, 400)], ids=str)
def test_xor_is_learnt_by_a_schedule(law):
    assert final_loss(Nadam(law), "numpy")[0] < 0.2


@pytest.mark.parametrize("name", ["rmsprop", "adam", "adamw", "nadam", "adagrad", "adadelta", "lion", "sgd"])
def test_names_train(name):
    assert final_loss(name, "numpy", epochs=20)[0] < final_loss(name, "numpy", epochs=1)[0]


def test_rmsprop_is_the_default():
    model = Sequential([Dense(1, input_dim=2)])
    model.compile(loss="mse")
    assert model.optimizer == RMSprop()


def test_backends_agree(optimizer):
    runs = []
    for backend in ("reference", "numpy"):
        model = Sequential([Dense(8, "tanh", input_dim=2), Dense(1, "sigmoid")], seed=3)
        model.compile(optimizer, "binary_crossentropy")
        model.fit(X, Y, epochs=50, batch_size=2, backend=backend, precision="float64", verbose=0)
        runs.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-9, atol=1e-11)
