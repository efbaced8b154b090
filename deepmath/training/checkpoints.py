"""Checkpoints: everything that a run needs to go on with the same bits, in one file."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepmath import storage
from deepmath.arrays import all_finite
from deepmath.descriptions import check_number, plain_numbers
from deepmath.errors import ConfigError, FormatError
from deepmath.training.callbacks import Callback, Run

logger = logging.getLogger("deepmath")
_NAME = re.compile(r"step-(\d+)\.safetensors")
_LEFTOVER = re.compile(r"\.step-\d+\.safetensors\.tmp\..+")


def save_run(path: Path, run: Run) -> bool:
    """Write a run as it stands: values, position, history, and the results of the epoch begun.

    False, and nothing is written, where its values are not finite: the next look at them ends the run.
    """
    state = run.program.state()
    if not all_finite(state.values()):
        return False
    settings = {
        "epoch": run.epoch,
        "step_in_epoch": run.step_in_epoch,
        "history": run.history.history,
        "epochs": run.history.epoch,
        "facts": run.facts,
        "rate": None if run.rate is None else run.rate.hex(),
    }
    results = np.asarray(run.results, np.float64).reshape(len(run.results), len(run.columns))
    remembered = {f"callback.{i}.{n}": v for i, c in enumerate(run.callbacks) for n, v in c.remember().items()}
    storage.save(path, state | remembered | {"results": results}, _readable(settings))
    return True


def resume_run(folder: str | os.PathLike[str], run: Run) -> bool:
    """Put a fresh run where the newest good checkpoint in the folder stands; False where there is none.

    Raises ConfigError if the model, the data or a setting is another than the checkpoint's.
    """
    for path in sorted(_checkpoints(Path(folder)), key=_step_of, reverse=True):
        try:
            stored = storage.load(path)
        except (FormatError, OSError) as error:
            logger.warning("%s Trying the one before it.", error)
            continue
        settings = _floats(stored.settings)
        _compare(path, settings["facts"], run.facts)
        values = dict(stored.values)
        run.results = list(values.pop("results"))
        for i, callback in enumerate(run.callbacks):
            start = f"callback.{i}."
            callback.recall({n.removeprefix(start): v for n, v in values.items() if n.startswith(start)})
        run.program.load({n: values[n] for n in run.program.state() if n in values})  # a file sorts its names
        run.epoch, run.step_in_epoch = settings["epoch"], settings["step_in_epoch"]
        run.rate = float.fromhex(settings["rate"]) if settings.get("rate") else None
        run.history.history, run.history.epoch = settings["history"], settings["epochs"]
        return True
    return False


@plain_numbers
@dataclass
class Checkpoint(Callback):
    """Saves the run into a folder, and keeps the newest `keep` checkpoints.

    It saves every `every` steps, at the step at which `seconds` have passed since the last save (a call of a program
    lasts about 50 ms), every `epochs` epochs, and at the end; what is None doesn't count. An older checkpoint goes
    only when the newer one is whole. `fit(..., resume=folder)` goes on from it. What a killed process left half
    written is swept at the beginning. Where a checkpoint can't be saved, training ends with OSError, the older ones
    stay, and the model has what it learned. The best model is `BestCheckpoint`'s.

    >>> Checkpoint("run", seconds=600, epochs=None)
    Checkpoint(folder='run', every=None, keep=2, seconds=600, epochs=None)
    """

    folder: str | os.PathLike[str]
    every: int | None = None
    keep: int = 2
    seconds: float | None = None
    epochs: int | None = 1
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False, kw_only=True)
    last = True

    def __post_init__(self) -> None:
        for name in ("every", "epochs"):
            if getattr(self, name) is not None:
                check_number("Checkpoint", name, getattr(self, name), low=1, whole=True)
        if self.seconds is not None:
            check_number("Checkpoint", "seconds", self.seconds, low=0.0, open_low=True)
        check_number("Checkpoint", "keep", self.keep, low=1, whole=True)
        self._saved, self._broken, self._due = -1, False, 0.0
        self._newest: Path | None = None

    @property
    def newest(self) -> Path | None:
        """The newest checkpoint that this run has saved or begun from."""
        return self._newest

    def check(self, run: Run) -> None:
        storage.check_writable(Path(self.folder) / f"step-{run.step}.safetensors")

    def on_train_begin(self, run: Run) -> None:
        self._broken = False
        self._wait()
        folder = Path(self.folder)
        for left in _leftovers(folder):
            left.unlink(missing_ok=True)
        here = folder / f"step-{run.step}.safetensors"
        self._newest = here if here in _checkpoints(folder) else None
        self._saved = run.step if self._newest else -1
        newer = [p for p in _checkpoints(folder) if _step_of(p) > run.step]
        if newer:
            logger.warning(
                "%s holds checkpoints of another run, up to %s; a resume would take the newest that is good. "
                "Use a folder of its own for each run.", folder, max(newer, key=_step_of).name,
            )  # fmt: skip

    def on_steps_end(self, run: Run) -> None:
        if (self.every is not None and run.step % self.every == 0) or self._is_due():
            self._save(run)

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        if (self.epochs is not None and run.epoch % self.epochs == 0) or self._is_due():
            self._save(run)

    def on_train_end(self, run: Run) -> None:
        if not run.failed and not self._broken:
            self._save(run)

    def _is_due(self) -> bool:
        return self.seconds is not None and self.clock() >= self._due

    def _wait(self) -> None:
        """Count the seconds from now on."""
        self._due = self.clock() + (self.seconds or 0.0)

    def _save(self, run: Run) -> None:
        if self._saved == run.step:  # the end of training may have put back the best weights: go on from the last
            return
        folder = Path(self.folder)
        path = folder / f"step-{run.step}.safetensors"
        try:
            if not save_run(path, run):
                return
        except OSError as error:
            self._broken = True
            kept = f". Last good: {self._newest}, untouched." if self._newest else "."
            raise type(error)(error.errno, f"{error.strerror}{kept}") from error
        self._saved, self._newest = run.step, path
        self._wait()
        older = [p for p in _checkpoints(folder) if _step_of(p) < run.step]
        for old in sorted(older, key=_step_of, reverse=True)[self.keep - 1 :]:
            old.unlink()


def _checkpoints(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if _NAME.fullmatch(p.name)] if folder.is_dir() else []


def _leftovers(folder: Path) -> list[Path]:
    """What a process that was killed while it saved has left."""
    return [p for p in folder.iterdir() if _LEFTOVER.fullmatch(p.name)] if folder.is_dir() else []


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
