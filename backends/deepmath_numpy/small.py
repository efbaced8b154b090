"""Training runs of small networks by their own straight-line function (`straight_line.py`)."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from deepmath.checks import is_sparse
from deepmath.program import Data, Recipe
from deepmath.step_graph import StepGraph, training_graph
from deepmath_numpy import compiler, straight_line
from deepmath_numpy.memory import Memory


class Small:
    """The steps of a small network, many in one call, in the caller's thread."""

    def __init__(self, recipe: Recipe, memory: Memory, step: StepGraph, capacity: int) -> None:
        self._recipe, self._memory = recipe, memory
        self._count = 1 + sum(name.startswith("result.") for name in step.outputs)
        lanes = lanes_of(capacity)
        text = straight_line.module(recipe, step, memory.params, memory.states, lanes)
        address = compiler.load(text).address("steps")
        self._steps = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)
        self._c = np.asarray(straight_line.numbers(recipe, step), np.float64)

    def attach(self, data: Data) -> None:
        """Take the rows of batches from these data from now on."""
        assert not is_sparse(data.x)
        labelled = self._recipe.head is not None and self._recipe.head.labelled
        self._x = np.ascontiguousarray(data.x).reshape(len(data.x), math.prod(data.x.shape[1:]))
        self._targets = np.ascontiguousarray(data.targets, np.int64 if labelled else self._recipe.precision)

    def run(self, rows: Any, bounds: Any, shares: Any, weights: Any, step: int, coefficients: Any) -> Any:
        """Train the steps between `bounds`; gives float64 [steps, 1 + results]: penalty, sums of loss and metrics."""
        count = len(bounds) - 1
        sums = np.zeros((count, self._count))
        arrays = {
            "x": self._x, "targets": self._targets, "order": np.ascontiguousarray(rows, np.int64),
            "bounds": np.ascontiguousarray(bounds, np.int64), "shares": shares, "weights": weights,
            "coefficients": np.ascontiguousarray(coefficients), "results": sums,
        }  # fmt: skip
        arrays |= {name: self._memory.floats[name] for name in ("params", "slots", "state")}
        strides = {"x_stride": self._x.shape[1], "targets_stride": int(np.prod(self._targets.shape[1:]))}
        words = [strides[n] if n in strides else arrays[n].ctypes.data for n in straight_line.ARGUMENTS]
        a = np.asarray(words, np.int64)
        self._steps(a.ctypes.data, self._c.ctypes.data, step, count)
        return sums


def small(recipe: Recipe, memory: Memory, capacity: int) -> tuple[Small | None, str]:
    """The steps of a recipe as a straight line, or why not."""
    step = training_graph(recipe, memory.params.shapes, memory.states.shapes)
    found = straight_line.supports(recipe, step)
    if found is not True:
        return None, str(found)
    return Small(recipe, memory, step, capacity), ""


def lanes_of(capacity: int) -> int:
    """Lanes for batches of so many rows: whole vectors of the widest processors, or half a one."""
    return 8 if capacity <= 8 else -(-capacity // 16) * 16
