"""The graph of a formula: nodes, what they may be, and how equal ones become one.

A node has dimensions (`Node.dims`): numbers, and a `Size` for one that is known only when the code runs. The formula of
a kernel works on rows and columns, of which neither is known; an argument's kind says along which it varies. A row
reduction gives a node that varies along rows only. Formulas of arrays of any rank have arguments of given dimensions.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmath.errors import TraceError

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
        return self.dims if self.graph.of_arrays else (self.graph.size("rows"), self.graph.size("columns"))

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
    """Nodes in the order of their making; equal nodes are one node.

    `of_arrays` says that its values are arrays of any rank, instead of the rows and columns of a kernel.
    """

    def __init__(self, of_arrays: bool = False) -> None:
        self.nodes: list[Node] = []
        self.of_arrays = of_arrays
        self._known: dict[tuple[Any, ...], Node] = {}

    def add(self, op: str, args: tuple[Node, ...], value: Any, dtype: str, dims: Dims) -> Node:
        """The node of this operation, which may be known already."""
        key = (op, dtype, repr(value), *(a.number for a in args))
        node = self._known.get(key)
        if node is None:
            node = Node(self, op, args, value, dtype, dims)
            self.nodes.append(node)
            self._known[key] = node
        return node

    def argument(self, name: str, kind: str, dtype: str = "float") -> Node:
        """An argument of a kernel's formula."""
        rows, columns = KINDS[kind]
        dims = (Size(self, "rows") if rows else 1, Size(self, "columns") if columns else 1) if rows or columns else ()
        return self.array(name, dims, dtype)

    def array(self, name: str, dims: Dims, dtype: str = "float") -> Node:
        """An argument with these dimensions."""
        return self.add("argument", (), name, dtype, dims)

    def size(self, name: str) -> Node:
        """The size of a dimension, a scalar: in a kernel's formula the number of "rows" or "columns"."""
        return self.add("size", (), name, "float", ())

    def columns(self, count: int) -> Node:
        """The length of the last axis, as a number: a constant that kernels needn't be compiled for."""
        return self.add("columns", (), float(count), "float", ())

    def constant(self, value: Any) -> Node:
        if isinstance(value, Size):
            return value.node
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            msg = f"the formula mixes a {type(value).__name__} into its arithmetic; constants must be numbers"
            raise TraceError(msg)
        if isinstance(value, numbers.Integral):
            return self.add("constant", (), int(value), "int", ())
        return self.add("constant", (), float(value), "float", ())

    def node(self, op: str, *operands: Any) -> Node:
        args = tuple(o if isinstance(o, Node) else self.constant(o) for o in operands)
        if any(a.graph is not self for a in args):
            raise TraceError("the formula mixes values of two traces")
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
        dims = broadcast(*(a.dims for a in args))
        simpler = _simplified(op, args)
        return self.add(op, args, None, dtype, dims) if simpler is None or simpler.dims != dims else simpler

    def reduce(self, op: str, x: Node, axes: Sequence[int] = ()) -> Node:
        """A row reduction or a sum over the batch; or "sum" and "max" along any axes, which are kept, by these.

        Kernels sum floats in their own precision.
        """
        if x.dtype != "float":
            raise TraceError("the formula reduces integers; turn them into its own numbers by xp.astype first")
        if op in REDUCTIONS:
            return self._reduce_along(op, x, sorted({a % len(x.dims) for a in axes if x.dims[a] != 1}))
        dims = (1, *x.dims[1:]) if op == BATCH_SUM else (*x.dims[:-1], 1)
        return self.add(op, (x,), None, x.dtype, dims)

    def _reduce_along(self, op: str, x: Node, axes: list[int]) -> Node:
        last = len(x.dims) - 1
        kept = tuple(1 if i in axes else d for i, d in enumerate(x.dims))
        if not axes:
            return x
        if axes == [last]:
            return self.reduce(REDUCTIONS[op], x)
        if axes == list(range(len(axes))) and op == "sum":
            together = self.reshape(x, (math.prod(x.dims[: len(axes)]), *x.dims[len(axes) :]))
            return self.reshape(self.reduce(BATCH_SUM, together), kept)
        if axes[0] == 0 and isinstance(x.dims[0], Size):
            if op == "max":
                raise TraceError("the formula takes the largest value over the batch, which no kernel does")
            return self._reduce_along(op, self._reduce_along(op, x, axes[1:]), [0])
        others = [i for i in range(last + 1) if i not in axes]
        moved = self.permute(x, [*others, *axes])
        rows = self.reshape(moved, (*(x.dims[i] for i in others), math.prod(x.dims[i] for i in axes)))
        return self.reshape(self.reduce(REDUCTIONS[op], rows), kept)

    def cast(self, x: Node, dtype: str) -> Node:
        return x if x.dtype == dtype else self.add("astype", (x,), dtype, dtype, x.dims)

    def matmul(self, a: Node, b: Node) -> Node:
        """The product of matrices, of stacks of them, and of vectors, as the standard defines it."""
        if not isinstance(a, Node) or not isinstance(b, Node) or a.graph is not self or b.graph is not self:
            raise TraceError("a matrix product is one of two arrays of the formula's: xp.matmul(a, b)")
        if a.dtype != "float" or b.dtype != "float" or not a.dims or not b.dims:
            raise TraceError("a matrix product is one of arrays of floats with one axis or more")
        if len(a.dims) == 1:
            return self.reshape(
                self.matmul(self.reshape(a, (1, *a.dims)), b), (*b.dims[:-2], *b.dims[-1:])[: max(len(b.dims) - 1, 0)]
            )
        if len(b.dims) == 1:
            return self.reshape(self.matmul(a, self.reshape(b, (*b.dims, 1))), a.dims[:-1])
        if a.dims[-1] != b.dims[-2]:
            raise TraceError(f"a matrix product of shapes {a.dims} and {b.dims} doesn't fit together")
        dims = (*broadcast(a.dims[:-2], b.dims[:-2]), a.dims[-2], b.dims[-1])
        return self.add("matmul", (a, b), None, "float", dims)

    def reshape(self, x: Node, shape: Sequence[Any]) -> Node:
        """The same elements in the same order; one dimension may be -1."""
        dims = _whole_shape(x, tuple(shape))
        while x.op == "reshape":
            x = x.args[0]
        return x if dims == x.dims else self.add("reshape", (x,), dims, x.dtype, dims)

    def permute(self, x: Node, order: Sequence[int]) -> Node:
        """The axes in another order."""
        order = tuple(a % len(x.dims) for a in order)
        if sorted(order) != list(range(len(x.dims))):
            raise TraceError(f"permute_dims: {order} isn't an order of {len(x.dims)} axes")
        if x.op == "permute_dims":
            x, order = x.args[0], tuple(x.value[a] for a in order)
        if order == tuple(range(len(order))):
            return x
        return self.add("permute_dims", (x,), order, x.dtype, tuple(x.dims[a] for a in order))

    def broadcast_to(self, x: Node, shape: Sequence[Any]) -> Node:
        """x along more axes."""
        dims = tuple(shape)
        if broadcast(x.dims, dims) != dims:
            raise TraceError(f"an array of shape {x.dims} can't be broadcast to {dims}")
        return x if dims == x.dims else self.add("broadcast_to", (x,), dims, x.dtype, dims)

    def concat(self, arrays: Sequence[Node], axis: int) -> Node:
        """Arrays one behind the other along an axis that is not the batch's."""
        first = arrays[0]
        axis %= len(first.dims)
        lengths = [a.dims[axis] for a in arrays]
        for a in arrays:
            if (*a.dims[:axis], *a.dims[axis + 1 :]) != (*first.dims[:axis], *first.dims[axis + 1 :]):
                raise TraceError(f"concat: shapes {first.dims} and {a.dims} differ in more than axis {axis}")
        if not all(isinstance(n, int) for n in lengths):
            raise TraceError("concat: arrays can't be joined along the batch")
        dtype = _common(arrays)
        cast = tuple(self.cast(a, dtype) for a in arrays)
        if len(cast) == 1:
            return cast[0]
        return self.add("concat", cast, axis, dtype, (*first.dims[:axis], sum(lengths), *first.dims[axis + 1 :]))

    def slice(self, x: Node, axis: int, start: int, step: int, count: int) -> Node:
        """`count` of the places along an axis: start, start + step, ..."""
        if (start, step, count) == (0, 1, x.dims[axis]):
            return x
        dims = (*x.dims[:axis], count, *x.dims[axis + 1 :])
        return self.add("slice", (x,), (axis, start, step, count), x.dtype, dims)

    def embed(self, x: Node, where: tuple[int, int, int, int], length: int) -> Node:
        """Zeros, `length` of them along an axis, but for x at the places that `slice` would take."""
        axis = where[0]
        dims = (*x.dims[:axis], length, *x.dims[axis + 1 :])
        return self.add("embed", (x,), where, x.dtype, dims)

    def take(self, x: Node, indices: Node, axis: int) -> Node:
        """The places along an axis that an array with one axis tells."""
        if not isinstance(indices, Node) or indices.dtype != "int" or len(indices.dims) != 1:
            raise TraceError("take: indices must be whole numbers with one axis")
        axis %= len(x.dims)
        dims = (*x.dims[:axis], *indices.dims, *x.dims[axis + 1 :])
        return self.add("take", (x, indices), axis, x.dtype, dims)


