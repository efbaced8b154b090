"""A program that a model keeps from one call of `predict` or `evaluate` to the next."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from deepmath.backend import Backend
from deepmath.program import Program, Recipe


class Kept:
    """A program without data, and what it is compiled from when somebody needs it."""

    def __init__(self, backend: Backend, recipe: Recipe, values: Mapping[str, Any]) -> None:
        self.backend, self.recipe = backend, recipe
        self._values = values
        self._lock = threading.RLock()  # data that come in pieces may ask the same model for predictions

    @contextlib.contextmanager
    def program(self) -> Iterator[Program]:
        """The program, for one thread at a time: it has one set of arrays."""
        with self._lock:
            yield self._compiled

    @functools.cached_property
    def _compiled(self) -> Program:
        return self.backend.compile(self.recipe, self._values)
