"""The run whose resumption is tested, in a form that a fresh process can import, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from deepmath import Activation, BatchNormalization, Dense, Dropout, Sequential, callbacks
from deepmath.optimizers import SGD, Adam, RMSprop
from deepmath.schedules import CosineDecay, ExponentialDecay, PiecewiseConstant

EPOCHS, STEPS_PER_EPOCH = 4, 10
STEPS = EPOCHS * STEPS_PER_EPOCH
BATCH, ROWS = 7, 66  # nine batches of seven rows, and one of three


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(8)
    X = rng.standard_normal((ROWS, 4))
    return X, (X.sum(1) > 0).astype(np.int64)


OPTIMIZERS = {
    "adam": lambda: Adam(CosineDecay(0.05, steps=60, warmup=6)),
    "sgd": lambda: SGD(ExponentialDecay(0.2, 0.5, steps=7, staircase=True), momentum=0.9, nesterov=True),
    "rmsprop": lambda: RMSprop(PiecewiseConstant((0.03, 0.01, 0.003), (13, 27)), clipnorm=1.0),
}
"""The optimisers of the matrix, each with a schedule and with slots of its own."""


def watching() -> list[callbacks.Callback]:
    """What counts epochs over a stop: the first is best from the first epoch on, and ends the run after the fourth."""
    return [callbacks.EarlyStopping("val_accuracy", patience=3), callbacks.ReduceLROnPlateau("loss", 0.5, patience=1)]


def model(seed: int = 3, units: int = 6, optimizer: Any = None) -> Sequential:
    layers = [Dense(units), BatchNormalization(), Activation("relu"), Dropout(0.3), Dense(2, "softmax")]
    made = Sequential(layers, seed=seed)
    made.compile(optimizer or Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    return made


class Stop(callbacks.Callback):
    """Ends the run after a step, or the whole process, as a power cut would."""

    every = 1
    last = True  # behind the checkpoint

    def __init__(self, step: int, kill: bool = False) -> None:
        self.step, self.kill = step, kill

    def on_steps_end(self, run: callbacks.Run) -> None:
        if run.step == self.step and self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        run.stop = run.step == self.step


def train(
    backend: str, *more: callbacks.Callback, made: Sequential | None = None, **settings: Any
) -> tuple[Any, dict[str, Any]]:
    """The history, and the program's state at the end."""
    seen = Keep()
    X, y = data()
    validation = X[:5] + 0.5, y[:5]
    given: dict[str, Any] = {"epochs": EPOCHS, "batch_size": BATCH, "backend": backend, "validation_data": validation}
    history = (made or model()).fit(X, y, callbacks=[*more, seen], verbose=0, **given | settings)
    return history, seen.state


def train_watched(optimizer: str, backend: str, *more: callbacks.Callback, **settings: Any) -> str:
    """The fingerprint of a run that stops early; what its callbacks remember counts too."""
    watched, made = watching(), model(optimizer=OPTIMIZERS[optimizer]())
    history, state = train(backend, *watched, *more, made=made, epochs=2 * EPOCHS, **settings)
    assert (int(state["step"]), len(history.epoch)) == (STEPS, EPOCHS)
    remembered = {f"{i}.{n}": v for i, callback in enumerate(watched) for n, v in callback.remember().items()}
    return fingerprint(history, state | remembered)


class Keep(callbacks.Callback):
    """Keeps the program's last state."""

    def on_train_end(self, run: callbacks.Run) -> None:
        self.state = run.program.state()


def fingerprint(history: Any, state: dict[str, Any]) -> str:
    """SHA-256 over every value of the program and of the history, to the last bit."""
    sha = hashlib.sha256()
    for name in sorted(state):
        value = np.ascontiguousarray(state[name])
        sha.update(f"{name} {value.dtype} {value.shape} ".encode() + value.tobytes())
    exact = {name: [float(v).hex() for v in values] for name, values in history.history.items()}
    sha.update(json.dumps([exact, history.epoch], sort_keys=True).encode())
    return sha.hexdigest()


def main(backend: str, folders: list[str]) -> None:
    """Resume the checkpoint in each folder, finish it, and print the fingerprint.

    The folder around it may have the name of an optimiser: then it is that one's run.
    """
    for folder in folders:
        assert list(Path(folder).iterdir()), folder
        name = Path(folder).parent.name
        watched = name in OPTIMIZERS
        print(
            train_watched(name, backend, resume=folder) if watched else fingerprint(*train(backend, resume=folder)),
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1] == "killed":
        backend, folder, step = sys.argv[2:]
        train(backend, callbacks.Checkpoint(folder, every=1), Stop(int(step), kill=True))
    else:
        main(sys.argv[1], sys.argv[2:])
