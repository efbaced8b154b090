"""What training reported, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class History:
    """`history` maps names to one number for each epoch: "loss" (the objective), "cost" (without penalties),
    metrics, and the same of the validation data with "val_" in front. `epoch` lists the epochs' numbers from 0.
    `converged` says of L-BFGS whether it ended at a minimum or at a limit; it is None where a callback stopped it.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)
    converged: bool | None = None

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """Append one epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)


def summarize(columns: Sequence[str], results: Any) -> dict[str, float]:
    """One epoch from its steps' results [steps, columns]: losses weighted by weight, metrics by rows."""
    by_name = dict(zip(columns, np.asarray(results, np.float64).T, strict=True))
    weight, rows = by_name.pop("weight"), by_name.pop("rows")
    return {name: _mean(v, weight if name in ("loss", "cost") else rows) for name, v in by_name.items()}


def _mean(values: Any, weights: Any) -> float:
    total = float(np.sum(weights))
    return float(np.sum(values * weights) / total) if total else float(np.mean(values))
