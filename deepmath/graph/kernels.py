"""The kernels that a graph is cut into, as data: products, maps, copies; and how an array lies in a map's space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from deepmath.errors import TraceError
from deepmath.graph.nodes import ARRAYS, BATCH_SUM, Dims, Node, Size

RANK_OF_COPIES = 4
"""The axes that a copy has within a row of the batch, at most."""
LEAVES = {"argument", "constant", "size", "columns", "index"}


class Space(NamedTuple):
    """What a map goes over: `rows` for each row of the batch (in all, where it is not `batched`), and columns."""

    batched: bool
    rows: int
    columns: int


def space_of(dims: Dims) -> Space:
    """An array as rows and columns: its last axis are the columns.

    >>> space_of((4, 3)), space_of((3,))
    (Space(batched=False, rows=4, columns=3), Space(batched=False, rows=1, columns=3))
    """
    if any(isinstance(d, Size) for d in dims[1:]):
        raise TraceError("the batch must stay the first axis of an array, but for a product of matrices")
    batched = bool(dims) and isinstance(dims[0], Size)
    lead = [d.times if isinstance(d, Size) else d for d in dims]
    columns = 1 if batched and len(dims) == 1 else (lead[-1] if dims else 1)
    return Space(batched, math.prod(lead) // columns if columns else math.prod(lead[:-1]), columns)


class Operand(NamedTuple):
    """A matrix that a product reads: an array [rows, columns], or its transpose."""

    array: Node
    turned: bool


@dataclass
class Kernel:
    """One piece of work: the arrays that it reads, those that it writes, and when it can run at the earliest."""

    inputs: list[Node]
    outputs: list[Node]
    depth: int


@dataclass
class Product(Kernel):
    """outputs[0] = a b. `batched`: the result has the batch's rows; `over_batch`: the sum goes over them."""

    a: Operand
    b: Operand
    batched: bool
    over_batch: bool


@dataclass
class Map(Kernel):
    """Elements and rows of a space. `kinds` says how each input, then each output, lies in it: "element", "row",
    "column" or "cell" (one number for all); an output that is "column" is a sum over the rows.
    """

    space: Space
    kinds: list[str]


class Piece(NamedTuple):
    """One block of a copy. Strides and offsets count elements within a row of the batch, if there is one."""

    source: Node
    dims: tuple[int, ...]
    source_strides: tuple[int, ...]
    source_offset: int
    strides: tuple[int, ...]
    offset: int


@dataclass
class Copy(Kernel):
    """Blocks of elements that change places; `zeroed` where they leave gaps, which are zeros."""

    pieces: list[Piece]
    zeroed: bool


@dataclass
class Take(Kernel):
    """Places along the first axis of inputs[0] that inputs[1] tells."""


@dataclass
class Random(Kernel):
    """24 random bits for each row and unit; `layer` is what the counter holds."""

    layer: int


@dataclass
class Opaque(Kernel):
    """What the reference runs: a part of the network in one direction."""

    owner: tuple[str, str]
    names: list[str] = field(default_factory=list)


def root(node: Node) -> Node:
    """The array whose elements a node's are, in the same order."""
    while node.op == "reshape":
        node = node.args[0]
    return node


def summed_space(node: Node) -> Space:
    """The space of a sum over the first axis: that axis are its rows, all others together its columns."""
    first, *rest = node.args[0].dims
    batched = isinstance(first, Size)
    return Space(batched, first.times if batched else first, math.prod(rest))


def fills(space: Space, dims: Dims) -> bool:
    """Whether an array's elements are those of the space, in the same order."""
    own = space_of(dims)
    return own.batched == space.batched and own.rows * own.columns == space.rows * space.columns


def kind_in(space: Space, dims: Dims) -> str:
    """How an array of these dimensions lies in a space, or nothing."""
    own = space_of(dims)
    if own[1:] == (1, 1) and not own.batched:
        return "cell"
    if own.batched == space.batched and own.rows == space.rows:
        if own.columns == space.columns:
            return "element"
        if own.columns == 1:
            return "row"
    if not own.batched and own.rows == 1 and own.columns == space.columns:
        return "column"
    return ""


def is_number(node: Node) -> bool:
    """A scalar that is made of numbers alone; every kernel computes it by itself."""
    if node.op in ("argument", "constant", "size", "columns"):
        return node.dims == () and not str(node.value).startswith(("params.", "state."))
    return node.dims == () and node.op not in ARRAYS and all(map(is_number, node.args))


def is_turn(node: Node) -> bool:
    """A matrix transposed, which a product reads as it is."""
    return node.op == "permute_dims" and node.value == (1, 0)


def is_copy(node: Node) -> bool:
    """What moves elements to other places."""
    if node.op == "broadcast_to":
        return not (is_number(node.args[0]) or kind_in(space_of(node.dims), node.args[0].dims))
    return node.op in ("permute_dims", "concat", "slice", "embed") and not is_turn(node)


