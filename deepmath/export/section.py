"""A traced function of rows as kernels in order, and constants: all that doesn't depend on the rows is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepmath.errors import TraceError
from deepmath.evaluation import evaluate
from deepmath.graph import ARRAYS, BATCH_SUM, Graph, Node, Size, needed
from deepmath.graph.buffers import Use
from deepmath.graph.cut import check, cut
from deepmath.graph.kernels import Kernel, Map, Product, Take, root
from deepmath.graph.maps import pieces

UNWRITTEN = "{} can't be written as formulas and matrix products"
UNMOVED = ("constant", "columns")
"""Numbers that stand in formulas as they are."""
ALL_ROWS = "it computes with all rows of a batch at once, but a prediction is that of a row by itself"
TOGETHER = {"random": "it draws random numbers in prediction", BATCH_SUM: ALL_ROWS, "size": ALL_ROWS}
"""What a file can't hold, and why."""


class Mark(NamedTuple):
    """Where a part of the function ends, and what it is, in words."""

    what: str
    y: Node


class Stage(NamedTuple):
    """A kernel, and what it belongs to, in words."""

    what: str
    kernel: Kernel


class Constant(NamedTuple):
    """An array that kernels are given, float64 or whole numbers."""

    name: str
    array: Any


class Section(NamedTuple):
    """y = f(x) for rows x, in one precision. `constants` are known by the numbers of the nodes that they stand for."""

    precision: str
    x: Node
    y: Node
    stages: tuple[Stage, ...]
    constants: Mapping[int, Constant]

    @property
    def uses(self) -> list[Use]:
        """The numbers of the arrays that depend on the rows which each kernel reads and writes."""
        read = ([root(n).number for n in s.kernel.inputs] for s in self.stages)
        return [
            Use([n for n in numbers if n not in self.constants], [n.number for n in s.kernel.outputs])
            for numbers, s in zip(read, self.stages, strict=True)
        ]

    @property
    def outputs(self) -> int:
        """The length of a row of y."""
        return int(self.y.dims[-1])


def matrices(section: Section) -> list[Any]:
    """What rows are multiplied with, one product after the other."""
    products = [s.kernel for s in section.stages if isinstance(s.kernel, Product)]
    return [section.constants[k.b.array.number].array for k in products]


def section(precision: str, x: Node, marks: Sequence[Mark], values: Mapping[str, Any], first: int = 0) -> Section:
    """The kernels between x and what is marked last; `values` are those of the arguments by name.

    The names of constants count the kernels from `first` on: "matrix_0" of a product, "column_1_0" of a map.
    Raises TraceError that names the mark behind what a file can't hold.
    """
    y = marks[-1].y if marks else x
    arrays = {n.number: values[n.value] for n in x.graph.nodes if n.op == "argument" and n is not x}
    fixed = _fixed(needed([mark.y for mark in marks]), arrays)
    for mark, nodes in _between(marks):
        try:
            _check(nodes, fixed, mark.y)
        except TraceError as error:
            raise TraceError(f"export: {UNWRITTEN.format(mark.what)}: {error}") from error
    moved, computed = _without(y, fixed, arrays)
    marks = [mark._replace(y=moved[mark.y.number]) for mark in marks if mark.y.number in moved]
    graph = moved[y.number].graph
    x, y = graph.array("x", x.dims), moved[y.number]
    try:
        kernels = _by_need([p for k in cut(graph, [y]) for p in (pieces(k) if isinstance(k, Map) else [k])], y)
    except TraceError as error:
        raise TraceError(f"export: {UNWRITTEN.format('the network')}: {error}") from error
    whats = {n.number: mark.what for mark, nodes in _between(marks) for n in nodes}
    stages = tuple(Stage(_what(kernel, whats), kernel) for kernel in kernels)
    return Section(precision, x, y, stages, _constants(kernels, computed, first))


def _between(marks: Iterable[Mark]) -> Iterable[tuple[Mark, list[Node]]]:
    """The nodes of each mark that no earlier one has."""
    known: set[int] = set()
    for mark in marks:
        nodes = needed([mark.y], known)
        known |= {n.number for n in nodes}
        yield mark, nodes


