"""The graph of a formula: nodes, what they may be, and how equal ones become one.

A node has dimensions (`Node.dims`): numbers, and a `Size` for one that is known only when the code runs. The formula of
a kernel works on rows and columns, of which neither is known; an argument's kind says along which it varies. A row
reduction gives a node that varies along rows only. Formulas of arrays of any rank have arguments of given dimensions.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmath.errors import TraceError

if TYPE_CHECKING:
    from deepmath.graph.graphs import Graph

KINDS = {"element": (True, True), "row": (True, False), "column": (False, True), "scalar": (False, False)}
"""An argument's kind: does it vary along rows, and along columns?"""

ARRAYS = {"matmul", "reshape", "permute_dims", "broadcast_to", "concat", "slice", "embed", "take", "random", "opaque"}
"""Operations on whole arrays, which no kernel's formula has."""

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


class Size:
    """A dimension that is known when the code runs: `times` the size of this name.

    In arithmetic with numbers and nodes it is a scalar node; multiplied by a whole number it stays a dimension.
    """

    __slots__ = ("graph", "name", "times")

    def __init__(self, graph: Graph, name: str, times: int = 1) -> None:
        self.graph, self.name, self.times = graph, name, times

    def __repr__(self) -> str:
        return self.name if self.times == 1 else f"{self.times} {self.name}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and (self.name, self.times) == (other.name, other.times)

    def __hash__(self) -> int:
        return hash((self.name, self.times))

    def __mul__(self, other: Any) -> Any:
        whole = isinstance(other, numbers.Integral) and not isinstance(other, bool)
        return Size(self.graph, self.name, self.times * int(other)) if whole else self.node * other

    __rmul__ = __mul__

    def __rtruediv__(self, other: Any) -> Node:
        return self.node.__rtruediv__(other)

    def __truediv__(self, other: Any) -> Node:
        return self.node / other

    def __add__(self, other: Any) -> Node:
        return self.node + other

    __radd__ = __add__

    def __sub__(self, other: Any) -> Node:
        return self.node - other

    def __rsub__(self, other: Any) -> Node:
        return self.node.__rsub__(other)

    def __index__(self) -> int:
        raise TraceError(f"the formula asks for the number of {self.name} as a Python number, which isn't known yet")

    def __lt__(self, other: Any) -> bool:
        raise TraceError(f"the formula branches on the number of {self.name}, which isn't known yet")

    __gt__ = __le__ = __ge__ = __lt__

    @property
    def node(self) -> Node:
        """The size as a number."""
        node = self.graph.size(self.name)
        return node if self.times == 1 else node * float(self.times)


class BatchSize(Size):
    """A size as a formula meets it in `x.shape`: it can't be compared with a number, which would tell nothing yet."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) if isinstance(other, Size) else bool(self < other)

    __hash__ = Size.__hash__

    def __bool__(self) -> bool:
        return bool(self < 0)


Dims = tuple[Any, ...]
"""The dimensions of an array: whole numbers and `Size`s."""


class Node:
    """One value of a graph: an operation on other nodes, a constant, or an argument.

    Operators on nodes make nodes. `dtype` is "float", "int" or "bool"; which float is the printer's choice.
    """

    __slots__ = ("args", "dims", "dtype", "graph", "number", "op", "value")

    def __init__(self, graph: Graph, op: str, args: tuple[Node, ...], value: Any, dtype: str, dims: Dims):
        self.graph, self.op, self.args, self.value, self.dtype, self.dims = graph, op, args, value, dtype, dims
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
        if not self.graph.of_arrays:
            raise TraceError("the formula takes an array apart by [...]; a traced one works on whole rows")
        return _picked(self, key if isinstance(key, tuple) else (key,))

    def __matmul__(self, other: Any) -> Node:
        return self.graph.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Node:
        return self.graph.matmul(other, self)

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
    def axes(self) -> tuple[bool, bool]:
        """Whether it varies along rows and along columns: its last two axes."""
        first, second = (1, 1, *self.dims)[-2:]
        return first != 1, second != 1

    @property
    def shape(self) -> tuple[Any, ...]:
        """Its dimensions; in a kernel's formula the number of rows and of columns, known when the code runs."""
        if not self.graph.of_arrays:
            return self.graph.size("rows"), self.graph.size("columns")
        return tuple(BatchSize(d.graph, d.name, d.times) if isinstance(d, Size) else d for d in self.dims)

    @property
    def ndim(self) -> int:
        return len(self.dims) if self.graph.of_arrays else 2

    @property
    def size(self) -> Any:
        """The number of its elements."""
        return math.prod(self.dims)

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

    def __pos__(self) -> Node:
        return self

    def __abs__(self) -> Node:
        return self.graph.node("abs", self)

    def __invert__(self) -> Node:
        return self.graph.node("logical_not", self) if self.dtype == "bool" else -self - 1

    @property
    def mT(self) -> Node:
        """The last two axes exchanged."""
        return self.graph.transpose(self)


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


def _picked(x: Node, key: tuple[Any, ...]) -> Node:
    """x[key] for slices with constant bounds, whole numbers, None and an ellipsis."""
    graph, used = x.graph, sum(k is not None and k is not Ellipsis for k in key)
    if used > len(x.dims) or any(isinstance(k, Node) for k in key):
        raise TraceError("the formula takes an array apart by what isn't a constant; use xp.take or xp.where")
    if Ellipsis not in key:
        key = (*key, Ellipsis)
    at = key.index(Ellipsis)
    key = (*key[:at], *[slice(None)] * (len(x.dims) - used), *key[at + 1 :])
    axis, dims = 0, []
    for k in key:
        if k is None:
            dims.append(1)
            continue
        length = x.dims[axis]
        whole = isinstance(k, slice) and k in (slice(None), slice(None, None, 1))
        if not whole:
            if not isinstance(length, int):
                raise TraceError("the formula takes rows of the batch apart; a layer treats all rows alike")
            x = graph.slice(x, axis, *_places(k, length))
        if isinstance(k, slice):
            dims.append(x.dims[axis])
        axis += 1
    return graph.reshape(x, dims)


def _places(k: Any, length: int) -> tuple[int, int, int]:
    """Where an index or a slice begins, its step, and how many places it has."""
    try:
        if not isinstance(k, slice):
            return range(length)[k], 1, 1
        start, stop, step = k.indices(length)
        return start, step, len(range(start, stop, step))
    except (IndexError, ValueError) as error:
        raise TraceError(f"the formula takes [{k}] of an axis of length {length}: {error}") from error


def needed(outputs: Iterable[Node], known: Collection[int] = ()) -> list[Node]:
    """All nodes below `outputs`, in the order of their making, but those that are known and what only they need."""
    seen: dict[int, Node] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.number not in seen and node.number not in known:
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
