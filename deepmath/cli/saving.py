"""Callbacks of `deepmath train`: the run at hand, and checkpoints that are worth going on from."""

from __future__ import annotations

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.callbacks import Callback, Checkpoint
from deepmath.training.callbacks import Run
from deepmath.training.history import History


class Watch(Callback):
    """Remembers the run, so that its history is there when training is interrupted."""

    run: Run | None = None

    def on_train_begin(self, run: Run) -> None:
        self.run = run

    @property
    def history(self) -> History:
        return self.run.history if self.run is not None else History()


class Checkpoints(Callback):
    """One checkpoint at the end; with `every` also every so many steps and at the end of each epoch.

    A run whose values are no longer finite leaves none: it would push out the good ones.
    """

    def __init__(self, folder: object, every: int | None) -> None:
        self._writer = Checkpoint(str(folder), every)
        self.every = every

    def on_steps_end(self, run: Run) -> None:
        self._writer.on_steps_end(run)

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        if self.every is not None:
            self._writer.on_epoch_end(run, logs)

    def on_train_end(self, run: Run) -> None:
        if all(np.isfinite(to_numpy(value)).all() for value in run.program.state().values()):
            self._writer.on_train_end(run)
