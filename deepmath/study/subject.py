"""What is studied: a model with its rows, in float64, as the reference runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath import trainable
from deepmath.backend import ReferenceBackend
from deepmath.batches import row_weights
from deepmath.checks import is_sparse
from deepmath.data.columns import columns_taken
from deepmath.data.rows import Rows
from deepmath.data.validation import Validator
from deepmath.errors import ConfigError
from deepmath.model import Sequential
from deepmath.program import Batch, Data, Recipe

BACKEND = ReferenceBackend("reference", np)


@dataclass(frozen=True)
class Subject:
    """One batch of all rows: recipe, values by name as in `Program.state`, data and the batch itself."""

    recipe: Recipe
    values: Mapping[str, Any]
    data: Data
    batch: Batch

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters by name, "0.kernel"."""
        return {n.removeprefix("params."): v for n, v in self.values.items() if n.startswith("params.")}

    @property
    def size(self) -> int:
        """The number of numbers that are trained."""
        return sum(int(v.size) for v in self.parameters.values())


def subject(
    caller: str, model: Any, X: Any, y: Any, sample_weight: Any = None, values: Mapping[str, Any] | None = None
) -> Subject:
    """A model and rows as a subject. X is [rows, features], or [features] for one row; y fits.

    `values` are those of another subject of this model, which needs no second copy of them.

    Raises ConfigError, LabelError or NumericError as `fit` would, and in the caller's name for anything that is
    no model or has no loss.
    """
    if not isinstance(model, Sequential):
        raise ConfigError(f"{caller}: model must be a Sequential; got {type(model).__name__}")
    if model.loss is None:
        raise ConfigError(f"{caller}: the model has no loss; call model.compile(loss=...) first")
    trainable.check(caller, model)
    X, y, sample_weight = columns_taken(Rows(X, y, sample_weight), caller)
    X, y = _rows(X, y)
    if hasattr(model.preprocessing, "fit"):
        raise ConfigError(f"{caller}: {model.preprocessing!r} is not fitted; call fit first, or give it fitted")
    if not model.layers:
        raise ConfigError(f"{caller}: the model has no layers; add some, for example model.add(Dense(1))")
    X = X if model.preprocessing is None else model.preprocessing.apply(X)
    if model.input_shape is None and len(X.shape) > 1:
        model.build(tuple(int(n) for n in X.shape[1:]))
    recipe = model.recipe("float64", shuffle=False)
    recipe = replace(recipe, head=replace(recipe.head, metrics=()) if recipe.head else None)
    data = Validator(BACKEND, recipe, target=model.target).data(Rows(X, y, sample_weight))
    recipe = replace(recipe, batch_size=data.rows)
    if values is None:
        values = {n: np.array(v, np.float64 if n not in ("step",) else None) for n, v in model.values.items()}
    rows = np.arange(data.rows, dtype=np.int64)
    summed = recipe.head is not None and recipe.head.loss.summed
    return Subject(recipe, values, data, Batch(rows, row_weights(data.weights, rows, summed)))


def _rows(X: Any, y: Any) -> tuple[Any, Any]:
    """X [rows, features]: a single row given as [features] becomes one, and its y too."""
    if is_sparse(X):
        X = X.toarray()
    X = X if hasattr(X, "shape") else np.asarray(X)
    if len(X.shape) != 1:
        return X, y
    y = np.asarray(y)
    return np.asarray(X)[None, :], y.reshape(1, -1) if y.size != 1 else y.reshape(1)
