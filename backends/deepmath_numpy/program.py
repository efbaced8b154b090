"""The program of the CPU: the cut graph of a step as tables of calls, walked through by a compiled driver."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.arrays import is_finite
from deepmath.batches import batches_of, row_weights
from deepmath.checks import is_sparse
from deepmath.formulas.random import SHUFFLE, sorted_order
from deepmath.pace import Pace
from deepmath.parameters import Layout
from deepmath.program import Batch, ColumnMap, Data, Predict, Program, Recipe, Snapshot, finished, tally
from deepmath_numpy import compiled
from deepmath_numpy.measuring import Measuring
from deepmath_numpy.memory import Memory, rates_of
from deepmath_numpy.prediction import Predicting
from deepmath_numpy.section import layers_of
from deepmath_numpy.small import Small, small
from deepmath_numpy.training import Training

MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class Gradients:
    """Gradients in the program's flat buffer, the layers' new state, and the micro-batches' results."""

    flat: Any
    layout: Layout
    sums: Any

    @property
    def values(self) -> dict[str, Any]:
        """Views by parameter name."""
        return self.layout.views(self.flat)


class CompiledProgram(Program):
    """A recipe run by compiled kernels on the CPU."""

    def __init__(self, recipe: Recipe, values: Mapping[str, Any], data: Data | None) -> None:
        self.recipe, self.data = recipe, None
        self.pace = Pace(recipe.optimizer)
        self._memory = Memory(recipe, _layout(values, "params."), _layout(values, "state."))
        self._rates = rates_of(recipe)
        self._sparse = data is not None and is_sparse(data.x)
        self._small: Small | None = None
        self._bounds: Any = None
        self._fill(values)
        if data is not None:
            self._capacity = min(recipe.batch_size, data.rows) if data.rows else recipe.batch_size
            if not self._sparse:
                self._small, _ = small(recipe, self._memory, self._capacity)
            self.attach(data)

    @functools.cached_property
    def _predicting(self) -> Predicting:
        return Predicting(self.recipe, self._memory)

    def predictor(self, maps: Sequence[ColumnMap]) -> Predict:
        return Predicting(self.recipe, self._memory, maps) if maps else self._predicting

    @functools.cached_property
    def _measuring(self) -> Measuring:
        return Measuring(self.recipe, self._memory)

    @functools.cached_property
    def _training(self) -> Training:
        assert self.data is not None, "this program was compiled without data"
        made = Training(self.recipe, self._memory, self._capacity, self._rates, self._sparse)
        made.attach(self.data)
        return made

    def attach(self, data: Data) -> None:
        self.data, self._batches = data, batches_of(self.recipe, data, _epoch_orders)
        if self._small is not None:
            self._small.attach(data)
        if self._small is None or "_training" in self.__dict__:
            self._training.attach(data)

    def run(self, k: int) -> Any:
        results = np.empty((k, len(self.recipe.columns)))
        done = 0
        while done < k:
            rows, bounds = self._batches.stretch(self.step, k - done)
            n = len(bounds) - 1
            shares, weights, counts = self._weighted(rows, bounds)
            coefficients = self.pace.table(self.step, n, self._rates)
            sums = self._steps_for(int(np.diff(bounds).max())).run(
                rows, bounds, shares, weights, self.step, coefficients
            )
            results[done : done + n] = finished(sums, *counts)
            self.step += n
            done += n
        return results

    def _steps_for(self, rows: int) -> Training | Small:
        """Who runs steps of at most so many rows: the straight line, if they have space in its lanes."""
        return self._small if self._small is not None and rows <= self._small.lanes else self._training

    def _weighted(self, rows: Any, bounds: Any) -> tuple[Any, Any, tuple[Any, Any]]:
        """The rows' shares of their steps, what they weigh by themselves, and the steps' weights and row counts."""
        summed = self.recipe.head is not None and self.recipe.head.loss.summed
        given = self.data.weights if self.data is not None else None
        if given is None:
            if not np.array_equal(bounds, self._bounds):  # mostly the next epochs are as those before
                self._bounds, self._shares = bounds, _equal_shares(bounds, summed)
            return self._shares
        pieces = [rows[a:b] for a, b in itertools.pairwise(bounds)]
        shares = np.concatenate([row_weights(given, piece, summed) for piece in pieces])
        return (
            shares,
            np.asarray(given[rows], np.float64),
            tuple(np.asarray([tally(given[piece], len(piece)) for piece in pieces]).T),
        )

    def gradients(self, batch: Batch, previous: Gradients | None = None) -> Gradients:
        assert self.data is not None
        rows, shares = np.ascontiguousarray(batch.rows, np.int64), np.array(batch.weights, np.float64)
        weights = np.array(self.data.weights_of(rows))
        coefficients = self.pace.table(self.step, 1, self._rates)
        steps, again = self._steps_for(len(rows)), previous is not None
        if isinstance(steps, Small) and not again and not batch.first:
            sums = steps.gradients(rows, shares, weights, self.step, coefficients)
        else:
            sums = self._training.gradients(rows, shares, weights, self.step, batch.first, again, coefficients)
        if previous is not None:
            sums = previous.sums + sums
        return Gradients(self._memory.floats["grads"], self._memory.params, sums)

    def apply(self, gradients: Gradients) -> None:
        steps = self._training if self._small is None else self._small
        steps.apply(self.pace.table(self.step, 1, self._rates), self.step)
        self.step += 1

    def predict(self, x: Any) -> Any:
        return self._predicting.run(x)

    def measure(self, data: Data) -> Any:
        head = self.recipe.head
        assert head is not None
        weight, count = data.counted
        sums = self._measuring.run(data)
        sums[0] = self._memory.penalty(self.recipe)
        sums[1] /= 1.0 if head.loss.summed else weight or 1.0
        return finished(sums, weight, count)

    def snapshot(self) -> Snapshot:
        kept = [(prefix, names, flat.copy()) for prefix, names, flat in self._memory.visible()]
        rest = {"step": np.asarray(self.step), "rate": self.pace.value}
        return lambda: {f"{prefix}.{n}": v for prefix, names, flat in kept for n, v in names.views(flat).items()} | rest

    def weights(self) -> dict[str, Any]:
        own = self._memory.visible()[:2]
        return {f"{prefix}.{n}": v.copy() for prefix, names, flat in own for n, v in names.views(flat).items()}

    def state(self) -> dict[str, Any]:
        return self.snapshot()()

    def is_finite(self) -> bool:
        return is_finite(self._memory.visible_flat)

    def load(self, state: Mapping[str, Any]) -> None:
        self._memory.clear()
        self._fill(state)

    def _fill(self, state: Mapping[str, Any]) -> None:
        """Take over a state where all else is zero; memory that stays so is never touched."""
        for prefix, names, flat in self._memory.visible():
            for name, view in names.views(flat).items():
                if f"{prefix}.{name}" in state:
                    view[...] = state[f"{prefix}.{name}"]
        self.step = int(state.get("step", 0))
        self.pace.value = state.get("rate", 1.0)

    def plan(self) -> list[tuple[str, str]]:
        if self.data is None:
            return self._predicting.plan()
        if self._small is not None:
            how = "compiled as one straight line, the batch in the lanes"
            return [("steps", how), *layers_of(self.recipe, {})]
        return self._training.plan()


