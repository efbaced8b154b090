"""Epochs that nobody watches run in one call: the same history, bits and errors as with somebody watching."""

import gc
import re
import weakref

import numpy as np
import pytest

from deepmath import Dense, Sequential
from deepmath.errors import NonFiniteError
from deepmath.training import loop
from deepmath.training.callbacks import Callback

X = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
Y = X.sum(axis=1)


def trained(callbacks, rate=0.01, epochs=40, **settings):
    model = Sequential([Dense(4, "relu", input_dim=3), Dense(1)])
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    model.optimizer = type(model.optimizer)(rate)
    history = model.fit(X, Y, epochs=epochs, batch_size=16, verbose=0, callbacks=callbacks, **settings)
    return history, model.get_weights()


@pytest.mark.parametrize("backend", ["numpy", "reference"])
@pytest.mark.parametrize("settings", [{}, {"drop_last": True}, {"shuffle": False}], ids=str)
def test_unwatched_is_watched(backend, settings):
    watched, weights = trained([Callback()], backend=backend, **settings)
    alone, same = trained([], backend=backend, **settings)
    assert alone.epoch == watched.epoch == list(range(40))
    assert all(map(np.array_equal, weights, same))
    for name, values in watched.history.items():
        np.testing.assert_allclose(alone.history[name], values, rtol=1e-12)


def test_an_error_names_its_own_epoch():
    texts = []
    for callbacks in ([Callback()], []):
        with pytest.raises(NonFiniteError) as caught:
            trained(callbacks, rate=3.0, epochs=400)
        texts.append(re.search(r"loss became \S+ at step \d+ \(epoch \d+\)", str(caught.value))[0])
    assert texts[0] == texts[1]
    assert "(epoch 1)" not in texts[0]


def test_a_finished_fit_gives_its_program_back(monkeypatch):
    seen = []
    train = loop.train

    def spied(run, *rest):
        seen.append(weakref.ref(run.program))
        train(run, *rest)

    monkeypatch.setattr(loop, "train", spied)
    gc.collect()
    gc.disable()
    try:
        trained([], epochs=2)
        assert seen[0]() is None
    finally:
        gc.enable()
