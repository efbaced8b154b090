"""Callbacks that average the weights over the steps: equally, or with weights that fade."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepmath.descriptions import check_number, plain_numbers
from deepmath.errors import ConfigError
from deepmath.training.callbacks import Callback, Run


@plain_numbers
@dataclass
class _Average(Callback):
    """What both averages share: when they take a sample, and where the average is used.

    The average is of the parameters and of the layers' running averages, in float64. It begins with the values
    after step `start_step` and takes in those after each step that is a multiple of `every`.
    """

    start_step: int = 0
    every: int | None = 1
    validate: bool = False
    at_end: bool = True
    _mean: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _trained: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _count: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        owner = type(self).__name__
        check_number(owner, "start_step", self.start_step, low=0, whole=True)
        check_number(owner, "every", self.every, low=1, whole=True)

    @abc.abstractmethod
    def share(self, count: int) -> float:
        """How much the new values count where `count` are in the average."""

    @property
    def averaged(self) -> dict[str, Any]:
        """Copies of the averages by name, "params.0.kernel"; nothing before the first sample."""
        return {name: value.copy() for name, value in self._mean.items()}

    def check(self, run: Run) -> None:
        if self.validate and not any(name.startswith("val_") for name in run.reported):
            raise ConfigError(
                f"{type(self).__name__}: validate=True measures validation data with the average, and there are none; "
                "give validation_data or validation_split"
            )
        if self.validate and sum(isinstance(c, _Average) and c.validate for c in run.callbacks) > 1:
            raise ConfigError("fit: validation data can be measured with one average; give the others validate=False")

    def on_train_begin(self, run: Run) -> None:
        self._put_back(run)  # the run may have been saved while it was measured with the average

    def on_steps_end(self, run: Run) -> None:
        assert self.every is not None
        if run.step < max(self.start_step, 1) or run.step % self.every:
            return
        values = _weights(run)
        share = self.share(self._count) if self._mean else 1.0
        self._count += 1
        for name, value in values.items():
            mean = self._mean.setdefault(name, np.zeros(value.shape))
            mean += share * (value.astype(np.float64) - mean)

    def on_validation_begin(self, run: Run) -> None:
        if self.validate and self._mean:
            self._trained = _weights(run)
            _load(run, self._mean)

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        self._put_back(run)

    def on_train_end(self, run: Run) -> None:
        self._put_back(run)
        if self.at_end and self._mean:
            _load(run, self._mean)

    def remember(self) -> dict[str, Any]:
        kept = {f"mean.{n}": v for n, v in self._mean.items()} | {f"trained.{n}": v for n, v in self._trained.items()}
        return kept | {"count": np.asarray(self._count)}

    def recall(self, memory: dict[str, Any]) -> None:
        self._count = int(memory["count"])
        self._mean = {n.removeprefix("mean."): np.array(v) for n, v in memory.items() if n.startswith("mean.")}
        self._trained = {n.removeprefix("trained."): v for n, v in memory.items() if n.startswith("trained.")}

    def _put_back(self, run: Run) -> None:
        if self._trained:
            _load(run, self._trained)
            self._trained = {}


@plain_numbers
@dataclass
class ExponentialMovingAverage(_Average):
    """Average of the weights that fades: average = decay average + (1 - decay) weights.

    It begins with the weights after the first step that is taken (PyTorch's `AveragedModel` does the same), so
    no correction of a bias is needed. With `validate` the validation data are measured with the average, and
    callbacks in front of this one in the list see it at the end of the epoch: what keeps the best values
    (`EarlyStopping`, `BestCheckpoint`) stands before it. With `at_end` the model gets the average when training
    ends, also where it is interrupted or breaks off; with `EarlyStopping`, which puts back the best values, say
    False. `every` above 1 is cheaper, and lets that many steps run in one call; decay then counts samples.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("ExponentialMovingAverage", "decay", self.decay, low=0.0, high=1.0, open_high=True)

    def share(self, count: int) -> float:
        return 1.0 - self.decay


@plain_numbers
@dataclass
class ModelAverage(_Average):
    """Equal average of the weights since `start_step` (Polyak and Juditsky, 1992; "SWA").

    `validate`, `at_end` and `every` are those of `ExponentialMovingAverage`. Batch normalisation's running
    averages are averaged like parameters, and not measured anew.
    """

    def share(self, count: int) -> float:
        return 1.0 / (count + 1)


def _weights(run: Run) -> dict[str, Any]:
    return {n: v for n, v in run.program.state().items() if n.startswith(("params.", "state."))}


def _load(run: Run, values: dict[str, Any]) -> None:
    run.program.load(run.program.state() | values)
