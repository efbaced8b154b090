"""The graph of a formula: nodes, what they may be, and how equal ones become one.

A node varies along rows, along columns, along both, or not at all (`Node.axes`); an argument's kind is one of
these four names. A row reduction gives a node that varies along rows only.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmath.errors import TraceError

KINDS = {"element": (True, True), "row": (True, False), "column": (False, True), "scalar": (False, False)}
"""An argument's kind: does it vary along rows, and along columns?"""

REDUCTIONS = {"sum": "row_sum", "max": "row_max"}
BATCH_SUM = "batch_sum"
COMPARISONS = {"<", "<=", ">", ">=", "==", "!="}
INTEGER = {"&", "|", "^", "<<", ">>"}
LOGICAL = {"logical_and", "logical_or", "logical_not", "isnan", "isinf", "isfinite"}
FUNCTIONS = {
    "abs": 1, "exp": 1, "expm1": 1, "log": 1, "log1p": 1, "sqrt": 1, "tanh": 1, "cos": 1, "sin": 1,
    "sign": 1, "floor": 1,
    "isnan": 1, "isinf": 1, "isfinite": 1, "logical_not": 1,
    "maximum": 2, "minimum": 2, "logical_and": 2, "logical_or": 2, "pow": 2,
}  # fmt: skip
"""Every function of the standard that a formula may call element by element, with its number of arguments."""


_OF_NUMPY = {"multiply": "*", "add": "+", "subtract": "-", "divide": "/", "power": "pow"}
"""Operators by the name of the function that a NumPy number on their left calls."""


class _NoAttribute(TraceError, AttributeError):
    """What an array has and a symbol doesn't."""


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

    def __float__(self) -> float:
        raise TraceError("the formula asks for a value as a Python number; write xp.exp instead of math.exp")

    def __len__(self) -> int:
        raise TraceError("the formula asks for the length of an array; p.shape[-1] is the number of units")

    def __iter__(self) -> Any:
        raise TraceError("the formula goes through an array one by one; a traced one works on whole rows")

    def __getitem__(self, key: Any) -> Any:
        raise TraceError("the formula takes an array apart by [...]; a traced one works on whole rows")

    def __getattr__(self, name: str) -> Any:
        raise _NoAttribute(f"the formula uses .{name} of an array, which not every library has; write xp.{name}(...)")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
        """NumPy's numbers may stand on the left of an operator, and symbols in arrays; its functions are not xp's."""
        if ufunc.types == ["O" * ufunc.nin + "->O"] or any(getattr(i, "dtype", None) == np.dtype("O") for i in inputs):
            return getattr(ufunc, method)(*(_boxed(i) if isinstance(i, Node) else i for i in inputs), **settings)
        operator = _OF_NUMPY.get(ufunc.__name__)
        if operator is None or method != "__call__" or settings:
            raise TraceError(f"the formula calls np.{ufunc.__name__}; write xp.{ufunc.__name__}, for every library")
        return self.graph.node(operator, *inputs)

    def __array_function__(self, function: Any, *_given: Any) -> Any:
        raise TraceError(f"the formula calls np.{function.__name__}; write xp.{function.__name__}, for every library")

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


def _boxed(node: Node) -> Any:
    """An array without axes that holds one symbol."""
    box = np.empty((), object)
    box[()] = node
    return box


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

    setattr(Node, "__rpow__", lambda a, b: a.graph.node("pow", b, a))  # noqa: B010 - as the others above
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
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            msg = f"the formula mixes a {type(value).__name__} into its arithmetic; constants must be numbers"
            raise TraceError(msg)
        if isinstance(value, numbers.Integral):
            return self._add("constant", (), int(value), "int", (False, False))
        return self._add("constant", (), float(value), "float", (False, False))

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
        simpler = _simplified(op, args)
        return self._add(op, args, None, dtype, axes) if simpler is None else simpler

    def reduce(self, op: str, x: Node) -> Node:
        """A row reduction, or a sum over the batch, of floats: kernels sum in their own precision."""
        if x.dtype != "float":
            raise TraceError("the formula reduces integers; turn them into its own numbers by xp.astype first")
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
    wanted = "float" if op == "/" else _common(args)
    return keep if keep is not None and keep.dtype == wanted else None


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


OPERATORS: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "//": lambda a, b: a // b, "%": lambda a, b: a % b, "neg": lambda a: -a,
    "&": lambda a, b: a & b, "|": lambda a, b: a | b, "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << b, ">>": lambda a, b: a >> b,
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip
