"""A callback that keeps the best model in a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepmath.storage import check_writable
from deepmath.training.callbacks import Callback, Run
from deepmath.training.monitors import Monitor


@dataclass
class BestCheckpoint(Callback):
    """Writes the model to `folder`/best.safetensors after each epoch whose `monitor` is the best so far.

    The file is what `model.save` writes: `load_model` reads it, and training can go on from it. It is replaced
    only when the new one is whole. What was best survives a resume. `mode` is that of `EarlyStopping`.
    """

    folder: str | os.PathLike[str]
    monitor: str = "val_loss"
    min_delta: float = 0.0
    mode: str = "auto"

    def __post_init__(self) -> None:
        self._watch = Monitor("BestCheckpoint", self.monitor, self.min_delta, self.mode)

    @property
    def path(self) -> Path:
        """The file of the best model."""
        return Path(self.folder) / "best.safetensors"

    @property
    def best(self) -> float:
        """The best number so far; NaN before the first."""
        return self._watch.best

    def check(self, run: Run) -> None:
        check_writable(self.path)
        self._watch.check(run)

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        if self._watch.improved(run.epoch - 1, logs):
            assert run.write_model is not None
            run.write_model(self.path)

    def remember(self) -> dict[str, Any]:
        return self._watch.state()

    def recall(self, memory: dict[str, Any]) -> None:
        self._watch.load(memory)
