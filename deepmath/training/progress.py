"""Progress on the terminal: a bar with rich, plain lines in a pipe or without it."""

from __future__ import annotations

import math
import sys
import time
from importlib.util import find_spec
from typing import Any

from deepmath.errors import MissingExtra, require
from deepmath.training.callbacks import Callback, Run
from deepmath.training.history import RATE, summarize

LINE_SECONDS = 1.0
"""Plain lines come at most this often, and for the first and the last epoch."""

WITHIN_SECONDS = 10.0
"""How long no line may come before one comes within an epoch."""


def progress(verbose: int | str) -> list[Callback]:
    """The callback for `verbose`: 0 is none, 1 a bar, 2 plain lines, "auto" 1 or 2 as stdout allows.

    A bar needs rich, and a terminal or a notebook that can redraw (with ipywidgets); else there are lines.
    """
    if verbose == 0:
        return []
    if verbose in (1, "auto") and (sys.stdout.isatty() or _in_notebook()):
        try:
            return [Bar(require("rich.progress", "cli", "progress bars"))]
        except MissingExtra:
            pass
    return [Lines()]


def _in_notebook() -> bool:
    """Whether this is a notebook in which rich can redraw a bar."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell" and find_spec("ipywidgets") is not None


def text_of(logs: dict[str, float]) -> str:
    """Losses, metrics and the learning rate in one line.

    >>> text_of({"loss": 0.25, "accuracy": 0.9, "learning_rate": 0.0001})
    'loss 0.2500  accuracy 0.9000  learning_rate 0.0001'
    """
    shown = {name: f"{value:.4f}" for name, value in logs.items() if name not in ("cost", "val_cost")}
    if RATE in logs:
        shown[RATE] = f"{logs[RATE]:.3g}"
    return "  ".join(f"{name} {value}" for name, value in shown.items())


class Meter:
    """How fast a run goes and how long it still takes, by the clock since it began or was resumed."""

    def __init__(self, run: Run) -> None:
        self._start, self._first = time.monotonic(), _steps(run)

    def speed(self, run: Run) -> float:
        """Samples for each second; 0 before the first step."""
        rows = run.facts["rows"] / run.steps_per_epoch  # so that a ragged last batch counts as what it is
        if run.facts["drop_last"] or not rows:  # how many rows other batches will have, nobody knows
            rows = run.facts["batch_size"] * run.facts["accumulate"]
        return self._rate(run) * rows

    def seconds_left(self, run: Run) -> float | None:
        """The time that the remaining steps take at this pace; None before the first step."""
        rate = self._rate(run)
        return (run.epochs * run.steps_per_epoch - _steps(run)) / rate if rate else None

    def text(self, run: Run) -> str:
        """Speed and time left."""
        left = self.seconds_left(run)
        return f"{self.speed(run):,.0f} samples/s  {clock(left)} left"

    def _rate(self, run: Run) -> float:
        return (_steps(run) - self._first) / max(time.monotonic() - self._start, 1e-9)


def clock(seconds: float | None) -> str:
    """Hours, minutes and seconds, rounded up.

    >>> clock(3725.2), clock(None)
    ('1:02:06', '-:--:--')
    """
    if seconds is None:
        return "-:--:--"
    whole = math.ceil(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _steps(run: Run) -> int:
    return run.epoch * run.steps_per_epoch + run.step_in_epoch


class Lines(Callback):
    """Lines for a pipe: epoch, losses and metrics, step, samples per second, time left.

    One at the end of an epoch, unless the last is less than a second old; and within long epochs one every ten
    seconds, with the mean loss of the epoch so far.
    """

    def on_train_begin(self, run: Run) -> None:
        self._last = time.monotonic()
        self._meter, self._shown = Meter(run), False

    def on_steps_end(self, run: Run) -> None:
        now = time.monotonic()
        if now - self._last >= WITHIN_SECONDS and run.step_in_epoch < run.steps_per_epoch:
            self._last = now
            place = f"epoch {run.epoch + 1}/{run.epochs}  step {run.step_in_epoch}/{run.steps_per_epoch}"
            loss = summarize(run.columns, run.results)["loss"]
            print(f"{place}  loss {loss:.4f}  {self._meter.text(run)}", flush=True)

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS or run.epoch == run.epochs or not self._shown:
            self._last, self._shown = now, True
            text = f"{text_of(logs)}  step {run.step}  {self._meter.text(run)}"
            print(f"epoch {run.epoch}/{run.epochs}  {text}", flush=True)


def _place(run: Run) -> str:
    return f"{run.step_in_epoch}/{run.steps_per_epoch}"


class Bar(Callback):
    """A bar over all epochs, with the numbers of epoch and step, losses and metrics, speed and time left."""

    every = None

    def __init__(self, rich_progress: Any) -> None:
        self._rich = rich_progress

    def on_train_begin(self, run: Run) -> None:
        columns = [
            self._rich.TextColumn("epoch {task.fields[epoch]}  step {task.fields[step]}"),
            self._rich.BarColumn(bar_width=24),
            self._rich.TextColumn("{task.fields[logs]}"),
            self._rich.TextColumn("{task.fields[speed]}"),
            self._rich.TimeRemainingColumn(),
        ]
        self._bar = self._rich.Progress(*columns)
        total = run.epochs * run.steps_per_epoch
        done = _steps(run)
        self._task = self._bar.add_task(
            "", total=total, completed=done, epoch=f"{run.epoch}/{run.epochs}", step=_place(run), logs="", speed=""
        )
        self._meter = Meter(run)
        self._bar.start()

    def on_steps_end(self, run: Run) -> None:
        speed = f"{self._meter.speed(run):,.0f} samples/s"
        self._bar.update(self._task, completed=_steps(run), step=_place(run), speed=speed)

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        self._bar.update(self._task, epoch=f"{run.epoch}/{run.epochs}", logs=text_of(logs))

    def on_train_end(self, run: Run) -> None:
        self._bar.stop()
