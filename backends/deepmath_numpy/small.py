"""Training runs of small networks by their own straight-line function (`straight_line.py`)."""

from __future__ import annotations

import ctypes
import functools
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
        self._step, self.lanes = step, lanes_of(capacity)
        self._count = 1 + sum(name.startswith("result.") for name in step.outputs)
        self._c = np.asarray(straight_line.numbers(recipe, step), np.float64)
        self._function("steps")

    @functools.cache  # noqa: B019 - as long as the program lives
    def _function(self, half: str) -> Any:
        """The compiled function of one of `straight_line.HALVES`."""
        memory = self._memory
        text = straight_line.module(self._recipe, self._step, memory.params, memory.states, self.lanes, half)
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        return kind(compiler.load(text).address("steps"))

    def attach(self, data: Data) -> None:
        """Take the rows of batches from these data from now on."""
        assert not is_sparse(data.x)
        labelled = self._recipe.head is not None and self._recipe.head.labelled
        self._x = np.ascontiguousarray(data.x).reshape(len(data.x), math.prod(data.x.shape[1:]))
        self._targets = np.ascontiguousarray(data.targets, np.int64 if labelled else self._recipe.precision)

    def run(self, rows: Any, bounds: Any, shares: Any, weights: Any, step: int, coefficients: Any) -> Any:
        """Train the steps between `bounds`; gives float64 [steps, 1 + results]: penalty, sums of loss and metrics."""
        return self._call("steps", rows, bounds, shares, weights, step, coefficients)

    def gradients(self, rows: Any, shares: Any, weights: Any, step: int, coefficients: Any) -> Any:
        """The gradient of one batch, in the program's memory, and the layers' next state; gives its sums."""
        next_state, state = (self._memory.floats[n] for n in ("next_state", "state"))
        next_state[...] = state
        return self._call("gradients", rows, np.asarray([0, len(rows)]), shares, weights, step, coefficients)[0]

    def apply(self, coefficients: Any, step: int) -> None:
        """Update by the gradient that lies in memory, and take over the next state."""
        nothing = np.zeros(1)
        self._call("update", np.zeros(1, np.int64), np.asarray([0, 1]), nothing, nothing, step, coefficients)
        self._memory.floats["state"][...] = self._memory.floats["next_state"]

    def _call(
        self, half: str, rows: Any, bounds: Any, shares: Any, weights: Any, step: int, coefficients: Any
    ) -> Any:  # fmt: skip
        count = len(bounds) - 1
        sums = np.zeros((count, self._count))
        arrays = {
            "x": self._x, "targets": self._targets, "order": np.ascontiguousarray(rows, np.int64),
            "bounds": np.ascontiguousarray(bounds, np.int64), "shares": shares, "weights": weights,
            "coefficients": np.ascontiguousarray(coefficients), "results": sums,
        }  # fmt: skip
        arrays |= {name: self._memory.floats[name] for name in ("params", "slots", "state", "grads")}
        arrays["next_state"] = self._memory.floats["state" if half == "steps" else "next_state"]
        strides = {"x_stride": self._x.shape[1], "targets_stride": math.prod(self._targets.shape[1:])}
        words = [strides[n] if n in strides else arrays[n].ctypes.data for n in straight_line.ARGUMENTS]
        a = np.asarray(words, np.int64)
        self._function(half)(a.ctypes.data, self._c.ctypes.data, step, count)
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