def _fixed(nodes: Iterable[Node], arrays: Mapping[int, Any]) -> set[int]:
    """The nodes that don't depend on the rows."""
    found: set[int] = set()
    for node in nodes:
        given = node.number in arrays or node.op in UNMOVED
        made = node.args and node.op != "opaque" and not any(isinstance(d, Size) for d in node.dims)
        if given or (made and all(a.number in found for a in node.args)):
            found.add(node.number)
    return found


def _check(nodes: Iterable[Node], fixed: set[int], y: Node) -> None:
    moving = [n for n in nodes if n.number not in fixed]
    for node in moving:
        if node.op in TOGETHER:
            raise TraceError(TOGETHER[node.op])
        if node.op == "matmul" and len(node.args[1].dims) == 2 and node.args[1].number not in fixed:
            raise TraceError(ALL_ROWS)
        if node.op == "take" and (node.args[0].number not in fixed or node.value != 0):
            raise TraceError("it takes places of an array that isn't fixed; only rows of a table can be taken")
    check(moving)
    if not (y.dims and isinstance(y.dims[0], Size) and y.dims[0].times == 1):
        raise TraceError("its result doesn't vary from row to row")


def _without(y: Node, fixed: set[int], arrays: Mapping[int, Any]) -> tuple[dict[int, Node], dict[int, Any]]:
    """What depends on the rows, as nodes of a new graph by their old numbers, and the values of its arguments."""
    graph = Graph(of_arrays=True)
    moved: dict[int, Node] = {}
    computed: dict[int, Any] = {}
    nodes = [n for n in needed([y]) if n.number not in fixed]
    borders = {a.number: a for n in nodes for a in n.args if a.number in fixed and a.op not in UNMOVED}
    with np.errstate(all="ignore"):
        found = dict(zip(borders, evaluate(np, list(borders.values()), arrays), strict=True))

    def constant(node: Node, user: Node) -> Node:
        if node.op in UNMOVED:
            return graph.add(node.op, (), node.value, node.dtype, ())
        value = np.asarray(found[node.number])
        by_element = user.op not in ARRAYS or user.op == "broadcast_to"
        if by_element and value.size == 1:
            number = value.item()
            return graph.add("constant", (), number if node.dtype == "float" else int(number), node.dtype, ())
        argument = graph.array(f"value{node.number}", node.dims, node.dtype)
        computed[argument.number] = value
        return argument

    for node in nodes:
        args = tuple(constant(a, node) if a.number in fixed else moved[a.number] for a in node.args)
        moved[node.number] = graph.add(node.op, args, node.value, node.dtype, node.dims)
    return moved, computed


def _by_need(kernels: Sequence[Kernel], y: Node) -> list[Kernel]:
    """The kernels in an order in which each stands as close as can be to who needs it, what takes longest first."""
    maker = {o.number: k for k in kernels for o in k.outputs}
    found: dict[int, Kernel] = {}
    stack = [root(y).number]
    while stack:
        kernel = maker.get(stack[-1])
        below = [root(n).number for n in kernel.inputs] if kernel else []
        waiting = [n for n in below if n in maker and id(maker[n]) not in found]
        if kernel and not waiting:
            found.setdefault(id(kernel), kernel)
        if waiting:
            stack += sorted(waiting, key=lambda n: maker[n].depth)
        else:
            stack.pop()
    return list(found.values())


def _constants(kernels: Sequence[Kernel], arrays: Mapping[int, Any], first: int) -> dict[int, Constant]:
    found: dict[int, Constant] = {}
    for i, kernel in enumerate(kernels, first):
        new = [n for n in dict.fromkeys(root(n).number for n in kernel.inputs) if n in arrays and n not in found]
        kind = {Product: "matrix", Take: "table"}.get(type(kernel), "column")
        for j, number in enumerate(new):
            found[number] = Constant(f"{kind}_{i}{f'_{j}' if kind == 'column' else ''}", arrays[number])
    return found


def _what(kernel: Kernel, whats: Mapping[int, str]) -> str:
    """The parts whose operations a kernel does."""
    given = {root(n).number for n in kernel.inputs}
    nodes = [n for n in needed(kernel.outputs, given) if n.op not in ("reshape", *UNMOVED)]
    return "; ".join(dict.fromkeys(whats[n.number] for n in nodes))
