"""Loss and metrics over data: the machinery of steps without a way back, some rows at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath.checks import is_sparse
from deepmath.program import Data, Recipe
from deepmath.step_graph import measuring_graph
from deepmath_numpy import compiled
from deepmath_numpy.hooks import CHUNK, Hooks, dense_rows
from deepmath_numpy.lowering import LAUNCH, OFFSET, ROW, ROWS, Call, words_of
from deepmath_numpy.memory import Arena, Memory
from deepmath_numpy.schedule import ALL, Group, Phase
from deepmath_numpy.section import Section


class Measuring:
    """Loss and metrics of a recipe over data."""

    def __init__(self, recipe: Recipe, memory: Memory) -> None:
        step = measuring_graph(recipe, memory.params.shapes, memory.states.shapes)
        self._labelled = recipe.head is not None and recipe.head.labelled
        self._given = "labels" if self._labelled else "targets"
        self._count = len(step.outputs)
        item = np.dtype(recipe.precision).itemsize
        self._arena = Arena()
        at = self._arena.take(self._count * CHUNK * item)
        results = self._arena.address(at)
        places = {f"result.{i}": results + i * CHUNK * item for i in range(self._count)}
        self._recipe = recipe
        self._section = Section(recipe, memory, step, CHUNK, "state", {"x": None, self._given: None}, places)
        self._hooks = Hooks(self._section, "state", training=False)
        self._numbers = np.zeros((1, LAUNCH))
        self._launches = np.zeros((1, 4), np.int64)
        opened = [self._section.placeholder(n) for n in ("shares", "shares", "sums")]
        words = [*opened, OFFSET, ROW, 1 + self._count, self._count, results, CHUNK]
        call = Call("collect", compiled.move(recipe.precision, "collect"), words_of(words), True, 1, 1, True)
        phases = self._section.phases(self._section.items)
        self._section.finish([*phases, Phase([Group([call], -1, ALL)])])

    def run(self, data: Data) -> Any:
        """[0, sum of weights times loss, sums of weights times metrics] over all rows."""
        x = data.x if is_sparse(data.x) else np.ascontiguousarray(data.x)
        targets = np.ascontiguousarray(data.targets, np.int64 if self._labelled else self._recipe.precision)
        shares = np.ones(data.rows) if data.weights is None else np.asarray(data.weights, np.float64)
        total, sums = np.zeros(1 + self._count), np.zeros((1, 1 + self._count))
        self._section.fill("sums", sums.ctypes.data)
        chunk = dense_rows(x.shape[1]) if is_sparse(x) else CHUNK
        for start in range(0, data.rows, chunk):
            n = min(chunk, data.rows - start)
            self._section.fill(self._given, targets.ctypes.data + start * targets.strides[0])
            self._section.fill("shares", shares.ctypes.data + start * 8)
            self._chunk(x, start, n)
            total += sums[0]
        return total

    def _chunk(self, x: Any, start: int, n: int) -> None:
        """Run all phases for n rows from `start` on."""
        numbers, launches = self._numbers, self._launches
        numbers[0, ROWS] = n
        numbers[0, OFFSET] = 0
        launches[0] = 0, len(self._section.tables.phases), n, 0
        if is_sparse(x):
            self._dense = np.ascontiguousarray(x[start : start + n].toarray(), self._recipe.precision)
            self._section.fill("x", self._dense.ctypes.data)
        else:
            self._section.fill("x", x.ctypes.data + start * x.strides[0])
        self._section.run(launches, numbers, self._hooks)
