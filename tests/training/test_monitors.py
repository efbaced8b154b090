"""Early stopping against its rule written by hand, on scripted numbers; the best values come back as a copy."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from networks import PROGRAMS
from scripted import STEPS, Factors, Script, Stop, assert_same_bits, fit, model_of

from deepmath.callbacks import Checkpoint, EarlyStopping
from deepmath.errors import ConfigError
from deepmath.optimizers import SGD

NAN = math.nan


def by_hand(values, patience, min_delta=0.0, larger=False):
    """(epochs that run, the best one's number): stop at the first of `patience` epochs in a row without progress."""
    best, best_epoch, bad = None, -1, 0
    for epoch, value in enumerate(values):
        gain = None if best is None else (value - best if larger else best - value)
        if not math.isnan(value) and (gain is None or gain > min_delta):
            best, best_epoch, bad = value, epoch, 0
        else:
            bad += 1
            if bad >= max(patience, 1):
                return epoch + 1, best_epoch
    return len(values), best_epoch


def values_of(model):
    return [w.tobytes() for w in model.get_weights()]


def kept(state):
    names = [n for n in state if n.startswith(("params.", "state."))]
    return [state[n].tobytes() for n in sorted(names, key=lambda n: int(n.split(".")[1]))]


def named(state):
    """The layers' values by name, to the bit."""
    return {n: v.tobytes() for n, v in state.items() if n.startswith(("params.", "state."))}


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "min_delta"), list(itertools.product([0, 1, 2, 4], [0.0, 0.3])))
def test_it_stops_where_the_rule_says(patience, min_delta, mode):
    rng = np.random.default_rng(patience)
    ended = set()
    for _ in range(12):
        values = [float(v) if rng.random() > 0.1 else NAN for v in rng.integers(0, 8, 14) * 0.25]
        stopping = EarlyStopping("score", patience, min_delta, mode)
        model, script = model_of(), Script(values)
        history = fit(model, [script, stopping], len(values), "reference", batch_size=12)
        epochs, best = by_hand(values, patience, min_delta, mode == "max")
        assert (len(history.epoch), stopping.best_epoch) == (epochs, best), values
        assert best < 0 or values_of(model) == kept(script.states[best])
        ended.add(epochs)
    assert len(ended) > 1


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize(
    "values", [[3.0, 1.0, 2.0, 2.0, 2.0, 2.0], [3.0, 1.0, 2.0, 2.0]], ids=["stopped", "to the end"]
)
def test_the_best_values_come_back_whether_or_not_it_stopped_early(values, backend):
    stopping, script = EarlyStopping("score", 3, mode="min"), Script(values)
    model = model_of()
    history = fit(model, [script, stopping], len(values), backend)
    assert len(history.epoch) == min(len(values), 5)
    assert values_of(model) == kept(script.states[1])
    assert kept(script.states[1]) != kept(script.states[-1])


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_best_values_are_a_copy(backend):
    stopping, script = EarlyStopping("score", 3, mode="min"), Script([3.0, 1.0, 2.0])
    model = model_of()
    fit(model, [script, stopping], 3, backend)
    best = {n: v.copy() for n, v in stopping._best.items()}
    fit(model, [], 2, backend)
    assert values_of(model) != kept(best)
    assert_same_bits(stopping._best, best)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_last_values_stay_where_that_is_wanted(backend):
    stopping, script = EarlyStopping("score", 2, mode="min", restore_best_weights=False), Script([3.0, 1.0, 2.0, 2.0])
    model = model_of()
    fit(model, [script, stopping], 4, backend)
    assert stopping.best_epoch == 1
    assert values_of(model) == kept(script.states[-1])


