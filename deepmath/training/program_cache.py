"""The programs that a model keeps: the one that trained it last, which holds its values, and one that predicts.

Where the values are in the program that trained, that one predicts too, and nothing is copied or compiled.
"""

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
from deepmath.program import Data, Predict, Program, Recipe


class CachedProgram:
    """A program that trains batches of up to `rows` rows, and what it was compiled for, such as `sparse` inputs."""

    def __init__(self, backend: Backend, recipe: Recipe, rows: int, program: Program, sparse: bool = False) -> None:
        self.program, self.rows, self.sparse = program, rows, sparse
        self.backend, self.recipe = backend, _wherever(recipe)
        self.predictors = Predictors()

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


class Predictors:
    """What predicts in one call, for the preprocessing that was asked for last."""

    def __init__(self) -> None:
        self._made: tuple[Any, Predict | None] | None = None

    def of(self, program: Program, preprocessing: Any) -> Predict | None:
        """What `Program.predictor` gives behind this preprocessing; None where one of both goes by single steps."""
        if self._made is None or self._made[0] is not preprocessing:
            maps = [] if preprocessing is None else preprocessing.maps() if hasattr(preprocessing, "maps") else None
            self._made = preprocessing, None if maps is None else program.predictor(maps)
        return self._made[1]


class ModelValues:
    """The values of one model. Who holds `lock` keeps others from changing them.

    `version` is another number after each change.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.lock = threading.RLock()
        self.version = 0
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
            self.version += 1

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
            self.version += 1

    @property
    def trained(self) -> CachedProgram | None:
        """The program, if the values are in it."""
        return self._program if self._loaded else None

    def ready(self) -> CachedProgram | None:
        """The program, with the values in it."""
        with self.lock:
            if self._program is not None and not self._loaded:
                self._program.program.load(self.values)
                self._loaded = True
            return self._program


class PredictingProgram:
    """A program that predicts with a model's values; for `sparse` inputs or not.

    It is `trained`, in which they are, or one of its own, compiled when somebody needs it, with a copy of them as they
    were.
    """

    def __init__(
        self, values: ModelValues, backend: Backend, recipe: Recipe, sparse: bool, trained: CachedProgram | None = None
    ) -> None:
        self.backend, self.recipe, self.sparse, self.trained = backend, recipe, sparse, trained
        self._model_values = values
        with values.lock:
            self._version = values.version
            self._values = values.weights() if trained is None else {}
        self._lock = threading.RLock()  # data that come in pieces may ask the same model for predictions
        self._predictors = Predictors()
        self._quick: tuple[Any, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether it predicts with the values that the model has now."""
        values = self._model_values
        return values.version == self._version if self.trained is None else values.trained is self.trained

    @contextlib.contextmanager
    def program(self) -> Iterator[Program]:
        """The program, for one thread at a time: it has one set of arrays."""
        if self.trained is not None:
            with self._model_values.lock:
                if self.is_current:
                    yield self.trained.program
                    return
            own = PredictingProgram(self._model_values, self.backend, self.recipe, self.sparse)  # it trains again
            with own.program() as program:
                yield program
            return
        with self._lock:
            yield self._compiled

    def quicken(self, asked: Any, preprocessing: Any, target: Any) -> None:
        """Make ready what `quickly` needs for calls that ask for the same."""
        self._quick = asked, preprocessing, target, self.predictor(preprocessing)

    def predictor(self, preprocessing: Any) -> Predict | None:
        """What predicts in one call with the values that the program has then; None also while it trains."""
        if self.trained is None:
            with self.program() as program:
                return self._predictors.of(program, preprocessing)
        with self._model_values.lock:
            return self.trained.predictors.of(self.trained.program, preprocessing) if self.is_current else None

    def quickly(self, X: Any, asked: Any, preprocessing: Any, target: Any) -> Any:
        """Predictions in one call; None where that can't be done, or not for what is asked now."""
        if not self._quick:
            return None
        ready, before, meant, predict = self._quick
        if predict is None or ready != asked or before is not preprocessing or meant is not target:
            return None
        if self.trained is None:
            p = predict(X) if self.is_current else None
        else:
            with self._model_values.lock:
                p = predict(X) if self.is_current else None
        return p if target is None or p is None else target.predictions(p)

    @functools.cached_property
    def _compiled(self) -> Program:
        data = empty_stretch(self.backend, self.recipe, sparse=True) if self.sparse else None
        values, self._values = self._values, {}
        return self.backend.compile(self.recipe, values, data)


def _wherever(recipe: Recipe) -> Recipe:
    return replace(recipe, origin=0, first_epoch=0)
