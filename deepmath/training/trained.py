"""A model's values, and the program that trained it last: they stay in it until somebody asks for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from deepmath.backend import Backend
from deepmath.batches import Stretch
from deepmath.program import Data, Program, Recipe


class Trained:
    """A program that trains batches of up to `rows` rows, and what it was compiled for."""

    def __init__(self, backend: Backend, recipe: Recipe, rows: int, program: Program) -> None:
        self.program, self.rows = program, rows
        self.backend, self.recipe = backend, _wherever(recipe)

    def serves(self, backend: Backend, recipe: Recipe) -> bool:
        """Whether it computes what this recipe says, which may begin at another step."""
        try:
            return self.backend == backend and self.recipe == _wherever(recipe)
        except ValueError:  # somebody's own description holds an array, for which == has no one answer
            return False

    def release(self) -> None:
        """Let go of the data; the values and the work arrays stay."""
        self.program.attach(no_rows(self.backend, self.recipe))


def compiled(
    backend: Backend, recipe: Recipe, values: Mapping[str, Any], data: Data, taken: Callable[[], Trained | None]
) -> Trained:
    """A program that starts from these values: the one before, in its memory, where it serves, or else a new one."""
    rows = min(recipe.batch_size, data.rows) if data.rows else recipe.batch_size
    before = taken()
    if before is not None and before.rows == rows and before.serves(backend, recipe):
        before.program.renew(recipe, values, data)
        return before
    del before  # its memory may be needed
    return Trained(backend, recipe, rows, backend.compile(recipe, values, data))


def no_rows(backend: Backend, recipe: Recipe) -> Stretch:
    """A stretch without rows, which has the shapes and types of all others."""
    head = recipe.head
    assert head is not None
    x = backend.put(np.zeros((0, *recipe.parts[0].shape)), recipe.precision)
    if head.labelled:
        return Stretch(x, backend.put(np.zeros(0, np.int64), "int64"))
    return Stretch(x, backend.put(np.zeros((0, head.outputs)), recipe.precision))


class Values:
    """The values of one model. Who holds `lock` keeps others from changing them."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.lock = threading.RLock()
        self._found: dict[str, Any] | None = values
        self._names = list(values)
        self._trained: Trained | None = None
        self._loaded = False

    @property
    def values(self) -> dict[str, Any]:
        """All values by name."""
        with self.lock:
            if self._found is None:
                assert self._trained is not None
                self._found = self._trained.program.state()
            return self._found

    @values.setter
    def values(self, values: dict[str, Any]) -> None:
        with self.lock:
            self._found, self._names, self._loaded = values, list(values), False

    @property
    def parameters(self) -> list[str]:
        """The names of all parameters: "0.kernel"."""
        return [n.removeprefix("params.") for n in self._names if n.startswith("params.")]

    @property
    def step(self) -> int:
        """How many updates have been made."""
        with self.lock:
            if self._found is not None:
                return int(self._found.get("step", 0))
            assert self._trained is not None
            return self._trained.program.step

    def taken(self) -> Trained | None:
        """The program, for a run of its own: the values are kept here meanwhile."""
        with self.lock:
            found, _ = self._trained, self.values
            self._trained, self._loaded = None, False
            return found

    def give(self, trained: Trained) -> None:
        """From now on the values are those in this program."""
        with self.lock:
            self._trained, self._found, self._loaded = trained, None, True

    def ready(self) -> Trained | None:
        """The program, with the values in it."""
        with self.lock:
            if self._trained is not None and not self._loaded:
                self._trained.program.load(self.values)
                self._loaded = True
            return self._trained


def _wherever(recipe: Recipe) -> Recipe:
    return replace(recipe, origin=0, first_epoch=0)
