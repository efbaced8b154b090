"""Kernels of a cut graph as calls of machine code: which function, and what its `a` holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from deepmath.formulas.random import NOISE
from deepmath.graph import BATCH_SUM, Node, Size
from deepmath.graph.kernels import RANK_OF_COPIES, Copy, Kernel, Map, Operand, Piece, Product, Random, Space, Take, root
from deepmath.graph.maps import formula_of
from deepmath.graph.maps import value_of as value_of
from deepmath_numpy import compiled

OFFSET, FIRST, STEP, ROW, ROWS = range(5)
"""Places in c of what each launch sets: where its rows begin in the order, the place of its first row in the logical
batch, the step's number, the row of the sums that it fills, its number of rows."""
LAUNCH = 5
"""How many they are; the optimiser's coefficients come next."""


@dataclass
class Call:
    """One call: `address` is the function, `a` its words; `rows` for each row of the batch, or in all."""

    name: str
    address: int
    a: Any
    batched: bool
    rows: int
    columns: int
    whole: bool = False
    """Whether it must have all of its columns at once."""
    work: float = 0.0
    """Multiplications, for each row."""
    outputs: tuple[int, ...] = ()
    """The numbers of the nodes that it writes."""
    inputs: tuple[int, ...] = ()
    over_batch: bool = False
    """Whether it needs all rows of the batch at once, for a sum of each column."""


class Place(NamedTuple):
    """Where an array lies: its address, and the numbers between two rows of the batch."""

    address: int
    apart: int


