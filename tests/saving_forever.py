"""Saves checkpoints of a given size until it is killed, as a process of its own; tells each one that is whole."""

from __future__ import annotations

import itertools
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np

from deepmath.training.callbacks import Run
from deepmath.training.checkpoints import Checkpoint
from deepmath.training.history import History


def run_at(step: int, numbers: int = 8) -> Run:
    """A run that only has values: all of them are its step."""
    state = {"params.0.kernel": np.full(numbers, step, np.float64), "step": np.asarray(step), "rate": np.asarray(1.0)}
    program: Any = SimpleNamespace(step=step, state=lambda: state)
    return Run(program, History(), 1, 1, ("loss", "cost", "weight", "rows"), {})


if __name__ == "__main__":
    folder, numbers, first = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    checkpoint = Checkpoint(folder, every=1)
    checkpoint.on_train_begin(run_at(first, numbers))
    for step in itertools.count(first + 1):
        checkpoint.on_steps_end(run_at(step, numbers))
        print(step, flush=True)
