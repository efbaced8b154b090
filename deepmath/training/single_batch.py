"""One update at a time, each on rows that are handed in: what `train_on_batch` runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from deepmath.backend import Backend
from deepmath.batches import row_weights
from deepmath.checks import is_sparse
from deepmath.errors import ConfigError, NonFiniteError
from deepmath.optimizers import LBFGS
from deepmath.program import Batch, Data, Program, Recipe, finished
from deepmath.training.causes import cause_of
from deepmath.training.history import summarize
from deepmath.training.program_cache import CachedProgram, ModelValues
from deepmath.training.witness import bad_value_of


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
        raise NonFiniteError(_what_is_wrong(program, recipe, data, logs["loss"]))
    program.apply(gradients)
    values.give(trained)
    return logs


def _what_is_wrong(program: Program, recipe: Recipe, data: Data, loss: float) -> str:
    """The message on a loss that is not finite."""
    told, state = f"loss became {loss} at step {program.step}", program.state()
    rate = "Try a lower learning rate, or gradient clipping (clipnorm=1.0)."
    bad = bad_value_of(recipe, state)
    if bad is not None:
        return f"{told}: the values that the updates before it left are not finite, {bad}. {rate}"
    cause = cause_of(
        replace(recipe, batch_size=data.rows, shuffle=False), data, state | {"step": np.asarray(recipe.origin)}
    )
    if cause is not None and cause.blames(program.step):
        rate = cause.told[0].upper() + cause.told[1:]
    return f"{told}; the weights are those before this batch. {rate}"


def _ready(values: ModelValues, backend: Backend, recipe: Recipe, data: Data) -> CachedProgram:
    """The program of the training before if it serves for these rows too, or a new one, with the values in it."""
    trained = values.ready()
    if trained is not None and data.rows <= trained.rows:
        asked = replace(recipe, batch_size=trained.recipe.batch_size)
        if trained.serves(backend, asked, is_sparse(data.x)):
            return trained
    trained = None  # its memory may be needed
    values.taken()
    recipe = replace(recipe, batch_size=data.rows)
    program = backend.compile(recipe, values.values, data)
    trained = CachedProgram(backend, recipe, data.rows, program, is_sparse(data.x))
    values.give(trained)
    return trained
