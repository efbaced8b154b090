"""Gradients of the step at hand, read off without disturbing training, and numbers that describe them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.descriptions import check_number
from deepmath.errors import ConfigError, FormatError
from deepmath.storage import write_whole
from deepmath.training.callbacks import Callback, Run
from deepmath.training.logs import json_line


def next_gradients(run: Run) -> dict[str, Any]:
    """Copies of the gradients that the next update will take, by parameter name, before any clipping.

    They are those of the whole logical batch at the present weights. No visible value changes. There
    are none where a generator's last batch is gone.
    """
    if run.batches is None:
        raise ConfigError("gradients need the run's batches; this run has none")
    gradients = None
    with np.errstate(all="ignore"):  # the loop finds what overflows
        for batch in run.batches.at(run.step):
            gradients = run.program.gradients(batch, gradients)
    if gradients is None:
        return {}
    return {name: np.array(to_numpy(value)) for name, value in gradients.values.items()}


def describe(gradient: Any) -> dict[str, float]:
    """Euclidean norm, largest and mean magnitude, and the share of exact zeros of an array, in float64.

    >>> describe([3.0, -4.0, 0.0, 0.0])
    {'norm': 5.0, 'max': 4.0, 'mean': 1.75, 'zeros': 0.5}
    """
    sizes = np.abs(np.asarray(gradient, np.float64))
    with np.errstate(over="ignore"):
        norm = float(np.sqrt(np.sum(np.square(sizes))))
    return {"norm": norm, "max": float(sizes.max()), "mean": float(sizes.mean()), "zeros": float(np.mean(sizes == 0.0))}


class GradientStatistics(Callback):
    """Describes each parameter's gradient every `every` steps: norm, max and mean of |g|, share of zeros.

    After step s it takes the gradients of step s + 1, so one more pass each time. `records` holds
    {"step": s, "0.kernel": {"norm": ..., "max": ..., "mean": ..., "zeros": ...}, ...} of this call of `fit`; with
    `path` each is also a line of JSON in that file, and a resumed run goes on with it.
    """

    every: int

    def __init__(self, every: int = 100, path: str | os.PathLike[str] | None = None) -> None:
        self.every = check_number("GradientStatistics", "every", every, low=1, whole=True)
        self.path = None if path is None else Path(path)
        self.records: list[dict[str, Any]] = []

    def on_train_begin(self, run: Run) -> None:
        self.records = []
        if self.path is not None:
            write_whole(self.path, "".join(self._kept(self.path, run)).encode())

    def on_steps_end(self, run: Run) -> None:
        if run.step % self.every:
            return
        gradients = next_gradients(run)
        if not gradients:
            return
        record = {"step": run.step} | {name: describe(g) for name, g in gradients.items()}
        self.records.append(record)
        if self.path is not None:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json_line(record))

    def _kept(self, path: Path, run: Run) -> list[str]:
        """The lines of an earlier part of this run."""
        if not path.exists() or not (run.epoch or run.step_in_epoch):
            return []
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [line for line in lines if line.endswith("\n") and step_of(path, line) <= run.step]


def step_of(path: Path, line: str) -> int:
    """The step of a line that `GradientStatistics` wrote."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"GradientStatistics: {path} is not a file of gradients; give another path") from error