def broadcast(*shapes: Dims) -> Dims:
    """The shape of an operation on arrays of these shapes. Raises TraceError where they don't fit."""
    rank = max(map(len, shapes), default=0)
    found = []
    for sizes in zip(*((1,) * (rank - len(s)) + tuple(s) for s in shapes), strict=True):
        wide = {d for d in sizes if d != 1}
        if len(wide) > 1:
            raise TraceError(f"arrays of shapes {', '.join(map(str, shapes))} can't be combined")
        found.append(wide.pop() if wide else 1)
    return tuple(found)


def _whole_shape(x: Node, shape: Dims) -> Dims:
    """The shape, with a number or a size in the place of -1."""
    count = math.prod(x.dims)
    known = math.prod(d for d in shape if not (isinstance(d, int) and d == -1))
    if all(isinstance(d, Size) or d != -1 for d in shape):
        if known != count:
            raise TraceError(f"an array of shape {x.dims} can't be reshaped to {shape}")
        return shape
    factors = [(n.times, n.name) if isinstance(n, Size) else (n, None) for n in (count, known)]
    (times, name), (part, other) = factors
    if part == 0 or times % part or (other is not None and other != name):
        raise TraceError(f"an array of shape {x.dims} can't be reshaped to {shape}")
    rest: Any = times // part if other is not None or name is None else Size(x.graph, name, times // part)
    return tuple(rest if not isinstance(d, Size) and d == -1 else d for d in shape)


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
            if isinstance(k, slice):
                start, stop, step = k.indices(length)
                count = len(range(start, stop, step))
            else:
                start, step, count = range(length)[k], 1, 1
            x = graph.slice(x, axis, start, step, count)
        if isinstance(k, slice):
            dims.append(x.dims[axis])
        axis += 1
    return graph.reshape(x, dims)


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
