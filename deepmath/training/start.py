"""How a run begins: data checked at the door, a program compiled for them, and the facts that name both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath.backend import Backend
from deepmath.batches import InMemory, Stretch
from deepmath.descriptions import check_number
from deepmath.errors import ConfigError
from deepmath.optimizers import LBFGS
from deepmath.program import Data, Program, Recipe
from deepmath.training import door, lbfgs, settings
from deepmath.training.fed import FedProgram
from deepmath.training.feeds import Door, feed_of
from deepmath.training.fingerprint import facts_of, facts_of_pieces
from deepmath.training.sources import Given, Source
from deepmath.training.weights import combined_weights


@dataclass(frozen=True)
class Begun:
    """A program that stands before its first step, and what the loop must know.

    `batches.at(step)` are the micro-batches of the next step, `data_at(step)` the data that hold a step's rows; it
    is None where they come only once. `minimize` is L-BFGS's own loop.
    """

    program: Program
    recipe: Recipe
    per_epoch: int
    facts: dict[str, Any]
    batches: InMemory | FedProgram
    data_at: Callable[[int], Data] | None
    minimize: Any = None

    def close(self) -> None:
        """End what runs beside the program."""
        if isinstance(self.program, FedProgram):
            self.program.close()


def begin(
    backend: Backend,
    recipe: Recipe,
    values: Mapping[str, Any],
    model: dict[str, Any],
    data: tuple[Any, Any, Any, Mapping[Any, float] | None],
    batch_size: int | str,
    epochs: int,
    named: bool,
) -> Begun:
    """Check X, y, sample weights and class weights (`data`), and compile the recipe for them.

    `epochs` are those of this run. `named` says whether the facts must tell these data from others. Raises
    ConfigError, LabelError or NumericError.
    """
    X, y, sample_weight, class_weight = data
    if isinstance(recipe.shuffle, np.bool_):  # anything else that is no bool is a window
        recipe = replace(recipe, shuffle=bool(recipe.shuffle))
    whole = isinstance(recipe.optimizer, LBFGS)
    if isinstance(X, Given):
        if whole:
            raise ConfigError("LBFGS takes all rows in every step; give arrays in memory, or another optimizer")
        return _begin_in_pieces(backend, recipe, values, model, X, class_weight, batch_size, epochs, named)
    admitted = door.admit(backend, recipe, X, y, combined_weights(y, sample_weight, class_weight))
    size = settings.batch_size(batch_size, admitted.rows, recipe.drop_last, recipe.accumulate)
    recipe = replace(recipe, batch_size=size)
    program = backend.compile(lbfgs.standing(recipe) if whole else recipe, values, admitted)
    minimize = lbfgs.on_all_rows(program, recipe.optimizer, recipe, admitted) if whole else None
    facts = facts_of(model, recipe, admitted, named)
    batches = InMemory(recipe, admitted)
    return Begun(program, recipe, batches.per_epoch, facts, batches, lambda _: admitted, minimize)


def _begin_in_pieces(
    backend: Backend,
    recipe: Recipe,
    values: Mapping[str, Any],
    model: dict[str, Any],
    given: Given,
    class_weight: Mapping[Any, float] | None,
    batch_size: int | str,
    epochs: int,
    named: bool,
) -> Begun:
    if isinstance(given, Source):
        if not isinstance(recipe.shuffle, bool):
            check_number("fit", "shuffle", recipe.shuffle, low=1, whole=True)
        size = settings.batch_size(batch_size, given.rows, recipe.drop_last, recipe.accumulate)
        size = min(size, given.rows)
    elif recipe.accumulate != 1:
        raise ConfigError("fit: a batch that comes as it is makes one step; accumulate must be 1")
    else:
        size = int(np.shape(given.first.X)[0])  # type: ignore[attr-defined]
        if size == 0:
            raise ConfigError("fit: batch 0 has no rows")
    recipe = replace(recipe, batch_size=size)
    feed = feed_of(Door(backend, recipe, class_weight), given)
    last = recipe.origin + epochs * feed.per_epoch
    program = FedProgram(backend.compile(recipe, values, _nothing(backend, recipe)), feed, last)
    facts = facts_of_pieces(model, recipe, given, named)
    return Begun(program, recipe, feed.per_epoch, facts, program, program.data_at if feed.again else None)


def _nothing(backend: Backend, recipe: Recipe) -> Stretch:
    """A stretch without rows, which has the shapes and types of all others."""
    head = recipe.head
    assert head is not None
    x = backend.put(np.zeros((0, *recipe.parts[0].shape)), recipe.precision)
    if head.labelled:
        return Stretch(x, backend.put(np.zeros(0, np.int64), "int64"))
    return Stretch(x, backend.put(np.zeros((0, head.outputs)), recipe.precision))
