"""Predictions of a model for services: what a call needs is made ready once."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from deepmath.program import Predict


class FrozenModel(Protocol):
    """A model that nobody changes, as far as it is needed here."""

    target: Any
    input_shape: tuple[int, ...] | None

    def predict(self, X: Any, *, backend: Any = None, device: Any = None, precision: str = "float32") -> Any:
        """Predictions for X."""

    def _compiled(self, backend: Any, device: Any, precision: str) -> Predict | None:
        """What predicts in one call of compiled code, if there is such a thing."""


class Predictor:
    """A plain callable: `predictor(X)` gives what `model.predict(X)` gave when `model.predictor()` made it.

    All that doesn't depend on X is done once. A C-contiguous NumPy array of float32 or float64 goes to compiled code
    in one call, preprocessing included: a few microseconds for a row of a small network. Everything else that `predict`
    takes (lists, other types, data frames, arrays of other libraries, files) goes the way of `predict`, with its
    errors; so does everything on another backend than "numpy", and whitening, which BLAS computes.

    * It holds a copy of the weights: to train the model further doesn't change it.
    * Several threads may call it at once; many rows are shared among the cores.
    * It can be copied and pickled, also into another process: as the model's layers and values, without compiled code,
      which is loaded from the cache or made again there.
    """

    def __init__(self, model: FrozenModel, backend: Any = None, device: Any = None, precision: str = "float32") -> None:
        self._model, self._asked = model, (backend, device, precision)
        self._prepare()

    def __call__(self, X: Any) -> Any:
        """Predictions [rows, outputs] for X [rows, features], in the library that X came in."""
        if type(X) is np.ndarray and self._quick is not None:
            p = self._quick(X)
            if p is not None:
                return p if self._target is None else self._target.predictions(p)
        backend, device, precision = self._asked
        return self._model.predict(X, backend=backend, device=device, precision=precision)

    def __getstate__(self) -> tuple[Any, ...]:
        """The model and what was asked for: compiled code stays behind."""
        return self._model, self._asked

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._model, self._asked = state
        self._prepare()

    def _prepare(self) -> None:
        """Compile, or load from the cache, so that the first call is as quick as any."""
        self._target, self._quick = self._model.target, self._model._compiled(*self._asked)
        if self._quick is not None:
            self._quick(np.zeros((1, *(self._model.input_shape or ())), self._asked[2]))
