"""The callback of `deepmath train` that keeps the run at hand."""

from __future__ import annotations

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
