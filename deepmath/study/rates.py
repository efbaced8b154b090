"""The learning-rate range test: how the loss answers as the rate grows from step to step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath.backend import load_backend
from deepmath.descriptions import check_number
from deepmath.errors import ConfigError, NonFiniteError
from deepmath.formulas.risk import smoothed
from deepmath.optimizers import LBFGS
from deepmath.study.subject import Subject, subject
from deepmath.study.trials import fresh, placed

KEPT = 0.9
"""The share of the average that each step's loss leaves in place."""

BROKEN = 4.0
"""The test ends where the smoothed loss is so many times the lowest."""

SAFE = 10.0
"""The rate at the lowest loss is already near the edge; the suggestion stays so many times below it."""


@dataclass(frozen=True)
class RateRange:
    """What `lr_find` saw: each step's rate, loss, and smoothed loss. `suggestion` is None where no loss fell."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None

    def text(self) -> str:
        """The suggestion, and the smoothed loss at rates from small to large."""
        if self.suggestion is None:
            verdict = "no suggestion: the loss fell at no rate"
        else:
            verdict = f"suggested learning rate: {self.suggestion:.2g}"
        shown = sorted({round(i) for i in np.linspace(0, len(self.rates) - 1, 16)})
        lines = [f"  {self.rates[i]:<9.2e} {self.smoothed[i]:.5g}" for i in shown]
        return "\n".join([verdict, "  rate      smoothed loss", *lines]) + "\n"

    __str__ = text


def lr_find(
    model: Any, X: Any, y: Any, *, low: float = 1e-6, high: float = 10.0, steps: int = 100, batch_size: int = 32,
    sample_weight: Any = None, backend: Any = "reference",
) -> RateRange:  # fmt: skip
    """Train a copy of the model for `steps` steps on X [rows, features] and y while the rate grows from low to high.

    The copy begins with the model's present weights and a fresh optimiser, and is thrown away. Losses are
    objectives of batches, smoothed with a share of 0.9. The suggestion is a tenth of the rate at the lowest
    smoothed loss, and no less than where it falls most steeply: there it still falls fast, and has room. The test
    ends early where the loss breaks out.

    Raises ConfigError and the errors of `fit`; NonFiniteError where not even the lowest rate gives a number.
    Source: Smith (2017), "Cyclical learning rates for training neural networks", section 3.3.

    >>> from deepmath import Dense, Sequential, study
    >>> model = Sequential([Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> found = study.lr_find(model, [[-1.0], [1.0]] * 8, [-1.0, 1.0] * 8)
    >>> 0.01 < found.suggestion < 1.0
    True
    """
    low = check_number("lr_find", "low", low, low=0.0, open_low=True)
    high = check_number("lr_find", "high", high, low=low, open_low=True)
    steps = check_number("lr_find", "steps", steps, low=10, whole=True)
    batch_size = check_number("lr_find", "batch_size", batch_size, low=1, whole=True)
    chosen = subject("lr_find", model, X, y, sample_weight)
    if isinstance(chosen.recipe.optimizer, LBFGS):
        raise ConfigError("lr_find: LBFGS searches for its own step; choose another optimiser in compile")
    rates, losses, averages = _swept(chosen, np.geomspace(low, high, steps), batch_size, load_backend(backend))
    if not losses:
        raise NonFiniteError(f"lr_find: the loss is not finite at the lowest rate {low:g}; check data and weights")
    return RateRange(tuple(rates), tuple(losses), tuple(averages), _suggested(rates, averages))


def _swept(chosen: Subject, rates: Any, batch_size: int, used: Any) -> tuple[list[float], list[float], list[float]]:
    """Rates with a finite loss, these losses, and their averages."""
    optimizer = replace(chosen.recipe.optimizer, learning_rate=1.0)  # type: ignore[type-var]
    chosen = replace(chosen, recipe=replace(chosen.recipe, optimizer=optimizer))
    data = placed(chosen.data, used, chosen.recipe.precision)
    program = fresh(chosen.recipe, chosen.values, data, batch_size, used)
    seen: tuple[list[float], list[float], list[float]] = [], [], []
    average, lowest = 0.0, math.inf
    for step, rate in enumerate(rates):
        program.pace.factor = float(rate)
        with np.errstate(all="ignore"):
            loss = float(program.run(1)[0, 0])
        if not math.isfinite(loss):
            break
        average, value = smoothed(average, loss, KEPT, step)
        for name, number in zip(seen, (float(rate), loss, value), strict=True):
            name.append(number)
        lowest = min(lowest, value)
        if value > BROKEN * lowest and step > len(rates) // 10:
            break
    return seen


def _suggested(rates: list[float], averages: list[float]) -> float | None:
    best = int(np.argmin(averages))
    if best < 2:
        return None
    falls = np.diff(averages[: best + 1])
    return max(rates[int(np.argmin(falls))], rates[best] / SAFE)
