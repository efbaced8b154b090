"""One update at a time, each on rows that are handed in: what `train_on_batch` runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from deepmath.backend import Backend
from deepmath.batches import row_weights
from deepmath.errors import ConfigError, NonFiniteError
from deepmath.optimizers import LBFGS
from deepmath.program import Batch, Data, Recipe, finished
from deepmath.training.history import summarize


def check(optimizer: Any, preprocessing: Any) -> None:
    """Raise ConfigError for what a single batch can't do."""
    if isinstance(optimizer, LBFGS):
        raise ConfigError("train_on_batch: LBFGS needs all rows at each step; call fit, or choose another optimizer")
    if hasattr(preprocessing, "fit"):
        raise ConfigError(
            f"train_on_batch: {preprocessing!r} is not fitted, and one batch is too little for that; "
            "call fit first, or give the model preprocessing.fit(X) of all rows"
        )


class Single:
    """A program that is kept from one batch to the next, and what it was compiled for."""

    def __init__(self, backend: Backend, recipe: Recipe, values: Mapping[str, Any], data: Data) -> None:
        self._key, self._rows = _key(backend, recipe), data.rows
        self._recipe = recipe
        self._program = backend.compile(replace(recipe, batch_size=data.rows), values, data)
        self._state: dict[str, Any] | None = None

    @property
    def values(self) -> dict[str, Any]:
        """All values as they stand."""
        if self._state is None:
            self._state = self._program.state()
        return self._state

    @property
    def steps(self) -> int:
        """Updates made so far, over all runs of the model."""
        return self._program.step

    def serves(self, backend: Backend, recipe: Recipe, data: Data) -> bool:
        """Whether these rows can be trained on without compiling anew."""
        return self._key == _key(backend, recipe) and data.rows <= self._rows

    def step(self, data: Data) -> dict[str, float]:
        """One update on all rows of the data: its loss, cost and metrics, at the values before the update.

        Raises NonFiniteError, and leaves all values as they were, where the loss is not a finite number.
        """
        program, recipe = self._program, self._recipe
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
        self._state = None
        return logs


def continued(
    single: Single | None, backend: Backend, recipe: Recipe, data: Data, values: Callable[[], Mapping[str, Any]]
) -> Single:
    """The program of the batch before if it serves for this one too, else a new one that starts from its values."""
    if single is not None and single.serves(backend, recipe, data):
        return single
    return Single(backend, recipe, values(), data)


def _key(backend: Backend, recipe: Recipe) -> Any:
    return backend, replace(recipe, origin=0, first_epoch=0)