def is_map(node: Node) -> bool:
    """An operation on elements, or along a row of them."""
    if node.op == "broadcast_to":
        return not is_copy(node)
    return node.op not in ARRAYS and node.op not in LEAVES and node.op != BATCH_SUM


def _strides(dims: Sequence[int]) -> tuple[int, ...]:
    found, step = [], 1
    for d in reversed(dims):
        found.append(step)
        step *= d
    return tuple(reversed(found))


def _within(dims: Dims) -> tuple[int, ...]:
    """The dimensions within one row of the batch."""
    lead = dims[0] if dims else 1
    return (lead.times, *dims[1:]) if isinstance(lead, Size) else tuple(dims)


def copy_pieces(node: Node) -> tuple[list[Piece], bool]:
    """The blocks that a change of places moves, and whether the rest is zeros."""
    pieces, zeroed = _pieces(node)
    return [_narrowed(piece) for piece in pieces], zeroed


def broadcast_piece(x: Node, dims: Dims) -> Piece:
    """The block that spreads an array along more axes."""
    whole, inner = _within(dims), _within(x.dims)
    extra = len(whole) - len(inner)
    padded, steps = (1,) * extra + inner, (0,) * extra + _strides(inner)
    given = tuple(0 if p == 1 else s for p, s in zip(padded, steps, strict=True))
    return _narrowed(Piece(x, whole, given, 0, _strides(whole), 0))


def _narrowed(piece: Piece) -> Piece:
    """The same block with as few axes as it can have: those of length one leave, and neighbours become one."""
    axes: list[tuple[int, int, int]] = []
    for length, given, apart in zip(piece.dims, piece.source_strides, piece.strides, strict=True):
        if length == 1:
            continue
        if axes and axes[-1][1:] == (length * given, length * apart):
            axes[-1] = (axes[-1][0] * length, given, apart)
        else:
            axes.append((length, given, apart))
    dims, source_strides, strides = zip(*axes, strict=True) if axes else ((1,), (0,), (0,))
    return piece._replace(dims=dims, source_strides=source_strides, strides=strides)


def _pieces(node: Node) -> tuple[list[Piece], bool]:
    op, dims = node.op, _within(node.dims)
    strides = _strides(dims)
    x = node.args[0]
    inner = _within(x.dims)
    if op == "permute_dims":
        moved = tuple(_strides(inner)[a] for a in node.value)
        if isinstance(x.dims[0], Size) and node.value[0] != 0:
            raise TraceError("the batch must stay the first axis of an array, but for a product of matrices")
        return [Piece(x, dims, moved, 0, strides, 0)], False
    if op == "broadcast_to":
        return [broadcast_piece(x, node.dims)], False
    if op == "concat":
        pieces, at = [], 0
        for a in node.args:
            own = _within(a.dims)
            pieces.append(Piece(a, own, _strides(own), 0, strides, at * strides[node.value]))
            at += own[node.value]
        return pieces, False
    axis, start, step, *_ = node.value
    long, short = (_strides(inner), strides) if op == "slice" else (strides, _strides(inner))
    apart = tuple(s * step if i == axis else s for i, s in enumerate(long))
    if op == "slice":
        return [Piece(x, dims, apart, start * long[axis], short, 0)], False
    return [Piece(x, inner, short, 0, apart, start * long[axis])], True


def describe(kernels: Sequence[Kernel], outputs: Mapping[str, Node]) -> list[str]:
    """One line for each kernel: what it writes, what it is, what it reads, and which operations a map is made of.

    Outputs have their names, arguments theirs, and what is handed from kernel to kernel a number.
    """
    names = {root(node).number: name for name, node in outputs.items()}

    def named(node: Node) -> str:
        node = root(node)
        return str(node.value) if node.op == "argument" else names.get(node.number, f"%{node.number}")

    lines = []
    for k in kernels:
        writes = ", ".join(f"{named(n)}[{', '.join(map(str, n.dims))}]" for n in k.outputs)
        what = f"{type(k).__name__.lower()}({', '.join(_turned(k, i, named(n)) for i, n in enumerate(k.inputs))})"
        lines.append(f"{writes} = {what}{_operations(k)}")
    return lines


def _turned(k: Kernel, i: int, name: str) -> str:
    return f"{name}^T" if isinstance(k, Product) and (k.a, k.b)[i].turned else name


def _operations(k: Kernel) -> str:
    if not isinstance(k, Map):
        return ""
    found: list[str] = []
    for node in body(k):
        if node.op not in LEAVES and node.op not in found:
            found.append(node.op)
    return f": {' '.join(found)}"


def body(k: Map) -> list[Node]:
    """The nodes that a map computes, in their order, and the numbers among them that it is given."""
    given = {n.number for n in k.inputs}
    found: dict[int, Node] = {}
    stack = list(k.outputs)
    while stack:
        node = stack.pop()
        if node.number in found or node.number in given:
            continue
        found[node.number] = node
        stack.extend(node.args)
    return [found[n] for n in sorted(found)]
