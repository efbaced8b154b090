"""What a step of a straight line does to the parameters: penalties, clipping, the optimiser's update, constraints.

Parameters are taken a vector at a time, as they lie in memory. All formulas are traced and printed as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from llvmlite import ir

from deepmath.formulas import regularizers
from deepmath.graph import Graph, Node, Size
from deepmath.parameters import Layout
from deepmath.program import Recipe
from deepmath.step_graph import StepGraph
from deepmath.trace import Arrays
from deepmath_numpy.lane_values import PACKED, Printer, filled, packed_lanes
from deepmath_numpy.lanes import Axis, Evaluation
from deepmath_numpy.memory import rates_of

I64, DOUBLE = ir.IntType(64), ir.DoubleType()
MASK = 0xFFFFFFFF


def numbers(recipe: Recipe, graph: StepGraph) -> list[float]:
    """What `c` holds: the graph's numbers, strengths of penalties, limits of constraints, clipnorm, clipvalue, seed.

    Penalties and constraints come in the recipe's order; a clip that there isn't is infinite.
    """
    found = [float(n) for n in graph.numbers.values()]
    for penalty in recipe.penalties.values():
        found += penalty.strengths
    for constraint in recipe.constraints.values():
        found += constraint.limits
    limits = recipe.optimizer.clipnorm, recipe.optimizer.clipvalue
    return [*found, *(math.inf if limit is None else limit for limit in limits), float(recipe.seed & MASK)]


class Chunk(NamedTuple):
    """A vector of parameters: whose, their place in the buffer, how many numbers, in how many lanes."""

    name: str
    place: int
    size: int
    lanes: int


class Updates:
    """Prints them. `given`: the function's arguments by name; `values`: what `numbers` lists; `i`: the step's place."""

    def __init__(
        self, printer: Printer, recipe: Recipe, step: StepGraph, params: Layout, given: Mapping[str, Any],
        values: Sequence[Any], i: Any,
    ) -> None:  # fmt: skip
        self.printer, self.recipe, self.step, self.params = printer, recipe, step, params
        self.builder, self.given, self.numbers, self.i = printer.builder, given, values, i
        scalars = printer.vectors(1)
        self.number, self.size = scalars.scalars["float"], scalars.size
        self.moving = moving(recipe, params)
        narrow = recipe.optimizer.clipnorm is None
        self.chunks = [c for name in self.moving for c in _chunks(params, name, narrow)]

    def strengths(self, name: str) -> list[Any]:
        """The numbers of a parameter's penalty."""
        start = len(self.step.numbers)
        for other, penalty in self.recipe.penalties.items():
            if other == name:
                return self.floats(start, len(penalty.strengths))
            start += len(penalty.strengths)
        raise KeyError(name)

    def limits(self, name: str) -> list[Any]:
        """The numbers of a parameter's constraint."""
        start = len(self.step.numbers) + sum(len(p.strengths) for p in self.recipe.penalties.values())
        for other, constraint in self.recipe.constraints.items():
            if other == name:
                return self.floats(start, len(constraint.limits))
            start += len(constraint.limits)
        raise KeyError(name)

    def floats(self, start: int, count: int) -> list[Any]:
        return [self.converted(n) for n in self.numbers[start : start + count]]

    def penalty(self) -> Any:
        """The sum of the penalties, float64."""
        b, total = self.builder, ir.Constant(DOUBLE, 0.0)
        for name, penalty in self.recipe.penalties.items():
            size = math.prod(self.params.shapes[name])
            lanes = next((n for n in (16, 8, 4) if size % n == 0), 1)
            count = size // lanes
            kind = self.printer.vectors(lanes).types["float"]
            pieces = [
                b.load(self.place("params", self.params.offsets[name] + i * lanes), self.size, kind)
                for i in range(count)
            ]
            graph = Graph(of_arrays=True)
            w = graph.array("w", (1, count if lanes == 1 else Size(graph, "numbers", count)))
            result = self.formula(
                penalty.penalty, graph, [w], [filled((1, count), pieces)], self.strengths(name), lanes
            )[0]
            value = self.printer.spread(self.printer.scalars(result.ravel())[0], "float", 1)
            total = b.fadd(total, value if self.size == 8 else b.fpext(value, DOUBLE))
        return total

    def formula(
        self, of: Callable[..., Any], graph: Graph, nodes: Sequence[Node], values: Sequence[Any],
        scalars: Sequence[Any], lanes: int,
    ) -> list[Any]:  # fmt: skip
        """The results of a formula of arrays and numbers."""
        constants = [graph.array(f"number{i}", ()) for i in range(len(scalars))]
        outputs = of(Arrays(graph), *nodes, *constants)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        known = {n.number: value for n, value in zip(nodes, values, strict=True)}
        known |= {n.number: filled((), [s]) for n, s in zip(constants, scalars, strict=True)}
        return Evaluation(self.printer, Axis("numbers", lanes), known).run(outputs)

    def on_chunk(self, of: Callable[..., Any], arrays: Sequence[Any], scalars: Sequence[Any], lanes: int) -> list[Any]:
        """The results of a formula that goes element by element, for vectors of so many lanes."""
        graph = Graph(of_arrays=True)
        nodes = [graph.array(f"array{i}", (Size(graph, "numbers"),)) for i in range(len(arrays))]
        found = self.formula(of, graph, nodes, [filled((1,), [a]) for a in arrays], scalars, lanes)
        return [self.printer.spread(f.flat[0], "float", lanes) for f in found]

    def place(self, name: str, offset: int) -> Any:
        return self.builder.offset(self.number, self.given[name], offset)

    def update(self, grads: dict[str, Any]) -> None:
        """Clip the gradients, let the optimiser move the parameters, and put these back into what is allowed."""
        self._moved(lambda chunk: self.gradient(chunk, grads))

    def to_memory(self, grads: dict[str, Any]) -> None:
        """Leave the gradients, with the slopes of penalties, in memory; also those of frozen parameters."""
        narrow = self.recipe.optimizer.clipnorm is None
        for name in self.params.shapes:
            for chunk in _chunks(self.params, name, narrow):
                self.builder.store(self.gradient(chunk, grads), self.place("grads", chunk.place), self.size)

    def from_memory(self) -> None:
        """`update` with the gradients that lie in memory."""
        self._moved(lambda c: self.builder.load(self.place("grads", c.place), self.size, self.kind(c.lanes)))

    def _moved(self, gradient: Callable[[Chunk], Any]) -> None:
        optimizer = self.recipe.optimizer
        coefficients = {rate: self.coefficients(rate) for rate in set(self.moving.values())}
        packed = []
        for chunk in self.chunks:
            g = self.bounded(gradient(chunk), chunk.lanes)
            if optimizer.clipnorm is None:
                self.move(chunk, g, coefficients)
            packed.append(g)
        if optimizer.clipnorm is not None:
            for chunk, g in zip(self.chunks, self.clipped(packed), strict=True):
                self.move(chunk, g, coefficients)
        for name in self.recipe.constraints:
            if name in self.moving:
                self.constrain(name)

    def gradient(self, chunk: Chunk, grads: dict[str, Any]) -> Any:
        """The gradient of a vector of parameters, with the slope of their penalty."""
        name, at, count, lanes = chunk
        start = at - self.params.offsets[name]
        self.printer.fence()
        g = self.printer.packed(grads[name].ravel()[start : start + count], lanes)
        if name in self.recipe.penalties:
            w = self.builder.load(self.place("params", at), self.size, self.kind(lanes))
            slope = self.on_chunk(self.recipe.penalties[name].slope, [w], self.strengths(name), lanes)[0]
            g = self.builder.fadd(g, slope)
        return g

    def bounded(self, g: Any, lanes: int) -> Any:
        """A gradient clipped by value, if that is asked for."""
        if self.recipe.optimizer.clipvalue is None:
            return g
        return self.on_chunk(regularizers.clip_by_value, [g], self.floats(len(self.numbers) - 2, 1), lanes)[0]

    def move(self, chunk: Chunk, g: Any, coefficients: dict[float, list[Any]]) -> None:
        """Update a vector of parameters and their slots."""
        b, optimizer, (name, at, _, lanes) = self.builder, self.recipe.optimizer, chunk
        places = [self.place("params", at)]
        places += [self.place("slots", k * self.params.size + at) for k in range(len(optimizer.slots))]
        w, *slots = (b.load(p, self.size, self.kind(lanes)) for p in places)
        new = self.on_chunk(optimizer.update, [w, g, *slots], coefficients[self.moving[name]], lanes)
        for value, place in zip(new, places, strict=True):
            b.store(value, place, self.size)

    def kind(self, lanes: int) -> Any:
        return self.printer.vectors(lanes).types["float"]

    def clipped(self, packed: Sequence[Any]) -> list[Any]:
        """Gradients, together shortened to `clipnorm`."""
        graph = Graph(of_arrays=True)
        g = graph.array("g", (Size(graph, "numbers", len(packed)),))
        limit = self.floats(len(self.numbers) - 3, 1)
        found = self.formula(regularizers.clip_by_norm, graph, [g], [filled((len(packed),), packed)], limit, PACKED)
        return list(found[0].flat)

    def coefficients(self, rate: float) -> list[Any]:
        """The optimiser's numbers in this step, for parameters of this rate."""
        b, rates = self.builder, rates_of(self.recipe)
        count = len(self.recipe.optimizer.coefficients(0))
        row = b.offset(DOUBLE, self.given["coefficients"], b.mul(self.i, I64(len(rates) * count)))
        places = (b.offset(DOUBLE, row, rates.index(rate) * count + k) for k in range(count))
        return [self.converted(b.load(p, 8, DOUBLE)) for p in places]

    def constrain(self, name: str) -> None:
        """Put a kernel back into what is allowed: its units lie in the lanes."""
        b, constraint = self.builder, self.recipe.constraints[name]
        features, units = self.params.shapes[name]
        lanes = packed_lanes(units) if units <= PACKED else -(-units // PACKED) * PACKED
        v = self.printer.vectors(lanes)
        inside = b.icmp_signed("<", v.numbers(), v.constant(units, "int"))
        places = [self.place("params", self.params.offsets[name] + f * units) for f in range(features)]
        rows = [v.load(p, "float", inside) for p in places]
        graph = Graph(of_arrays=True)
        w = graph.array("w", (Size(graph, "numbers"), features))
        found = self.formula(constraint.project, graph, [w], [filled((1, features), rows)], self.limits(name), lanes)[0]
        for value, place in zip(found.ravel(), places, strict=True):
            v.store(self.printer.spread(value, "float", lanes), "float", place, inside)

    def converted(self, number: Any) -> Any:
        """A float64 as one of the precision's."""
        return number if self.size == 8 else self.builder.fptrunc(number, self.number)


def moving(recipe: Recipe, params: Layout) -> dict[str, float]:
    """The rates of the parameters that aren't frozen, by name."""
    return {name: rate for name in params.shapes if (rate := recipe.rates.get(name, 1.0))}


def _chunks(params: Layout, name: str, narrow: bool) -> Iterator[Chunk]:
    """The vectors of a parameter; the last may be `narrow`."""
    size, start = math.prod(params.shapes[name]), params.offsets[name]
    for place in range(0, size, PACKED):
        count = min(PACKED, size - place)
        yield Chunk(name, start + place, count, packed_lanes(count) if narrow else PACKED)
