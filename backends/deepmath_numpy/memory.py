"""Where the arrays of a program lie: visible values in one flat buffer, and arrays of a batch in another."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath.parameters import Layout, aligned
from deepmath.program import Recipe

LINE = 64
"""Bytes of a cache line: every array begins on one."""


class Memory:
    """The flat buffer of a program: what a state holds comes first, then what steps need besides.

    `floats` has its parts by name: "params", "slots" (one behind the other), "state", "next_state" (what a step leads
    to), "given_state" (what a micro-batch begins from), "grads", "total" (the gradients of earlier micro-batches).
    """

    def __init__(self, recipe: Recipe, params: Layout, states: Layout) -> None:
        self.params, self.states, self.precision = params, states, recipe.precision
        self.slots = recipe.optimizer.slots
        sizes = {
            "params": params.size, "slots": params.size * len(self.slots), "state": states.size,
            "next_state": states.size, "given_state": states.size, "grads": params.size, "total": params.size,
        }  # fmt: skip
        starts = np.cumsum([0, *sizes.values()]).tolist()
        self._buffer = aligned(starts[-1], recipe.precision)
        self.visible_flat = self._buffer[: starts[3]]
        self.floats = {n: self._buffer[a : a + size] for a, (n, size) in zip(starts[:-1], sizes.items(), strict=True)}

    def visible(self) -> list[tuple[str, Layout, Any]]:
        """What a state holds: for each prefix of names, the flat buffer with its layout."""
        size, slots = self.params.size, self.floats["slots"]
        found = [("params", self.params, self.floats["params"]), ("state", self.states, self.floats["state"])]
        found += [(slot, self.params, slots[i * size : (i + 1) * size]) for i, slot in enumerate(self.slots)]
        return found

    def clear(self) -> None:
        """Zeros everywhere: between parameters there may be what a bad step left."""
        self._buffer[...] = 0.0

    def address(self, part: str, layout: Layout, name: str) -> int:
        """Where a named array of a part lies."""
        return int(self.floats[part].ctypes.data) + layout.offsets[name] * self._buffer.itemsize

    def penalty(self, recipe: Recipe) -> float:
        """The sum of all penalties."""
        total = 0.0
        for name, regularizer in recipe.penalties.items():
            w = self.params.view(self.floats["params"], name).reshape(1, -1)
            total += float(np.sum(regularizer.penalty(np, w, *regularizer.strengths), dtype=np.float64))
        return total


def rates_of(recipe: Recipe) -> list[float]:
    """The different shares of the learning rate, in the order of their numbers."""
    return sorted({1.0, *recipe.rates.values()})


class Arena:
    """Hands out places in memory, one behind the other, and then the memory."""

    def __init__(self) -> None:
        self._size = 0
        self._buffer: Any = None
        self._starts: list[int] = []

    def take(self, size: int) -> int:
        """The number of a place of so many bytes."""
        self._starts.append(self._size)
        self._size += -(-size // LINE) * LINE
        return len(self._starts) - 1

    def address(self, number: int) -> int:
        """Where a place lies. No more can be taken from now on."""
        if self._buffer is None:
            self._buffer = aligned(self._size, "uint8")
        return int(self._buffer.ctypes.data) + self._starts[number]
