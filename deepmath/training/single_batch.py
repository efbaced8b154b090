"""One update at a time, each on rows that are handed in: what `train_on_batch` runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from deepmath.backend import Backend
from deepmath.batches import row_weights
from deepmath.errors import ConfigError, NonFiniteError
from deepmath.optimizers import LBFGS
from deepmath.program import Batch, Data, Recipe, finished
from deepmath.training.history import summarize
from deepmath.training.program_cache import CachedProgram, ModelValues


def check(optimizer: Any, preprocessing: Any) -> None:
    """Raise ConfigError for what a single batch can't do."""
    if isinstance(optimizer, LBFGS):
        raise ConfigError("train_on_batch: LBFGS needs all rows at each step; call fit, or choose another optimizer")
    if hasattr(preprocessing, "fit"):
        raise ConfigError(
            f"train_on_batch: {preprocessing!r} is not fitted, and one batch is too little for that; "
            "call fit first, or give the model preprocessing.fit(X) of all rows"
        )


def step(values: ModelValues, backend: Backend, recipe: Recipe, data: Data) -> dict[str, float]:
    """One update of these values on all rows of the data: its loss, cost and metrics, at the values before it.

    Raises NonFiniteError, and leaves all values as they were, where the loss is not a finite number.
    """
    trained = _ready(values, backend, recipe, data)
    program = trained.program
    rows = np.arange(data.rows, dtype=np.int64)
    summed = recipe.head is not None and recipe.head.loss.summed
    program.attach(data)
    with np.errstate(all="ignore"):
        gradients = program.gradients(Batch(rows, row_weights(data.weights, rows, summed)))
    logs = summarize(recipe.columns, finished(gradients.sums, *data.counted)[None, :])
    if not np.isfinite(logs["loss"]):
        raise NonFiniteError(
            f"loss became {logs['loss']} at step {program.step}; the weights are those before this batch. "
            "Try a lower learning rate, or gradient clipping (clipnorm=1.0)."
        )
    program.apply(gradients)
    values.give(trained)
    return logs


def _ready(values: ModelValues, backend: Backend, recipe: Recipe, data: Data) -> CachedProgram:
    """The program of the training before if it serves for these rows too, or a new one, with the values in it."""
    trained = values.ready()
    if trained is not None and data.rows <= trained.rows:
        asked = replace(recipe, batch_size=trained.recipe.batch_size)
        if trained.serves(backend, asked):
            return trained
    trained = None  # its memory may be needed
    values.taken()
    recipe = replace(recipe, batch_size=data.rows)
    trained = CachedProgram(backend, recipe, data.rows, backend.compile(recipe, values.values, data))
    values.give(trained)
    return trained
