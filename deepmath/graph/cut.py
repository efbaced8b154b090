"""A graph of arrays cut into kernels: products of matrices, and maps of elements between them.

Element-wise operations with their row reductions over one space of rows and columns are one map. Reshapes are no work
at all; other changes of shape are copies where no product can read them as they are. A value is stored where a kernel
hands it to another; what is cheap is computed again instead. The kernels, in the order in which they can run, are data:
backends print them, `describe` shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from deepmath.errors import TraceError
from deepmath.graph.graphs import Graph
from deepmath.graph.kernels import (
    LEAVES,
    RANK_OF_COPIES,
    Copy,
    Kernel,
    Map,
    Opaque,
    Operand,
    Piece,
    Product,
    Random,
    Space,
    Take,
    broadcast_piece,
    copy_pieces,
    fills,
    is_copy,
    is_map,
    is_number,
    is_turn,
    kind_in,
    root,
    space_of,
    summed_space,
)
from deepmath.graph.nodes import BATCH_SUM, REDUCTIONS, Node, Size, needed

CHEAP = {"+", "-", "*", "neg", "abs", "where", "maximum", "minimum", "astype", "sign", "broadcast_to"}
CHEAP |= {"<", "<=", ">", ">=", "==", "!=", "logical_and", "logical_or", "logical_not"}
"""Operations that cost less than a trip to memory."""
MOST_CHEAP = 6
"""How many of them are computed again at most, for one value."""


def cut(graph: Graph, outputs: Sequence[Node]) -> list[Kernel]:
    """The kernels that compute these nodes, each after what it needs."""
    return _Cut(graph, [root(o) for o in outputs]).kernels()


def check(nodes: Iterable[Node]) -> None:
    """Raise TraceError for a node that no kernel computes: then what it belongs to runs without one."""
    for node in nodes:
        if node.op != "matmul" and any(is_turn(root(a)) and isinstance(root(a).dims[-1], Size) for a in node.args):
            raise TraceError("the batch must stay the first axis of an array, but for a product of matrices")
        if node.op == "matmul":
            if len(node.args[1].dims) != 2 or isinstance(node.dims[-1], Size):
                raise TraceError("a product of stacks of matrices has no kernel yet")
        elif is_turn(node):
            continue  # only a product may read it, and whatever else does is refused in its turn
        elif is_copy(node):
            _check_rank(copy_pieces(node)[0])
        elif node.op != "reshape" or any(isinstance(d, Size) for d in node.dims):
            space = space_of(node.dims)
            if is_map(node) and node.op not in REDUCTIONS.values():
                spread = (a for a in node.args if not is_number(a) and not kind_in(space, a.dims))
                _check_rank([broadcast_piece(a, node.dims) for a in spread])


def _check_rank(pieces: Iterable[Piece]) -> None:
    if any(len(piece.dims) > RANK_OF_COPIES for piece in pieces):
        raise TraceError(f"an array of more than {RANK_OF_COPIES} axes can't be copied by a kernel")


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
        """Where an array lies in no way in the space of an operation on it, a broadcast copy of it does.

        A transposed matrix that not only products read is a copy, too: a list in the place of its tuple says so.
        """
        outputs = {o.number for o in self.outputs}
        for node in needed(self.outputs):
            for a in node.args:
                if is_turn(root(a)) and (node.op not in ("matmul", "reshape") or root(a) is not a):
                    root(a).value = [1, 0]
            if node.number in outputs and is_turn(node):
                node.value = [1, 0]
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
                reshaped = node.op == BATCH_SUM and space_of(a.dims) != summed_space(node)
                if reshaped or (not inside and not self._again(a, node)):
                    self.stored.add(a.number)

    def _read(self, a: Node) -> Node:
        """What a product reads of an operand: the array that a transposition turns."""
        inner = root(a)
        return inner.args[0] if is_turn(inner) else a

    def _again(self, node: Node, user: Node) -> bool:
        """Whether a value is computed again from what is stored, in the kernel of its user."""
        space = summed_space(user) if user.op == BATCH_SUM else self.space[user.number]
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
                space = summed_space(node)
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
        summed = outputs[0].op == BATCH_SUM
        kinds = [kind_in(space, n.dims) or ("element" if summed and fills(space, n.dims) else "") for n in reads]
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
