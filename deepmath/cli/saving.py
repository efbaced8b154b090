"""The callbacks of `deepmath train`: one keeps the run at hand, one lets the learning rate fall."""

from __future__ import annotations

import math

from deepmath.callbacks import Callback
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


class CosineDecay(Callback):
    """The rate of each epoch: half a cosine from `rate` towards 0 over all epochs.

    What a rollback multiplies the rate by stays. Not a schedule of the optimiser's: a run may be resumed for more
    epochs, over which the rate falls then.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def on_epoch_begin(self, run: Run) -> None:
        run.program.pace.base = self._rate * (1.0 + math.cos(math.pi * run.epoch / run.epochs)) / 2.0
