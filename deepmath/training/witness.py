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
from deepmath.reference import ReferenceProgram
from deepmath.step_evaluation import Observer


def first_bad_value(recipe: Recipe, data: Data, state: Mapping[str, Any]) -> str | None:
    """What is not finite first, in the order of computing, in the step that starts from this state.

    None where the reference computes nothing but finite numbers.
    """
    return seen(recipe, data, state).found


def seen(recipe: Recipe, data: Data, state: Mapping[str, Any]) -> NonFiniteObserver:
    """What the step that starts from this state shows."""
    if recipe.precision not in FLOATS:  # what is shorter on a device is looked at in float32
        recipe = replace(recipe, precision="float32")
    observer = NonFiniteObserver(recipe)
    device = array_api_compat.device(data.targets)
    program = ReferenceProgram(recipe, state, namespace_of(data.targets), device, data, observer)
    with np.errstate(all="ignore"):
        program.run(1)
    observer.found = observer.found or bad_value_of(recipe, program.state(), AFTER_UPDATE)
    return observer


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


class NonFiniteObserver(Observer):
    """Looks at every number of a step. `found` tells the first that is not finite, and `place` what gave it."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._inputs: Any = None
        self._head: dict[str, Any] = {}
        self.found: str | None = None
        self.place = Place("", False)

    def saw(self, name: str, part: int | None, direction: str, value: Any) -> None:
        if self.found is not None:
            return
        if part is not None:
            self._saw_part(name, part, value)
        elif name == "x":
            self._inputs = value
        elif name in ("z", "targets", "labels", "weight"):
            self._head[name.replace("labels", "targets")] = to_numpy(value)
        elif name in ("loss", "dz"):
            self._saw_loss(name, to_numpy(value))
        elif name == "penalty":
            self._see("penalty of the weights", value)
        elif name.startswith("gradient."):  # with the penalties' share, and all micro-batches'
            self._see(f"gradient of {array_name(self._recipe, name.removeprefix('gradient.'))}", value)

    def _saw_part(self, name: str, part: int, value: Any) -> None:
        layer, number, _ = self._recipe.parts[part]
        where = _layer_name(self._recipe, number)
        kind, _, array = name.partition(".")
        own = array.removeprefix(f"{number}.")
        if kind == "y":
            inputs, self._inputs = self._inputs, value
            self._see(
                f"output of {where}", value, lambda: _function_at(where, layer, to_numpy(inputs), to_numpy(value))
            )
        elif kind == "state":
            self._see(f"{own} of {where}", value)
        elif kind == "grad":
            self._see(f"gradient of {own} of {where}", value)
        elif kind == "dx":
            self._see(f"gradient of the inputs of {where}", value)

    def _saw_loss(self, name: str, values: Any) -> None:
        """The losses of the rows, of which those of weight 0 may be what they like, or their gradient."""
        assert self._recipe.head is not None
        counted = self._head["weight"][:, 0] > 0.0
        loss = f"loss '{self._recipe.head.loss.name}'"
        if name == "loss":
            self._see("loss", values[counted], lambda: self._row(loss, values, counted))
        else:
            self._see("gradient of the loss", values, lambda: self._row(f"the slope of {loss}", values, counted))

    def _row(self, what: str, values: Any, counted: Any) -> Place:
        """The first row that is not finite, with the numbers that it came from."""
        head = self._recipe.head
        assert head is not None
        names = "scores" if head.activation else "prediction", "label" if head.labelled else "target"
        row = int(np.argmax(counted & ~np.isfinite(values).all(axis=1)))
        given = [np.ravel(self._head[n][row]) for n in ("z", "targets")]
        p, d = (", ".join(f"{n:.4g}" for n in numbers) for numbers in given)
        value = values[row][~np.isfinite(values[row])][0]
        told = f"{what} for {names[0]} {p} and {names[1]} {d} is {value:g}"
        return Place(told, bool(np.isnan(value)) and max(map(_largest, given)) < FAR)

    def _see(self, what: str, values: Any, place: Callable[[], Place] | None = None) -> None:
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