@dataclass
class Lowering:
    """Turns kernels into calls. `places` holds the arrays by the number of their root, `numbers` the places in c."""

    precision: str
    places: Mapping[int, Place]
    numbers: Callable[[str, float | None], int]
    seed: int
    capacity: int
    item: int = field(init=False)

    def __post_init__(self) -> None:
        self.item = np.dtype(self.precision).itemsize

    def calls(self, kernel: Kernel) -> list[Call]:
        """The calls that do a kernel's work, one after the other."""
        if isinstance(kernel, Product):
            return [self._product(kernel)]
        if isinstance(kernel, Map):
            return [self._map(kernel)]
        if isinstance(kernel, Copy):
            return self._copy(kernel)
        if isinstance(kernel, Random):
            return self._random(kernel)
        assert isinstance(kernel, Take), kernel
        return [self._take(kernel)]

    def place(self, node: Node) -> Place:
        return self.places[root(node).number]

    def _matrix(self, operand: Operand) -> tuple[int, int, int]:
        """Address, row stride and column stride of an operand."""
        columns = last(operand.array)
        address = self.place(operand.array).address
        return (address, 1, columns) if operand.turned else (address, columns, 1)

    def _product(self, k: Product) -> Call:
        node = k.outputs[0]
        rows, columns = size_within(node.dims[:-1]), int(node.dims[-1])
        inner = node.args[0].dims[-1]
        inner = -inner.times if isinstance(inner, Size) else inner
        words = [*self._matrix(k.a), *self._matrix(k.b), self.place(node).address, columns, inner, 0]
        work = 2.0 * rows * columns * abs(inner)
        return Call(
            "product", compiled.product(self.precision), words_of(words), k.batched, rows, columns, work=work,
            outputs=(node.number,), inputs=tuple(root(n).number for n in k.inputs),
        )  # fmt: skip

    def _map(self, k: Map) -> Call:
        formula, kinds, reads, scalars, whole = formula_of(k)
        names = [f"o{i}" for i in range(len(k.outputs))]
        address, entries = compiled.loop(formula, kinds, names, self.precision, k.space.columns)
        words: list[int] = []
        for entry in entries:
            if entry.kind == "scalar":
                node = scalars[int(entry.name[1:])]
                words.append(self.numbers("rows" if node.op == "size" else node.value, None))
            else:
                i = int(entry.name.removeprefix("out_")[1:])
                node, kind = (reads[i], k.kinds[i]) if entry.name[0] == "a" else (k.outputs[i], k.kinds[len(reads) + i])
                words += [self.place(node).address, self._stride(node, kind, k.space)]
        return Call(
            "map", address, words_of(words), k.space.batched, k.space.rows, k.space.columns, whole,
            work=4.0 * k.space.rows * k.space.columns, outputs=tuple(o.number for o in k.outputs),
            inputs=tuple(root(n).number for n in k.inputs), over_batch=k.outputs[0].op == BATCH_SUM,
        )  # fmt: skip

    def _stride(self, node: Node, kind: str, space: Space) -> int:
        if kind == "element":
            return space.columns
        return 1 if kind == "row" else 0

    def _copy(self, k: Copy) -> list[Call]:
        node = k.outputs[0]
        found = []
        if k.zeroed:
            found.append(self._piece(node, None, Piece(node, (math.prod(within(node)),), (0,), 0, (1,), 0)))
        pieces = [self._piece(node, piece.source, piece) for piece in k.pieces]
        for call in pieces if k.zeroed else ():
            call.inputs += (node.number,)  # the zeros come first
        return found + pieces

    def _piece(self, node: Node, source: Node | None, piece: Piece) -> Call:
        """One block; without a source it is zeros."""
        batched = bool(node.dims) and isinstance(node.dims[0], Size)
        out = self.place(node)
        bits = 64 if node.dtype == "int" else 8 if node.dtype == "bool" else 8 * self.item
        given = Place(compiled.zeros().ctypes.data, 0) if source is None else self.place(source)
        repeated = source is not None and not (source.dims and isinstance(source.dims[0], Size))
        pad = RANK_OF_COPIES - len(piece.dims)
        words = [
            out.address,
            out.apart,
            piece.offset,
            given.address,
            0 if repeated else given.apart,
            piece.source_offset,
        ]
        words += [1] * pad + [*piece.dims] + [0] * pad + [*piece.strides] + [0] * pad + [*piece.source_strides]
        return Call(
            "copy", compiled.move(self.precision, f"copy{bits}"), words_of(words), batched, 1, 1,
            work=float(math.prod(piece.dims)), outputs=(node.number,),
            inputs=() if source is None else (root(source).number,),
        )  # fmt: skip

    def _take(self, k: Take) -> Call:
        table, indices = k.inputs
        size = size_within(table.dims[1:]) * (8 if table.dtype == "int" else self.item)
        words = [self.place(table).address, size, self.place(k.outputs[0]).address, size, size]
        words += [self.place(indices).address, self.numbers("zero", 0.0)]
        batched = isinstance(indices.dims[0], Size)
        rows = indices.dims[0].times if batched else indices.dims[0]
        return Call(
            "take", compiled.move(self.precision, "gather"), words_of(words), batched, rows, 1, work=float(size),
            outputs=(k.outputs[0].number,), inputs=(root(table).number, root(indices).number),
        )  # fmt: skip

    def _random(self, k: Random) -> list[Call]:
        """24 bits for each unit, in groups of four. Rows that are no multiple of four are packed from wider ones."""
        node = k.outputs[0]
        units, times = int(node.dims[1]), node.dims[0].times
        place, wide = self.place(node), wide_units(units)
        at = place.address if wide == units else place.address + 8 * units * times * self.capacity
        address, entries = compiled.random_bits(self.precision)
        given = {
            "first": FIRST, "step": STEP, "layer": self.numbers(f"layer {k.layer}", float(k.layer)),
            "seed": self.numbers("seed", float(self.seed & 0xFFFFFFFF)), "stream": self.numbers("stream", float(NOISE)),
            "times": self.numbers(f"times {times}", times),
        }  # fmt: skip
        words: list[int] = []
        for entry in entries:
            if entry.kind == "scalar":
                words.append(given[entry.name])
            else:
                words += [at + 8 * "pqrs".index(entry.name.removeprefix("out_")), wide]
        written = (node.number,)
        found = [
            Call("random", address, words_of(words), True, times, wide // 4, work=40.0 * units * times, outputs=written)
        ]
        if wide != units:
            block = [place.address, units, 0, at, wide, 0, 1, 1, 1, units, 0, 0, 0, 1, 0, 0, 0, 1]
            move = compiled.move(self.precision, "copy64")
            found.append(Call("copy", move, words_of(block), True, times, 1, outputs=written, inputs=written))
        return found


def words_of(words: Sequence[int]) -> Any:
    """Words of a call."""
    return np.asarray(words, np.int64)


def last(node: Node) -> int:
    """The number of columns of an array."""
    return int(node.dims[-1])


def within(node: Node) -> tuple[int, ...]:
    """The dimensions within a row of the batch."""
    head = node.dims[0] if node.dims else 1
    return (head.times, *node.dims[1:]) if isinstance(head, Size) else tuple(node.dims)


def wide_units(units: int) -> int:
    """Units in whole groups of four."""
    return -(-units // 4) * 4


def size_within(dims: Sequence[Any]) -> int:
    """How many numbers an array has for each row of the batch, or in all."""
    return math.prod(d.times if isinstance(d, Size) else int(d) for d in dims)


def strides(dims: Sequence[int]) -> tuple[int, ...]:
    """Strides of a packed block."""
    return tuple(math.prod(dims[i + 1 :]) for i in range(len(dims)))