def _equal_shares(bounds: Any, summed: bool) -> tuple[Any, Any, tuple[Any, Any]]:
    """`_weighted` where no weights are given."""
    sizes = np.diff(bounds)
    ones = np.ones(int(bounds[-1]))
    return ones if summed else np.repeat(1.0 / np.maximum(sizes, 1), sizes), ones, (sizes, sizes)


def _layout(values: Mapping[str, Any], prefix: str) -> Layout:
    return Layout({n.removeprefix(prefix): np.shape(v) for n, v in values.items() if n.startswith(prefix)})


def _epoch_orders(seed: int, first: int, epochs: int, rows: int) -> Any:
    """`epoch_orders`, the random words from a compiled loop."""
    groups = -(-rows // 4)
    words = np.empty((epochs, 4 * groups), np.int64)
    address, entries = compiled.epoch_words()
    numbers = {"first": first, "step": 0, "layer": 0, "seed": seed & MASK, "stream": SHUFFLE}
    c = np.asarray([numbers.get(e.name, 0) for e in entries], np.float64)
    a: list[int] = []
    for i, entry in enumerate(entries):
        if entry.kind == "scalar":
            a.append(i)
        else:
            a += [words.ctypes.data + 8 * "pqrs".index(entry.name.removeprefix("out_")), 4 * groups]
    compiled.call(address, np.asarray(a, np.int64), c, epochs, epochs, groups)
    return sorted_order(words[:, :rows])
