"""Progress on the terminal: a bar with rich, plain lines in a pipe or without it."""

from __future__ import annotations

import sys
import time
from typing import Any

from deepmath.errors import MissingExtra, require
from deepmath.training.callbacks import Callback, Run

LINE_SECONDS = 1.0
"""Plain lines come at most this often, and for the last epoch."""


def progress(verbose: int | str) -> list[Callback]:
    """The callback for `verbose`: 0 is none, 1 a bar on a terminal, 2 plain lines, "auto" 1 or 2 as stdout allows."""
    if verbose == 0:
        return []
    if verbose in (1, "auto") and sys.stdout.isatty():
        try:
            return [Bar(require("rich.progress", "cli", "progress bars"))]
        except MissingExtra:
            pass
    return [Lines()]


def text_of(logs: dict[str, float]) -> str:
    """Losses and metrics in one line.

    >>> text_of({"loss": 0.25, "accuracy": 0.9})
    'loss 0.2500  accuracy 0.9000'
    """
    return "  ".join(f"{name} {value:.4f}" for name, value in logs.items() if name != "cost" and name != "val_cost")


class Lines(Callback):
    """One line for an epoch, with losses, metrics and samples per second."""

    def on_train_begin(self, run: Run) -> None:
        self._last = self._start = time.monotonic()
        self._first_step = run.step

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS or run.epoch == run.epochs or run.epoch == 1:
            self._last = now
            print(f"epoch {run.epoch}/{run.epochs}  {text_of(logs)}", flush=True)


class Bar(Callback):
    """A bar over all epochs, with the epoch's number, losses and metrics, speed and time left."""

    every = None

    def __init__(self, rich_progress: Any) -> None:
        self._rich = rich_progress

    def on_train_begin(self, run: Run) -> None:
        columns = [
            self._rich.TextColumn("epoch {task.fields[epoch]}"),
            self._rich.BarColumn(bar_width=24),
            self._rich.TextColumn("{task.fields[logs]}"),
            self._rich.TextColumn("{task.fields[speed]}"),
            self._rich.TimeRemainingColumn(),
        ]
        self._bar = self._rich.Progress(*columns)
        total = run.epochs * run.steps_per_epoch
        done = run.epoch * run.steps_per_epoch + run.step_in_epoch
        self._task = self._bar.add_task(
            "", total=total, completed=done, epoch=f"{run.epoch}/{run.epochs}", logs="", speed=""
        )
        self._start, self._done = time.monotonic(), done
        self._bar.start()

    def on_steps_end(self, run: Run) -> None:
        done = run.epoch * run.steps_per_epoch + run.step_in_epoch
        rate = (done - self._done) / max(time.monotonic() - self._start, 1e-9)
        rows = run.facts["batch_size"] * run.facts["accumulate"]
        self._bar.update(self._task, completed=done, speed=f"{rate * rows:,.0f} samples/s")

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        self._bar.update(self._task, epoch=f"{run.epoch}/{run.epochs}", logs=text_of(logs))

    def on_train_end(self, run: Run) -> None:
        self._bar.stop()
