"""Small runs on data of every kind: what the tests of sources share, in a form that a fresh process can import."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from resuming import Keep, Stop, fingerprint

from deepmath import Dense, Dropout, Sequential, callbacks, datasets
from deepmath.data import chunks, loaders, sources

ROWS, FEATURES, CLASSES = 333, 5, 3
EPOCHS, BATCH = 2, 16
STEPS = EPOCHS * -(-ROWS // BATCH)


def arrays() -> tuple[Any, Any]:
    """X [rows, features] and labels [rows]."""
    rng = np.random.default_rng(4)
    X = rng.standard_normal((ROWS, FEATURES)).astype(np.float32)
    return X, rng.integers(0, CLASSES, ROWS)


def small_model(seed: int = 3, loss: str = "sparse_categorical_crossentropy", **options) -> Sequential:
    layers = [Dense(8, "tanh"), Dropout(0.2), Dense(CLASSES, "softmax" if "cross" in loss else None)]
    made = Sequential(layers, seed=seed, **options)
    made.compile("adam", loss, ["accuracy"] if "cross" in loss else [])
    return made


def trained(X, y=None, made=None, **settings):
    """(history, weights as bytes) of two epochs."""
    made = small_model() if made is None else made
    history = made.fit(X, y, **{"epochs": 2, "batch_size": 16, "verbose": 0} | settings)
    return history.history, b"".join(w.tobytes() for w in made.get_weights())


def in_small_chunks() -> None:
    """About 50 rows a stretch, so that a small run goes through many."""
    for module in (chunks, loaders, sources):
        module.CHUNK = 50 * 4 * FEATURES


def batches(X: Any, y: Any, size: int = BATCH) -> list[tuple[Any, Any]]:
    """The rows in their order, as batches."""
    return [(X[i : i + size], y[i : i + size]) for i in range(0, len(X), size)]


def resumable(kind: str, paths: list[str], *more: callbacks.Callback, **settings: Any) -> str:
    """The fingerprint of a run on data of a kind."""
    given: Any = None
    if kind in ("rows", "window"):
        given = datasets.NpySource(*paths)
    if kind == "window":
        settings["shuffle"] = 100
    elif kind == "sequence":
        given = batches(*arrays())
    elif kind == "generator":
        given = (b for _ in range(EPOCHS) for b in batches(*arrays()))
        settings["steps_per_epoch"] = STEPS // EPOCHS
    elif kind == "iterable":
        given = Loader(batches(*arrays()))
    seen = Keep()
    history = small_model().fit(given, epochs=EPOCHS, batch_size=BATCH, verbose=0, callbacks=[*more, seen], **settings)
    return fingerprint(history, seen.state)


class Loader:
    """Begins anew whenever somebody goes through it."""

    def __init__(self, given: list[Any]) -> None:
        self.given = given

    def __iter__(self) -> Any:
        return iter(self.given)

    def __len__(self) -> int:
        return len(self.given)


KINDS = ("rows", "window", "sequence", "generator", "iterable")

if __name__ == "__main__":
    in_small_chunks()
    kind, x_path, y_path, *folders = sys.argv[1:]
    for folder in folders:
        if folder.startswith("kill:"):
            _, at, step = folder.split(":")
            resumable(kind, [x_path, y_path], callbacks.Checkpoint(at, every=1), Stop(int(step), kill=True))
        print(resumable(kind, [x_path, y_path], resume=folder), flush=True)
