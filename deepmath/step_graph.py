"""The graph of a step: what the layers, the loss and the metrics of a recipe compute, forward and backward.

Layers and losses are called with symbols. What can't be traced becomes an opaque node, which the reference runs between
the compiled parts; `StepGraph.reasons` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from deepmath.activations import ActivationFunction
from deepmath.errors import ConfigError, TraceError
from deepmath.formulas.losses import one_hot
from deepmath.graph import Graph, Node, Size, needed
from deepmath.graph.cut import check, cut
from deepmath.graph.kernels import describe
from deepmath.layers.base import Layer, traced
from deepmath.program import Part, Recipe, head_formula, results_formula
from deepmath.trace import Arrays

ROWS = "rows"
"""The size of the batch."""
Shapes = Mapping[str, tuple[int, ...]]


class Seen(NamedTuple):
    """A value that whoever watches a step may see: its name, whose it is, and when it is computed.

    `part` is the place in `Recipe.parts` of what it belongs to, or None where that is none of them. `direction` is
    "forward" or "backward".
    """

    name: str
    part: int | None
    direction: str
    node: Node


@dataclass
class StepGraph:
    """Nodes by name. Arguments: "x", "targets" or "labels", "weight" (the rows' shares [rows, 1]), "params.0.kernel",
    "state.1.moving_mean", and numbers, whose values stand in `numbers`.

    `outputs` holds "result.0" (the loss of each row [rows, 1]), "result.1", ... (metrics), in training "grad.0.kernel"
    and "state.1.moving_mean" (the new one), in prediction "predictions". An opaque node's value is (what runs, which of
    its results): what runs is the number of a part and a direction, "head" or "last".

    `seen` names the values in the order of computing, those of the parts forward for a prediction too:

    * "x", the inputs of the first part;
    * of each part forward, its outputs "y" and new states, "state.1.moving_mean";
    * of no part, the scores "z", the "targets" or "labels" and what these become, "one_hot", the "weight" of each row,
      "predictions" where an activation makes them of the scores, the rows' "loss" and metrics, "metric.0", and the
      gradient of the weighted loss by the scores, "dz";
    * of each part backward, the gradient by its outputs "dy", by its parameters "grad.0.kernel", by its inputs "dx".
    """

    graph: Graph
    training: bool = True
    numbers: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, Node] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    @property
    def arguments(self) -> dict[str, Node]:
        """The arguments by name."""
        return {n.value: n for n in self.graph.nodes if n.op == "argument"}

    def see(self, name: str, part: int | None, direction: str, node: Node) -> None:
        """A value that may be seen next."""
        self.seen.append(Seen(name, part, direction, node))


class _NoWayBackError(Exception):
    """A part's own way back can't be traced, so the part must run as it is."""

    def __init__(self, place: int, why: str) -> None:
        super().__init__(why)
        self.place = place


Pullback = Callable[[Node], tuple[Node, dict[str, Node]]]


class _Builder:
    """Builds the graph of a recipe. `opaque` says why some parts, by their places, aren't traced."""

    def __init__(
        self, recipe: Recipe, params: Shapes, state: Shapes, training: bool, opaque: Mapping[int, str] | None = None
    ) -> None:
        self.recipe, self.training = recipe, training
        self.opaque = opaque or {}
        self.graph = Graph(of_arrays=True)
        self.step = StepGraph(self.graph, training)
        self.xp = Arrays(self.graph)
        self.rows = Size(self.graph, ROWS)
        self.x = self.graph.array("x", (self.rows, *recipe.parts[0].shape))
        self.params = {n: self.graph.array(f"params.{n}", s) for n, s in params.items()}
        self.state = {n: self.graph.array(f"state.{n}", s) for n, s in state.items()}
        self.step.see("x", None, "forward", self.x)

    def constants(self, who: str, values: tuple[float, ...]) -> tuple[Node, ...]:
        """Scalars with these values."""
        names = [f"{who}.{i}" for i in range(len(values))]
        self.step.numbers.update(zip(names, values, strict=True))
        wholes = [isinstance(v, int) for v in values]
        return tuple(self.graph.array(n, (), "int" if w else "float") for n, w in zip(names, wholes, strict=True))

    def own(self, values: Mapping[str, Node], i: int) -> dict[str, Node]:
        """A part's own, by its own names. All that a layer has belongs to its first part."""
        number = self.recipe.parts[i].number
        if any(p.number == number for p in self.recipe.parts[:i]):
            return {}
        return {n.removeprefix(f"{number}."): v for n, v in values.items() if n.startswith(f"{number}.")}

    def forward(self) -> tuple[Node, list[Pullback]]:
        """The scores, and each part's way back."""
        x, ways = self.x, []
        for i, part in enumerate(self.recipe.parts):
            x, pullback, new = self._part(i, part, x)
            ways.append(pullback)
            self.step.see("y", i, "forward", x)
            for name, value in new.items() if self.training else ():
                self.step.outputs[f"state.{part.number}.{name}"] = value
                self.step.see(f"state.{part.number}.{name}", i, "forward", value)
        return x, ways

    def backward(self, dy: Node, ways: list[Pullback]) -> None:
        """The gradients of all parameters, from that of the scores."""
        for i, part in reversed(list(enumerate(self.recipe.parts))):
            self.step.see("dy", i, "backward", dy)
            try:
                dy, grads = ways[i](dy)
            except TraceError as error:
                if type(part.layer).apply is Layer.apply:
                    raise TraceError(f"{part.told}: {error}") from error
                raise _NoWayBackError(i, str(error)) from error
            for name, value in grads.items():
                self.step.outputs[f"grad.{part.number}.{name}"] = value
                self.step.see(f"grad.{part.number}.{name}", i, "backward", value)
            self.step.see("dx", i, "backward", dy)

    def _part(self, i: int, part: Part, x: Node) -> Any:
        params, state = self.own(self.params, i), self.own(self.state, i)
        constants = self.constants(f"part{i}", part.layer.constants)

        def bits(rows: Any, units: int) -> Node:
            return self.graph.random(part.number, rows, units)

        start = len(self.graph.nodes)
        try:
            if i in self.opaque:
                raise TraceError(self.opaque[i])
            y, pullback, new = traced(part.layer, self.xp, params, state, x, bits, self.training, constants)
        except (TraceError, NotImplementedError, TypeError, AttributeError) as error:
            if self.training and type(part.layer).apply is Layer.apply:
                msg = (
                    f"{part.told} can't be traced: {error}. Write forward with what can be, or give the layer an apply "
                    "with its own way back; see the page 'Write a layer'"
                )
                raise TraceError(msg) from error
            return self._opaque(i, part, x, params, state, str(error))
        self._check(part, y, new, state)
        try:
            check(node for node in needed([y, *new.values()]) if node.number >= start)
        except TraceError as error:
            return self._opaque(i, part, x, params, state, str(error))
        return y, pullback, new

    def _check(self, part: Part, y: Any, new: Any, state: Mapping[str, Node]) -> None:
        """Raise ConfigError unless a layer gives outputs and a new state of the shapes that it says."""
        if not isinstance(y, Node) or not isinstance(new, Mapping):
            got = f"a {type(y).__name__} and a {type(new).__name__}"
            raise ConfigError(
                f"{part.told}: forward gives {got}; it must give (outputs, new state), an array and a dict"
            )
        told = (self.rows, *part.layer.output_shape(part.shape))
        if y.dims != told:
            raise ConfigError(
                f"{part.told}: forward gives {_spelled(y.dims)}, and output_shape says {_spelled(told)}; "
                "make them agree"
            )
        for name, value in {"the outputs": y, **new}.items():
            if name not in state and value is not y:
                raise ConfigError(
                    f"{part.told}: forward gives a state {name!r} that init doesn't; it has {list(state)}"
                )
            if not isinstance(value, Node) or value.dtype != "float":
                kind = value.dtype if isinstance(value, Node) else type(value).__name__
                raise ConfigError(f"{part.told}: {name} must be floats, as by xp.astype(value, x.dtype); got {kind}")
            if value is not y and value.dims != state[name].dims:
                raise ConfigError(
                    f"{part.told}: forward gives state {name!r} as {_spelled(value.dims)}, and init as "
                    f"{_spelled(state[name].dims)}; make them agree"
                )

    def _opaque(self, i: int, part: Part, x: Node, params: Any, state: Any, why: str) -> Any:
        self.step.reasons[f"part{i}"] = why
        add, owner = self.graph.add, (f"part{i}", "forward")
        y = add("opaque", (x,), (owner, "y"), "float", (self.rows, *part.layer.output_shape(part.shape)))
        new = {n: add("opaque", (x,), (owner, f"state.{part.number}.{n}"), "float", v.dims) for n, v in state.items()}

        def pullback(dy: Node) -> tuple[Node, dict[str, Node]]:
            back = (f"part{i}", "backward")
            dx = add("opaque", (y, dy), (back, "dx"), "float", x.dims)
            names = {n: (back, f"grad.{part.number}.{n}") for n in params}
            return dx, {n: add("opaque", (y, dy), name, "float", params[n].dims) for n, name in names.items()}

        return y, pullback, new if self.training else {}

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


