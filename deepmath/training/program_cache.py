"""The programs that a model keeps: the one that trained it last, which holds its values, and the one that predicts."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from deepmath.backend import Backend
from deepmath.checks import is_sparse
from deepmath.data.loaders import empty_stretch
from deepmath.program import Data, Program, Recipe


class CachedProgram:
    """A program that trains batches of up to `rows` rows, and what it was compiled for, such as `sparse` inputs."""

    def __init__(self, backend: Backend, recipe: Recipe, rows: int, program: Program, sparse: bool = False) -> None:
        self.program, self.rows, self.sparse = program, rows, sparse
        self.backend, self.recipe = backend, _wherever(recipe)

    def serves(self, backend: Backend, recipe: Recipe, sparse: bool = False) -> bool:
        """Whether it computes what this recipe says, which may begin at another step, on such inputs."""
        try:
            return self.backend == backend and self.sparse == sparse and self.recipe == _wherever(recipe)
        except ValueError:  # somebody's own description holds an array, for which == has no one answer
            return False

    def release(self) -> None:
        """Let go of the data; the values and the work arrays stay."""
        self.program.attach(empty_stretch(self.backend, self.recipe))


def compiled(
    backend: Backend, recipe: Recipe, values: Mapping[str, Any], data: Data, taken: Callable[[], CachedProgram | None]
) -> CachedProgram:
    """A program that starts from these values: the one before, in its memory, where it serves, or else a new one."""
    rows = min(recipe.batch_size, data.rows) if data.rows else recipe.batch_size
    before = taken()
    if before is not None and before.rows == rows and before.serves(backend, recipe, is_sparse(data.x)):
        before.program.renew(recipe, values, data)
        return before
    del before  # its memory may be needed
    return CachedProgram(backend, recipe, rows, backend.compile(recipe, values, data), is_sparse(data.x))


class ModelValues:
    """The values of one model. Who holds `lock` keeps others from changing them."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.lock = threading.RLock()
        self._found: dict[str, Any] | None = values
        self._names = list(values)
        self._program: CachedProgram | None = None
        self._loaded = False

    @property
    def values(self) -> dict[str, Any]:
        """All values by name."""
        with self.lock:
            if self._found is None:
                assert self._program is not None
                self._found = self._program.program.state()
            return self._found

    @values.setter
    def values(self, values: dict[str, Any]) -> None:
        with self.lock:
            self._found, self._names, self._loaded = values, list(values), False

    def weights(self) -> dict[str, Any]:
        """Copies of parameters and the layers' state by name, without the optimiser's, which may be twice as much."""
        with self.lock:
            if self._found is None:
                assert self._program is not None
                return self._program.program.weights()
            return {n: np.array(v) for n, v in self._found.items() if n.startswith(("params.", "state."))}

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
            assert self._program is not None
            return self._program.program.step

    def taken(self) -> CachedProgram | None:
        """The program, for a run of its own: the values are kept here meanwhile."""
        with self.lock:
            found, _ = self._program, self.values
            self._program, self._loaded = None, False
            return found

    def give(self, program: CachedProgram) -> None:
        """From now on the values are those in this program."""
        with self.lock:
            self._program, self._found, self._loaded = program, None, True

    def ready(self) -> CachedProgram | None:
        """The program, with the values in it."""
        with self.lock:
            if self._program is not None and not self._loaded:
                self._program.program.load(self.values)
                self._loaded = True
            return self._program


class PredictingProgram:
    """A program without data, and what it is compiled from when somebody needs it; for `sparse` inputs or not."""

    def __init__(self, backend: Backend, recipe: Recipe, values: Mapping[str, Any], sparse: bool) -> None:
        self.backend, self.recipe, self.sparse = backend, recipe, sparse
        self._values = values
        self._lock = threading.RLock()  # data that come in pieces may ask the same model for predictions

    @contextlib.contextmanager
    def program(self) -> Iterator[Program]:
        """The program, for one thread at a time: it has one set of arrays."""
        with self._lock:
            yield self._compiled

    @functools.cached_property
    def _compiled(self) -> Program:
        data = empty_stretch(self.backend, self.recipe, sparse=True) if self.sparse else None
        values, self._values = self._values, {}
        return self.backend.compile(self.recipe, values, data)


def _wherever(recipe: Recipe) -> Recipe:
    return replace(recipe, origin=0, first_epoch=0)
