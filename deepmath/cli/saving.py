"""Callbacks of `deepmath train`: the run at hand, and checkpoints that are worth going on from."""

from __future__ import annotations

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


class Checkpoints(Checkpoint):
    """One checkpoint at the end; with `every` also every so many steps and at the end of each epoch."""

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        if self.every is not None:
            super().on_epoch_end(run, logs)
