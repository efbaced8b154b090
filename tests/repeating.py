"""Runs of five configurations on both programs, for a fresh process: the fingerprint of each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import resuming
from networks import PROGRAMS

from deepmath import BatchNormalization, Dense, Dropout, LayerNormalization, Sequential
from deepmath.callbacks import EarlyStopping, ReduceLROnPlateau
from deepmath.optimizers import SGD, AdamW, RMSprop
from deepmath.regularizers import L2
from deepmath.schedules import ExponentialDecay

RNG = np.random.default_rng(11)
X = RNG.standard_normal((70, 5))
Y = np.sin(X @ RNG.standard_normal((5, 2)))


def fit(layers: list[Any], optimizer: Any, **settings: Any) -> tuple[Any, dict[str, Any]]:
    """A regression of 12 epochs: its history and its last state."""
    model, seen = Sequential(layers, seed=7), resuming.Keep()
    model.compile(optimizer, "mse")
    given = {"epochs": 12, "batch_size": 16, "verbose": 0} | settings
    return model.fit(X, Y, **given | {"callbacks": [*given.pop("callbacks", []), seen]}), seen.state


def configurations(backend: str) -> dict[str, Callable[[], tuple[Any, dict[str, Any]]]]:
    """What is run, by name: dropout, penalties, clipping, callbacks, and a run that is rolled back."""
    watching = [EarlyStopping("loss", 3), ReduceLROnPlateau("loss", patience=1)]
    deep = [Dense(9, "gelu"), LayerNormalization(), Dropout(0.2), Dense(2)]
    plain = [Dense(8, "relu", kernel_regularizer=L2(1e-3)), BatchNormalization(), Dense(2)]
    return {
        "classes": lambda: resuming.train(backend),
        "penalty": lambda: fit(plain, SGD(0.05, momentum=0.9, nesterov=True), accumulate=2, backend=backend),
        "clipped": lambda: fit(deep, AdamW(0.01, clipnorm=0.5), sample_weight=np.arange(70.0), backend=backend),
        "watched": lambda: fit(deep, RMSprop(ExponentialDecay(0.02, 0.05)), callbacks=watching, backend=backend),
        "rolled back": lambda: fit([Dense(8, "relu"), Dense(2)], SGD(9.0), on_nan="rollback", backend=backend),
    }


if __name__ == "__main__":
    logging.getLogger("deepmath").setLevel(logging.ERROR)
    for backend in PROGRAMS:
        for name, run in configurations(backend).items():
            print(backend, name, resuming.fingerprint(*run()), sep="\t", flush=True)
