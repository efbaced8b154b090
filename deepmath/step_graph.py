"""The graph of a step: what the layers, the loss and the metrics of a recipe compute, forward and backward.

Layers and losses are called with symbols. What can't be traced becomes an opaque node, which the reference runs between
the compiled parts; `StepGraph.reasons` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepmath.errors import TraceError
from deepmath.graph import Graph, Node, Size
from deepmath.graph.cut import cut, describe
from deepmath.layers.base import traced
from deepmath.program import Part, Recipe, head_formula, results_formula
from deepmath.trace import Arrays

ROWS = "rows"
"""The size of the batch."""
Shapes = Mapping[str, tuple[int, ...]]


@dataclass
class StepGraph:
    """Nodes by name. Arguments: "x", "targets" or "labels", "weight" (the rows' shares [rows, 1]), "params.0.kernel",
    "state.1.moving_mean", and numbers, whose values stand in `numbers`.

    `outputs` holds "result.0" (the loss of each row [rows, 1]), "result.1", ... (metrics), in training "grad.0.kernel" and
    "state.1.moving_mean" (the new one), in prediction "predictions". An opaque node's value is (what runs, which of its
    results): what runs is the number of a part and a direction, "head" or "last".
    """

    graph: Graph
    numbers: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, Node] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


class _Builder:
    """Builds the graph of a recipe."""

    def __init__(self, recipe: Recipe, params: Shapes, state: Shapes, training: bool) -> None:
        self.recipe, self.training = recipe, training
        self.graph = Graph(of_arrays=True)
        self.step = StepGraph(self.graph)
        self.xp = Arrays(self.graph)
        self.rows = Size(self.graph, ROWS)
        self.x = self.graph.array("x", (self.rows, *recipe.parts[0].shape))
        self.params = {n: self.graph.array(f"params.{n}", s) for n, s in params.items()}
        self.state = {n: self.graph.array(f"state.{n}", s) for n, s in state.items()}

    def constants(self, who: str, values: tuple[float, ...]) -> tuple[Node, ...]:
        """Scalars with these values."""
        names = [f"{who}.{i}" for i in range(len(values))]
        self.step.numbers.update(zip(names, values, strict=True))
        wholes = [isinstance(v, int) for v in values]
        return tuple(self.graph.array(n, (), "int" if w else "float") for n, w in zip(names, wholes, strict=True))

    def own(self, values: Mapping[str, Node], part: Part) -> dict[str, Node]:
        """A layer's own, by its own names."""
        start = f"{part.number}."
        return {n.removeprefix(start): v for n, v in values.items() if n.startswith(start)}

    def forward(self) -> tuple[Node, list[Any]]:
        """The scores, and each part's way back."""
        x, ways = self.x, []
        for i, part in enumerate(self.recipe.parts):
            x, pullback, new = self._part(i, part, x)
            ways.append((part, pullback))
            if self.training:
                self.step.outputs |= {f"state.{part.number}.{n}": v for n, v in new.items()}
        return x, ways

    def _part(self, i: int, part: Part, x: Node) -> Any:
        params, state = self.own(self.params, part), self.own(self.state, part)
        constants = self.constants(f"part{i}", part.layer.constants)
        nodes = len(self.graph.nodes)

        def bits(rows: Any, units: int) -> Node:
            return self.graph.add("random", (), (part.number, units), "int", (rows, units))

        try:
            return traced(part.layer, self.xp, params, state, x, bits, self.training, constants)
        except (TraceError, NotImplementedError) as error:
            del nodes
            self.step.reasons[f"part{i}"] = str(error)
            return self._opaque(i, part, x, params, state)

    def _opaque(self, i: int, part: Part, x: Node, params: Any, state: Any) -> Any:
        add, owner = self.graph.add, (f"part{i}", "forward")
        y = add("opaque", (x,), (owner, "y"), "float", (self.rows, *part.layer.output_shape(part.shape)))
        new = {n: add("opaque", (x,), (owner, f"state.{part.number}.{n}"), "float", v.dims) for n, v in state.items()}

        def pullback(dy: Node) -> Any:
            back = (f"part{i}", "backward")
            dx = add("opaque", (y, dy), (back, "dx"), "float", x.dims)
            names = params if part.number not in self._first(i) else {}
            return dx, {n: add("opaque", (y, dy), (back, f"grad.{part.number}.{n}"), "float", params[n].dims) for n in names}

        return y, pullback, new if self.training else {}

    def _first(self, i: int) -> set[int]:
        """The layers whose first part stands in front of part number i: parameters are the first part's."""
        return {p.number for p in self.recipe.parts[:i]}

    def targets(self) -> Node:
        head = self.recipe.head
        assert head is not None
        if head.labelled:
            return self.graph.array("labels", (self.rows, 1), "int")
        return self.graph.array("targets", (self.rows, head.outputs))

    def index(self) -> Node:
        """The columns' numbers [1, outputs]."""
        assert self.recipe.head is not None
        return self.graph.add("index", (), None, "int", (1, self.recipe.head.outputs))


