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
from deepmath.training import lbfgs, settings
from deepmath.training.door import Door
from deepmath.training.fed import FedProgram
from deepmath.training.feeds import feed_of
from deepmath.training.fingerprint import facts_of, facts_of_pieces
from deepmath.training.sources import Given, Source, Whole


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
    door: Door, values: Mapping[str, Any], model: dict[str, Any], given: Given, batch_size: int | str, epochs: int,
    named: bool,
) -> Begun:  # fmt: skip
    """Check the data at the door, and compile its recipe for them.

    `epochs` are those of this run. `named` says whether the facts must tell these data from others. Raises
    ConfigError, LabelError or NumericError.
    """
    recipe = door.recipe
    if isinstance(recipe.shuffle, np.bool_):  # anything else that is no bool is a window
        recipe = replace(recipe, shuffle=bool(recipe.shuffle))
    if isinstance(given, Whole):
        return _begin_in_memory(replace(door, recipe=recipe), values, model, given, batch_size, named)
    if callable(recipe.shuffle):
        raise ConfigError(
            "fit: shuffle by a function orders arrays in memory; for other data give True, False or a number"
        )
    if isinstance(recipe.optimizer, LBFGS):
        raise ConfigError("LBFGS takes all rows in every step; give arrays in memory, or another optimizer")
    recipe = replace(recipe, batch_size=_piece_size(recipe, given, batch_size))
    feed = feed_of(replace(door, recipe=recipe), given)
    last = recipe.origin + epochs * feed.per_epoch
    program = FedProgram(door.backend.compile(recipe, values, _nothing(door.backend, recipe)), feed, last)
    facts = facts_of_pieces(model, recipe, given, named) | {"counting": repr(door.counting)}
    return Begun(program, recipe, feed.per_epoch, facts, program, program.data_at if feed.again else None)


def _begin_in_memory(
    door: Door, values: Mapping[str, Any], model: dict[str, Any], given: Whole, batch_size: int | str, named: bool
) -> Begun:
    recipe, backend = door.recipe, door.backend
    data = door.admit(given.rows)
    size = settings.batch_size(batch_size, data.rows, recipe.drop_last, recipe.accumulate)
    recipe = replace(recipe, batch_size=size)
    whole = isinstance(recipe.optimizer, LBFGS)
    program = backend.compile(lbfgs.standing(recipe) if whole else recipe, values, data)
    minimize = lbfgs.on_all_rows(program, recipe.optimizer, recipe, data) if whole else None
    batches = InMemory(recipe, data)
    facts = facts_of(model, recipe, data, named)
    return Begun(program, recipe, batches.per_epoch, facts, batches, lambda _: data, minimize)


def _piece_size(recipe: Recipe, given: Given, batch_size: int | str) -> int:
    """The rows of a micro-batch of data that come in pieces."""
    if isinstance(given, Source):
        if not isinstance(recipe.shuffle, bool):
            check_number("fit", "shuffle", recipe.shuffle, low=1, whole=True)
        return min(settings.batch_size(batch_size, given.rows, recipe.drop_last, recipe.accumulate), given.rows)
    if recipe.accumulate != 1:
        raise ConfigError("fit: a batch that comes as it is makes one step; accumulate must be 1")
    size = int(np.shape(given.first.X)[0])  # type: ignore[attr-defined]
    if size == 0:
        raise ConfigError("fit: batch 0 has no rows")
    return size


def _nothing(backend: Backend, recipe: Recipe) -> Stretch:
    """A stretch without rows, which has the shapes and types of all others."""
    head = recipe.head
    assert head is not None
    x = backend.put(np.zeros((0, *recipe.parts[0].shape)), recipe.precision)
    if head.labelled:
        return Stretch(x, backend.put(np.zeros(0, np.int64), "int64"))
    return Stretch(x, backend.put(np.zeros((0, head.outputs)), recipe.precision))