@pytest.mark.parametrize(("settings", "text"), [
    ({"patience": -1}, "EarlyStopping: patience must be a whole number >= 0; got -1"),
    ({"patience": 1.5}, "EarlyStopping: patience must be a whole number >= 0; got 1.5"),
    ({"min_delta": -0.1}, "EarlyStopping: min_delta must be a number >= 0; got -0.1"),
    ({"mode": "best"}, "EarlyStopping: mode must be 'min', 'max' or 'auto'; got 'best'"),
    ({"monitor": 5}, "EarlyStopping: monitor must be the name of a result; got 5"),
])  # fmt: skip
def test_settings_that_can_t_be_used(settings, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        EarlyStopping(**settings)


VALUES = [5.0, 3.0, 4.0, 2.0, 2.5, 2.5, 2.5, 1.0]


def stopped_run(backend, *more, **settings):
    """The history, the values and steps that were left, and the callback, of a run that stops after seven epochs."""
    seen, stopping = Factors(), EarlyStopping("score", 3, mode="min")
    history = fit(model_of(), [Script(VALUES), stopping, *more, seen], len(VALUES), backend, **settings)
    return history, named(seen.state), int(seen.state["step"]), stopping


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("every", [1, None])
def test_its_memory_survives_a_resume_at_any_step(every, backend, tmp_path):
    expected, values, _, stopping = stopped_run(backend)
    assert (len(expected.epoch), stopping.best_epoch) == (7, 3)
    for step in range(1, 7 * STEPS):
        folder = tmp_path / str(step)
        stopped_run(backend, Checkpoint(folder, every=every), Stop(step))
        history, found, _, resumed = stopped_run(backend, resume=folder)
        assert history.history == expected.history, step
        assert (found, resumed.best_epoch) == (values, 3), step


@pytest.mark.parametrize("backend", PROGRAMS)
def test_a_stop_survives_a_resume(backend, tmp_path):
    _, values, _, _ = stopped_run(backend, Checkpoint(tmp_path))
    history, found, steps, _ = stopped_run(backend, resume=tmp_path)
    assert len(history.epoch) == 7
    assert steps == 7 * STEPS
    assert found == values


@pytest.mark.parametrize("backend", PROGRAMS)
def test_weights_keep_their_order_over_a_resume(backend, tmp_path):
    fit(model_of(), [Checkpoint(tmp_path)], 1, backend)
    whole, resumed = model_of(), model_of()
    fit(whole, [], 2, backend)
    fit(resumed, [], 2, backend, resume=tmp_path)
    assert [w.shape for w in resumed.get_weights()] == [w.shape for w in whole.get_weights()]
    assert values_of(resumed) == values_of(whole)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_a_clipped_norm_has_the_same_bits_after_a_resume(backend, tmp_path):
    for step in range(1, 4 * STEPS):
        fit(model_of(SGD(0.05, clipnorm=0.3)), [Checkpoint(tmp_path / str(step)), Stop(step)], 4, backend)
    whole = Factors()
    fit(model_of(SGD(0.05, clipnorm=0.3)), [whole], 4, backend)
    for step in range(1, 4 * STEPS):
        resumed = Factors()
        fit(model_of(SGD(0.05, clipnorm=0.3)), [resumed], 4, backend, resume=tmp_path / str(step))
        assert named(resumed.state) == named(whole.state), step


def test_a_stop_survives_a_resume_beside_another_monitor(tmp_path):
    patient = EarlyStopping("score", 100, mode="min")
    stopped_run("reference", patient, Checkpoint(tmp_path))
    history, *_ = stopped_run("reference", EarlyStopping("score", 100, mode="min"), resume=tmp_path)
    assert len(history.epoch) == 7


def test_one_callback_serves_several_fits():
    stopping = EarlyStopping("score", 1, mode="min")
    first = fit(model_of(), [Script([1.0, 2.0, 0.0]), stopping], 3, "reference")
    model, script = model_of(seed=9), Script([5.0, 4.0, 6.0])
    second = fit(model, [script, stopping], 3, "reference")
    assert len(first.epoch) == 2
    assert len(second.epoch) == 3
    assert values_of(model) == kept(script.states[1])
