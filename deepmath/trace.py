"""A formula as a graph: call it once with symbols and see what it computes.

`trace(formula, kinds)` calls `formula(xp, *arguments)` with symbolic arguments and records element-wise
nodes and row reductions (sum, max and mean along the last axis). Printers turn the graph into code;
`evaluate` runs it on arrays; `pullback` differentiates it and is a formula again. Python itself does
the inlining: formulas may call formulas, use constants, loops over a known range, and lambdas. What
branches on a value can't be traced, and says so.

A node varies along rows, along columns, along both, or not at all (`Node.axes`); an argument's kind
is one of these four names. A row reduction gives a node that varies along rows only.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from deepmath.errors import TraceError

Formula = Callable[..., Any]

KINDS = {"element": (True, True), "row": (True, False), "column": (False, True), "scalar": (False, False)}
"""An argument's kind: does it vary along rows, and along columns?"""

REDUCTIONS = {"sum": "row_sum", "max": "row_max"}
BATCH_SUM = "batch_sum"
COMPARISONS = {"<", "<=", ">", ">=", "==", "!="}
INTEGER = {"&", "|", "^", "<<", ">>"}
LOGICAL = {"logical_and", "logical_or", "logical_not", "isnan", "isinf", "isfinite"}
FUNCTIONS = {
    "abs": 1, "exp": 1, "expm1": 1, "log": 1, "log1p": 1, "sqrt": 1, "tanh": 1, "sign": 1, "floor": 1,
    "isnan": 1, "isinf": 1, "isfinite": 1, "logical_not": 1,
    "maximum": 2, "minimum": 2, "logical_and": 2, "logical_or": 2, "pow": 2,
}  # fmt: skip
"""Every function of the standard that a formula may call element by element, with its number of arguments."""


class Node:
    """One value of a graph: an operation on other nodes, a constant, or an argument.

    Operators on nodes make nodes. `dtype` is "float", "int" or "bool"; which float is the printer's choice.
    """

    __slots__ = ("args", "axes", "dtype", "graph", "number", "op", "value")

    def __init__(self, graph: Graph, op: str, args: tuple[Node, ...], value: Any, dtype: str, axes: tuple[bool, bool]):
        self.graph, self.op, self.args, self.value, self.dtype, self.axes = graph, op, args, value, dtype, axes
        self.number = len(graph.nodes)

    def __repr__(self) -> str:
        inside = ", ".join(f"%{a.number}" for a in self.args) if self.args else repr(self.value)
        return f"%{self.number} = {self.op}({inside})"

    def __bool__(self) -> bool:
        raise TraceError("the formula branches on a value; use xp.where(condition, a, b) instead of if")

    __hash__ = object.__hash__

    @property
    def shape(self) -> tuple[Node, Node]:
        """The number of rows and of columns, known when the compiled text runs."""
        return self.graph.size("rows"), self.graph.size("columns")

    @property
    def ndim(self) -> int:
        return 2

    if TYPE_CHECKING:  # the binary operators, which `_operators` adds below

        def __add__(self, other: Any) -> Node: ...
        def __sub__(self, other: Any) -> Node: ...
        def __mul__(self, other: Any) -> Node: ...
        def __truediv__(self, other: Any) -> Node: ...
        def __radd__(self, other: Any) -> Node: ...
        def __rsub__(self, other: Any) -> Node: ...
        def __rmul__(self, other: Any) -> Node: ...
        def __rtruediv__(self, other: Any) -> Node: ...
        def __gt__(self, other: Any) -> Node: ...
        def __lt__(self, other: Any) -> Node: ...

    def __neg__(self) -> Node:
        return self.graph.node("neg", self)

    def __invert__(self) -> Node:
        return self.graph.node("logical_not", self)


def _operators() -> None:
    names = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "and": "&", "or": "|", "xor": "^", "lshift": "<<"}
    for name, op in {**names, "rshift": ">>", "floordiv": "//", "mod": "%"}.items():
        setattr(Node, f"__{name}__", lambda a, b, op=op: a.graph.node(op, a, b))
        setattr(Node, f"__r{name}__", lambda a, b, op=op: a.graph.node(op, b, a))
    for name, op in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
        setattr(Node, f"__{name}__", lambda a, b, op=op: a.graph.node(op, a, b))

    def power(a: Node, b: Any) -> Node:
        square = not isinstance(b, Node) and b == 2
        return a * a if square else a.graph.node("pow", a, b)

    setattr(Node, "__pow__", power)  # noqa: B010 - as the others above


_operators()


