"""A formula as a graph: call it once with symbols and see what it computes.

`trace(formula, kinds)` calls `formula(xp, *arguments)` with symbolic arguments and records element-wise
nodes and row reductions (sum, max and mean along the last axis). Printers turn the graph into code;
`deepmath.evaluation` runs it on arrays; `deepmath.derivative` differentiates it. Python itself does the inlining:
formulas may call formulas, use constants, loops over a known range, and lambdas. What branches on a value
can't be traced, and says so.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from deepmath.errors import TraceError
from deepmath.graph import BATCH_SUM, FUNCTIONS, Graph, Node, axis_of, needed

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

    def sum(self, x: Node, *, axis: Any = None, keepdims: bool = False) -> Node:
        return self._reduce("row_sum", x, axis, keepdims)

    def max(self, x: Node, *, axis: Any = None, keepdims: bool = False) -> Node:
        return self._reduce("row_max", x, axis, keepdims)

    def mean(self, x: Node, *, axis: Any = None, keepdims: bool = False) -> Node:
        return self._reduce("row_sum", x, axis, keepdims) / x.shape[-1]

    def batch_sum(self, x: Node) -> Node:
        """Not of the standard: what a derivative by a value that all rows share needs."""
        return self._graph.reduce(BATCH_SUM, x)

    def _reduce(self, op: str, x: Node, axis: Any, keepdims: bool) -> Node:
        if not isinstance(x, Node):
            raise TraceError(f"the formula reduces a {type(x).__name__}, which doesn't come from its arguments")
        if axis != -1 or not keepdims:
            raise TraceError("a reduction must be along the last axis: axis=-1, keepdims=True")
        if not x.axes[1]:
            raise TraceError("the formula reduces a value that doesn't vary along the last axis")
        return self._graph.reduce(op, x)


class Arrays(Symbols):
    """The namespace for functions of whole arrays, of any rank: what a layer meets while a step is traced.

    `slopes` holds the derivatives written by hand, by the number of the node that they belong to.
    """

    float32 = float64 = "float"
    int32 = int64 = "int"
    bool = "bool"
    newaxis = None

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.slopes: dict[int, tuple[Node, Formula]] = {}

    def __getattr__(self, name: str) -> Any:
        operator = _OPERATORS.get(name)
        if operator is not None:
            return lambda *args: self._graph.node(operator, *args)
        if name in FUNCTIONS:
            return super().__getattr__(name)
        raise TraceError(f"xp.{name} is outside what can be traced; the page 'Write a layer' lists what is inside")

    def where(self, condition: Node, a: Any, b: Any) -> Node:
        if not isinstance(condition, Node) or condition.dtype != "bool":
            raise TraceError("xp.where chooses by truths, such as x > 0.0")
        return super().where(condition, a, b)

    def matmul(self, a: Node, b: Node) -> Node:
        return self._graph.matmul(a, b)

    def matrix_transpose(self, x: Node) -> Node:
        return self._graph.transpose(x)

    def permute_dims(self, x: Node, axes: Sequence[int]) -> Node:
        return self._graph.permute(x, axes)

    def reshape(self, x: Node, shape: Any) -> Node:
        return self._graph.reshape(x, shape if isinstance(shape, tuple | list) else (shape,))

    def expand_dims(self, x: Node, *, axis: int = 0) -> Node:
        at = axis_of(axis, len(x.dims) + 1)
        return self._graph.reshape(x, (*x.dims[:at], 1, *x.dims[at:]))

    def squeeze(self, x: Node, axis: int | tuple[int, ...]) -> Node:
        gone = {axis_of(a, len(x.dims)) for a in (axis if isinstance(axis, tuple) else (axis,))}
        return self._graph.reshape(x, tuple(d for i, d in enumerate(x.dims) if i not in gone))

    def broadcast_to(self, x: Node, shape: Sequence[Any]) -> Node:
        return self._graph.broadcast_to(x, shape)

    def concat(self, arrays: Sequence[Node], *, axis: int = 0) -> Node:
        return self._graph.concat(arrays, axis)

    def stack(self, arrays: Sequence[Node], *, axis: int = 0) -> Node:
        at = axis_of(axis, len(arrays[0].dims) + 1) if arrays and isinstance(arrays[0], Node) else 0
        return self._graph.concat([self.expand_dims(a, axis=at) if isinstance(a, Node) else a for a in arrays], at)

    def take(self, x: Node, indices: Node, *, axis: int = 0) -> Node:
        return self._graph.take(x, indices, axis)

    def zeros_like(self, x: Node) -> Node:
        return self._graph.broadcast_to(self._graph.constant(0.0), x.dims)

    def ones_like(self, x: Node) -> Node:
        return self._graph.broadcast_to(self._graph.constant(1.0), x.dims)

    def clip(self, x: Node, min: Any = None, max: Any = None) -> Node:
        x = x if min is None else self._graph.node("maximum", x, min)
        return x if max is None else self._graph.node("minimum", x, max)

    def negative(self, x: Node) -> Node:
        return -x

    def min(self, x: Node, *, axis: Any = None, keepdims: bool_ = False) -> Node:
        return -self.max(-x, axis=axis, keepdims=keepdims)

    def mean(self, x: Node, *, axis: Any = None, keepdims: bool_ = False) -> Node:
        axes = _axes(x, axis)
        count = math.prod(x.dims[a] for a in axes)
        if isinstance(count, int):
            along_rows = axes == (len(x.dims) - 1,)
            count = self._graph.columns(count) if along_rows else self._graph.constant(float(count))
        return self.sum(x, axis=axis, keepdims=keepdims) / count

    def var(self, x: Node, *, axis: Any = None, correction: float = 0.0, keepdims: bool_ = False) -> Node:
        centred = x - self.mean(x, axis=axis, keepdims=True)
        if not correction:
            return self.mean(centred * centred, axis=axis, keepdims=keepdims)
        count = math.prod(x.dims[a] for a in _axes(x, axis))
        return self.sum(centred * centred, axis=axis, keepdims=keepdims) / (count - float(correction))

    def std(self, x: Node, *, axis: Any = None, correction: float = 0.0, keepdims: bool_ = False) -> Node:
        return self._graph.node("sqrt", self.var(x, axis=axis, correction=correction, keepdims=keepdims))

    def batch_sum(self, x: Node) -> Node:
        return self._graph.reduce("sum", x, (0,))

    def _reduce(self, op: str, x: Node, axis: Any, keepdims: bool_) -> Node:
        if not isinstance(x, Node):
            raise TraceError(f"the formula reduces a {type(x).__name__}, which doesn't come from its arguments")
        axes = _axes(x, axis)
        whole = self._graph.reduce(op.removeprefix("row_"), x, axes)
        return whole if keepdims else self._graph.reshape(whole, [d for i, d in enumerate(x.dims) if i not in axes])


bool_ = bool
_OPERATORS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "floor_divide": "//", "remainder": "%",
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=",
}  # fmt: skip


def _axes(x: Node, axis: Any) -> tuple[int, ...]:
    """The axes that a reduction goes along, counted from the front."""
    if axis is None:
        return tuple(range(len(x.dims)))
    return tuple(sorted({axis_of(a, len(x.dims)) for a in (axis if isinstance(axis, tuple) else (axis,))}))


def with_slope(xp: Any, value: Formula, backward: Formula, z: Any, *constants: Any) -> Any:
    """value(xp, z, *constants); a traced step differentiates it by `backward(xp, z, y, dy, *constants)`."""
    y = value(xp, z, *constants)
    if isinstance(xp, Arrays) and y is not z:
        xp.slopes[y.number] = z, lambda xp, y, dy: backward(xp, z, y, dy, *constants)
    return y


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
