"""A call of `fit`, from top to bottom: validate, compile or go on, resume, train, hand back what was learnt."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath.backend import Backend
from deepmath.batches import InMemory
from deepmath.data.adapters import ArrayAdapter
from deepmath.data.chunks import Chunks
from deepmath.data.encoding import target_for
from deepmath.data.fingerprint import digest_of, facts_of
from deepmath.data.loaders import empty_stretch, loader_of
from deepmath.data.rows import shape_of
from deepmath.data.sources import Adapter, Source
from deepmath.data.streaming import StreamingProgram
from deepmath.data.validation import Validator
from deepmath.descriptions import check_number, plain_numbers
from deepmath.errors import ConfigError
from deepmath.optimizers import LBFGS
from deepmath.program import Data, Program, Recipe
from deepmath.training import evaluation, lbfgs, loop, nonfinite
from deepmath.training.callbacks import Callback, Run
from deepmath.training.checkpoints import resume_run
from deepmath.training.history import History
from deepmath.training.program_cache import CachedProgram, ModelValues, compiled
from deepmath.training.progress import progress
from deepmath.training.reported import reported

ON_CUDA = ("tf32", "bf16", "float16")
"""Precisions of the backend for CUDA alone."""


@dataclass(frozen=True)
class ModelInTraining:
    """What a run must know of the model.

    `values` are those it starts from, with the program of the run before. `write(path, values, epochs)` saves the model
    as it is after so many epochs of this run, and `keep(program, epochs)` hands back its own program. `tell(history)`
    hands over what the run will report, before its first step.
    """

    values: ModelValues
    config: dict[str, Any]
    write: Callable[[Any, dict[str, Any], int], None]
    keep: Callable[[CachedProgram, int], None]
    tell: Callable[[History], None]


@plain_numbers
@dataclass(frozen=True)
class Settings:
    """How long to train and what happens meanwhile: arguments of `Sequential.fit`, which explains them."""

    epochs: int
    batch_size: int | str
    callbacks: Sequence[Callback]
    verbose: int | str
    initial_epoch: int
    resume: str | os.PathLike[str] | None
    on_nan: str

    def __post_init__(self) -> None:
        check_number("fit", "epochs", self.epochs, low=0, whole=True)
        check_number("fit", "initial_epoch", self.initial_epoch, low=0, whole=True)
        if self.on_nan not in nonfinite.CHOICES:
            raise ConfigError(f"fit: on_nan must be 'stop', 'rollback' or 'skip'; got {self.on_nan!r}")


@dataclass(frozen=True)
class Session:
    """A program that stands before its first step, and what the loop must know; `cached` outlasts the run.

    `batches.at(step)` are the micro-batches of the next step, `data_at(step)` the data that hold a step's rows; it
    is None where they come only once. `minimize` is L-BFGS's own loop.
    """

    cached: CachedProgram
    program: Program
    recipe: Recipe
    steps_per_epoch: int
    facts: dict[str, Any]
    batches: InMemory | StreamingProgram
    data_at: Callable[[int], Data] | None
    minimize: Any = None

    def close(self) -> None:
        """End what runs beside the program, and let go of the data."""
        if isinstance(self.program, StreamingProgram):
            self.program.close()
        self.cached.release()


def fit(
    model: ModelInTraining, validator: Validator, given: Adapter, held_out: Adapter | None, settings: Settings
) -> History:
    """Train on `given`, validate on what is held out, and hand back the values, also of a run that was cut short."""
    check_number("fit", "accumulate", validator.recipe.accumulate, low=1, whole=True)
    first, named = settings.initial_epoch, settings.resume is not None or bool(settings.callbacks)
    session = begin(model, validator, given, settings, named)
    program, recipe, facts, history = session.program, session.recipe, session.facts, History()
    run = Run(
        program,
        history,
        settings.epochs,
        session.steps_per_epoch,
        recipe.columns,
        facts,
        settings.callbacks,
        first,
    )
    run.reported = reported(recipe, held_out is not None)
    run.batches = session.batches
    run.write_model = lambda path: model.write(path, program.state(), run.epoch - first)
    validate = None
    if held_out is not None:
        measuring = replace(validator, training=False, target=target_for(validator.target, held_out))
        chunks = Chunks(held_out, recipe.parts[0].shape, functools.partial(measuring.data, name="validation X"))
        next(iter(chunks))  # what can't be measured is refused before the first step
        facts |= {"validation": digest_of(held_out, chunks.whole)} if named else {}
        validate = functools.partial(evaluation.numbers, program, recipe, chunks)
    callbacks = [*settings.callbacks, *progress(settings.verbose)]
    for callback in callbacks:
        callback.check(run)
    resumed = settings.resume is not None and resume_run(settings.resume, run)
    model.tell(history)
    try:
        values = None if resumed else dict(model.values.values)  # set_weights writes into the model's own
        guard = nonfinite.Guard(run, recipe, session.data_at, settings.on_nan, values)
        loop.train(run, callbacks, validate, guard, session.minimize)
    finally:
        run.write_model = None  # it holds the run, which would keep the program's memory until garbage is collected
        session.close()
        model.keep(session.cached, run.epoch - first)
    return history


def begin(model: ModelInTraining, validator: Validator, given: Adapter, settings: Settings, named: bool) -> Session:
    """Validate the data, and compile the recipe for them.

    `named` says whether the facts must tell these data from others. Raises ConfigError, LabelError or NumericError.
    """
    recipe = validator.recipe
    if isinstance(recipe.shuffle, np.bool_):  # anything else that is no bool is a window
        recipe = replace(recipe, shuffle=bool(recipe.shuffle))
    if isinstance(given, ArrayAdapter):
        return _begin_in_memory(model, replace(validator, recipe=recipe), given, settings.batch_size, named)
    if callable(recipe.shuffle) and not isinstance(given, Source):
        raise ConfigError("fit: shuffle by a function orders rows; for batches give True or False")
    if isinstance(recipe.optimizer, LBFGS):
        raise ConfigError("LBFGS takes all rows in every step; give arrays in memory, or another optimizer")
    recipe = replace(recipe, batch_size=_piece_size(recipe, given, settings.batch_size))
    backend = validator.backend
    loader = loader_of(replace(validator, recipe=recipe), given)
    last = recipe.origin + (settings.epochs - settings.initial_epoch) * loader.per_epoch
    cached = compiled(backend, recipe, model.values.values, empty_stretch(backend, recipe), model.values.taken)
    program = StreamingProgram(cached.program, loader, last)
    facts = facts_of(model.config, recipe, given, named) | {"weighting": repr(validator.weighting)}
    data_at = program.data_at if loader.again else None
    return Session(cached, program, recipe, loader.per_epoch, facts, program, data_at)


def _begin_in_memory(
    model: ModelInTraining, validator: Validator, given: ArrayAdapter, batch_size: int | str, named: bool
) -> Session:
    recipe, data = validator.recipe, validator.data(given.rows)
    recipe = replace(recipe, batch_size=_rows_of_batch(batch_size, data.rows, recipe))
    whole = isinstance(recipe.optimizer, LBFGS)
    stepped = lbfgs.standing(recipe) if whole else recipe
    cached = compiled(validator.backend, stepped, model.values.values, data, model.values.taken)
    minimize = lbfgs.on_all_rows(cached.program, recipe.optimizer, recipe, data) if whole else None
    batches, facts = InMemory(recipe, data), facts_of(model.config, recipe, given, named, data)
    return Session(cached, cached.program, recipe, batches.per_epoch, facts, batches, lambda _: data, minimize)


def _rows_of_batch(given: int | str, rows: int, recipe: Recipe) -> int:
    """The rows of a micro-batch: a number, or "full" for all rows."""
    if isinstance(given, str) and given == "full":
        return rows
    size = int(check_number("fit", "batch_size", given, low=1, whole=True))
    if recipe.drop_last and size * recipe.accumulate > rows:
        raise ConfigError(f"fit: drop_last leaves no batch: {rows} rows, batches of {size * recipe.accumulate}")
    return size


def _piece_size(recipe: Recipe, given: Adapter, batch_size: int | str) -> int:
    """The rows of a micro-batch of data that come in pieces."""
    if isinstance(given, Source):
        if not isinstance(recipe.shuffle, bool) and not callable(recipe.shuffle):
            check_number("fit", "shuffle", recipe.shuffle, low=1, whole=True)
        return min(_rows_of_batch(batch_size, given.rows, recipe), given.rows)
    if recipe.accumulate != 1:
        raise ConfigError("fit: a batch that comes as it is makes one step; accumulate must be 1")
    size = shape_of(given.first.X)[0]  # type: ignore[attr-defined]
    if size == 0:
        raise ConfigError("fit: batch 0 has no rows")
    return size


def check_precision(backend: Backend, precision: str) -> None:
    """Raise ConfigError for a precision that a backend lacks."""
    if precision not in backend.precisions:
        known = ", ".join(backend.precisions)
        cure = "; on a CUDA device, backend='cupy' has it" if precision in ON_CUDA and backend.name != "cupy" else ""
        raise ConfigError(f"backend '{backend.name}' has no precision {precision!r}; it has {known}{cure}")
