"""Computation graphs with numbers: values go forward along the edges, derivatives of the result come back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.derivative import FLAT, RULES
from deepmath.errors import ConfigError, TraceError
from deepmath.graph import Node
from deepmath.model import Sequential
from deepmath.study.derivation import Derivation
from deepmath.study.drawing import dot, svg
from deepmath.study.grid import Grid, Grids
from deepmath.study.notebook import Equation, Notebook, Symbol, digits
from deepmath.study.subject import subject
from deepmath.study.values import Step

LARGEST = 120
"""A model's graph has a node for each number up to so many nodes; a larger one has a node for each array."""


@dataclass(frozen=True)
class Vertex:
    """A quantity: its name, its formula, its value, and the result's derivative by it.

    For an array, value and derivative are norms, and the formula is its shape.
    """

    name: str
    formula: str
    value: float
    derivative: float


@dataclass(frozen=True)
class Edge:
    """What one quantity gives to another: its value forward, and backward its share of the result's derivative."""

    source: str
    target: str
    value: float
    derivative: float


@dataclass(frozen=True)
class ComputationGraph:
    """Vertices, each after those that it depends on, and edges between them."""

    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    result: str

    def __getitem__(self, name: str) -> Vertex:
        """The vertex of this name; KeyError without one."""
        for vertex in self.vertices:
            if vertex.name == name:
                return vertex
        raise KeyError(name)

    def text(self) -> str:
        """A block of lines for each vertex: formula, value and derivative, then its edges."""
        lines = []
        for v in self.vertices:
            head = v.name if v.formula in ("", v.name) else f"{v.name} = {v.formula}"
            lines.append(f"{head} = {digits(v.value)}    d{self.result}/d{v.name} = {digits(v.derivative)}")
            for e in self.edges:
                if e.target == v.name:
                    lines.append(f"    <- {e.source}: {digits(e.value)} forward, {digits(e.derivative)} backward")
        return "\n".join(lines) + "\n"

    __str__ = text

    def dot(self) -> str:
        """The graph in Graphviz's language."""
        return dot(self)

    def svg(self) -> str:
        """A picture, for light and dark pages: values stand above edges, derivatives below."""
        return svg(self)

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        return self.svg()


def computation_graph(target: Any, *arguments: Any, sample_weight: Any = None) -> ComputationGraph:
    """The graph of a formula at numbers, `computation_graph(formula, *numbers)`, or of a model, `(model, X, y)`.

    A formula takes (xp, *arguments) as everywhere and gives one number; arrays among the arguments are taken apart.
    A model's graph has its objective as result, and a node for each number; where that would be more than 120, a
    node for each array, with norms. Raises ConfigError, TraceError, and for a model what `fit` raises.

    >>> graph = computation_graph(lambda xp, a, b, c: 3.0 * (a + b * c), 5.0, 3.0, 2.0)
    >>> print(graph.text().splitlines()[3].strip())
    t1 = b * c = 6.00000000000    df/dt1 = 3.00000000000
    >>> graph["f"].value, graph["b"].derivative
    (33.0, 6.0)
    """
    if isinstance(target, Sequential):
        if len(arguments) != 2:
            raise ConfigError(f"computation_graph: a model needs X and y; got {len(arguments)} arguments")
        return _of_model(target, *arguments, sample_weight)
    if not callable(target):
        kind = type(target).__name__
        raise ConfigError(f"computation_graph: expected a formula such as lambda xp, x: x * x, or a model; got {kind}")
    return _of_formula(target, arguments)


def _of_formula(formula: Callable[..., Any], arguments: Sequence[Any]) -> ComputationGraph:
    book = Notebook()
    names = list(inspect.signature(formula).parameters)[1:]
    grids = [_given(book, n, np.asarray(v, np.float64)) for n, v in zip(names, arguments, strict=False)]
    rest = [book.constant(v) for v in arguments[len(names) :]]
    found = formula(Grids(book), *grids, *rest)
    if not isinstance(found, Grid) or found.nodes.size != 1:
        shape = getattr(found, "shape", None)
        raise TraceError(
            f"computation_graph: the formula must give one number that depends on its arguments; got {shape}"
        )
    root = found.nodes.flat[0]
    order = [n for n in book.below([root]) if n.op != "constant"]
    title = getattr(formula, "__name__", "f")
    title = title if title.isidentifier() else "f"
    equations = [book.define([(s, book.nodes[i])])[0] for i, s in list(book.names.items())]
    for i, node in enumerate(order):
        name = title if node is root else f"t{i + 1}"
        equations += [e for e in book.define([(Symbol(name, name), node)]) if e.node is node]
    return _linked(book, equations, root)


