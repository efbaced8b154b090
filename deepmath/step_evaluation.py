"""The graph of a step evaluated on the arrays of any library, with somebody looking on."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from deepmath.errors import ConfigError
from deepmath.evaluation import Evaluation
from deepmath.graph import Node
from deepmath.program import Part, Recipe, head_formula, results_formula
from deepmath.step_graph import StepGraph

Bits: TypeAlias = Callable[[int, int, int], Any]
"""(times, units, layer) -> random bits of a layer, by its number: `times` rows of units for each row of the batch."""


class Observer(abc.ABC):
    """Sees the values of training steps, and of predictions, in the order of computing."""

    @abc.abstractmethod
    def saw(self, name: str, part: int | None, direction: str, value: Any) -> None:
        """A value is there.

        Those of the graph are named as `StepGraph.seen` says; `part` is a place in `Recipe.parts`, or None. After the
        first backward pass of a step the penalties follow: "penalty.0.kernel", and their sum "penalty". `direction` is
        "update" for what the update makes: the whole gradients "gradient.0.kernel", where they are clipped
        "clipped.0.kernel", and for each parameter its new slots, "v.0.kernel", and its new value, "params.0.kernel".
        """


class StepEvaluation:
    """Evaluates a graph of a step. The order of its operations is found once; an observer sees `StepGraph.seen`."""

    def __init__(self, recipe: Recipe, step: StepGraph, xp: Any, index: Any, observer: Observer | None = None) -> None:
        self._recipe, self._step, self._xp, self._index, self._observer = recipe, step, xp, index, observer
        self._arguments = step.arguments
        self._names = list(step.outputs)
        seen = [s.node for s in step.seen] if observer is not None else []
        given = {n.number for n in self._arguments.values()}
        self._evaluation = Evaluation([*seen, *step.outputs.values()], given)

    def run(self, arguments: Mapping[str, Any], bits: Bits) -> dict[str, Any]:
        """The outputs by name, for these arguments, of which there may be more than the graph takes."""
        opaque = Opaque(self._recipe, self._step.training, self._xp, self._index, arguments, bits)
        outside = _Outside(opaque, self._index, bits)
        known = {**arguments, **self._step.numbers}
        values = {node.number: known[name] for name, node in self._arguments.items()}
        found = self._evaluation.run(self._xp, values, outside)
        if self._observer is not None:
            for seen in self._step.seen:
                self._observer.saw(seen.name, seen.part, seen.direction, next(found))
        return dict(zip(self._names, found, strict=True))


class Opaque:
    """Runs what can't be traced: layers by their `apply`, losses and activations by their formulas.

    `arguments` holds parameters and states as the graph names them, `bits(times, units, layer)` draws a layer's random
    bits [times rows, units], and `index` are the columns' numbers [1, outputs].
    """

    def __init__(
        self, recipe: Recipe, training: bool, xp: Any, index: Any, arguments: Mapping[str, Any], bits: Bits
    ) -> None:
        self._recipe, self._training, self._xp, self._index = recipe, training, xp, index
        self._arguments, self._bits = arguments, bits
        self._pullbacks: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {}

    def run(self, who: str, direction: str, args: Sequence[Any]) -> Mapping[str, Any]:
        """All results of an opaque node's owner, by name. Raises ConfigError for results of wrong shapes."""
        head = self._recipe.head
        if who == "last":
            assert head is not None
            assert head.activation is not None
            return {"y": head.activation.value(self._xp, args[0], *head.activation.constants)}
        if who == "head":
            return self._head(direction, *args)
        part = self._recipe.parts[int(who.removeprefix("part"))]
        return self._forward(who, part, args[0]) if direction == "forward" else self._backward(who, part, args[1])

    def _own(self, kind: str, part: Part) -> dict[str, Any]:
        start = f"{kind}.{part.number}."
        return {n.removeprefix(start): v for n, v in self._arguments.items() if n.startswith(start)}

    def _forward(self, who: str, part: Part, x: Any) -> Mapping[str, Any]:
        def bits(rows: int, units: int) -> Any:
            return self._bits(rows // max(x.shape[0], 1), units, part.number)

        state = self._own("state", part)
        found = part.layer.apply(self._xp, self._own("params", part), state, x, bits, self._training)
        if not isinstance(found, tuple) or len(found) != 3 or not callable(found[1]) or not isinstance(found[2], dict):
            raise ConfigError(f"{part.told}: apply must give (outputs, pullback, new state); got {_kinds(found)}")
        y, pullback, new = found
        _check(part, "apply", {"the outputs": y}, {"the outputs": (x.shape[0], *part.layer.output_shape(part.shape))})
        if self._training:
            _check(part, "apply", new, {n: v.shape for n, v in state.items()}, "state")
        self._pullbacks[who] = pullback, tuple(x.shape)
        return {"y": y} | {f"state.{part.number}.{n}": v for n, v in (state | new).items()}

    def _backward(self, who: str, part: Part, dy: Any) -> Mapping[str, Any]:
        pullback, shape = self._pullbacks.pop(who)
        found = pullback(dy)
        if not isinstance(found, tuple) or len(found) != 2 or not isinstance(found[1], dict):
            raise ConfigError(
                f"{part.told}: apply's pullback must give (gradient of the inputs, gradients of the parameters by "
                f"name); got {_kinds(found)}"
            )
        params = {n: v.shape for n, v in self._own("params", part).items()} if self._is_first(who, part) else {}
        _check(
            part, "apply's pullback", {"the gradient of the inputs": found[0]}, {"the gradient of the inputs": shape}
        )
        _check(part, "apply's pullback", found[1], params, "gradient", whole=True)
        return {"dx": found[0]} | {f"grad.{part.number}.{n}": g for n, g in found[1].items()}

    def _is_first(self, who: str, part: Part) -> bool:
        """Whether it is the first part of its layer, which all of the layer's parameters belong to."""
        return next(i for i, p in enumerate(self._recipe.parts) if p.number == part.number) == int(who[4:])

    def _head(self, direction: str, z: Any, targets: Any, weight: Any = None) -> Mapping[str, Any]:
        head = self._recipe.head
        assert head is not None
        constants = head.loss.constants
        if direction == "backward":
            dz, *results = head_formula(head)(self._xp, z, targets, self._index, weight, *constants)
        else:
            dz, results = None, list(results_formula(head)(self._xp, z, targets, self._index, *constants))
        return {"dz": dz} | {f"result.{i}": r for i, r in enumerate(results)}


def _check(
    part: Part, who: str, found: Mapping[str, Any], shapes: Mapping[str, Any], what: str = "", whole: bool = False
) -> None:
    """Raise ConfigError unless these arrays have these shapes; `whole`: all of them must be there."""
    names = {n: f"{what} {n!r}" if what else n for n in {**shapes, **found}}
    for name in found:
        if name not in shapes:
            raise ConfigError(f"{part.told}: {who} gives {names[name]}, which isn't there; there are {list(shapes)}")
    for name, shape in shapes.items():
        if name not in found:
            if whole:
                raise ConfigError(f"{part.told}: {who} gives no {names[name]}; it must give one for each parameter")
            continue
        got = getattr(found[name], "shape", None)
        if got is None or tuple(got) != tuple(shape):
            told = type(found[name]).__name__ if got is None else list(got)
            raise ConfigError(f"{part.told}: {who} gives {names[name]} as {told} instead of {list(shape)}")


def _kinds(found: Any) -> str:
    """What came instead, in words."""
    return f"({', '.join(type(f).__name__ for f in found)})" if isinstance(found, tuple) else type(found).__name__


class _Outside:
    """What is no formula in one evaluation: random bits, the columns' numbers, and what can't be traced."""

    def __init__(self, opaque: Opaque, index: Any, bits: Bits) -> None:
        self._opaque, self._index, self._bits = opaque, index, bits
        self._results: dict[Any, Mapping[str, Any]] = {}

    def __call__(self, node: Node, args: list[Any]) -> Any:
        if node.op == "index":
            return self._index
        if node.op == "random":
            layer, units = node.value
            return self._bits(node.dims[0].times, units, layer)
        owner, name = node.value
        if owner not in self._results:
            self._results[owner] = self._opaque.run(owner[0], owner[1], args)
        return self._results[owner][name]
