"""How a run begins: data checked at the door, a program compiled for them, and the facts that name both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath.batches import InMemory
from deepmath.descriptions import check_number
from deepmath.errors import ConfigError
from deepmath.optimizers import LBFGS
from deepmath.program import Data, Program, Recipe
from deepmath.training import lbfgs, settings
from deepmath.training.door import Door
from deepmath.training.fed import FedProgram
from deepmath.training.feeds import feed_of
from deepmath.training.fingerprint import facts_of, facts_of_pieces
from deepmath.training.history import History
from deepmath.training.sources import Given, Source, Whole
from deepmath.training.trained import Trained, compiled, no_rows


@dataclass(frozen=True)
class Subject:
    """What a run must know of the model.

    `values` are those it starts from. `write(path, values, epochs)` saves the model as it is after so many epochs of
    this run. `taken()` gives the program of the run before, and `keep(trained, epochs)` hands back this run's.
    `tell(history)` hands over what the run will report, before its first step.
    """

    values: Mapping[str, Any]
    config: dict[str, Any]
    write: Callable[[Any, dict[str, Any], int], None]
    taken: Callable[[], Trained | None]
    keep: Callable[[Trained, int], None]
    tell: Callable[[History], None]


@dataclass(frozen=True)
class Begun:
    """A program that stands before its first step, and what the loop must know; `trained` outlasts the run.

    `batches.at(step)` are the micro-batches of the next step, `data_at(step)` the data that hold a step's rows; it
    is None where they come only once. `minimize` is L-BFGS's own loop.
    """

    trained: Trained
    program: Program
    recipe: Recipe
    per_epoch: int
    facts: dict[str, Any]
    batches: InMemory | FedProgram
    data_at: Callable[[int], Data] | None
    minimize: Any = None

    def close(self) -> None:
        """End what runs beside the program, and let go of the data."""
        if isinstance(self.program, FedProgram):
            self.program.close()
        self.trained.release()


def begin(door: Door, subject: Subject, given: Given, batch_size: int | str, epochs: int, named: bool) -> Begun:
    """Check the data at the door, and compile its recipe for them.

    `epochs` are those of this run. `named` says whether the facts must tell these data from others. Raises
    ConfigError, LabelError or NumericError.
    """
    recipe = door.recipe
    if isinstance(recipe.shuffle, np.bool_):  # anything else that is no bool is a window
        recipe = replace(recipe, shuffle=bool(recipe.shuffle))
    if isinstance(given, Whole):
        return _begin_in_memory(replace(door, recipe=recipe), subject, given, batch_size, named)
    if callable(recipe.shuffle):
        raise ConfigError(
            "fit: shuffle by a function orders arrays in memory; for other data give True, False or a number"
        )
    if isinstance(recipe.optimizer, LBFGS):
        raise ConfigError("LBFGS takes all rows in every step; give arrays in memory, or another optimizer")
    recipe = replace(recipe, batch_size=_piece_size(recipe, given, batch_size))
    feed = feed_of(replace(door, recipe=recipe), given)
    last = recipe.origin + epochs * feed.per_epoch
    trained = compiled(door.backend, recipe, subject.values, no_rows(door.backend, recipe), subject.taken)
    program = FedProgram(trained.program, feed, last)
    facts = facts_of_pieces(subject.config, recipe, given, named) | {"counting": repr(door.counting)}
    return Begun(trained, program, recipe, feed.per_epoch, facts, program, program.data_at if feed.again else None)


def _begin_in_memory(door: Door, subject: Subject, given: Whole, batch_size: int | str, named: bool) -> Begun:
    recipe, backend = door.recipe, door.backend
    data = door.admit(given.rows)
    size = settings.batch_size(batch_size, data.rows, recipe.drop_last, recipe.accumulate)
    recipe = replace(recipe, batch_size=size)
    whole = isinstance(recipe.optimizer, LBFGS)
    asked = lbfgs.standing(recipe) if whole else recipe
    trained = compiled(backend, asked, subject.values, data, subject.taken)
    program = trained.program
    minimize = lbfgs.on_all_rows(program, recipe.optimizer, recipe, data) if whole else None
    batches = InMemory(recipe, data)
    facts = facts_of(subject.config, recipe, data, named)
    return Begun(trained, program, recipe, batches.per_epoch, facts, batches, lambda _: data, minimize)


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
