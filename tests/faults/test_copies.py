"""Copies of good states: how few suffice, and that nothing depends on when they were taken."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
import pytest
from breaking import BACKENDS, Breaking, X, Y
from resuming import Stop

from deepmath import Dense, Dropout, Sequential, callbacks
from deepmath.data.sources import ArraySource
from deepmath.errors import NonFiniteError
from deepmath.optimizers import SGD, Adam
from deepmath.schedules import Schedule
from deepmath.training import copies, loop


@dataclass(frozen=True)
class Growing(Schedule):
    """A rate under which training goes well, and then out."""

    def __call__(self, t: int) -> float:
        return 0.01 * 1.2**t


def rough(xp, p, d):
    """A loss that is finite, and has no gradient for targets above 9."""
    e = p - d
    return xp.mean(e * e + xp.sqrt(e * e * xp.where(d > 9.0, 0.0 * d, 1.0)), axis=-1, keepdims=True)


def model(optimizer, loss="mse"):
    made = Sequential([Dense(4, "relu", input_dim=3), Dropout(0.1), Dense(1)], seed=1)
    made.compile(optimizer, loss)
    return made


def fit(made, y=Y, **settings):
    given = {"epochs": 9, "batch_size": 8, "verbose": 0} | settings
    return made.fit(X, y, **given)


def bits(made):
    return {name: np.asarray(value).tobytes() for name, value in made.values.items()}


class Never:
    """No copy is ever due, and each that is taken is counted."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(copies, "SECONDS", math.inf)
        keep, self.taken = copies.Copies.keep, 0

        def counted(*arguments):
            self.taken += 1
            keep(*arguments)

        monkeypatch.setattr(copies.Copies, "keep", counted)


def always(monkeypatch):
    """A copy is due whenever somebody asks, and that is after each step: as on a machine that is infinitely slow."""
    monkeypatch.setattr(loop, "CALL_SECONDS", 0.0)
    monkeypatch.setattr(copies, "SECONDS", 0.0)
    monkeypatch.setattr(copies, "SHARE", math.inf)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("epochs", [0, 2], ids=["new", "trained before"])
def test_without_any_copy_the_model_has_the_values_before_the_bad_step(epochs, backend, monkeypatch):
    first, broken = 6 * epochs, 6 * epochs + 8
    made, good = model(Adam(Breaking(broken, broken))), model(Adam(0.01))
    for one in (made, good):
        fit(one, epochs=epochs, backend=backend)
    assert int(np.asarray(made.values.get("step", 0))) == first
    never = Never(monkeypatch)
    with pytest.raises(NonFiniteError, match=rf"kernel of layer 1 \(Dense\) after the update, .* \(step {broken}\)"):
        fit(made, backend=backend)
    assert never.taken == 0
    fit(good, backend=backend, callbacks=[Stop(broken)])
    assert bits(made) == bits(good)


def test_new_weights_for_the_model_in_the_middle_of_its_training_change_nothing(monkeypatch):
    def train(step, *watching):
        made = model(SGD(Breaking(step, step)))
        fit(made, epochs=0)
        changed = callbacks.Lambda(on_epoch_end=lambda run, logs: made.set_weights([w + 1 for w in made.get_weights()]))
        with pytest.raises(NonFiniteError):
            fit(made, callbacks=[changed] * bool(watching))
        return bits(made)

    Never(monkeypatch)
    assert train(8, "changed") == train(8)


@pytest.mark.parametrize("by", ["callback", "checkpoint"])
def test_the_values_that_a_run_really_begins_with_are_kept(by, monkeypatch, tmp_path):
    def spoil(run):
        state = run.program.state()
        run.program.load({n: v + 1 if n.startswith("params") else v for n, v in state.items()})

    def begin(made, **settings):
        if by == "callback":
            return fit(made, callbacks=[callbacks.Lambda(on_train_begin=spoil), *settings.pop("also", ())], **settings)
        fit(made, epochs=0)
        made.set_weights([w - 1 for w in made.get_weights()])  # the checkpoint has others
        return fit(made, resume=tmp_path, callbacks=settings.pop("also", ()), **settings)

    if by == "checkpoint":
        fit(model(SGD(Breaking(8, 8))), epochs=1, callbacks=[callbacks.Checkpoint(tmp_path)])
    Never(monkeypatch)
    made, good = model(SGD(Breaking(8, 8))), model(SGD(Breaking(8, 8)))
    with pytest.raises(NonFiniteError, match=r"\(step 8\)"):
        begin(made)
    begin(good, also=[Stop(8)])
    assert bits(made) == bits(good)


def shrink(run, logs):
    state = run.program.state()
    run.program.load(state | {n: v * 0.9 for n, v in state.items() if n.startswith("params")})


