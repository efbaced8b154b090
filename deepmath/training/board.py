"""Scalars and histograms for TensorBoard, written by tensorboardX."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from deepmath.descriptions import check_number
from deepmath.errors import require
from deepmath.training.callbacks import Callback, Run
from deepmath.training.statistics import next_gradients


class TensorBoard(Callback):
    """Writes event files for TensorBoard into a folder; needs the extra `tensorboard`.

    After each epoch: its losses and metrics, its learning rate, and with `histograms` the distributions of all
    weights ("weights/0.kernel") and of the gradients of the next step ("gradients/0.kernel"). The axis is the
    step. With `every` also the objective of every so many steps, as "step/loss". A resumed run goes on in the
    same folder: what an earlier part wrote behind the point of resumption is hidden.
    """

    def __init__(self, folder: str | os.PathLike[str], histograms: bool = True, every: int | None = None) -> None:
        if every is not None:
            every = check_number("TensorBoard", "every", every, low=1, whole=True)
        self.folder, self.histograms, self.every = folder, histograms, every
        self._library = require("tensorboardX", "tensorboard", "event files for TensorBoard")
        self._writer: Any = None

    def on_train_begin(self, run: Run) -> None:
        within = run.step_in_epoch > 0  # then this step's epoch, if it was its last, is reported once more
        behind = (run.step if within else run.step + 1) if run.epoch or within else None
        suffix = f".{time.time_ns()}"  # else two runs that begin in one second share a file, and one is lost
        self._writer = self._library.SummaryWriter(os.fspath(self.folder), purge_step=behind, filename_suffix=suffix)
        if within:
            self.on_steps_end(run)

    def on_steps_end(self, run: Run) -> None:
        if self.every is not None and run.step % self.every == 0 and run.results:
            self._scalars({"step/loss": float(run.results[-1][0])}, run.step)

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        self._scalars({f"epoch/{n}": v for n, v in logs.items()}, run.step)
        if self.histograms:
            weights = {n: v for n, v in run.program.state().items() if n.startswith("params.")}
            for name, value in weights.items():
                self._histogram(f"weights/{name.removeprefix('params.')}", value, run.step)
            for name, value in next_gradients(run).items():
                self._histogram(f"gradients/{name}", value, run.step)
        self._writer.flush()

    def on_train_end(self, run: Run) -> None:
        self._writer.close()

    def _scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def _histogram(self, name: str, value: Any, step: int) -> None:
        finite = value[np.isfinite(value)]
        if finite.size:  # a histogram of nothing has no range
            self._writer.add_histogram(name, finite, step)
