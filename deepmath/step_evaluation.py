"""The graph of a step evaluated on the arrays of any library, with somebody looking on."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from deepmath.evaluation import Evaluation
from deepmath.graph import Node
from deepmath.program import Recipe, head_formula, results_formula
from deepmath.step_graph import StepGraph

Bits: TypeAlias = Callable[[int, int, int], Any]
"""(rows, units, layer) -> random bits [rows, units] of a layer, by its number."""


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
        outside = _Outside(self._recipe, self._step.training, self._xp, self._index, arguments, bits)
        known = {**arguments, **self._step.numbers}
        values = {node.number: known[name] for name, node in self._arguments.items()}
        found = self._evaluation.run(self._xp, values, outside)
        if self._observer is not None:
            for seen in self._step.seen:
                self._observer.saw(seen.name, seen.part, seen.direction, next(found))
        return dict(zip(self._names, found, strict=True))


class _Outside:
    """What is no formula in one evaluation: random bits, the columns' numbers, and what can't be traced."""

    def __init__(
        self, recipe: Recipe, training: bool, xp: Any, index: Any, arguments: Mapping[str, Any], bits: Bits
    ) -> None:
        self._recipe, self._training, self._xp, self._index = recipe, training, xp, index
        self._arguments, self._bits = arguments, bits
        self._results: dict[Any, Mapping[str, Any]] = {}
        self._pullbacks: dict[str, Callable[[Any], Any]] = {}

    def __call__(self, node: Node, args: list[Any]) -> Any:
        if node.op == "index":
            return self._index
        if node.op == "random":
            layer, units = node.value
            return self._bits(self._arguments["x"].shape[0] * node.dims[0].times, units, layer)
        owner, name = node.value
        if owner not in self._results:
            self._results[owner] = self._run(owner[0], owner[1], args)
        return self._results[owner][name]

    def _run(self, who: str, direction: str, args: list[Any]) -> Mapping[str, Any]:
        """All results of what can't be traced, by name."""
        head = self._recipe.head
        if who == "last":
            assert head is not None
            assert head.activation is not None
            return {"y": head.activation.value(self._xp, args[0], *head.activation.constants)}
        if who == "head":
            return self._head(direction, *args)
        return self._forward(who, args[0]) if direction == "forward" else self._backward(who, args[1])

    def _forward(self, who: str, x: Any) -> Mapping[str, Any]:
        part = self._recipe.parts[int(who.removeprefix("part"))]

        def own(kind: str) -> dict[str, Any]:
            start = f"{kind}.{part.number}."
            return {n.removeprefix(start): v for n, v in self._arguments.items() if n.startswith(start)}

        def bits(rows: int, units: int) -> Any:
            return self._bits(rows, units, part.number)

        y, pullback, new = part.layer.apply(self._xp, own("params"), own("state"), x, bits, self._training)
        self._pullbacks[who] = pullback
        return {"y": y} | {f"state.{part.number}.{n}": v for n, v in new.items()}

    def _backward(self, who: str, dy: Any) -> Mapping[str, Any]:
        part = self._recipe.parts[int(who.removeprefix("part"))]
        dx, gradients = self._pullbacks.pop(who)(dy)
        return {"dx": dx} | {f"grad.{part.number}.{n}": g for n, g in gradients.items()}

    def _head(self, direction: str, z: Any, targets: Any, weight: Any = None) -> Mapping[str, Any]:
        head = self._recipe.head
        assert head is not None
        constants = head.loss.constants
        if direction == "backward":
            dz, *results = head_formula(head)(self._xp, z, targets, self._index, weight, *constants)
        else:
            dz, results = None, list(results_formula(head)(self._xp, z, targets, self._index, *constants))
        return {"dz": dz} | {f"result.{i}": r for i, r in enumerate(results)}
