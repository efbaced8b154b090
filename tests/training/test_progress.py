"""What progress says: lines in a pipe, a bar on a terminal, and which of them a notebook gets."""

import io
import sys
import time
import types

import numpy as np
import pytest
from rich.console import Console

from deepmath.training import progress as module
from deepmath.training.callbacks import Run
from deepmath.training.history import History
from deepmath.training.progress import Bar, Lines, clock, progress


@pytest.fixture
def now(monkeypatch):
    """The clock, which stands still unless it is moved."""
    moment = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    return moment


def run_of(rows: int = 25, batch: int = 10, steps: int = 3, drop_last: bool = False, **position: int) -> Run:
    facts = {"rows": rows, "batch_size": batch, "accumulate": 1, "drop_last": drop_last}
    program = types.SimpleNamespace(step=0)
    return Run(program, History(), 4, steps, ("loss", "cost", "weight", "rows"), facts, **position)


def advance(run: Run, now: list[float], seconds: float, callback, loss: float = 0.5) -> None:
    """One step, after so many seconds."""
    now[0] += seconds
    run.program.step += 1
    run.step_in_epoch += 1
    run.results.append(np.array([loss, loss, 10.0, 10.0]))
    callback.on_steps_end(run)
    if run.step_in_epoch == run.steps_per_epoch:
        run.epoch, run.step_in_epoch, run.results = run.epoch + 1, 0, []
        callback.on_epoch_end(run, {"loss": loss, "cost": loss, "accuracy": 0.75})


def test_a_line_for_each_epoch(now, capsys):
    run, lines = run_of(), Lines()
    lines.on_train_begin(run)
    for _ in range(12):
        advance(run, now, 0.5, lines)
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1/4  loss 0.5000  accuracy 0.7500  step 3  17 samples/s  0:00:05 left",
        "epoch 2/4  loss 0.5000  accuracy 0.7500  step 6  17 samples/s  0:00:03 left",
        "epoch 3/4  loss 0.5000  accuracy 0.7500  step 9  17 samples/s  0:00:02 left",
        "epoch 4/4  loss 0.5000  accuracy 0.7500  step 12  17 samples/s  0:00:00 left",
    ]


def test_short_epochs_show_the_first_the_last_and_one_a_second(now, capsys):
    run, lines = run_of(), Lines()
    lines.on_train_begin(run)
    for _ in range(12):
        advance(run, now, 0.125, lines)
    shown = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["1/4", "4/4"]


def test_a_long_epoch_shows_its_steps(now, capsys):
    run, lines = run_of(rows=10_000, steps=1000), Lines()
    lines.on_train_begin(run)
    for i in range(30):
        advance(run, now, 1.0, lines, loss=float(i % 2))
    assert capsys.readouterr().out.splitlines() == [
        f"epoch 1/4  step {s}/1000  loss 0.5000  10 samples/s  {clock(4000 - s)} left" for s in (10, 20, 30)
    ]


def test_a_resumed_run_counts_from_where_it_began(now, capsys):
    run, lines = run_of(epoch=2, step_in_epoch=1), Lines()
    lines.on_train_begin(run)
    for _ in range(2):
        advance(run, now, 30.0, lines)
    out = capsys.readouterr().out
    assert "step 2/3" in out.splitlines()[0]
    assert out.splitlines()[-1].endswith("0 samples/s  0:01:30 left")


def test_dropped_rows_are_no_samples(now, capsys):
    run, lines = run_of(steps=2, drop_last=True), Lines()
    lines.on_train_begin(run)
    for _ in range(2):
        advance(run, now, 1.0, lines)
    assert "10 samples/s" in capsys.readouterr().out


def test_before_the_first_step_no_time_is_known(now):
    run = run_of()
    assert module.Meter(run).text(run) == "0 samples/s  -:--:-- left"


def test_the_bar_shows_epoch_step_loss_and_speed(now):
    import rich.progress

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160, color_system=None)
    library = types.SimpleNamespace(**vars(rich.progress))
    library.Progress = lambda *columns: rich.progress.Progress(*columns, console=console, auto_refresh=False)
    run, bar = run_of(), Bar(library)
    bar.on_train_begin(run)
    for _ in range(5):
        advance(run, now, 0.5, bar)
    bar._bar.refresh()
    bar.on_train_end(run)
    text = screen.getvalue()
    assert "epoch 1/4  step 2/3" in text
    assert "loss 0.5000  accuracy 0.7500" in text
    assert "17 samples/s" in text


def kind(monkeypatch, terminal: bool, verbose: int | str = "auto", shell: str = "", widgets: bool = False) -> list:
    stdout = io.StringIO()
    stdout.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdout", stdout)
    found = type(shell, (), {})() if shell else None
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: found))
    monkeypatch.setattr(module, "find_spec", lambda name: object() if widgets else None)
    return [type(callback) for callback in progress(verbose)]


def test_who_gets_a_bar(monkeypatch):
    notebook = "ZMQInteractiveShell"
    assert kind(monkeypatch, True) == [Bar]
    assert kind(monkeypatch, False) == [Lines]
    assert kind(monkeypatch, True, verbose=2) == [Lines]
    assert kind(monkeypatch, True, verbose=0) == []
    assert kind(monkeypatch, False, shell=notebook, widgets=True) == [Bar]
    assert kind(monkeypatch, False, shell=notebook, widgets=False) == [Lines]
    assert kind(monkeypatch, False, shell="TerminalInteractiveShell", widgets=True) == [Lines]
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    assert kind(monkeypatch, True) == [Lines]
