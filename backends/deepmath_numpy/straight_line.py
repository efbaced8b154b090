"""Whole training runs of small networks as one straight-line function: the batch in the lanes of vectors.

The graph of a step is evaluated with LLVM values (`lanes.py`), so whatever the graph holds is printed, whichever layers it
comes from. Sums over the batch leave the gradients side by side as the parameters lie in memory, where the update takes
them. The function knows all sizes; it is compiled for one network.

    void steps(i64 *a, double *c, i64 first, i64 count)

`a` holds what `ARGUMENTS` names, `c` what `numbers` gives; `first` is the number of the first step, for random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from llvmlite import ir

from deepmath.errors import TraceError
from deepmath.formulas import random, regularizers
from deepmath.graph import BATCH_SUM, REDUCTIONS, Graph, Node, Size, needed
from deepmath.parameters import Layout
from deepmath.printers.vectors import Vectors
from deepmath.program import Recipe
from deepmath.step_graph import ROWS, StepGraph
from deepmath.trace import Arrays
from deepmath_numpy.lanes import PACKED, Axis, Evaluation, Place, Printer, filled, packed_lanes
from deepmath_numpy.text_builder import TextBuilder, Value

I32, I64, DOUBLE, POINTER = ir.IntType(32), ir.IntType(64), ir.DoubleType(), ir.PointerType()
MASK = 0xFFFFFFFF

ARGUMENTS = (
    "x", "x_stride", "targets", "targets_stride", "order", "bounds", "shares", "weights", "coefficients", "results",
    "params", "slots", "state",
)  # fmt: skip
"""The entries of `a`; all but strides, which count numbers, are addresses.

