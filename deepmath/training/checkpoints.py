"""Checkpoints: everything that a run needs to go on with the same bits, in one file."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepmath import storage
from deepmath.descriptions import check_number
from deepmath.errors import ConfigError, FormatError
from deepmath.training.callbacks import Callback, Run

logger = logging.getLogger("deepmath")
_NAME = re.compile(r"step-(\d+)\.safetensors")


def save_run(path: Path, run: Run) -> None:
    """Write a run as it stands: values, position, history, and the results of the epoch begun."""
    settings = {
        "epoch": run.epoch,
        "step_in_epoch": run.step_in_epoch,
        "history": run.history.history,
        "epochs": run.history.epoch,
        "facts": run.facts,
    }
    results = np.asarray(run.results, np.float64).reshape(len(run.results), len(run.columns))
    remembered = {f"callback.{i}.{n}": v for i, c in enumerate(run.callbacks) for n, v in c.remember().items()}
    storage.save(path, run.program.state() | remembered | {"results": results}, _readable(settings))


def resume_run(folder: str | os.PathLike[str], run: Run) -> bool:
    """Put a fresh run where the newest good checkpoint in the folder stands; False where there is none.

    Raises ConfigError if the model, the data or a setting is another than the checkpoint's.
    """
    for path in sorted(_checkpoints(Path(folder)), key=_step_of, reverse=True):
        try:
            stored = storage.load(path)
        except FormatError as error:
            logger.warning("%s Trying the one before it.", error)
            continue
        settings = _floats(stored.settings)
        _compare(path, settings["facts"], run.facts)
        values = dict(stored.values)
        run.results = list(values.pop("results"))
        for i, callback in enumerate(run.callbacks):
            start = f"callback.{i}."
            callback.recall({n.removeprefix(start): v for n, v in values.items() if n.startswith(start)})
        run.program.load(values)
        run.epoch, run.step_in_epoch = settings["epoch"], settings["step_in_epoch"]
        run.history.history, run.history.epoch = settings["history"], settings["epochs"]
        return True
    return False


@dataclass
class Checkpoint(Callback):
    """Saves the run into a folder every `every` steps and at the end of each epoch; keeps the newest `keep`.

    An older checkpoint goes only when the newer one is whole. `fit(..., resume=folder)` goes on from it.
    """

    folder: str | os.PathLike[str]
    every: int | None = None
    keep: int = 2
    last = True

    def __post_init__(self) -> None:
        if self.every is not None:
            check_number("Checkpoint", "every", self.every, low=1, whole=True)
        check_number("Checkpoint", "keep", self.keep, low=1, whole=True)
        self._saved = -1

    def on_steps_end(self, run: Run) -> None:
        if self.every is not None and run.step % self.every == 0:
            self._save(run)

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        self._save(run)

    def on_train_end(self, run: Run) -> None:
        if not run.failed:
            self._save(run)

    def _save(self, run: Run) -> None:
        if self._saved == run.step:  # the end of training may have put back the best weights: go on from the last
            return
        self._saved = run.step
        folder = Path(self.folder)
        save_run(folder / f"step-{run.step}.safetensors", run)
        for old in sorted(_checkpoints(folder), key=_step_of)[: -self.keep]:
            old.unlink()


def _checkpoints(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if _NAME.fullmatch(p.name)] if folder.is_dir() else []


def _step_of(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def _compare(path: Path, saved: dict[str, Any], now: dict[str, Any]) -> None:
    changed = [name for name in now if saved.get(name) != now[name]]
    if changed:
        pairs = ", ".join(f"{name} was {saved.get(name)!r} and is {now[name]!r}" for name in changed)
        raise ConfigError(
            f"can't resume from {path}: {pairs}. Resume with the same settings, or begin in another folder."
        )


def _readable(settings: dict[str, Any]) -> dict[str, Any]:
    """History values as exact text: JSON has no NaN, and a validation loss may be one."""
    history = {name: [float(v).hex() for v in values] for name, values in settings["history"].items()}
    return settings | {"history": history}


def _floats(settings: dict[str, Any]) -> dict[str, Any]:
    history = {name: [float.fromhex(v) for v in values] for name, values in settings["history"].items()}
    return settings | {"history": history}
