"""Callbacks that watch one number of each epoch: early stopping, and a lower rate on a plateau."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepmath.descriptions import check_number, plain_numbers
from deepmath.errors import ConfigError
from deepmath.training.callbacks import Callback, Run

logger = logging.getLogger("deepmath")


@plain_numbers
@dataclass
class Monitor:
    """Watches a number and counts the epochs since it was best by more than `min_delta`.

    `mode` is "min", "max", or "auto": then `check` takes what the run says of the number. NaN is never best.
    """

    owner: str
    name: str
    min_delta: float = 0.0
    mode: str = "auto"
    best: float = math.nan
    best_epoch: int = -1
    waited: int = 0

    def __post_init__(self) -> None:
        check_number(self.owner, "min_delta", self.min_delta, low=0.0)
        if self.mode not in ("min", "max", "auto"):
            raise ConfigError(f"{self.owner}: mode must be 'min', 'max' or 'auto'; got {self.mode!r}")
        if not isinstance(self.name, str):
            raise ConfigError(f"{self.owner}: monitor must be the name of a result; got {self.name!r}")
        self._larger = self.mode == "max"

    def check(self, run: Run) -> None:
        """Raise ConfigError unless the run will report the number, and it is known which is better."""
        if self.name not in run.reported:
            raise ConfigError(f"{self.owner}: {_missing(self.name, run)}")
        better = run.reported[self.name]
        if self.mode == "auto":
            if better is None:
                raise ConfigError(
                    f"{self.owner}: nobody said whether '{self.name}' is better high or low; "
                    "give mode='max' or mode='min'"
                )
            self._larger = better == "higher"

    def improved(self, epoch: int, logs: dict[str, float]) -> bool:
        """Take in one epoch; whether it is the best so far."""
        value = logs[self.name]
        better = not math.isnan(value)
        if better and not math.isnan(self.best):
            better = (value - self.best if self._larger else self.best - value) > self.min_delta
        if better:
            self.best, self.best_epoch, self.waited = value, epoch, 0
        else:
            self.waited += 1
        return better

    def state(self) -> dict[str, Any]:
        """What must be remembered over a stop."""
        return {
            "best": np.asarray(self.best),
            "best_epoch": np.asarray(self.best_epoch),
            "waited": np.asarray(self.waited),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])
        self.waited = int(state["waited"])


def _missing(name: str, run: Run) -> str:
    """What to say of a name that a run won't report: the nearest, all that there will be, and how there would be it."""
    import difflib  # only for a message

    there = list(run.reported)
    blind = name.startswith("val_") and not any(n.startswith("val_") for n in there)
    possible = [f"val_{n}" for n in there] if blind else there
    near = [n for n in possible if n == f"val_{name}" or n.startswith(name)]
    near = near or difflib.get_close_matches(name, possible, n=1)
    hint = f" (did you mean '{near[0]}'?)" if near and near[0] != name else ""
    cure = ""
    if blind:
        cure = ". Give validation_data or validation_split (of an estimator: eval_set)"
    elif any(not type(c).__module__.startswith("deepmath.") for c in run.callbacks):
        cure = f". A callback of yours that adds it says so in its check: run.reported['{name}'] = 'higher'"
    return f"nothing called '{name}' to monitor{hint}; each epoch will report {', '.join(there)}{cure}"


@plain_numbers
@dataclass
class EarlyStopping(Callback):
    """Stops when `monitor` has not become better for `patience` epochs, and restores the values of the best epoch.

    `mode` "auto" knows of our losses and metrics whether higher or lower is better; a metric of your own says it
    (`Metric(..., better="higher")`), or `mode` does, "max" or "min". The best values are a copy, and they are put
    back however training ends: all epochs done, stopped, interrupted (Ctrl-C), or broken off by an error. A
    checkpoint made at the end still has the last ones, from which `resume` goes on. A stop and its memory survive a
    resume. Source: article 3, "early stopping"; Prechelt (1998).
    """

    monitor: str = "val_loss"
    patience: int = 5
    min_delta: float = 0.0
    mode: str = "auto"
    restore_best_weights: bool = True
    _best: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_number("EarlyStopping", "patience", self.patience, low=0, whole=True)
        self._forget()

    def _forget(self) -> None:
        self._watch = Monitor("EarlyStopping", self.monitor, self.min_delta, self.mode)
        self._best = {}

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch, from 0; -1 before the first."""
        return self._watch.best_epoch

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        if self._watch.improved(run.epoch - 1, logs):
            if self.restore_best_weights:
                self._best = run.program.state()
        elif self._watch.waited >= self.patience:
            run.stop = True
            logger.info(
                "stopped early: %s was best (%g) in epoch %d", self.monitor, self._watch.best, self.best_epoch + 1
            )

    def check(self, run: Run) -> None:
        self._forget()  # each call of fit is watched anew, unless it goes on from a checkpoint
        self._watch.check(run)

    def on_train_begin(self, run: Run) -> None:
        had_enough = self._watch.best_epoch >= 0 and self._watch.waited >= max(self.patience, 1)
        run.stop = run.stop or had_enough

    def on_train_end(self, run: Run) -> None:
        if self._best:
            values = {n: v for n, v in self._best.items() if n.startswith(("params.", "state."))}
            run.program.load(run.program.state() | values)

    def remember(self) -> dict[str, Any]:
        return self._watch.state() | {f"kept.{n}": v for n, v in self._best.items()}

    def recall(self, memory: dict[str, Any]) -> None:
        self._watch.load(memory)
        self._best = {n.removeprefix("kept."): v for n, v in memory.items() if n.startswith("kept.")}


@plain_numbers
@dataclass
class ReduceLROnPlateau(Callback):
    """Multiplies the learning rate by `factor` when `monitor` has not become better for `patience` epochs.

    After that it waits `cooldown` epochs before it counts again; the rate's factor never falls below `min_factor`.
    The factor stays for the next call of `fit`, until `compile` sets the rate anew. `mode` is that of `EarlyStopping`.
    """

    monitor: str = "val_loss"
    factor: float = 0.1
    patience: int = 10
    min_delta: float = 1e-4
    mode: str = "auto"
    cooldown: int = 0
    min_factor: float = 0.0

    def __post_init__(self) -> None:
        owner = "ReduceLROnPlateau"
        check_number(owner, "factor", self.factor, low=0.0, high=1.0, open_low=True, open_high=True)
        check_number(owner, "patience", self.patience, low=0, whole=True)
        check_number(owner, "cooldown", self.cooldown, low=0, whole=True)
        check_number(owner, "min_factor", self.min_factor, low=0.0, high=1.0)
        self._forget()

    def _forget(self) -> None:
        self._watch = Monitor("ReduceLROnPlateau", self.monitor, self.min_delta, self.mode)
        self._cooling = 0

    def check(self, run: Run) -> None:
        self._forget()  # each call of fit is watched anew, unless it goes on from a checkpoint
        self._watch.check(run)

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        improved = self._watch.improved(run.epoch - 1, logs)
        if self._cooling:
            self._cooling -= 1
            self._watch.waited = 0
        elif not improved and self._watch.waited >= self.patience:
            pace = run.program.pace
            pace.factor = max(pace.factor * self.factor, self.min_factor)
            self._cooling, self._watch.waited = self.cooldown, 0
            logger.info("epoch %d: the learning rate is now %g of what it was set to", run.epoch, pace.factor)

    def remember(self) -> dict[str, Any]:
        return self._watch.state() | {"cooling": np.asarray(self._cooling)}

    def recall(self, memory: dict[str, Any]) -> None:
        self._watch.load(memory)
        self._cooling = int(memory["cooling"])
