"""The graph that nodes belong to: it makes them, and equal ones become one."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from deepmath.errors import TraceError
from deepmath.graph.nodes import (
    BATCH_SUM,
    COMPARISONS,
    FUNCTIONS,
    INTEGER,
    KINDS,
    LOGICAL,
    REDUCTIONS,
    Dims,
    Node,
    Size,
)


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
        dims = _whole_shape(x, dims_of(shape))
        while x.op == "reshape":
            x = x.args[0]
        return x if dims == x.dims else self.add("reshape", (x,), dims, x.dtype, dims)

    def permute(self, x: Node, order: Sequence[int]) -> Node:
        """The axes in another order."""
        order = tuple(axis_of(a, len(x.dims)) for a in order)
        if sorted(order) != list(range(len(x.dims))):
            raise TraceError(f"permute_dims: {order} isn't an order of {len(x.dims)} axes")
        if x.op == "permute_dims":
            x, order = x.args[0], tuple(x.value[a] for a in order)
        if order == tuple(range(len(order))):
            return x
        return self.add("permute_dims", (x,), order, x.dtype, tuple(x.dims[a] for a in order))

    def transpose(self, x: Node) -> Node:
        """The last two axes exchanged."""
        rank = len(x.dims)
        if rank < 2:
            raise TraceError(f"an array of shape {x.dims} is no matrix, and can't be transposed")
        return self.permute(x, (*range(rank - 2), rank - 1, rank - 2))

    def broadcast_to(self, x: Node, shape: Sequence[Any]) -> Node:
        """x along more axes."""
        dims = dims_of(shape)
        if broadcast(x.dims, dims) != dims:
            raise TraceError(f"an array of shape {x.dims} can't be broadcast to {dims}")
        return x if dims == x.dims else self.add("broadcast_to", (x,), dims, x.dtype, dims)

    def concat(self, arrays: Sequence[Node], axis: int) -> Node:
        """Arrays one behind the other along an axis that is not the batch's."""
        if not arrays or not all(isinstance(a, Node) for a in arrays):
            raise TraceError("concat: the arrays to join must be one or more of the formula's")
        first = arrays[0]
        axis = axis_of(axis, len(first.dims))
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
        if not where[3]:
            return self.broadcast_to(self.constant(0.0), dims)
        return self.add("embed", (x,), where, x.dtype, dims)

    def random(self, what: Any, rows: Any, units: Any) -> Node:
        """Whole numbers in [0, 2^24) [rows, units]; `what` says whose. `rows` are the batch's, or a multiple."""
        whole = isinstance(units, numbers.Integral) and not isinstance(units, bool)
        if not isinstance(rows, Size) or not whole:
            raise TraceError(
                f"bits(rows, units) takes the batch's rows, x.shape[0], and a whole number; got {rows, units}"
            )
        return self.add("random", (), (what, int(units)), "int", (*dims_of([rows]), int(units)))

    def take(self, x: Node, indices: Node, axis: int) -> Node:
        """The places along an axis that an array with one axis tells."""
        if not isinstance(indices, Node) or indices.dtype != "int" or len(indices.dims) != 1:
            raise TraceError("take: indices must be whole numbers with one axis")
        axis = axis_of(axis, len(x.dims))
        dims = (*x.dims[:axis], *indices.dims, *x.dims[axis + 1 :])
        return self.add("take", (x, indices), axis, x.dtype, dims)


def axis_of(axis: int, rank: int) -> int:
    """An axis counted from the front. Raises TraceError where there is none."""
    if not -rank <= axis < rank:
        raise TraceError(f"the formula names axis {axis} of an array that has {rank}")
    return axis % rank


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


def dims_of(shape: Sequence[Any]) -> Dims:
    """Dimensions as a graph keeps them, from a shape that a formula gives."""
    return tuple(Size(d.graph, d.name, d.times) if isinstance(d, Size) else d for d in shape)


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
