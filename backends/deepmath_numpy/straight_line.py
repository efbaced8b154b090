"""Whole training runs of small networks as one straight-line function: the batch in the lanes of vectors.

The graph of a step is evaluated with LLVM values (`lanes.py`), so whatever the graph holds is printed, whichever layers
it comes from. Sums over the batch leave the gradients side by side, as the parameters lie in memory, where the update
takes them (`packed_updates.py`). The function knows all sizes: it is compiled for one network.

    void steps(i64 *a, double *c, i64 first, i64 count)

`a` holds what `ARGUMENTS` names, `c` what `numbers` gives; `first` is the number of the first step, for random numbers.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from deepmath.errors import TraceError
from deepmath.formulas import random
from deepmath.graph import Graph, Node, Size, needed
from deepmath.parameters import Layout
from deepmath.printers.vectors import Vectors
from deepmath.program import Recipe
from deepmath.step_graph import ROWS, StepGraph
from deepmath.trace import Arrays, trace
from deepmath_numpy.lane_nodes import cost, is_single, unsupported
from deepmath_numpy.lane_values import ALIGN, Place, Printer, filled
from deepmath_numpy.lanes import Axis, Evaluation
from deepmath_numpy.packed_updates import MASK, Updates, moving, numbers
from deepmath_numpy.target import host
from deepmath_numpy.text_builder import TextBuilder, Value

__all__ = ["ARGUMENTS", "HALVES", "LANES", "module", "numbers", "supports"]

I64, DOUBLE, POINTER = ir.IntType(64), ir.DoubleType(), ir.PointerType()

ARGUMENTS = (
    "x", "x_stride", "targets", "targets_stride", "order", "bounds", "shares", "weights", "coefficients", "results",
    "params", "slots", "state", "next_state", "grads",
)  # fmt: skip
"""The entries of `a`; all but strides, which count numbers, are addresses.

"x": rows of numbers. "targets": rows of numbers, or labels, int64. "order": int64, the numbers of the rows of all
steps. "bounds": int64 [count + 1]; step i visits order[bounds[i] : bounds[i + 1]], at least one row. "shares",
"weights": float64, one for each place of `order`: what its loss and its metrics are multiplied by. "coefficients":
float64 [count, rates, n], rates as `rates_of` tells. "results": float64 [count, 1 + results]: penalty, sum of shares
times loss, sums of weights times metrics over the rows whose share is above 0. "params", "state": buffers of their
layouts. "slots": one buffer of the parameters' layout after the other. "next_state": where the layers' new state goes,
which is the state itself in whole steps. "grads": by the parameters' layout, what the half "gradients" leaves and
"update" takes.
"""
HALVES = ("steps", "gradients", "update")
"""What the function does: whole steps, or a half of a step. Both halves have the bits of the whole."""
LIMIT = 5000
"""Most instructions of a step, about: on a quiet core they take 0.2 s to print and to compile."""
LANES = 64
"""Most rows of a batch."""


X86 = {"x86_64", "AMD64"}
_CONTROL = [f"declare void @llvm.x86.sse.{n}mxcsr(ptr)" for n in ("st", "ld")] if platform.machine() in X86 else []
FLUSH = [
    "%word = alloca i32", "call void @llvm.x86.sse.stmxcsr(ptr %word)", "%before = load i32, ptr %word",
    "%flush = or i32 %before, 32832", "store i32 %flush, ptr %word", "call void @llvm.x86.sse.ldmxcsr(ptr %word)",
] if _CONTROL else []  # fmt: skip
"""From now on numbers below the smallest normal one count as zero in this thread, as in `driver_ir.py`."""
RESTORE = ["store i32 %before, ptr %word", "call void @llvm.x86.sse.ldmxcsr(ptr %word)"] if _CONTROL else []
"""And no more."""


def supports(recipe: Recipe, graph: StepGraph) -> bool | str:
    """Whether steps can be printed and are small enough, or why not."""
    if recipe.accumulate > 1:
        return "gradients are accumulated"
    if graph.reasons:
        return "; ".join(graph.reasons.values())
    if not any(recipe.rates.get(n.removeprefix("grad."), 1.0) for n in graph.outputs if n.startswith("grad.")):
        return "all parameters are frozen"
    if recipe.batch_size > LANES:
        return f"batches have more than {LANES} rows"
    nodes = needed(graph.outputs.values())
    if any(0 in node.dims for node in nodes):
        return "an array has no elements"
    reason = next(filter(None, map(unsupported, nodes)), "") or _unsupported_rules(recipe)
    if reason:
        return reason
    count = instructions(nodes, recipe.batch_size, recipe.precision)
    return True if count <= LIMIT else f"a step has about {count} instructions, more than {LIMIT}"


def _unsupported_rules(recipe: Recipe) -> str:
    """Why the optimiser, a penalty or a constraint can't be printed, or nothing if they can."""
    optimizer = recipe.optimizer
    count = len(optimizer.coefficients(0))
    try:
        rules = [("the update", _traced(optimizer.update, 2 + len(optimizer.slots), count))]
        rules += [("a penalty", _traced(p.slope, 1, len(p.strengths))) for p in recipe.penalties.values()]
        for penalty in recipe.penalties.values():
            _traced(penalty.penalty, 1, len(penalty.strengths))
        for constraint in recipe.constraints.values():
            _traced(constraint.project, 1, len(constraint.limits))
    except TraceError as error:
        return str(error)
    return next((f"{who} goes beyond single weights" for who, nodes in rules if not all(map(is_single, nodes))), "")


