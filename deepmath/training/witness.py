"""Which number of a training step was the first that is not finite: the step once more, by the formulas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import array_api_compat
import numpy as np

from deepmath.arrays import FLOATS, namespace_of, to_numpy
from deepmath.program import Data, Recipe
from deepmath.reference import Gradients, ReferenceProgram


def first_bad_value(recipe: Recipe, data: Data, state: Mapping[str, Any]) -> str | None:
    """What is not finite first, in the order of computing, in the step that starts from this state.

    None where the reference computes nothing but finite numbers.
    """
    witness = Witness(recipe, data, state)
    with np.errstate(all="ignore"):
        witness.run(1)
    return witness.found


def bad_value_of(recipe: Recipe, state: Mapping[str, Any], when: str = "") -> str | None:
    """The first value of a program's state that is not finite."""
    told = (_told(_value_name(recipe, name) + when, value) for name, value in state.items())
    return next((t for t in told if t is not None), None)


class Witness(ReferenceProgram):
    """The reference program, looking at every number that passes; `found` tells the first that is not finite."""

    def __init__(self, recipe: Recipe, data: Data, state: Mapping[str, Any]) -> None:
        if recipe.precision not in FLOATS:  # what is shorter on a device is looked at in float32
            recipe = replace(recipe, precision="float32")
        super().__init__(recipe, state, namespace_of(data.x), array_api_compat.device(data.x), data)
        self.found: str | None = None
        head = self._head
        assert head is not None

        def watched(xp: Any, z: Any, targets: Any, index: Any, weight: Any, *constants: Any) -> tuple[Any, ...]:
            dz, loss, *metrics = head(xp, z, targets, index, weight, *constants)
            self._see("loss", to_numpy(loss)[to_numpy(weight) > 0.0])  # rows of weight 0 may lose what they like
            self._see("gradient of the loss", dz)
            return (dz, loss, *metrics)

        self._head = watched

    def apply(self, gradients: Gradients) -> None:
        for name, value in gradients.values.items():  # with the penalties' share, and all micro-batches'
            self._see(f"gradient of {_array_name(self.recipe, name)}", value)
        super().apply(gradients)
        self.found = self.found or bad_value_of(self.recipe, self.state(), " after the update")

    def _forward(self, part: Any, x: Any, state: Mapping[str, Any], first: int, training: bool) -> Any:
        y, pullback, new_state = super()._forward(part, x, state, first, training)
        where = _layer_name(self.recipe, part.number)
        self._see(f"output of {where}", y)
        for name, value in new_state.items():
            self._see(f"{name} of {where}", value)

        def watched(dy: Any) -> Any:
            dx, gradients = pullback(dy)
            for name, value in gradients.items():
                self._see(f"gradient of {name} of {where}", value)
            self._see(f"gradient of the inputs of {where}", dx)
            return dx, gradients

        return y, watched, new_state

    def _penalty(self) -> float:
        total = super()._penalty()
        self._see("penalty of the weights", np.asarray(total))
        return total

    def _see(self, what: str, values: Any) -> None:
        self.found = self.found or _told(what, to_numpy(values))


def _told(what: str, values: Any) -> str | None:
    """A sentence on an array that is not finite.

    >>> import numpy as np
    >>> _told("loss", np.asarray([1.0, np.inf, -3.0]))
    'loss, inf in 1 of 3 numbers, largest finite one 3.0e+00'
    >>> _told("loss", np.asarray([1.0])) is None
    True
    """
    values = np.asarray(values, np.float64).reshape(-1)
    bad = ~np.isfinite(values)
    if not bad.any():
        return None
    kind = "nan" if np.isnan(values[bad][0]) else "inf"
    good = np.abs(values[~bad])
    largest = f", largest finite one {good.max():.1e}" if good.size else ""
    return f"{what}, {kind} in {int(bad.sum())} of {values.size} number{'s' * (values.size > 1)}{largest}"


def _layer_name(recipe: Recipe, number: int) -> str:
    """A layer by its place, counted from 1, and its kind: parts of one layer bear its first part's name."""
    kind = next(type(p.layer).__name__ for p in recipe.parts if p.number == number)
    return f"layer {number + 1} ({kind})"


def _array_name(recipe: Recipe, name: str) -> str:
    """ "0.kernel" as a reader knows it."""
    number, _, array = name.partition(".")
    return f"{array} of {_layer_name(recipe, int(number))}"


def _value_name(recipe: Recipe, name: str) -> str:
    """A name in `Program.state`, such as "params.0.kernel" or the slot "v.0.kernel", as a reader knows it."""
    kind, _, array = name.partition(".")
    if not array:
        return name
    what = _array_name(recipe, array)
    return what if kind in ("params", "state") else f"the optimizer's {kind} for {what}"
