"""A formula as a graph: call it once with symbols and see what it computes.

`trace(formula, kinds)` calls `formula(xp, *arguments)` with symbolic arguments and records element-wise
nodes and row reductions (sum, max and mean along the last axis). Printers turn the graph into code;
`evaluate` runs it on arrays; `deepmath.derivative` differentiates it. Python itself does the inlining:
formulas may call formulas, use constants, loops over a known range, and lambdas. What branches on a value
can't be traced, and says so.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from deepmath.errors import TraceError
from deepmath.graph import BATCH_SUM, FUNCTIONS, OPERATORS, Graph, Node, needed

Formula = Callable[..., Any]


class Symbols:
    """The namespace that a formula meets while it is traced: the functions of the standard that printers know."""

    inf, nan, pi, e = math.inf, math.nan, math.pi, math.e

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __getattr__(self, name: str) -> Any:
        if name in FUNCTIONS:
            return lambda *args: self._call(name, args)
        msg = f"xp.{name} is outside what can be traced: {', '.join(sorted(FUNCTIONS))}, where, astype, sum, max, mean"
        raise TraceError(msg)

    def _call(self, name: str, args: tuple[Any, ...]) -> Node:
        if len(args) != FUNCTIONS[name]:
            raise TraceError(f"xp.{name} takes {FUNCTIONS[name]} arguments, not {len(args)}")
        return self._graph.node(name, *args)

    def where(self, condition: Node, a: Any, b: Any) -> Node:
        if not isinstance(a, Node) and not isinstance(b, Node):
            raise TraceError("xp.where needs an array in one of its branches")
        return self._graph.node("where", condition, a, b)

    def astype(self, x: Node, dtype: str) -> Node:
        return self._graph.cast(x, dtype)

    def square(self, x: Node) -> Node:
        return x * x

    def sum(self, x: Node, *, axis: int | None = None, keepdims: bool = False) -> Node:
        return self._reduce("row_sum", x, axis, keepdims)

    def max(self, x: Node, *, axis: int | None = None, keepdims: bool = False) -> Node:
        return self._reduce("row_max", x, axis, keepdims)

    def mean(self, x: Node, *, axis: int | None = None, keepdims: bool = False) -> Node:
        return self._reduce("row_sum", x, axis, keepdims) / x.shape[-1]

    def batch_sum(self, x: Node) -> Node:
        """Not of the standard: what a derivative by a value that all rows share needs."""
        return self._graph.reduce(BATCH_SUM, x)

    def _reduce(self, op: str, x: Node, axis: int | None, keepdims: bool) -> Node:
        if not isinstance(x, Node):
            raise TraceError(f"the formula reduces a {type(x).__name__}, which doesn't come from its arguments")
        if axis != -1 or not keepdims:
            raise TraceError("a reduction must be along the last axis: axis=-1, keepdims=True")
        if not x.axes[1]:
            raise TraceError("the formula reduces a value that doesn't vary along the last axis")
        return self._graph.reduce(op, x)


class Trace(NamedTuple):
    """A traced formula: its arguments and results in order."""

    arguments: tuple[Node, ...]
    outputs: tuple[Node, ...]

    def needed(self) -> list[Node]:
        """The nodes that the results depend on, each after what it depends on."""
        return needed(self.outputs)


def trace(formula: Formula, kinds: Sequence[str], names: Sequence[str] | None = None) -> Trace:
    """Call `formula(xp, *arguments)` with symbols of these kinds.

    A kind is "element", "row", "column" or "scalar", with ":int" behind it for integers. Arguments are named
    by `names`, else as in the formula's signature. Raises TraceError where the formula can't be traced.

    >>> trace(lambda xp, z: xp.maximum(z, 0.0), ["element"]).outputs
    (%2 = maximum(%0, %1),)
    """
    graph, arguments, outputs = called(formula, kinds, names)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return Trace(tuple(arguments), tuple(o if isinstance(o, Node) else graph.constant(o) for o in outputs))


def called(formula: Formula, kinds: Sequence[str], names: Sequence[str] | None = None) -> tuple[Graph, list[Node], Any]:
    """The graph, its arguments, and what `formula` gave for them, whatever that is."""
    graph = Graph()
    arguments = []
    for name, kind in zip(names or argument_names(formula, len(kinds)), kinds, strict=True):
        shape, _, dtype = kind.partition(":")
        arguments.append(graph.argument(name, shape, dtype or "float"))
    return graph, arguments, formula(Symbols(graph), *arguments)


def argument_names(formula: Formula, count: int) -> list[str]:
    """The names of a formula's arguments after xp; arg0, arg1, ... for those it takes as *rest."""
    names: list[str] = []
    for parameter in list(inspect.signature(formula).parameters.values())[1:]:
        if parameter.kind is not inspect.Parameter.VAR_POSITIONAL and len(names) < count:
            names.append(parameter.name)
    return names + [f"arg{i}" for i in range(count - len(names))]


def evaluate(xp: Any, outputs: Sequence[Node], values: dict[int, Any]) -> tuple[Any, ...]:
    """The results of a graph for given arguments (node number -> value), on arrays or on symbols of another trace."""
    known = dict(values)
    for node in needed(outputs):
        if node.number not in known:
            known[node.number] = _apply(xp, node, [known[a.number] for a in node.args], values)
    return tuple(known[o.number] for o in outputs)


def _apply(xp: Any, node: Node, args: list[Any], values: dict[int, Any]) -> Any:
    op = node.op
    if op == "constant":
        return node.value
    if op == "size":
        element = next(values[n.number] for n in node.graph.nodes if n.axes == (True, True) and n.number in values)
        return element.shape[-1] if node.value == "columns" else element.shape[0]
    if op == "astype":
        return xp.astype(args[0], _dtype_like(xp, node, values))
    if op in ("row_sum", "row_max"):
        return (xp.sum if op == "row_sum" else xp.max)(args[0], axis=-1, keepdims=True)
    if op == BATCH_SUM:
        return xp.batch_sum(args[0]) if isinstance(xp, Symbols) else xp.sum(args[0], axis=0)
    if op in OPERATORS:
        return OPERATORS[op](*args)
    return getattr(xp, op)(*args)


def _dtype_like(xp: Any, node: Node, values: dict[int, Any]) -> Any:
    if isinstance(xp, Symbols):
        return node.dtype
    arrays = (values[n.number] for n in node.graph.nodes if n.dtype == node.dtype and n.number in values)
    return next(v.dtype for v in arrays if hasattr(v, "dtype"))