def _spelled(dims: Any) -> str:
    return f"[{', '.join(map(str, dims))}]"


def training_graph(recipe: Recipe, params: Shapes, state: Shapes) -> StepGraph:
    """Forward, loss, metrics and the gradient of every parameter."""
    opaque: dict[int, str] = {}
    while True:
        try:
            return _training_graph(_Builder(recipe, params, state, training=True, opaque=opaque))
        except _NoWayBackError as error:
            opaque[error.place] = str(error)


def _training_graph(b: _Builder) -> StepGraph:
    z, ways = b.forward()
    head, step = b.recipe.head, b.step
    assert head is not None
    weight = b.graph.array("weight", (b.rows, 1))
    targets, constants = b.targets(), b.constants("loss", head.loss.constants)
    try:
        dz, *results = head_formula(head)(b.xp, z, targets, b.index(), weight, *constants)
        results = [_rows(b, r) for r in results]
        dz = b.xp.broadcast_to(dz, z.dims)
    except TraceError as error:
        step.reasons["head"] = str(error)
        dz, results = _opaque_head(b, z, targets, weight)
    step.outputs |= {f"result.{i}": r for i, r in enumerate(results)}
    _see_head(b, z, targets, weight, dz, results)
    b.backward(dz, ways)
    return step


def _see_head(b: _Builder, z: Node, targets: Node, weight: Node, dz: Node, results: list[Node]) -> None:
    """Name what stands behind the last part."""
    head, step = b.recipe.head, b.step
    assert head is not None
    step.see("z", None, "forward", z)
    step.see("labels" if head.labelled else "targets", None, "forward", targets)
    step.see("weight", None, "forward", weight)
    if head.activation is not None:
        step.see("predictions", None, "forward", _predictions(b, z, head.activation))
    if head.labelled:
        hot: Any = one_hot(b.xp, targets, b.index(), z)
        step.see("one_hot", None, "forward", hot)
    step.see("loss", None, "forward", results[0])
    for i, result in enumerate(results[1:]):
        step.see(f"metric.{i}", None, "forward", result)
    step.see("dz", None, "backward", dz)


def _predictions(b: _Builder, z: Node, activation: ActivationFunction) -> Node:
    """What the activation makes of the scores."""
    try:
        return activation.value(b.xp, z, *b.constants("last", activation.constants))
    except TraceError as error:
        if not b.training:  # where they are made, not looked at
            b.step.reasons["last"] = str(error)
        return b.graph.add("opaque", (z,), (("last", "forward"), "y"), "float", z.dims)


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
        z = _predictions(b, z, head.activation)
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
