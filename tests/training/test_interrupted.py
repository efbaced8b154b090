"""However training ends: the best values come back, the history stays, and a checkpoint has what was trained."""

from __future__ import annotations

import contextlib
import copy
import os
import signal

import numpy as np
import pytest
from networks import PROGRAMS
from scripted import STEPS, Script, X, Y, fit, model_of

from deepmath import load_model
from deepmath.callbacks import Callback, Checkpoint, EarlyStopping, ModelAverage
from deepmath.errors import ConfigError, NonFiniteError, Terminated
from deepmath.optimizers import SGD

VALUES = [3.0, 1.0, 2.0, 2.5, 2.6]


@pytest.fixture(autouse=True)
def _listening():
    """A process begun in the background may ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Ends(Callback):
    """Ends the run after a step, in a way of its own."""

    every = 1

    def __init__(self, how, step=4 * STEPS - 1):
        self.how, self.step = how, step

    def on_steps_end(self, run):
        if run.step == self.step:
            self.how()


class Broken(Exception):
    """What a callback of somebody's may raise."""


def raising(error):
    def how():
        raise error

    return how


WAYS = {
    "Ctrl-C": (lambda: os.kill(os.getpid(), signal.SIGINT), KeyboardInterrupt),
    "SIGTERM": (lambda: os.kill(os.getpid(), signal.SIGTERM), Terminated),
    "KeyboardInterrupt in a callback": (raising(KeyboardInterrupt), KeyboardInterrupt),
    "an error in a callback": (raising(Broken()), Broken),
}


def values_of(state):
    return {n: np.asarray(v).tobytes() for n, v in state.items() if n.startswith(("params.", "state."))}


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("way", WAYS)
def test_the_best_values_come_back_and_the_history_stays(way, backend):
    how, error = WAYS[way]
    model, script = model_of(), Script(VALUES)
    with pytest.raises(error):
        fit(model, [script, EarlyStopping("score", 9, mode="min"), Ends(how)], 5, backend)
    assert values_of(model.values) == values_of(script.states[1])
    assert int(model.values["step"]) == 4 * STEPS - 1
    assert model.history.epoch == [0, 1, 2]
    assert len(model.history.history["loss"]) == 3
    assert model.epochs_trained == 3


@pytest.mark.parametrize("restore", [True, False])
def test_without_any_good_epoch_the_model_keeps_what_it_has(restore):
    stopping = EarlyStopping("score", 9, mode="min", restore_best_weights=restore)
    model, plain = model_of(), model_of()
    for one, watching in ((model, [Script(VALUES), stopping]), (plain, [])):
        with pytest.raises(Broken):
            fit(one, [*watching, Ends(raising(Broken()), STEPS - 1)], 5, "reference")
    assert values_of(model.values) == values_of(plain.values)
    assert model.history.history == {}


def test_the_best_values_come_back_where_values_stop_being_finite():
    class Grow(Callback):
        def on_epoch_end(self, run, logs):
            run.program.pace.factor = 1e200 if run.epoch == 3 else 1.0

    model, script = model_of(), Script(VALUES)
    with pytest.raises(NonFiniteError):
        fit(model, [script, EarlyStopping("score", 9, mode="min"), Grow()], 5, "reference")
    assert values_of(model.values) == values_of(script.states[1])


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("way", ["Ctrl-C", "an error in a callback"])
def test_a_resumed_run_goes_on_from_what_was_trained(way, backend, tmp_path):
    how, error = WAYS[way]

    def run(*more, **settings):
        model, stopping = model_of(), EarlyStopping("score", 9, mode="min")
        with contextlib.suppress(error):
            fit(model, [Script(VALUES), stopping, *more], 5, backend, **settings)
        return model, stopping

    whole, _ = run()
    run(Checkpoint(tmp_path, epochs=None), Ends(how))
    resumed, stopping = run(Checkpoint(tmp_path, epochs=None), resume=tmp_path)
    assert stopping.best_epoch == 1
    assert {n: np.asarray(v).tobytes() for n, v in resumed.values.items()} == {
        n: np.asarray(v).tobytes() for n, v in whole.values.items()
    }
    assert resumed.history.history == whole.history.history


def test_an_average_is_taken_where_training_was_interrupted():
    model, average = model_of(), ModelAverage()
    with pytest.raises(KeyboardInterrupt):
        fit(model, [average, Ends(raising(KeyboardInterrupt))], 5, "reference")
    assert average.averaged
    for name, value in average.averaged.items():
        np.testing.assert_array_equal(model.values[name], value, err_msg=name)


def test_each_callback_has_its_turn_at_the_end_whatever_another_one_raises():
    class Bad(Callback):
        last = True

        def on_train_end(self, run):
            raise Broken

    model, script = model_of(), Script(VALUES)
    with pytest.raises(Broken):
        fit(model, [script, EarlyStopping("score", 9, mode="min"), Bad()], 5, "reference")
    assert values_of(model.values) == values_of(script.states[1])


def test_the_history_is_there_while_it_runs_and_that_of_the_last_fit_behind(tmp_path):
    seen = []

    class Look(Callback):
        def on_epoch_end(self, run, logs):
            seen.append((model.history is run.history, list(model.history.epoch)))

    model = model_of()
    assert model.history is None
    first = fit(model, [Look()], 2, "reference")
    assert seen == [(True, [0]), (True, [0, 1])]
    assert model.history is first
    with pytest.raises(ConfigError):
        fit(model, [EarlyStopping("val_loss")], 2, "reference")
    with pytest.raises(ConfigError):
        model.fit(X, Y[:-1], verbose=0)
    assert model.history is first, "a refused call is no training"
    assert copy.deepcopy(model).history == first
    model.save(tmp_path / "m.safetensors")
    assert load_model(tmp_path / "m.safetensors").history is None
    second = fit(model, [], 1, "reference")
    assert model.history is second is not first


def test_an_estimator_keeps_the_best_values_too():
    pytest.importorskip("sklearn")
    from deepmath.estimators import MLPRegressor

    script = Script(VALUES)
    watching = [script, EarlyStopping("score", 9, mode="min"), Ends(raising(KeyboardInterrupt), 4)]
    settings = {"max_iter": 9, "batch_size": 12, "random_state": 0, "backend": "reference"}
    model = MLPRegressor(hidden_layer_sizes=3, callbacks=watching, **settings)
    with pytest.warns(match="Training interrupted by user"):
        model.fit(X, Y)
    np.testing.assert_array_equal(model.coefs_[0], script.states[1]["params.0.kernel"])


def test_a_diverging_rate_is_named():
    with pytest.raises(NonFiniteError, match=r"Try a lower learning rate \(now 1e\+30\)"):
        fit(model_of(SGD(1e30)), [], 5, "reference")