def _given(book: Notebook, name: str, value: Any) -> Grid:
    out = np.empty(value.shape, object)
    for place in np.ndindex(value.shape):
        index = f"[{','.join(str(i + 1) for i in place)}]" if place else ""
        out[place] = book.given(Symbol(name + index, name + index), value[place])
    return Grid(book, out)


def _of_model(model: Sequential, X: Any, y: Any, sample_weight: Any) -> ComputationGraph:
    chosen = subject("computation_graph", model, X, y, sample_weight)
    step = Step(chosen)
    step.take()
    numbers = sum(np.size(step.values[n]) for n in ("x", *chosen.parameters, *(s.name for s in step.stages)))
    if numbers > LARGEST:
        return _of_arrays(step)
    derivation = Derivation(chosen, {n: step.values[f"gradient.{n}"] for n in chosen.parameters})
    derivation.derive()
    objective = [p for p in derivation.passages if p.phase == "penalty"][:1]
    kept = [p for p in derivation.passages if p.phase in ("given", "forward", "loss")] + objective
    equations = [e for p in kept for e in p.equations]
    root = next(e.node for e in reversed(equations) if e.left.plain == ("J" if objective else "E"))
    return _linked(derivation.book, equations, root)


def _linked(book: Notebook, equations: Sequence[Equation], root: Node) -> ComputationGraph:
    """The graph of all equations that the root depends on, with derivatives from the root back."""
    first: dict[int, Equation] = {}
    for equation in equations:
        if equation.node.op != "constant":
            first.setdefault(equation.node.number, equation)
    totals = {root.number: 1.0}
    edges: list[Edge] = []
    for number in sorted(first, reverse=True):
        if number not in totals:
            continue
        target = first[number]
        for source, local in _local(book, target.node, first).items():
            share = totals[number] * local
            totals[source] = totals.get(source, 0.0) + share
            edges.append(Edge(first[source].left.plain, target.left.plain, float(book.values[source]), share))
    vertices = [
        Vertex(e.left.plain, e.symbols.plain if n in first and e.node.op != "argument" else "", e.value, totals[n])
        for n, e in sorted(first.items())
        if n in totals
    ]
    return ComputationGraph(tuple(vertices), tuple(reversed(edges)), first[root.number].left.plain)


def _local(book: Notebook, node: Node, named: Collection[int]) -> dict[int, float]:
    """The derivative of one named node by those that its formula mentions, by the chain rule in between."""
    live = {node.number: 1.0}
    found: dict[int, float] = {}
    for number in range(node.number, -1, -1):
        if number not in live:
            continue
        inner = book.nodes[number]
        if number != node.number and number in named:
            found[number] = live[number]
        elif inner.args and inner.op not in FLAT and inner.op in RULES:
            values = [book.values[a.number] for a in inner.args]
            with np.errstate(all="ignore"):
                shares = RULES[inner.op](np, book.values[number], np.float64(live[number]), *values)
            for argument, share in zip(inner.args, shares, strict=True):
                if share is not None and argument.op != "constant":
                    live[argument.number] = live.get(argument.number, 0.0) + float(share)
    return found


def _of_arrays(step: Step) -> ComputationGraph:
    """A vertex for each array of the chain; forward norms of values, backward norms of derivatives."""
    result = "J" if step.recipe.penalties else "E"
    vertices, edges = [_array(step, "x", None)], []
    for link, stage in zip(step.chain, step.stages, strict=True):
        inputs = [(link.before, stage.dx)]
        for own in stage.gradients:
            name = f"{link.part.number}.{own}"
            vertices.append(_array(step, name, step.values[f"gradient.{name}"]))
            inputs.append((name, stage.gradients[own]))
        vertices.append(_array(step, link.after, stage.dy))
        for name, share in inputs:
            edges.append(Edge(name, link.after, _norm(step.values[name]), _norm(share)))
    last = step.chain[-1].after
    vertices[0] = _array(step, "x", step.stages[0].dx)
    edges.append(Edge(last, result, _norm(step.values[last]), _norm(step.head["dz"])))
    for name in step.recipe.penalties:
        slope = step.values[f"gradient.{name}"] - step.values[f"cost_gradient.{name}"]
        edges.append(Edge(name, result, _norm(step.values[name]), _norm(slope)))
    vertices.append(Vertex(result, "", float(step.values["loss"]), 1.0))
    return ComputationGraph(tuple(vertices), tuple(edges), result)


def _array(step: Step, name: str, derivative: Any) -> Vertex:
    shape = " × ".join(map(str, np.shape(step.values[name])))
    back = 0.0 if derivative is None else _norm(derivative)
    return Vertex(name, f"norm of {shape}", _norm(step.values[name]), back)


def _norm(array: Any) -> float:
    return float(np.linalg.norm(array))