"x": rows of numbers. "targets": rows of numbers, or labels, int64. "order": int64, the numbers of the rows of all steps.
"bounds": int64 [count + 1]; step i visits order[bounds[i] : bounds[i + 1]], at least one row. "shares", "weights": float64,
one for each place of `order`: what its loss and its metrics are multiplied by. "coefficients": float64 [count, rates, n],
rates as `rates_of` tells. "results": float64 [count, 1 + results]: penalty, sum of shares times loss, sums of weights times
metrics over the rows whose share is above 0. "params", "state": buffers of their layouts. "slots": one buffer of the
parameters' layout after the other.
"""
LIMIT = 6000
"""Most instructions of a step, about: 0.2 s of compiling."""
LANES = 64
"""Most rows of a batch."""


def rates_of(recipe: Recipe) -> list[float]:
    """The different shares of the learning rate, in the order of their numbers."""
    return sorted({1.0, *recipe.rates.values()})


def numbers(recipe: Recipe, graph: StepGraph) -> list[float]:
    """What `c` holds: `graph.numbers`, strengths of the penalties, limits of the constraints, clipnorm, clipvalue, seed.

    Penalties and constraints come in the recipe's order; a limit that there isn't is infinite.
    """
    found = [float(n) for n in graph.numbers.values()]
    for penalty in recipe.penalties.values():
        found += penalty.strengths
    for constraint in recipe.constraints.values():
        found += constraint.limits
    limits = recipe.optimizer.clipnorm, recipe.optimizer.clipvalue
    return [*found, *(math.inf if limit is None else limit for limit in limits), float(recipe.seed & MASK)]


def supports(recipe: Recipe, graph: StepGraph) -> bool | str:
    """Whether steps can be printed and are small enough, or why not."""
    return True


def module(recipe: Recipe, graph: StepGraph, params: Layout, states: Layout, lanes: int) -> str:
    """LLVM IR of a module with the function `steps`, for batches of at most so many rows: a multiple of 4."""
    return _Steps(recipe, graph, params, states, lanes).text()


class Chunk(NamedTuple):
    """A vector of parameters: whose, their place in the buffer, how many numbers, in how many lanes."""

    name: str
    place: int
    count: int
    lanes: int


class _Steps:
    """Prints the function for one recipe."""

    def __init__(self, recipe: Recipe, graph: StepGraph, params: Layout, states: Layout, lanes: int) -> None:
        self.recipe, self.graph, self.params, self.states, self.lanes = recipe, graph, params, states, lanes
        self.builder = TextBuilder()
        self.module = ir.Module("straight_line")
        self.printer = Printer(self.module, self.builder, recipe.precision, inline=True)
        self.wide = self.printer.vectors(lanes)
        self.doubles = Vectors(self.module, self.builder, "float64", lanes)  # type: ignore[arg-type]
        self.number, self.size = self.wide.scalars["float"], self.wide.size
        self.moving = {name: rate for name in params.shapes if (rate := recipe.rates.get(name, 1.0))}
        plain = recipe.optimizer.clipnorm is None
        self.chunks = [c for name in self.moving for c in _chunks(params, name, plain)]

    def text(self) -> str:
        b = self.builder
        self.entry()
        first = b.lines
        b.lines = []
        self.step()
        signature = "define void @steps(ptr %a, ptr %c, i64 %first, i64 %count) nounwind {"
        lines = [
            signature, "entry:", *first, "%some = icmp sgt i64 %count, 0", "br i1 %some, label %step, label %exit",
            "step:", "%i = phi i64 [0, %entry], [%next, %step]", *b.lines, "%next = add i64 %i, 1",
            "%more = icmp slt i64 %next, %count", "br i1 %more, label %step, label %exit", "exit:", "ret void", "}",
        ]  # fmt: skip
        return str(self.module) + "\n" + "\n".join(lines) + "\n"

    def entry(self) -> None:
        """What all steps read: the entries of `a` and `c`."""
        b, a, c = self.builder, Value(POINTER, "%a"), Value(POINTER, "%c")
        self.i, self.first = Value(I64, "%i"), Value(I64, "%first")
        self.given: dict[str, Any] = {}
        for i, name in enumerate(ARGUMENTS):
            kind = I64 if name.endswith("stride") else POINTER
            self.given[name] = b.load(b.offset(I64, a, i), 8, kind)
        count = len(numbers(self.recipe, self.graph))
        self.numbers = [b.load(b.offset(DOUBLE, c, i), 8, DOUBLE) for i in range(count)]
        self.seed = b.fptosi(self.numbers[-1], I64)

    def step(self) -> None:
        """One step."""
        b = self.builder
        start, stop = (b.load(b.offset(I64, self.given["bounds"], place), 8, I64)
                       for place in (self.i, b.add(self.i, I64(1))))  # fmt: skip
        self.start, count = start, b.sub(stop, start)
        self.inside = b.icmp_signed("<", self.wide.numbers(), self.wide.splat(count))
        axis = Axis(ROWS, self.lanes, self.inside, b.sitofp(count, self.number))
        shares, weights = (self.doubles.load(b.offset(DOUBLE, self.given[name], start), "float", self.inside)
                           for name in ("shares", "weights"))  # fmt: skip
        evaluation = Evaluation(self.printer, axis, self.arguments(shares), self.random)
        outputs = self.graph.outputs
        wanted = [n for n in outputs if not n.startswith("grad.") or n.removeprefix("grad.") in self.moving]
        values = dict(zip(wanted, evaluation.run([outputs[n] for n in wanted]), strict=True))
        self.report([v for n, v in values.items() if n.startswith("result.")], shares, weights)
        for name in self.states.shapes:
            self.store_state(name, values.get(f"state.{name}"))
        self.update({name: values[f"grad.{name}"] for name in self.moving})
        for name in self.recipe.constraints:
            if name in self.moving:
                self.constrain(name)

    # What the graph takes

    def arguments(self, shares: Any) -> dict[int, Any]:
        """The values of the graph's arguments."""
        found = {}
        for node in needed(self.graph.outputs.values()):
            if node.op == "argument":
                found[node.number] = self.argument(node, shares)
        return found

    def argument(self, node: Node, shares: Any) -> Any:
        b, name = self.builder, str(node.value)
        kind, _, own = name.partition(".")
        if name == "weight":
            return self.array(node, [shares if self.size == 8 else b.fptrunc(shares, self.wide.types["float"])])
        if name in ("x", "targets", "labels"):
            return self.array(node, self.gathered(node, "x" if name == "x" else "targets"))
        if name in self.graph.numbers:
            number = self.numbers[list(self.graph.numbers).index(name)]
            return self.array(node, [self.converted(number, node.dtype)])
        layout = self.params if kind == "params" else self.states
        place = layout.offsets[own]
        pointers = (b.offset(self.number, self.given[kind], place + i) for i in range(math.prod(layout.shapes[own])))
        return self.array(node, [Place(p, self.number) for p in pointers])

    def array(self, node: Node, elements: Sequence[Any]) -> Any:
        return filled([1 if isinstance(d, Size) else d for d in node.dims], elements)

    def converted(self, number: Any, dtype: str) -> Any:
        """A number of `c` as one of the graph's."""
        if dtype == "int":
            return self.builder.fptosi(number, I64)
        return number if self.size == 8 else self.builder.fptrunc(number, self.number)

    def gathered(self, node: Node, name: str) -> list[Any]:
        """The columns of the batch's rows, which lie where `order` says; rows beyond are the first."""
        b, v = self.builder, self.wide
        order = b.offset(I64, self.given["order"], self.start)
        first = b.load(order, 8, I64)
        rows = b.select(self.inside, v.load(order, "int", self.inside), v.splat(first))
        places = b.mul(rows, v.splat(self.given[f"{name}_stride"]))
        scalar = v.scalars[node.dtype]
        return [
            v.gather(b.offset(scalar, b.offset(scalar, self.given[name], k), places), node.dtype)
            for k in range(math.prod(node.dims[1:]))
        ]

    def random(self, node: Node) -> Any:
        """24 random bits for each row and unit, by counter."""
        (layer, units), b, v = node.value, self.builder, self.wide
        function, found = self.philox(), []
        step = b.add(self.first, self.i)
        shape = tuple(d.times if isinstance(d, Size) else d for d in node.dims)
        for t in range(shape[0]):
            rows = b.add(b.mul(v.numbers(), v.constant(shape[0], "int")), v.constant(t, "int"))
            words: list[Any] = []
            for group in range((units + 3) // 4):
                four = b.call(function, [rows, I64(group), step, I64(layer), self.seed])
                words += [b.extract_value(four, i) for i in range(4)]
            found += words[:units]
        return filled(shape, found)

    def philox(self) -> Any:
        """The function (rows, group of units, step, layer, seed) -> four words of 24 bits for each row."""
        known = self.module.globals.get("philox")
        if known is not None:
            return known
        graph, kind = Graph(of_arrays=True), self.wide.types["int"]
        rows, *others = (graph.array(n, (), "int") for n in ("rows", "group", "step", "layer", "seed"))
        group, step, layer, seed = others
        four = random.philox(Arrays(graph), group, rows, step & MASK, layer, seed, graph.constant(random.NOISE))
        outputs = [word >> 8 for word in four]
        result = ir.LiteralStructType([kind] * 4)
        function = ir.Function(self.module, ir.FunctionType(result, [kind, *[I64] * 4]), "philox")
        function.linkage = "internal"
        function.attributes.add("noinline")
        b = ir.IRBuilder(function.append_basic_block())
        v = self.wide.at(b)
        known = {rows.number: function.args[0]}
        known |= {n.number: v.splat(x) for n, x in zip(others, function.args[1:], strict=True)}
        for node in needed(outputs):
            if node.number not in known:
                known[node.number] = v.evaluate(node, lambda below: known[below.number])
        value: Any = ir.Constant(result, ir.Undefined)
        for i, output in enumerate(outputs):
            value = b.insert_value(value, known[output.number], i)
        b.ret(value)
        return function

    # What a step leaves

    def report(self, results: Sequence[Any], shares: Any, weights: Any) -> None:
        """Store the step's results."""
        b, v = self.builder, self.doubles
        row = b.offset(DOUBLE, self.given["results"], b.mul(self.i, I64(1 + len(results))))
        counted = b.fcmp_ordered(">", shares, v.constant(0.0))
        for i, result in enumerate(results):
            value = self.printer.spread(result.flat[0], "float", self.lanes)
            value = value if self.size == 8 else b.fpext(value, v.types["float"])
            product = b.fmul(b.select(counted, value, v.constant(0.0)), weights if i else shares)
            b.store(self.in_order(product) if i else v.sum(product), b.offset(DOUBLE, row, 1 + i), 8)
        b.store(self.penalty(), row, 8)

    def in_order(self, product: Any) -> Any:
        """The sum of the lanes, one after the other: weights times 1 have the very sum of the weights."""
        name = f"llvm.vector.reduce.fadd.v{self.lanes}f64"
        function = self.module.globals.get(name)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(DOUBLE, [DOUBLE, product.type]), name)
        return self.builder.call(function, [ir.Constant(DOUBLE, 0.0), product])

    def store_state(self, name: str, value: Any) -> None:
        """Store a layer's new state."""
        if value is None:
            return
        for i, scalar in enumerate(self.printer.scalars(value.ravel())):
            place = self.builder.offset(self.number, self.given["state"], self.states.offsets[name] + i)
            self.builder.store(self.printer.spread(scalar, "float", 1), place, self.size)

    # Penalties, update, constraints

    def strengths(self, name: str) -> list[Any]:
        """The numbers of a parameter's penalty."""
        start = len(self.graph.numbers)
        for other, penalty in self.recipe.penalties.items():
            if other == name:
                return self.floats(start, len(penalty.strengths))
            start += len(penalty.strengths)
        raise KeyError(name)

    def limits(self, name: str) -> list[Any]:
        """The numbers of a parameter's constraint."""
        start = len(self.graph.numbers) + sum(len(p.strengths) for p in self.recipe.penalties.values())
        for other, constraint in self.recipe.constraints.items():
            if other == name:
                return self.floats(start, len(constraint.limits))
            start += len(constraint.limits)
        raise KeyError(name)

    def floats(self, start: int, count: int) -> list[Any]:
        return [self.converted(n, "float") for n in self.numbers[start : start + count]]

    def penalty(self) -> Any:
        """The sum of the penalties, float64."""
        b, total = self.builder, ir.Constant(DOUBLE, 0.0)
        for name, penalty in self.recipe.penalties.items():
            size = math.prod(self.params.shapes[name])
            lanes = next((n for n in (16, 8, 4) if size % n == 0), 1)
            count = size // lanes
            kind = self.printer.vectors(lanes).types["float"]
            pieces = [b.load(self.place("params", self.params.offsets[name] + i * lanes), self.size, kind) for i in range(count)]
            graph = Graph(of_arrays=True)
            w = graph.array("w", (1, count if lanes == 1 else Size(graph, "numbers", count)))
            result = self.formula(penalty.penalty, graph, [w], [filled((1, count), pieces)], self.strengths(name), lanes)[0]
            value = self.printer.spread(self.printer.scalars(result.ravel())[0], "float", 1)
            total = b.fadd(total, value if self.size == 8 else b.fpext(value, DOUBLE))
        return total

    def formula(
        self, of: Callable[..., Any], graph: Graph, nodes: Sequence[Node], values: Sequence[Any], scalars: Sequence[Any],
        lanes: int,
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
        """Clip the gradients and let the optimiser move the parameters."""
        optimizer = self.recipe.optimizer
        coefficients = {rate: self.coefficients(rate) for rate in set(self.moving.values())}
        packed = []
        for chunk in self.chunks:
            g = self.gradient(chunk, grads)
            if optimizer.clipnorm is None:
                self.move(chunk, g, coefficients)
            packed.append(g)
        if optimizer.clipnorm is not None:
            for chunk, g in zip(self.chunks, self.clipped(packed), strict=True):
                self.move(chunk, g, coefficients)

    def gradient(self, chunk: Chunk, grads: dict[str, Any]) -> Any:
        """The gradient of a vector of parameters, with the slope of their penalty, clipped by value."""
        name, at, count, lanes = chunk
        start = at - self.params.offsets[name]
        g = self.printer.packed(grads[name].ravel()[start : start + count], lanes)
        if name in self.recipe.penalties:
            w = self.builder.load(self.place("params", at), self.size, self.kind(lanes))
            slope = self.on_chunk(self.recipe.penalties[name].slope, [w], self.strengths(name), lanes)[0]
            g = self.builder.fadd(g, slope)
        if self.recipe.optimizer.clipvalue is not None:
            g = self.on_chunk(regularizers.clip_by_value, [g], self.floats(len(self.numbers) - 2, 1), lanes)[0]
        return g

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
        return [self.converted(b.load(p, 8, DOUBLE), "float") for p in places]

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


def _chunks(params: Layout, name: str, narrow: bool) -> Iterator[Chunk]:
    """The vectors of a parameter; the last may be `narrow`."""
    size, start = math.prod(params.shapes[name]), params.offsets[name]
    for place in range(0, size, PACKED):
        count = min(PACKED, size - place)
        yield Chunk(name, start + place, count, packed_lanes(count) if narrow else PACKED)
