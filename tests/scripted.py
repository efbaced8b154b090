"""Runs whose monitored number is scripted, so that the rules of the monitors can be written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepmath import BatchNormalization, Dense, Sequential
from deepmath.callbacks import Callback
from deepmath.optimizers import SGD

RNG = np.random.default_rng(4)
X, Y = RNG.standard_normal((12, 3)), RNG.standard_normal((12, 2))
STEPS = 3
"""Steps of an epoch."""


class Script(Callback):
    """Stands in front of a monitor: puts the epoch's number into the logs, and keeps what the program holds."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values, self.states = list(values), []

    def check(self, run: Any) -> None:
        run.reported["score"] = None

    def on_epoch_end(self, run: Any, logs: dict[str, float]) -> None:
        logs["score"] = self.values[run.epoch - 1]
        self.states.append(run.program.state())


class Factors(Callback):
    """Stands behind a monitor: keeps the rate's factor after each epoch, and the program's last state."""

    def __init__(self) -> None:
        self.kept: list[float] = []

    def on_epoch_end(self, run: Any, logs: dict[str, float]) -> None:
        self.kept.append(run.program.pace.factor)

    def on_train_end(self, run: Any) -> None:
        self.state = run.program.state()


class Stop(Callback):
    """Ends the run after so many steps."""

    every = 1

    def __init__(self, step: int) -> None:
        self.step = step

    def on_steps_end(self, run: Any) -> None:
        if run.step == self.step:
            run.stop = True


def model_of(optimizer: Any = None, seed: int = 1) -> Sequential:
    model = Sequential([Dense(4), BatchNormalization(), Dense(2)], seed=seed)
    model.compile(optimizer or SGD(0.05, momentum=0.9), "mse")
    return model


def fit(model: Sequential, callbacks: Sequence[Callback], epochs: int, backend: str, **settings: Any) -> Any:
    given: dict[str, Any] = {"batch_size": 4, "precision": "float64", "verbose": 0, "backend": backend}
    return model.fit(X, Y, epochs=epochs, callbacks=callbacks, **given | settings)


def assert_same_bits(found: Any, expected: Any) -> None:
    """Of two states, whose `step` and optimiser's slots may be left out."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.asarray(found[name]).tobytes() == np.asarray(value).tobytes(), name