def _traced(rule: Callable[..., Any], arrays: int, scalars: int) -> list[Node]:
    """The nodes of a rule of arrays [rows, columns] and numbers."""
    kinds = [*["element"] * arrays, *["scalar"] * scalars]
    return trace(rule, kinds).needed()


def instructions(nodes: Sequence[Node], rows: int, precision: str) -> int:
    """About how many instructions compute these nodes, for a batch of so many rows."""
    vectors = -(-rows // host().lanes(precision))
    return sum(cost(node, vectors) for node in nodes)


def module(
    recipe: Recipe, graph: StepGraph, params: Layout, states: Layout, lanes: int, half: str = "steps"
) -> str:  # fmt: skip
    """LLVM IR of a module with the function `steps`, for batches of at most so many rows: a multiple of 4."""
    return _Steps(recipe, graph, params, states, lanes, half).text()


class _Steps:
    """Prints the function for one recipe."""

    def __init__(
        self, recipe: Recipe, graph: StepGraph, params: Layout, states: Layout, lanes: int, half: str
    ) -> None:  # fmt: skip
        self.half = half
        self.recipe, self.graph, self.params, self.states, self.lanes = recipe, graph, params, states, lanes
        self.builder = TextBuilder()
        self.module = ir.Module("straight_line")
        self.printer = Printer(self.module, self.builder, recipe.precision, inline=False)
        self.wide = self.printer.vectors(lanes)
        self.doubles = Vectors(self.module, self.builder, "float64", lanes)
        self.number, self.size = self.wide.scalars["float"], self.wide.size

    def text(self) -> str:
        b = self.builder
        self.entry()
        first = b.lines
        b.lines = []
        if self.half == "update":
            self.updates().from_memory()
        else:
            self.step()
        scratch = f"[{self.printer.scratch_size} x {self.number}]"
        lines = [
            "define void @steps(ptr %a, ptr %c, i64 %first, i64 %count) nounwind {",
            "entry:",
            *FLUSH,
            f"%scratch = alloca {scratch}, align {ALIGN}",
            # Who has seen its address might write there: so LLVM leaves in memory what shall be there.
            'call void asm sideeffect "", "r"(ptr %scratch)',
            *first,
            "%some = icmp sgt i64 %count, 0",
            "br i1 %some, label %step, label %exit",
            "step:",
            "%i = phi i64 [0, %entry], [%next, %step]",
            *b.lines,
            "%next = add i64 %i, 1",
            "%more = icmp slt i64 %next, %count",
            "br i1 %more, label %step, label %exit",
            "exit:",
            *RESTORE,
            "ret void",
            "}",
        ]
        return str(self.module) + "\n" + "\n".join([*_CONTROL, *lines]) + "\n"

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
        evaluation = Evaluation(self.printer, axis, self.arguments(shares), self.random, stores=True)
        outputs = self.graph.outputs
        frozen = set(self.params.shapes) - set(moving(self.recipe, self.params)) if self.half == "steps" else set()
        wanted = [name for name in outputs if name.removeprefix("grad.") not in frozen]
        values = dict(zip(wanted, evaluation.run([outputs[n] for n in wanted]), strict=True))
        updates = self.updates()
        self.report([v for n, v in values.items() if n.startswith("result.")], shares, weights, updates.penalty())
        for name in self.states.shapes:
            self.store_state(name, values.get(f"state.{name}"))
        grads = {n.removeprefix("grad."): v for n, v in values.items() if n.startswith("grad.")}
        (updates.update if self.half == "steps" else updates.to_memory)(grads)

    def updates(self) -> Updates:
        return Updates(self.printer, self.recipe, self.graph, self.params, self.given, self.numbers, self.i)

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
            columns = self.gathered(node, "x" if name == "x" else "targets")
            return self.array(node, columns if name == "labels" else [self.printer.stored(c) for c in columns])
        if name in self.graph.numbers:
            number = self.numbers[list(self.graph.numbers).index(name)]
            return self.array(node, [self.converted(number, node.dtype)])
        layout = self.params if kind == "params" else self.states
        place = layout.offsets[own]
        pointers = (b.offset(self.number, self.given[kind], place + i) for i in range(math.prod(layout.shapes[own])))
        return self.array(node, [Place(p, self.number, self.size) for p in pointers])

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
            self.printer.gathered(b.offset(scalar, b.offset(scalar, self.given[name], k), places), node.dtype)
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
        noise = graph.constant(random.NOISE)
        four = random.philox(Arrays(graph), group, rows, graph.node("&", step, MASK), layer, seed, noise)
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

    def report(self, results: Sequence[Any], shares: Any, weights: Any, penalty: Any) -> None:
        """Store the step's results."""
        b, v = self.builder, self.doubles
        row = b.offset(DOUBLE, self.given["results"], b.mul(self.i, I64(1 + len(results))))
        counted = b.fcmp_ordered(">", shares, v.constant(0.0))
        for i, result in enumerate(results):
            value = self.printer.spread(result.flat[0], "float", self.lanes)
            value = value if self.size == 8 else b.fpext(value, v.types["float"])
            product = b.fmul(b.select(counted, value, v.constant(0.0)), weights if i else shares)
            b.store(self.in_order(product) if i else v.sum(product), b.offset(DOUBLE, row, 1 + i), 8)
        b.store(penalty, row, 8)

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
            place = self.builder.offset(self.number, self.given["next_state"], self.states.offsets[name] + i)
            self.builder.store(self.printer.spread(scalar, "float", 1), place, self.size)
