"""Time limits, functions for events, the best model's file, and many steps in one call where nobody needs them."""

import math
import time

import numpy as np
import pytest
import resuming
from networks import PROGRAMS
from resuming import STEPS, Stop, fingerprint, train

from deepmath import Dense, Sequential, load_model
from deepmath.callbacks import (
    BestCheckpoint,
    Callback,
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    ExponentialMovingAverage,
    GradientStatistics,
    JSONLinesLogger,
    Lambda,
    ReduceLROnPlateau,
    TensorBoard,
    TimeLimit,
)
from deepmath.errors import ConfigError
from deepmath.training.simple import EVENTS


class Calls(Callback):
    """How many steps each call of the program made."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_train_begin(self, run) -> None:
        original = run.program.run

        def counted(k: int):
            self.steps.append(k)
            return original(k)

        run.program.run = counted


def steps_per_call(*callbacks: Callback) -> list[int]:
    rng = np.random.default_rng(0)
    model, calls = Sequential([Dense(1, input_dim=2)]), Calls()
    model.compile("sgd", "mse")
    X, y = rng.standard_normal((600, 2)), rng.standard_normal(600)
    model.fit(X, y, batch_size=2, callbacks=[calls, *callbacks], verbose=0, validation_data=(X, y), backend="numpy")
    assert sum(calls.steps) == 300
    return calls.steps


def unhurried(tmp_path) -> list[Callback]:
    return [
        EarlyStopping(), ReduceLROnPlateau(), Checkpoint(tmp_path / "c"), CSVLogger(tmp_path / "a.csv"),
        JSONLinesLogger(tmp_path / "b.jsonl"), TensorBoard(tmp_path / "board"), TimeLimit(100.0), Lambda(),
        BestCheckpoint(tmp_path / "best"),
    ]  # fmt: skip


def test_many_steps_run_in_one_call_where_no_callback_needs_them(tmp_path):
    assert max(steps_per_call(*unhurried(tmp_path))) >= 10


def test_callbacks_that_need_steps_get_them(tmp_path):
    assert set(steps_per_call(ExponentialMovingAverage())) == {1}
    steps = steps_per_call(GradientStatistics(every=50), *unhurried(tmp_path))
    assert max(steps) > 1
    assert set(range(50, 301, 50)) <= set(np.cumsum(steps).tolist())


@pytest.mark.parametrize("backend", PROGRAMS)
def test_callbacks_change_no_bit(backend, tmp_path):
    expected = fingerprint(*train(backend))
    quiet = [c for c in unhurried(tmp_path) if not isinstance(c, (EarlyStopping, ReduceLROnPlateau))]
    assert fingerprint(*train(backend, *quiet, GradientStatistics(every=3))) == expected


def test_the_limit_of_time_ends_training_within_an_epoch(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Tick(Callback):
        every = 1

        def on_steps_end(self, run) -> None:
            now[0] += 1.0

    _, state = train("reference", Tick(), TimeLimit(13.0))
    assert int(state["step"]) == 13
    _, state = train("reference", Tick(), TimeLimit(1000.0))
    assert int(state["step"]) == STEPS


def test_a_run_that_ran_out_of_time_goes_on_with_the_same_bits(tmp_path, monkeypatch):
    class Late(TimeLimit):
        every = 7

    expected = fingerprint(*train("numpy"))
    _, state = train("numpy", Late(1e-9), Checkpoint(tmp_path))
    assert 0 < int(state["step"]) < STEPS
    for _ in range(STEPS):
        _, state = train("numpy", Late(1e-9), Checkpoint(tmp_path), resume=tmp_path)
        if int(state["step"]) == STEPS:
            break
    assert fingerprint(*train("numpy", resume=tmp_path)) == expected


def test_a_function_for_each_event():
    seen: list[str] = []
    given = {event: lambda *args, event=event: seen.append(event) for event in EVENTS}
    train("reference", Lambda(**given, every=5), epochs=2)
    steps = resuming.STEPS_PER_EPOCH // 5
    epoch = ["on_epoch_begin", *["on_steps_end"] * steps, "on_validation_begin", "on_epoch_end"]
    kept = [event for i, event in enumerate(seen) if event != "on_steps_end" or i]
    assert [e for e in kept if e != "on_steps_end"] == [
        "on_train_begin", *[e for e in epoch * 2 if e != "on_steps_end"], "on_train_end"
    ]  # fmt: skip
    assert seen.count("on_steps_end") >= 2 * steps


def test_a_function_gets_what_the_method_gets():
    seen = []
    train("reference", Lambda(on_epoch_end=lambda run, logs: seen.append((run.epoch, logs["loss"]))), epochs=2)
    assert [epoch for epoch, _ in seen] == [1, 2]
    assert all(math.isfinite(loss) for _, loss in seen)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Lambda(on_epoch_end=3), "Lambda: on_epoch_end must be a function; got 3"),
        (lambda: Lambda(every=0), "Lambda: every"),
        (lambda: TimeLimit(0.0), "TimeLimit: seconds"),
        (lambda: TimeLimit("1h"), "TimeLimit: seconds"),
        (lambda: GradientStatistics(every=0.5), "GradientStatistics: every"),
        (lambda: TensorBoard("x", every=0), "TensorBoard: every"),
        (lambda: BestCheckpoint("x", mode="up"), "BestCheckpoint: mode must be 'min', 'max' or 'auto'; got 'up'"),
    ],
)
def test_settings_are_checked(make, text):
    with pytest.raises(ConfigError) as error:
        make()
    assert text in str(error.value)


def scripted(values: list[float], folder, **settings) -> list[int]:
    """The epochs after which the best model was written, given what the monitor shows."""
    written = []

    class Script(Callback):
        def check(self, run) -> None:
            run.reported["shown"] = "lower"

        def on_epoch_end(self, run, logs) -> None:
            logs["shown"] = values[run.epoch - 1]

    class Look(Callback):
        def on_epoch_end(self, run, logs) -> None:
            path = folder / "best.safetensors"
            stamp = path.stat().st_mtime_ns if path.exists() else None
            if stamp is not None and stamp not in [s for _, s in written]:
                written.append((run.epoch, stamp))
            self.state = run.program.state()

    best = BestCheckpoint(folder, monitor="shown", **settings)
    train("reference", Script(), best, Look(), epochs=len(values))
    return [epoch for epoch, _ in written]


def test_the_best_model_is_written_when_it_is_better(tmp_path):
    assert scripted([3.0, math.nan, 2.0, 2.5, 1.9], tmp_path / "a") == [1, 3, 5]
    assert scripted([3.0, 2.0, 4.0], tmp_path / "b", mode="max") == [1, 3]
    assert scripted([3.0, 2.95, 2.0], tmp_path / "c", min_delta=0.1) == [1, 3]
    assert load_model(tmp_path / "a" / "best.safetensors").epochs_trained == 5


def test_what_was_best_survives_a_stop(tmp_path):
    first = BestCheckpoint(tmp_path / "best")
    history, _ = train("numpy", first)
    train("numpy", BestCheckpoint(tmp_path / "best"), Checkpoint(tmp_path / "run", every=1), Stop(25))
    again = BestCheckpoint(tmp_path / "best")
    train("numpy", again, resume=tmp_path / "run")
    assert again.best == first.best == min(history.history["val_loss"])
