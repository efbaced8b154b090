"""Which number of a training step was the first that is not finite: the step once more, by the formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from deepmath.arrays import FLOATS, namespace_of, to_numpy
from deepmath.layers import Activation
from deepmath.program import Data, Recipe
from deepmath.reference import Gradients, ReferenceProgram


def first_bad_value(recipe: Recipe, data: Data, state: Mapping[str, Any]) -> str | None:
    """What is not finite first, in the order of computing, in the step that starts from this state.

    None where the reference computes nothing but finite numbers.
    """
    return seen(recipe, data, state).found


def seen(recipe: Recipe, data: Data, state: Mapping[str, Any]) -> Witness:
    """The witness of the step that starts from this state."""
    witness = Witness(recipe, data, state)
    with np.errstate(all="ignore"):
        witness.run(1)
    return witness


def bad_value_of(recipe: Recipe, state: Mapping[str, Any], when: str = "") -> str | None:
    """The first value of a program's state that is not finite."""
    told = (_told(_value_name(recipe, name) + when, value) for name, value in state.items())
    return next((t for t in told if t is not None), None)


AFTER_UPDATE = " after the update"
"""What is told of a value that was finite until the step's update."""


FAR = 1000.0
"""A function that is not a number for smaller arguments isn't defined there; beyond, it may have lost its way."""


class Place(NamedTuple):
    """What gave the first number that is not finite, in words, and whether it is a function outside its domain."""

    told: str
    undefined: bool


class Witness(ReferenceProgram):
    """The reference program, looking at every number that passes.

    `found` tells the first that is not finite, and `place` what gave it.
    """

    def __init__(self, recipe: Recipe, data: Data, state: Mapping[str, Any]) -> None:
        if recipe.precision not in FLOATS:  # what is shorter on a device is looked at in float32
            recipe = replace(recipe, precision="float32")
        super().__init__(recipe, state, namespace_of(data.targets), array_api_compat.device(data.targets), data)
        self.found: str | None = None
        self.place = Place("", False)
        head, told = self._head, recipe.head
        assert head is not None
        assert told is not None
        name = told.loss.name
        names = "scores" if told.activation else "prediction", "label" if told.labelled else "target"

        def watched(xp: Any, z: Any, targets: Any, index: Any, weight: Any, *constants: Any) -> tuple[Any, ...]:
            dz, loss, *metrics = head(xp, z, targets, index, weight, *constants)
            counted = to_numpy(weight) > 0.0  # rows of weight 0 may lose what they like

            def place(what: str, values: Any) -> Place:
                row = int(np.argmax(counted[:, 0] & ~np.isfinite(values).all(axis=1)))
                given = [np.ravel(to_numpy(a)[row]) for a in (z, targets)]
                p, d = (", ".join(f"{n:.4g}" for n in numbers) for numbers in given)
                value = values[row][~np.isfinite(values[row])][0]
                told = f"{what} for {names[0]} {p} and {names[1]} {d} is {value:g}"
                return Place(told, bool(np.isnan(value)) and max(map(_largest, given)) < FAR)

            self._see("loss", to_numpy(loss)[counted], lambda: place(f"loss '{name}'", to_numpy(loss)))
            self._see("gradient of the loss", dz, lambda: place(f"the slope of loss '{name}'", to_numpy(dz)))
            return (dz, loss, *metrics)

        self._head = watched

    def apply(self, gradients: Gradients) -> None:
        for name, value in gradients.values.items():  # with the penalties' share, and all micro-batches'
            self._see(f"gradient of {array_name(self.recipe, name)}", value)
        super().apply(gradients)
        self.found = self.found or bad_value_of(self.recipe, self.state(), AFTER_UPDATE)

    def _forward(self, part: Any, x: Any, state: Mapping[str, Any], first: int, training: bool) -> Any:
        y, pullback, new_state = super()._forward(part, x, state, first, training)
        where = _layer_name(self.recipe, part.number)
        self._see(f"output of {where}", y, lambda: _function_at(where, part.layer, to_numpy(x), to_numpy(y)))
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

    def _see(self, what: str, values: Any, place: Callable[[], Place] | None = None) -> None:
        if self.found is None:
            self.found = _told(what, to_numpy(values))
            if self.found is not None:
                self.place = Place(f"{what} is not finite", False) if place is None else place()


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


def _function_at(where: str, layer: Any, x: Any, y: Any) -> Place:
    """What an activation gave where it is not finite first; other layers mix their inputs."""
    if not isinstance(layer, Activation):
        return Place(f"the output of {where} is not finite", False)
    first = np.unravel_index(int(np.argmax(~np.isfinite(y))), y.shape)
    told = f"activation '{layer.activation.name}' of {where} gives {y[first]:g} for {x[first]:.4g}"
    return Place(told, bool(np.isnan(y[first])) and abs(float(x[first])) < FAR)


def _largest(numbers: Any) -> float:
    return float(np.abs(numbers).max(initial=0.0))


def _layer_name(recipe: Recipe, number: int) -> str:
    """A layer by its place, counted from 1, and its kind: parts of one layer bear its first part's name."""
    kind = next(type(p.layer).__name__ for p in recipe.parts if p.number == number)
    return f"layer {number + 1} ({kind})"


def array_name(recipe: Recipe, name: str) -> str:
    """ "0.kernel" as a reader knows it."""
    number, _, array = name.partition(".")
    return f"{array} of {_layer_name(recipe, int(number))}"


def _value_name(recipe: Recipe, name: str) -> str:
    """A name in `Program.state`, such as "params.0.kernel" or the slot "v.0.kernel", as a reader knows it."""
    kind, _, array = name.partition(".")
    if not array:
        return name
    what = array_name(recipe, array)
    return what if kind in ("params", "state") else f"the optimizer's {kind} for {what}"