def training_graph(recipe: Recipe, params: Shapes, state: Shapes) -> StepGraph:
    """Forward, loss, metrics and the gradient of every parameter that moves."""
    b = _Builder(recipe, params, state, training=True)
    z, ways = b.forward()
    head, step = recipe.head, b.step
    assert head is not None
    weight = b.graph.array("weight", (b.rows, 1))
    targets, constants = b.targets(), b.constants("loss", head.loss.constants)
    try:
        dy, *results = head_formula(head)(b.xp, z, targets, b.index(), weight, *constants)
        results = [_rows(b, r) for r in results]
        dy = b.xp.broadcast_to(dy, z.dims)
    except TraceError as error:
        step.reasons["head"] = str(error)
        dy, results = _opaque_head(b, z, targets, weight)
    step.outputs |= {f"result.{i}": r for i, r in enumerate(results)}
    for part, pullback in reversed(ways):
        dy, grads = pullback(dy)
        step.outputs |= {f"grad.{part.number}.{n}": g for n, g in grads.items()}
    return step


def measuring_graph(recipe: Recipe, params: Shapes, state: Shapes) -> StepGraph:
    """Loss and metrics of each row, in prediction mode."""
    b = _Builder(recipe, params, state, training=False)
    z, _ = b.forward()
    head = recipe.head
    assert head is not None
    targets, constants = b.targets(), b.constants("loss", head.loss.constants)
    try:
        results = [_rows(b, r) for r in results_formula(head)(b.xp, z, targets, b.index(), *constants)]
    except TraceError as error:
        b.step.reasons["head"] = str(error)
        _, results = _opaque_head(b, z, targets, None)
    b.step.outputs |= {f"result.{i}": r for i, r in enumerate(results)}
    return b.step


def prediction_graph(recipe: Recipe, params: Shapes, state: Shapes) -> StepGraph:
    """Predictions, which are scores where no activation was taken off the chain."""
    b = _Builder(recipe, params, state, training=False)
    z, _ = b.forward()
    head = recipe.head
    if head is not None and head.activation is not None:
        constants = b.constants("last", head.activation.constants)
        try:
            z = head.activation.value(b.xp, z, *constants)
        except TraceError as error:
            b.step.reasons["last"] = str(error)
            z = b.graph.add("opaque", (z,), (("last", "forward"), "y"), "float", z.dims)
    b.step.outputs["predictions"] = z
    return b.step


def _rows(b: _Builder, result: Any) -> Node:
    """A result as one number for each row [rows, 1]."""
    node = result if isinstance(result, Node) else b.graph.constant(float(result))
    if node.dtype != "float":
        node = b.xp.astype(node, "float")
    return b.xp.broadcast_to(node, (b.rows, 1))


def _opaque_head(b: _Builder, z: Node, targets: Node, weight: Node | None) -> tuple[Node, list[Node]]:
    head = b.recipe.head
    assert head is not None
    args = (z, targets) if weight is None else (z, targets, weight)
    owner = ("head", "forward" if weight is None else "backward")

    def result(name: str, dims: Any) -> Node:
        return b.graph.add("opaque", args, (owner, name), "float", dims)

    return result("dz", z.dims), [result(f"result.{i}", (b.rows, 1)) for i in range(1 + len(head.metrics))]


def kernel_lines(recipe: Recipe, params: Shapes, state: Shapes) -> list[str]:
    """The kernels of a training step as text; without a loss those of a prediction."""
    graph = training_graph if recipe.head is not None else prediction_graph
    step = graph(recipe, params, state)
    return describe(cut(step.graph, list(step.outputs.values())), step.outputs)
