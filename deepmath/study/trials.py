"""Short trainings from the same first weights at other rates: what the rate at hand is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from deepmath.backend import Backend
from deepmath.pace import ScaledRate
from deepmath.program import Data, Program
from deepmath.study.subject import Subject

STEPS, FEWEST = 300, 30
"""A trial has at most so many steps; one of a large network fewer, but no less than these."""

WORK = 3e8
"""How many products of a weight and a row a trial may cost, forward."""

FACTORS = (0.1, 10.0, 0.01, 100.0, 0.001, 1000.0)
"""What the rate is multiplied by, from near to far; beyond, as long as it helps."""

FARTHEST = 1e9
"""No rate that is tried lies farther off than this factor."""


def steps_of(whole: Subject, batch_size: int) -> int:
    """How many steps a trial of this network may have."""
    rows = min(batch_size, whole.data.rows)
    return max(FEWEST, min(STEPS, round(WORK / (rows * max(whole.size, 1)))))


class Trial(NamedTuple):
    """How a short training ended: its loss without penalties, infinite where it broke."""

    factor: float
    steps: int
    cost: float


def trials(
    whole: Subject, first: Mapping[str, Any], judged: Subject, steps: int, batch_size: int, used: Backend
) -> list[Trial]:
    """Trials at all `FACTORS`, and at farther ones while the farthest is the best; the best comes first."""

    def tried(factor: float) -> Trial:
        return trial(whole, first, judged, factor, steps, batch_size, used)

    found = sorted((tried(factor) for factor in FACTORS), key=_cost)
    while found[0].factor in (min(t.factor for t in found), max(t.factor for t in found)):
        stride = 10.0 if found[0].factor > 1.0 else 0.1
        if not 1.0 / FARTHEST < found[0].factor * stride < FARTHEST:
            break
        found = sorted([*found, tried(found[0].factor * stride)], key=_cost)
    return found


def _cost(tried: Trial) -> float:
    return tried.cost


def trial(
    whole: Subject, first: Mapping[str, Any], judged: Subject, factor: float, steps: int, batch_size: int, used: Backend
) -> Trial:
    """Train from these values for so many steps at `factor` times the rate; measured on the rows of `judged`."""
    program = fresh(whole, first, batch_size, used, factor)
    with np.errstate(all="ignore"):
        costs = program.run(steps)
        measured = program.measure(placed(judged.data, used))
    cost = float(measured[1]) if np.all(np.isfinite(costs[:, 0])) and np.isfinite(measured[1]) else float("inf")
    return Trial(factor, steps, cost)


def fresh(whole: Subject, first: Mapping[str, Any], batch_size: int, used: Backend, factor: float = 1.0) -> Program:
    """A program at its first step, whose optimiser has `factor` times its rate."""
    recipe = whole.recipe
    optimizer = recipe.optimizer
    if factor != 1.0:
        optimizer = replace(optimizer, learning_rate=ScaledRate(optimizer.learning_rate, factor))  # type: ignore[type-var]
    recipe = replace(
        recipe, optimizer=optimizer, batch_size=min(batch_size, whole.data.rows), shuffle=True, origin=0, first_epoch=0
    )
    values = {n: v for n, v in first.items() if n.startswith(("params.", "state."))}
    return used.compile(recipe, values, placed(whole.data, used))


def placed(data: Data, used: Backend) -> Data:
    """The same data in a backend's library, in float64."""
    return Data(used.put(data.x, "float64"), used.put(data.targets, str(data.targets.dtype)), data.weights)
