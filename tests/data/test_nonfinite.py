"""Values that stop being finite while data come in pieces: as for arrays where pieces can be read again."""

from __future__ import annotations

import re

import feeding
import numpy as np
import pytest
from feeding import BATCH, EPOCHS, FEATURES, batches

from deepmath import Dense, Sequential, callbacks
from deepmath.data.sources import ArraySource
from deepmath.errors import ConfigError, NonFiniteError
from deepmath.optimizers import SGD

BAD = 200
"""A row whose loss overflows."""


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    for module in (feeding.loaders, feeding.sources):
        monkeypatch.setattr(module, "CHUNK", 50 * 4 * FEATURES)


def data():
    X = feeding.arrays()[0].copy()
    y = X.sum(1, keepdims=True)
    X[BAD] *= 1e25
    return X, y


def model():
    made = Sequential([Dense(4, "relu"), Dense(1)], seed=1)
    made.compile(SGD(0.01), "mse")
    return made


def run(given, y=None, made=None, **settings):
    made = model() if made is None else made
    history = made.fit(given, y, **{"epochs": EPOCHS, "batch_size": BATCH, "verbose": 0, "shuffle": False} | settings)
    return history.history, b"".join(w.tobytes() for w in made.get_weights())


def stopped(given, y=None, **settings):
    made = model()
    with pytest.raises(NonFiniteError) as error:
        run(given, y, made, **settings)
    assert all(np.isfinite(w).all() for w in made.get_weights())
    return str(error.value), [w.tobytes() for w in made.get_weights()]


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_source_stops_with_the_words_and_values_of_arrays(backend, shuffle):
    X, y = data()
    settings = {"backend": backend, "shuffle": shuffle}
    expected = stopped(X, y, **settings)
    assert re.search(r"First bad value: .* layer \d \(Dense\)|First bad value: loss", expected[0])
    assert stopped(ArraySource(X, y), **settings) == expected


def test_a_sequence_of_batches_stops_as_arrays_do():
    X, y = data()
    assert stopped(batches(X, y)) == stopped(X, y)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("kind", ["source", "sequence"])
def test_skip_leaves_out_the_step_that_arrays_leave_out(kind, backend):
    X, y = data()
    settings = {"on_nan": "skip", "backend": backend}
    given = ArraySource(X, y) if kind == "source" else batches(X, y)
    expected = run(X, y, **settings)
    assert len(expected[0]["loss"]) == EPOCHS
    assert run(given, **settings) == expected


def test_a_window_skips_the_same_steps_each_time():
    X, y = data()
    assert run(ArraySource(X, y), on_nan="skip", shuffle=64) == run(X, y, on_nan="skip", shuffle=64)


def test_rollback_reads_the_epoch_again_as_arrays_do(caplog):
    X, y = data()
    X[BAD] /= 1e25

    def roll(given, targets=None):
        made = Sequential([Dense(4, "relu"), Dense(1)], seed=1)
        made.compile(SGD(1.0), "mse")
        return run(given, targets, made, on_nan="rollback")

    expected = roll(X, y)
    told = caplog.messages.copy()
    assert "back to the values of step 0" in told[0]
    for given in (ArraySource(X, y), batches(X, y)):
        caplog.clear()
        assert roll(given) == expected
        assert caplog.messages == told


@pytest.mark.parametrize("given", [iter, feeding.Loader], ids=["generator", "iterable"])
def test_batches_that_come_once_stop_with_the_step_alone(given):
    X, y = data()
    text, _ = stopped(given(batches(X, y)), epochs=1, steps_per_epoch=21)
    assert f"at step {BAD // BATCH}" in text
    assert "The last good values kept are those of step 0. Batches that come only once can't be computed again" in text
    assert "First bad value" not in text


@pytest.mark.parametrize("on_nan", ["rollback", "skip"])
@pytest.mark.parametrize("given", [iter, feeding.Loader], ids=["generator", "iterable"])
def test_batches_that_come_once_can_only_stop(given, on_nan):
    X, y = data()
    text = f"on_nan='{on_nan}' goes back to earlier steps, and an iterable of batches can't"
    with pytest.raises(ConfigError, match=text):
        run(given(batches(X, y)), on_nan=on_nan, steps_per_epoch=21, epochs=1)


@pytest.mark.parametrize("kind", ["source", "sequence", "generator"])
def test_gradients_of_the_next_step_are_those_of_arrays_and_disturb_nothing(kind):
    X, y = data()
    X[BAD] /= 1e25
    given = {"source": ArraySource(X, y), "sequence": batches(X, y), "generator": iter(batches(X, y))}[kind]
    steps = {"steps_per_epoch": 21} if kind == "generator" else {}
    seen, expected = callbacks.GradientStatistics(every=7), callbacks.GradientStatistics(every=7)
    plain = run(X, y, callbacks=[expected], epochs=1)
    assert run(given, callbacks=[seen], epochs=1, **steps) == plain == run(X, y, epochs=1)
    assert seen.records == (expected.records[:-1] if kind == "generator" else expected.records)


def test_a_model_trains_on_single_batches_after_a_source():
    X, y = data()
    X[BAD] /= 1e25
    one, other = model(), model()
    run(X, y, one)
    run(ArraySource(X, y), None, other)
    for _ in range(3):
        assert one.train_on_batch(X[:8], y[:8]) == other.train_on_batch(X[:8], y[:8])
    assert [w.tobytes() for w in one.get_weights()] == [w.tobytes() for w in other.get_weights()]