WATCHING = {
    "nobody": list,
    "rates": lambda: [callbacks.ReduceLROnPlateau("loss", factor=0.9, patience=0)],
    "values": lambda: [callbacks.Lambda(on_epoch_end=shrink)],
}


@pytest.mark.parametrize("watching", WATCHING)
@pytest.mark.parametrize("on_nan", ["rollback", "skip"])
@pytest.mark.parametrize("row", [None, 17, 47], ids=["growing", "middle", "last"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_depends_on_when_copies_were_taken(backend, row, on_nan, watching, caplog):
    def train():
        made = model(SGD(Growing())) if row is None else model(Adam(0.01), rough)
        y = np.where(np.arange(len(Y))[:, None] == row, 10.0, Y)  # broken in an epoch's middle, or by its last step
        settings = {"on_nan": on_nan, "shuffle": row is None, "backend": backend}
        caplog.clear()
        try:
            history = fit(made, y, callbacks=WATCHING[watching](), **settings).history
        except NonFiniteError as error:
            history = str(error)
        return history, bits(made), [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]

    with pytest.MonkeyPatch.context() as patch:
        always(patch)
        expected = train()
    with pytest.MonkeyPatch.context() as patch:
        never = Never(patch)
        assert train() == expected
    assert expected[2], "something went wrong, and was answered"
    assert never.taken == len(expected[2]) if watching != "values" else never.taken > len(expected[2])


@pytest.mark.parametrize("backend", BACKENDS)
def test_skip_leaves_out_the_last_step_of_an_epoch(backend, caplog):
    made, good = model(SGD(0.01), rough), model(SGD(0.01), rough)
    y = np.where(np.arange(len(Y))[:, None] == 47, 10.0, Y)
    fit(made, y, on_nan="skip", shuffle=False, backend=backend, epochs=1)
    assert [told.split("; ")[1].split(" (")[0] for told in caplog.messages] == ["step 5 left out"]
    fit(good, y, callbacks=[Stop(5)], shuffle=False, backend=backend, epochs=1)
    assert [w.tobytes() for w in made.get_weights()] == [w.tobytes() for w in good.get_weights()]


def test_rollback_computes_the_beginning_of_an_epoch_again_from_a_source(caplog):
    def train(given):
        made = model(SGD(Growing()))
        caplog.clear()
        history = made.fit(*given, epochs=9, batch_size=8, verbose=0, on_nan="rollback").history
        return history, bits(made), caplog.messages.copy()

    with pytest.MonkeyPatch.context() as patch:
        always(patch)
        expected = train((X, Y))
    steps = [int(told.split("values of step ")[1].split()[0]) for told in expected[2]]
    assert steps
    assert all(step > 0 for step in steps), "an epoch behind the first"
    with pytest.MonkeyPatch.context() as patch:
        Never(patch)
        assert train((X, Y)) == expected
        assert train((ArraySource(X, Y),)) == expected


def test_our_own_callbacks_leave_the_values_as_they_are(tmp_path):
    def train(*watching):
        made = model(Adam(0.01))
        fit(made, callbacks=watching, validation_data=(X, Y))
        return bits(made)

    own = [
        callbacks.ExponentialMovingAverage(validate=True, at_end=False),
        callbacks.ModelAverage(at_end=False),
        callbacks.EarlyStopping(patience=99, restore_best_weights=False),
        callbacks.ReduceLROnPlateau(patience=99),
        callbacks.TimeLimit(1e9),
        callbacks.GradientStatistics(every=4),
        callbacks.CSVLogger(tmp_path / "log.csv"),
        callbacks.JSONLinesLogger(tmp_path / "log.jsonl"),
        callbacks.BestCheckpoint(tmp_path / "best.safetensors"),
        callbacks.Checkpoint(tmp_path / "run"),
    ]
    assert train(*own) == train()


def test_the_first_copy_waits_for_the_time_that_it_takes(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(copies.time, "perf_counter", lambda: now[0])

    class Program:
        step = 0

        class pace:
            value = np.asarray(1.0)

        def snapshot(self):
            now[0] += 0.03
            return dict

    kept = copies.Copies(Program())
    kept.begin({}, 1e-6)
    for now[0], due in ((0.49, False), (0.5, True)):
        assert kept.is_due() is due
    now[0] = 0.0
    kept.begin({}, 0.004)
    for now[0], due in ((20.79, False), (20.81, True)):
        assert kept.is_due() is due
    now[0] = 100.0
    kept.keep(0.01)
    for now[0], due in ((107.9, False), (108.1, True)):
        assert kept.is_due() is due


def test_what_a_bad_step_leaves_between_parameters_is_not_taken_for_values():
    histories = [
        fit(model(SGD(Breaking(14, 14))), backend=backend, on_nan="skip").history["loss"] for backend in BACKENDS
    ]
    assert np.isfinite(histories).all()
    np.testing.assert_allclose(*histories, rtol=1e-4)
