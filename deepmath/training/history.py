"""What training reported, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RATE = "learning_rate"
"""What the learning rate is called among the results."""


@dataclass
class History:
    """`history` maps names to one number for each epoch: "loss" (the objective), "cost" (without penalties),
    metrics, the same of the validation data with "val_" in front, and "learning_rate", with which the epoch's last
    step was made (L-BFGS has none). `epoch` lists the epochs' numbers from 0. A name that comes later than the first
    epoch is NaN before. `converged` says of L-BFGS whether it ended at a minimum or at a limit; it is None where a
    callback stopped it.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)
    converged: bool | None = None

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """Append one epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            if name not in self.history:
                self.history[name] = [math.nan] * (len(self.epoch) - 1)
            self.history[name].append(value)


def summarize(columns: Sequence[str], results: Any) -> dict[str, float]:
    """One epoch from its steps' results [steps, columns]: the mean of each, by the weight of the steps' rows."""
    return summaries(columns, np.asarray(results, np.float64)[None])[0]


def summaries(columns: Sequence[str], results: Any) -> list[dict[str, float]]:
    """What `summarize` says of each epoch, from float64 [epochs, steps, columns]."""
    places = {name: i for i, name in enumerate(columns) if name not in ("weight", "rows")}
    weights = results[:, :, [columns.index("weight")]]
    # sums in the order of the steps, both: a metric that is 1 in each step is 1 in the epoch
    totals = np.cumsum(weights, axis=1)[:, -1]
    means = np.cumsum(weights * results, axis=1)[:, -1] / np.where(totals == 0.0, 1.0, totals)
    if not totals.all():
        means = np.where(totals == 0.0, results.mean(axis=1), means)
    return [{name: row[i] for name, i in places.items()} for row in means.tolist()]
