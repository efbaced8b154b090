"""A run whose data stop coming, to be run as a process of its own: it is stuck in its reading thread."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

import feeding

from deepmath import callbacks

GIVEN = 9
"""How many batches come before the one that never does."""


class Batches:
    """A sequence whose batch number `GIVEN` never comes."""

    def __init__(self, batches: list[Any]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> Any:
        if number == GIVEN:
            threading.Event().wait()
        return self._batches[number]


class Tell(callbacks.Callback):
    """Says when all that came has been trained on, from when on the run waits; may hang at the end of training."""

    every = 1

    def __init__(self, ending: bool = False) -> None:
        self._ending = ending

    def on_steps_end(self, run: callbacks.Run) -> None:
        if run.step == GIVEN:
            print("stuck", flush=True)

    def on_train_end(self, run: callbacks.Run) -> None:
        if self._ending:
            print("ending", flush=True)
            threading.Event().wait()


def data(kind: str) -> tuple[Any, dict[str, Any]]:
    """Batches of a kind, and what else `fit` needs for them."""
    batches = feeding.batches(*feeding.arrays())
    slow = Batches(batches)
    if kind == "sequence":
        return slow, {"shuffle": False}
    return (slow[i] for i in range(len(batches))), {"steps_per_epoch": len(batches)}


if __name__ == "__main__":
    kind, folder, *ending = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a process begun in the background may ignore it
    given, settings = data(kind)
    watching = [callbacks.Checkpoint(folder), Tell(bool(ending))]
    feeding.small_model().fit(given, verbose=0, callbacks=watching, **settings)
