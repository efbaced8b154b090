"""Short trainings from the same first weights at other rates: what the rate at hand is judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from deepmath.backend import Backend
from deepmath.pace import ScaledRate
from deepmath.program import Data, Program, Recipe
from deepmath.study.subject import Subject

STEPS, FEWEST = 300, 20
"""A trial has at most so many steps; one of a large network fewer, but no less than these."""

WORK = 3e8
"""How many products of a weight and a row a trial may cost, forward."""

BATCH = 64
"""Where even the fewest steps cost more than `WORK`, batches have no more rows than these."""

FACTORS = (0.1, 10.0, 0.01, 100.0, 0.001, 1000.0)
"""What the rate is multiplied by, from near to far; beyond, as long as it helps."""

FARTHEST = 1e9
"""No rate that is tried lies farther off than this factor."""

HEAT, FINALISTS = 1 / 3, 2
"""All rates train for this share of the steps, and so many of them to the end."""

PIECE = 10
"""Whether a trial has broken is looked at every so many steps."""


class Length(NamedTuple):
    """How long a trial is, and how many rows each of its steps takes."""

    steps: int
    rows: int


def length(whole: Subject, batch_size: int, trained: int) -> Length:
    """How long a trial of this network may be: never longer than the training was."""
    rows, size = min(batch_size, whole.data.rows), max(whole.size, 1)
    steps = max(FEWEST, min(STEPS, round(WORK / (rows * size))))
    fewer = max(BATCH, int(WORK / (steps * size)))
    return Length(min(trained, steps), min(rows, fewer))


class Trial(NamedTuple):
    """How a short training ended: its loss without penalties, infinite where it broke."""

    factor: float
    steps: int
    cost: float


class _Runner:
    """One rate's training, which can go on."""

    def __init__(self, factor: float, program: Program, judged: Data) -> None:
        self.factor, self.steps, self.cost = factor, 0, math.inf
        self._program, self._judged, self._broken = program, judged, False

    def run_to(self, steps: int) -> _Runner:
        """Train up to so many steps in all, or until it breaks, and measure the loss."""
        with np.errstate(all="ignore"):
            while self.steps < steps and not self._broken:
                piece = min(PIECE, steps - self.steps)
                self._broken = not np.all(np.isfinite(self._program.run(piece)[:, 0]))
                self.steps += piece
            cost = math.inf if self._broken else float(self._program.measure(self._judged)[1])
        self.cost = cost if math.isfinite(cost) else math.inf
        return self


def trials(whole: Subject, first: Mapping[str, Any], judged: Subject, shape: Length, used: Backend) -> list[Trial]:
    """Trials at all `FACTORS`, and at farther ones while the farthest is the best; the best comes first.

    All run for the first third of the steps and the two best of them to the end: rates that are far off show early.
    """
    rows, seen = (placed(s.data, used, whole.recipe.precision) for s in (whole, judged))
    heat = math.ceil(HEAT * shape.steps)

    def started(factor: float) -> _Runner:
        program = fresh(whole.recipe, first, rows, shape.rows, used, factor)
        return _Runner(factor, program, seen).run_to(heat)

    found = sorted((started(factor) for factor in FACTORS), key=_cost)
    while found[0].factor in (min(t.factor for t in found), max(t.factor for t in found)):
        stride = 10.0 if found[0].factor > 1.0 else 0.1
        if not 1.0 / FARTHEST < found[0].factor * stride < FARTHEST:
            break
        found = sorted([*found, started(found[0].factor * stride)], key=_cost)
    best, rest = found[:FINALISTS], found[FINALISTS:]
    for runner in best:
        runner.run_to(shape.steps)
    return [Trial(r.factor, r.steps, r.cost) for r in (*sorted(best, key=_cost), *rest)]


def _cost(tried: _Runner) -> float:
    return tried.cost


def fresh(
    recipe: Recipe, first: Mapping[str, Any], data: Data, batch_size: int, used: Backend, factor: float = 1.0
) -> Program:
    """A program at its first step on data of the backend, whose optimiser has `factor` times its rate."""
    optimizer = recipe.optimizer
    if factor != 1.0:
        optimizer = replace(optimizer, learning_rate=ScaledRate(optimizer.learning_rate, factor))  # type: ignore[type-var]
    recipe = replace(
        recipe, optimizer=optimizer, batch_size=min(batch_size, data.rows), shuffle=True, origin=0, first_epoch=0
    )
    values = {n: v for n, v in first.items() if n.startswith(("params.", "state."))}
    return used.compile(recipe, values, data)


def placed(data: Data, used: Backend, precision: str) -> Data:
    """The same data, from the host, in a backend's library and in this precision; labels stay whole numbers."""
    targets = used.put(data.targets, precision if data.targets.dtype.kind == "f" else "int64")
    return Data(used.put(data.x, precision), targets, data.weights)