class Graph:
    """Nodes in the order of their making; equal nodes are one node."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[tuple[Any, ...], Node] = {}

    def _add(self, op: str, args: tuple[Node, ...], value: Any, dtype: str, axes: tuple[bool, bool]) -> Node:
        key = (op, dtype, repr(value), *(a.number for a in args))
        node = self._known.get(key)
        if node is None:
            node = Node(self, op, args, value, dtype, axes)
            self.nodes.append(node)
            self._known[key] = node
        return node

    def argument(self, name: str, kind: str, dtype: str = "float") -> Node:
        return self._add("argument", (), name, dtype, KINDS[kind])

    def size(self, name: str) -> Node:
        """The number of "rows" or "columns", a scalar."""
        return self._add("size", (), name, "float", (False, False))

    def constant(self, value: Any) -> Node:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            msg = f"the formula mixes a {type(value).__name__} into its arithmetic; constants must be Python numbers"
            raise TraceError(msg)
        return self._add("constant", (), value, "int" if isinstance(value, int) else "float", (False, False))

    def node(self, op: str, *operands: Any) -> Node:
        args = tuple(o if isinstance(o, Node) else self.constant(o) for o in operands)
        if any(a.graph is not self for a in args):
            raise TraceError("the formula mixes values of two traces")
        axes = (any(a.axes[0] for a in args), any(a.axes[1] for a in args))
        if op in COMPARISONS or op in LOGICAL:
            dtype = "bool"
        elif op == "where":
            dtype = _common(args[1:])
        else:
            dtype = _common(args)
        if op == "/" or (op in FUNCTIONS and op not in LOGICAL | {"abs", "maximum", "minimum", "sign"}):
            dtype = "float"
        if op in INTEGER and dtype == "float":
            raise TraceError(f"the formula uses {op} on numbers that are not integers")
        return _simplified(op, args) or self._add(op, args, None, dtype, axes)

    def reduce(self, op: str, x: Node) -> Node:
        """A row reduction, or a sum over the batch."""
        axes = (False, x.axes[1]) if op == BATCH_SUM else (x.axes[0], False)
        return self._add(op, (x,), None, x.dtype, axes)

    def cast(self, x: Node, dtype: str) -> Node:
        return x if x.dtype == dtype else self._add("astype", (x,), dtype, dtype, x.axes)


def _common(args: Sequence[Node]) -> str:
    kinds = {a.dtype for a in args}
    return "float" if "float" in kinds else ("int" if "int" in kinds else "bool")


def _simplified(op: str, args: tuple[Node, ...]) -> Node | None:
    """x + 0, x * 1 and x / 1 are x: derivatives make many of them. Never 0 * x, which may be NaN."""
    one = next((i for i, a in enumerate(args) if a.op == "constant" and a.value == 1), None)
    zero = next((i for i, a in enumerate(args) if a.op == "constant" and a.value == 0), None)
    keep: Node | None = None
    if len(args) == 2 and ((op == "*" and one is not None) or (op == "+" and zero is not None)):
        keep = args[1 - (one if op == "*" else zero)]  # type: ignore[operator]
    elif (op == "/" and one == 1) or (op == "-" and len(args) == 2 and zero == 1):
        keep = args[0]
    return keep if keep is not None and (op != "/" or keep.dtype == "float") else None


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
        if axis != -1 or not keepdims:
            raise TraceError("a reduction must be along the last axis: axis=-1, keepdims=True")
        if not x.axes[1]:
            raise TraceError("the formula reduces a value that doesn't vary along the last axis")
        return self._graph.reduce(op, x)


class Trace(NamedTuple):
    """A traced formula: its arguments and results in order, with the names of the arguments."""

    arguments: tuple[Node, ...]
    outputs: tuple[Node, ...]

    def needed(self) -> list[Node]:
        """The nodes that the results depend on, each after what it depends on."""
        return needed(self.outputs)


def needed(outputs: Iterable[Node]) -> list[Node]:
    """All nodes below `outputs`, in the order of their making."""
    seen: dict[int, Node] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.number not in seen:
            seen[node.number] = node
            stack.extend(node.args)
    return [seen[n] for n in sorted(seen)]


def trace(formula: Formula, kinds: Sequence[str], names: Sequence[str] | None = None) -> Trace:
    """Call `formula(xp, *arguments)` with symbols of these kinds.

    A kind is "element", "row", "column" or "scalar", with ":int" behind it for integers. Arguments are named
    by `names`, else as in the formula's signature. Raises TraceError where the formula can't be traced.

    >>> trace(lambda xp, z: xp.maximum(z, 0.0), ["element"]).outputs
    (%2 = maximum(%0, %1),)
    """
    graph = Graph()
    arguments = []
    for name, kind in zip(names or argument_names(formula, len(kinds)), kinds, strict=True):
        shape, _, dtype = kind.partition(":")
        arguments.append(graph.argument(name, shape, dtype or "float"))
    outputs = formula(Symbols(graph), *arguments)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return Trace(tuple(arguments), tuple(o if isinstance(o, Node) else graph.constant(o) for o in outputs))


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
    return next(values[n.number].dtype for n in node.graph.nodes if n.dtype == node.dtype and n.number in values)


OPERATORS: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "//": lambda a, b: a // b, "%": lambda a, b: a % b, "neg": lambda a: -a,
    "&": lambda a, b: a & b, "|": lambda a, b: a | b, "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << b, ">>": lambda a, b: a >> b,
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip
