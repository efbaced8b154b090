"""A graph of arrays cut into kernels: products of matrices, and maps of elements between them.

Element-wise operations with their row reductions over one space of rows and columns are one map. Reshapes are no work
at all; other changes of shape are copies where no product can read them as they are. A value is stored where a kernel
hands it to another; what is cheap is computed again instead. The kernels, in the order in which they can run, are data:
backends print them, `describe` shows them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from deepmath.errors import TraceError
from deepmath.graph.nodes import ARRAYS, BATCH_SUM, REDUCTIONS, Dims, Graph, Node, Size, needed

CHEAP = {"+", "-", "*", "neg", "abs", "where", "maximum", "minimum", "astype", "sign", "broadcast_to"}
CHEAP |= {"<", "<=", ">", ">=", "==", "!=", "logical_and", "logical_or", "logical_not"}
"""Operations that cost less than a trip to memory."""
MOST_CHEAP = 6
"""How many of them are computed again at most, for one value."""
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


def cut(graph: Graph, outputs: Sequence[Node]) -> list[Kernel]:
    """The kernels that compute these nodes, each after what it needs."""
    return _Cut(graph, [root(o) for o in outputs]).kernels()


def check(nodes: Iterable[Node]) -> None:
    """Raise TraceError for a node that no kernel computes: then what it belongs to runs without one."""
    for node in nodes:
        if node.op == "matmul":
            if len(node.args[1].dims) != 2:
                raise TraceError("a product of stacks of matrices has no kernel yet")
        elif is_turn(node):
            continue  # only a product may read it, and whatever else does is refused in its turn
        elif is_copy(node):
            if max(len(piece.dims) for piece in copy_pieces(node)[0]) > RANK_OF_COPIES:
                raise TraceError(f"an array of more than {RANK_OF_COPIES} axes can't be copied by a kernel")
        elif node.op != "reshape" or any(isinstance(d, Size) for d in node.dims):
            space_of(node.dims)


class _Cut:
    def __init__(self, graph: Graph, outputs: list[Node]) -> None:
        self.graph, self.outputs = graph, outputs
        self._make_copies_explicit()
        self.order = _in_order(outputs)
        self.space: dict[int, Space] = {}
        self.depth: dict[int, int] = {}
        self.stored: set[int] = set()
        for node in self.order:
            self._place(node)
        self._sink()
        self._store()

    def _make_copies_explicit(self) -> None:
        """Where an array lies in no way in the space of an operation on it, a broadcast copy of it does."""
        for node in needed(self.outputs):
            if not is_map(node) or is_number(node):
                continue
            space = space_of(node.args[0].dims if node.op in REDUCTIONS.values() else node.dims)
            args = []
            for a in node.args:
                plain = is_number(a) or kind_in(space, a.dims)
                args.append(a if plain else self.graph.add("broadcast_to", (a,), node.dims, a.dtype, node.dims))
            node.args = tuple(args)

    def _place(self, node: Node) -> None:
        """The space of a map, and the depth of a node: kernels of one depth don't depend on each other."""
        depth = 0
        if is_map(node) and not is_number(node):
            space = self._space(node)
            self.space[node.number] = space
            for a in node.args:
                if is_number(a) or a.op in LEAVES:
                    continue
                below = root(a)
                same = below is a and is_map(a) and self.space.get(a.number) == space
                depth = max(depth, self.depth[below.number] + (0 if same else 1))
        elif node.op == "reshape":
            depth = self.depth[node.args[0].number]
        else:
            depth = max((self.depth[root(a).number] + 1 for a in node.args), default=0)
        self.depth[node.number] = depth

    def _sink(self) -> None:
        """What is made of arguments alone goes to the kernel that uses it, if that is one."""
        users: dict[int, list[Node]] = {}
        early: set[int] = set()
        for node in self.order:
            for a in node.args:
                users.setdefault(a.number, []).append(node)
            if node.number in self.space and all(
                a.op in LEAVES or is_number(a) or a.number in early for a in node.args
            ):
                early.add(node.number)
        for node in reversed(self.order):
            of = users.get(node.number, [])
            if node.number in early and of and all(u.number in self.space for u in of):
                deepest = {(self.space[u.number], self.depth[u.number]) for u in of}
                if len(deepest) == 1 and kind_in(next(iter(deepest))[0], node.dims):
                    self.space[node.number], self.depth[node.number] = next(iter(deepest))

    def _space(self, node: Node) -> Space:
        if node.op in REDUCTIONS.values():
            return self.space.get(node.args[0].number) or space_of(node.args[0].dims)
        own = space_of(node.dims)
        if own.columns == 1:  # what a row shares goes along with the elements of the row
            for a in node.args:
                found = self.space.get(a.number)
                if found is not None and found[:2] == own[:2] and self._as_row(a, found):
                    return found
        return own

    def _as_row(self, a: Node, space: Space) -> bool:
        return space.columns > 1 and kind_in(space, a.dims) == "row"

    def region(self, node: Node) -> tuple[Space, int]:
        return self.space[node.number], self.depth[node.number]

    def _store(self) -> None:
        """Decide which values are stored: what no map can hand on, and what is dear to compute again."""
        self.stored = {
            n.number for n in self.order if n.op in ("argument", "random", "opaque", "take", BATCH_SUM, "matmul")
        }
        self.stored |= {n.number for n in self.order if is_copy(n)} | {o.number for o in self.outputs}
        for node in self.order:
            if node.op in ("matmul", "opaque", "take") or is_copy(node):
                self.stored |= {root(self._read(a)).number for a in node.args}
            elif node.op == "reshape" and is_map(root(node)):
                self.stored.add(root(node).number)
        for node in self.order:
            if node.op != BATCH_SUM and not (is_map(node) and not is_number(node)):
                continue
            for a in node.args:
                if is_number(a) or a.number in self.stored or not is_map(a):
                    continue
                inside = node.op != BATCH_SUM and self.region(a) == self.region(node)
                if not inside and not self._again(a, node):
                    self.stored.add(a.number)

    def _read(self, a: Node) -> Node:
        """What a product reads of an operand: the array that a transposition turns."""
        inner = root(a)
        return inner.args[0] if is_turn(inner) else a

    def _again(self, node: Node, user: Node) -> bool:
        """Whether a value is computed again from what is stored, in the kernel of its user."""
        space = space_of(user.args[0].dims) if user.op == BATCH_SUM else self.space[user.number]
        found, leaves, stack = 0, set(), [node]
        while stack:
            n = stack.pop()
            if is_number(n) or n.op == "index":
                continue
            if n.number in self.stored or n.op == "reshape":
                if not kind_in(space, n.dims) or root(n).number not in self.stored:
                    return False
                leaves.add(n.number)
                continue
            if n.op not in CHEAP or not kind_in(space, n.dims):
                return False
            found += 1
            stack.extend(n.args)
        return found <= MOST_CHEAP and len(leaves) <= 2 + (node.dtype == "bool")

    def kernels(self) -> list[Kernel]:
        """All of them, by depth."""
        found: list[Kernel] = []
        regions: dict[Any, list[Node]] = {}
        opaque: dict[Any, Opaque] = {}
        for node in self.order:
            if node.op == "matmul":
                found.append(self._product(node))
            elif node.op == "random":
                found.append(Random([], [node], 0, layer=node.value[0]))
            elif node.op == "take":
                found.append(Take([root(a) for a in node.args], [node], self.depth[node.number]))
            elif node.op == "opaque":
                self._opaque(node, opaque, found)
            elif is_copy(node):
                found.append(self._copy(node))
            elif node.op == BATCH_SUM:
                space = Space(*space_of(node.args[0].dims)[:2], 1)._replace(columns=math.prod(node.dims[1:]))
                found.append(self._map(space, [node], self.depth[node.number]))
            elif is_map(node) and not is_number(node) and node.number in self.stored:
                regions.setdefault(self.region(node), []).append(node)
        found += [self._map(space, nodes, depth) for (space, depth), nodes in regions.items()]
        return sorted(found, key=lambda k: (k.depth, k.outputs[0].number))

    def _map(self, space: Space, outputs: list[Node], depth: int) -> Map:
        own = {o.number for o in outputs}
        inputs: dict[int, Node] = {}
        seen: set[int] = set()
        stack = [a for o in outputs for a in o.args]
        while stack:
            node = stack.pop()
            if node.number in seen or node.number in own or is_number(node) or node.op == "index":
                continue
            seen.add(node.number)
            if node.op == "reshape" or node.number in self.stored:
                inputs[node.number] = node
            else:
                stack.extend(node.args)
        reads = [inputs[n] for n in sorted(inputs)]
        kinds = [kind_in(space, n.dims) for n in reads]
        kinds += ["column" if o.op == BATCH_SUM else kind_in(space, o.dims) for o in outputs]
        if not all(kinds):
            raise TraceError(f"a map over {space} can't read all of {[n.dims for n in reads]}")
        return Map(reads, outputs, depth, space, kinds)

    def _operand(self, a: Node) -> Operand:
        inner = root(a)
        return Operand(inner.args[0], True) if is_turn(inner) and a is inner else Operand(a, False)

    def _product(self, node: Node) -> Product:
        a, b = node.args
        if len(b.dims) != 2 or isinstance(node.dims[-1], Size):
            raise TraceError("a product of stacks of matrices has no kernel yet")
        left, right = self._operand(a), self._operand(b)
        over = isinstance(a.dims[-1], Size)
        return Product(
            [left.array, right.array], [node], self.depth[node.number], left, right,
            batched=isinstance(node.dims[0], Size), over_batch=over,
        )  # fmt: skip

    def _opaque(self, node: Node, known: dict[Any, Opaque], found: list[Kernel]) -> None:
        owner, name = node.value
        if owner not in known:
            known[owner] = Opaque([root(a) for a in node.args], [], self.depth[node.number], owner)
            found.append(known[owner])
        known[owner].outputs.append(node)
        known[owner].names.append(name)

    def _copy(self, node: Node) -> Copy:
        pieces, zeroed = copy_pieces(node)
        return Copy([root(a) for a in node.args], [node], self.depth[node.number], pieces, zeroed)


def _in_order(outputs: Sequence[Node]) -> list[Node]:
    """All nodes below `outputs`, each after what it needs: copies made explicit are younger than who uses them."""
    found: dict[int, Node] = {}
    for node in needed(outputs):
        for n in (*(a for a in node.args if a.number > node.number), node):
            found.setdefault(n.number, n)
    return list(found.values())


def is_number(node: Node) -> bool:
    """A scalar that is made of numbers alone; every kernel computes it by itself."""
    if node.op in ("argument", "constant", "size", "columns"):
        return node.dims == ()
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
        extra = len(dims) - len(inner)
        padded, steps = (1,) * extra + inner, (0,) * extra + _strides(inner)
        given = tuple(0 if p == 1 else s for p, s in zip(padded, steps, strict=True))
        return [Piece(x, dims, given, 0, strides, 0)], False
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
