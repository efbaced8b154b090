"""Why the first step of a run is not finite: no update came before it, so its numbers themselves must be the reason.

The step is computed again with the inputs, the weights or the targets divided by their largest number. What makes it
finite so is the cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.checks import is_sparse
from deepmath.program import Data, Recipe
from deepmath.training.witness import AFTER_UPDATE, array_name, seen

NO_UPDATE = "No update came before it, so the learning rate is not the cause"
RATE = "rate"
"""Where the step is finite, and its update at this learning rate is not."""


class Cause(NamedTuple):
    """What makes a step bad: "inputs", "weights", "targets", "function" or RATE, and a sentence on it."""

    kind: str
    told: str

    def blames(self, step: int) -> bool:
        """Whether it is not the rate's fault at this step: large weights come from updates, unless none was made."""
        return self.kind in ("inputs", "targets") or (self.kind != RATE and step == 0)


def cause_of(recipe: Recipe, data: Data, state: Mapping[str, Any]) -> Cause | None:
    """Why the step that starts from this state is not finite. None where the reference finds nothing bad in it."""
    step = seen(recipe, data, state)
    if step.found is None:
        return None
    if AFTER_UPDATE in step.found and _holds(_without_rate(recipe), data, state):
        return Cause(RATE, "")
    function = Cause("function", f"{step.place.told}. Mend it, or keep what comes before it where it is defined.")
    if step.place.undefined:
        return function
    return _inputs(recipe, data, state) or _weights(recipe, data, state) or _targets(recipe, data, state) or function


def _holds(recipe: Recipe, data: Data, state: Mapping[str, Any]) -> bool:
    return seen(recipe, data, state).found is None


def _without_rate(recipe: Recipe) -> Recipe:
    return replace(recipe, optimizer=replace(recipe.optimizer, learning_rate=0.0))  # type: ignore[type-var]


def _inputs(recipe: Recipe, data: Data, state: Mapping[str, Any]) -> Cause | None:
    x = data.x if is_sparse(data.x) else to_numpy(data.x)
    size = abs(x)
    most = float(size.max()) if x.shape[0] else 0.0
    if most <= 1.0 or not _holds(recipe, replace(data, x=data.x / most), state):
        return None
    place = np.unravel_index(int(size.argmax()), x.shape)
    column = f" (column {', '.join(str(n) for n in place[1:])})"
    return Cause(
        "inputs", f"the inputs reach {x[place]:.3g}{column}. Scale them, for example by preprocessing=Standardize()."
    )


def _weights(recipe: Recipe, data: Data, state: Mapping[str, Any]) -> Cause | None:
    largest = {n: float(np.abs(v).max(initial=0.0)) for n, v in state.items() if n.startswith("params.")}
    name = max(largest, key=largest.__getitem__, default="")
    most = largest.get(name, 0.0)
    scaled = {n: v / most if n in largest else v for n, v in state.items()} if most > 1.0 else {}
    if not scaled or not _holds(recipe, data, scaled):
        return None
    where = array_name(recipe, name.removeprefix("params."))
    return Cause(
        "weights", f"the weights reach {most:.3g} ({where}). Set smaller ones, or draw new ones in a new model."
    )


def _targets(recipe: Recipe, data: Data, state: Mapping[str, Any]) -> Cause | None:
    assert recipe.head is not None
    most = 0.0 if recipe.head.labelled else float(np.abs(to_numpy(data.targets)).max(initial=0.0))
    if most <= 1.0 or not _holds(recipe, replace(data, targets=data.targets / most), state):
        return None
    return Cause("targets", f"the targets reach {most:.3g}, too much for loss '{recipe.head.loss.name}'. Scale them.")
