"""SIGINT and SIGTERM at every moment of a run: it ends at once, its checkpoints are whole, and it is gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import resuming
from resuming import fingerprint, model, train

from deepmath import storage
from deepmath.callbacks import Callback, Checkpoint
from deepmath.errors import Terminated

HERE = Path(__file__).parent
DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
CODES = {"SIGINT": 130, "SIGTERM": 143}
NEWEST = {("step", 1): {14}, ("step", 2): {10}, ("save", 1): {20}, ("save", 2): {10}}
NEWEST |= {("validation", 1): {20}, ("validation", 2): {10, 20}, ("epochs", 1): {20}, ("epochs", 2): {20}}
"""By where the signals come and how many: the newest checkpoint afterwards."""


@pytest.fixture(autouse=True)
def _as_in_a_terminal():
    """A test run begun in the background may ignore Ctrl-C, and then the loop leaves it alone."""
    before = [(n, signal.signal(n, default)) for n, default in DEFAULTS.items()]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def expected():
    return fingerprint(*train("reference"))


def interrupted(*arguments: str) -> tuple[int, str, str, float]:
    """Exit code as a shell gives it, what was written, and when it ended."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), *filter(None, sys.path)])
    command = [sys.executable, "-W", "error", str(HERE / "interrupted.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
    code = 128 - done.returncode if done.returncode < 0 else done.returncode
    return code, done.stdout, done.stderr, time.time()


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("where", ["step", "save", "validation", "epochs"])
@pytest.mark.parametrize("name", CODES)
def test_a_signal_ends_the_run_and_loses_nothing(name, where, times, tmp_path, expected, record_property):
    code, out, error, ended = interrupted(name, where, str(times), "reference", str(tmp_path))
    assert code == CODES[name], error
    sent, _, step = out.removeprefix("sent ").strip().partition(" at ")
    record_property("seconds", ended - float(sent))
    assert int(step) in (13, 20)
    found = {int(p.name[5:-12]): storage.load(p) for p in tmp_path.glob("step-*.safetensors")}
    assert all(int(stored.values["step"]) == number for number, stored in found.items())
    assert max(found) in NEWEST[where, times]
    assert fingerprint(*train("reference", Checkpoint(tmp_path), resume=tmp_path)) == expected
    assert list(tmp_path.glob(".*")) == []


class Send(Callback):
    """Sends a signal to this process after a step."""

    every = 1

    def __init__(self, number: int, step: int = 7) -> None:
        self.number, self.step = number, step

    def on_steps_end(self, run) -> None:
        if run.step == self.step:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_the_model_has_what_it_learned(number, error):
    X, y = resuming.data()
    made = model()
    with pytest.raises(error) as raised:
        made.fit(X, y, epochs=4, batch_size=7, backend="reference", verbose=0, callbacks=[Send(number)])
    assert not isinstance(raised.value, SystemExit) or raised.value.code == 143
    assert int(made.values["step"]) == 7
    assert {n: signal.getsignal(n) for n in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_handler_of_the_user_s_own_stays_in_charge(number):
    seen = []
    before = signal.signal(number, lambda *_: seen.append(number))
    try:
        _, state = train("reference", Send(number))
    finally:
        signal.signal(number, before)
    assert seen == [number]
    assert int(state["step"]) == resuming.STEPS


def test_another_thread_trains_without_handlers():
    handlers = []

    class Look(Callback):
        def on_train_begin(self, run) -> None:
            handlers.extend(signal.getsignal(n) for n in DEFAULTS)

    thread = threading.Thread(target=train, args=("reference", Look()))
    thread.start()
    thread.join(60)
    assert handlers == list(DEFAULTS.values())
