"""What the loop nests of a kernel in LLVM IR share: loops, places in memory, and values at a place of the nest."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import ir

from deepmath.graph import Node
from deepmath.printers.loops import Kernel, is_virtual
from deepmath.printers.vectors import I8, I32, I64, POINTER, Vectors, computed

MASKED = 64
"""Bytes of vectors that can be masked at no cost, so that a loop needs no second copy for the last columns."""

Lookup = Callable[[Node], Any]
Output = tuple[str, str, Node]


def loop(b: Any, start: Any, stop: Any, step: int, carried: Sequence[Any], body: Callable[..., Any]) -> list[Any]:
    """start, start + step, ... below stop; `body(index, carried)` gives what is carried on."""
    before, inside, after = b.block, b.append_basic_block(), b.append_basic_block()
    b.cbranch(b.icmp_signed("<", start, stop), inside, after)
    b.position_at_end(inside)
    index, old = b.phi(I64), [b.phi(value.type) for value in carried]
    new = body(index, old)
    following, end = b.add(index, I64(step)), b.block
    b.cbranch(b.icmp_signed("<", following, stop), inside, after)
    b.position_at_end(after)
    results = [b.phi(value.type) for value in carried]
    for phi, value, first in zip([index, *old], [following, *new], [start, *carried], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(value, end)
    for result, value, first in zip(results, new, carried, strict=True):
        result.add_incoming(first, before)
        result.add_incoming(value, end)
    return results


class Nest(abc.ABC):
    """A loop nest over one block: where arrays lie, and the values that don't change in the loops.

    `entries` is what `deepmath.printers.llvm.entries` gives. `vectors` and `scalars` print operations, both by
    `builder`. `rows` and `ends` are where the block's rows and columns begin and end, `columns` counts them.
    """

    def __init__(self, kernel: Kernel, vectors: Vectors, entries: Sequence[Any], column_steps: Mapping[str, int]):
        self.kernel, self.vectors, self.entries, self.column_steps = kernel, vectors, entries, column_steps
        self.builder, self.lanes = vectors.builder, vectors.lanes
        self.scalars = Vectors(vectors.module, vectors.builder, vectors.precision, 1, vectors.inline)
        self.masks = vectors.lanes * vectors.size >= MASKED
        self.dtype = {e.name: e.dtype for e in entries}
        self.kind = {e.name: e.kind for e in entries}
        self.address: dict[str, Any] = {}
        self.base: dict[str, Any] = {}
        self.stride: dict[str, Any] = {}
        self.fixed: dict[int, Any] = {}
        self.rows: Any = None
        self.ends: Any = None
        self.columns: Any = None

    @abc.abstractmethod
    def emit(self) -> None:
        """Print the loops."""

    def begin(self, given: Sequence[Any]) -> None:
        """Read `a` and `c`, and compute what doesn't change."""
        b = self.builder
        a, numbers, _, *bounds = given
        self.rows, self.ends = bounds[:2], bounds[2:]
        self.columns = b.sub(bounds[3], bounds[2])
        indices, place = {}, 0
        for entry in self.entries:
            read = [b.load(b.gep(a, [I64(place + i)], source_etype=I64), align=8, typ=I64) for i in range(entry.places)]
            place += entry.places
            if entry.kind == "scalar":
                indices[entry.name] = read[0]
            else:
                self.address[entry.name], self.stride[entry.name] = read
                self.base[entry.name] = b.inttoptr(read[0], POINTER)
        for node in self.kernel.hoisted:
            self.fixed[node.number] = self._fixed(node, indices, numbers)

    def turned(self, other: type[Nest], outputs: Sequence[Output]) -> Nest:
        """Another nest over the same block, for some of the outputs."""
        kernel = self.kernel._replace(outputs=tuple(outputs))
        nest = other(kernel, self.vectors, self.entries, self.column_steps)
        nest.address, nest.base, nest.stride, nest.fixed = self.address, self.base, self.stride, self.fixed
        nest.rows, nest.ends, nest.columns = self.rows, self.ends, self.columns
        return nest

    def _fixed(self, node: Node, indices: Mapping[str, Any], numbers: Any) -> Any:
        b, number, double = self.builder, self.scalars.types["float"], ir.DoubleType()
        if node.op == "size":
            return b.sitofp(self.columns if node.value == "columns" else b.sub(self.rows[1], self.rows[0]), number)
        if node.op != "argument":
            return self.scalars.evaluate(node, lambda n: self.fixed[n.number])
        read = b.load(b.gep(numbers, [indices[node.value]], source_etype=double), align=8, typ=double)
        if node.dtype != "float":
            return self.scalars.cast(b.fptosi(read, I64), "int", node.dtype)
        return b.fptrunc(read, number) if number != double else read

    # Places in memory

    def pointer(self, name: str, row: Any = None, column: Any = None) -> Any:
        """Where an array's number at (row, column) lies."""
        at = self.base[name]
        if row is not None:
            at = self.moved(at, name, self.builder.mul(row, self.stride[name]))
        return at if column is None else self.moved(at, name, column)

    def moved(self, pointer: Any, name: str, places: Any) -> Any:
        """So many of an array's numbers behind `pointer`."""
        element = I8 if self.dtype[name] == "bool" else self.scalars.types[self.dtype[name]]
        return self.builder.gep(pointer, [places], source_etype=element)

    def size(self, name: str) -> int:
        """Bytes of an array's number."""
        return {"float": self.vectors.size, "int": 8, "bool": 1}[self.dtype[name]]

    def step_of(self, name: str) -> int:
        """How far apart an array's neighbours along a row lie."""
        return self.column_steps.get(name.removeprefix("out_"), 1)

    def is_array(self, node: Node) -> bool:
        """Whether a node is read from memory."""
        return node.op == "argument" and not is_virtual(node, self.kernel)

    def mask(self, place: Any, stop: Any) -> Any:
        """The lanes of a vector at `place` that lie in front of `stop`; None where there are no lanes."""
        b, v, most = self.builder, self.vectors, I64(self.lanes)
        if self.lanes == 1:
            return None
        left = b.sub(stop, place)
        few = b.select(b.icmp_signed("<", left, most), left, most)
        return b.icmp_signed("<", v.numbers(I32), v.splat(b.trunc(few, I32)))

    def over_columns(self, stop: Any, copies: int, carried: Sequence[Any], body: Callable[..., Any]) -> list[Any]:
        """Blocks of `copies` vectors, then what is left by single masked ones: `body(j, carried, copies, mask)`."""
        b, start, block = self.builder, self.ends[0], copies * self.lanes
        if copies == 1 and self.masks:
            return loop(b, start, stop, block, carried, lambda j, old: body(j, old, 1, self.mask(j, stop)))
        count = b.sub(stop, start)
        whole = b.sub(stop, b.srem(count, I64(block)))
        full = loop(b, start, whole, block, carried, lambda j, old: body(j, old, copies, None))
        if block == 1:
            return full
        return loop(b, whole, stop, self.lanes, full, lambda j, old: body(j, old, 1, self.mask(j, stop)))

    # Values

    def value(self, v: Vectors, node: Node, lookup: Lookup) -> Any:
        """A node's value as its own dtype."""
        return v.constant(node.value, node.dtype) if node.op == "constant" else lookup(node)

    def added(self, v: Vectors, total: Any, node: Node, lookup: Lookup) -> Any:
        """total + node, a number of floats; a product becomes a multiply-add."""
        if not is_product(node):
            return self.builder.fadd(total, self.value(v, node, lookup))
        factors = [
            v.constant(a.value) if a.op == "constant" else v.cast(lookup(a), a.dtype, "float") for a in node.args
        ]
        return v.multiply_add(factors[0], factors[1], total)

    def joined(self, v: Vectors, reduction: Node, old: Any, lookup: Lookup, mask: Any) -> Any:
        """A row reduction with one more value."""
        node = reduction.args[0]
        is_sum = reduction.op == "row_sum"
        new = self.added(v, old, node, lookup) if is_sum else v.maximum(old, self.value(v, node, lookup))
        return new if mask is None else self.builder.select(mask, new, old)

    def row_value(self, node: Node, r: Any, lookup: Lookup) -> Any:
        """A node that is one number for a row."""
        if node.op != "argument":
            return self.scalars.evaluate(node, lookup)
        return self.scalars.load(self.pointer(node.value, r), node.dtype) if self.is_array(node) else r

    def widened(self, nodes: Sequence[Node], values: Mapping[int, Any]) -> dict[int, Any]:
        """Splats of the scalars among `values` that these nodes use, made in front of a loop."""
        used = {a.number for n in nodes for a in n.args} | {n.number for n in nodes}
        return {number: self.vectors.splat(values[number]) for number in sorted(used & values.keys())}


class Places:
    """The values of elements at a few neighbouring vectors of a row, from column `j` on.

    `lines` says where rows of arrays begin, `known` gives values that don't change along the row.
    """

    def __init__(
        self, nest: Nest, lines: Mapping[str, Any], j: Any, copies: int, mask: Any, known: Mapping[int, Any]
    ) -> None:
        self._nest, self._lines, self._mask, self._known = nest, lines, mask, known
        self._places = [j if u == 0 else nest.builder.add(j, I64(u * nest.lanes)) for u in range(copies)]
        self._values: list[dict[int, Any]] = [{} for _ in range(copies)]

    def inherit(self, outer: Places) -> None:
        """Take over the values of the same places that don't change with the rows."""
        self._values = [dict(values) for values in outer._values]
        self._known = {**outer._known, **self._known}

    def lookup(self, u: int = 0) -> Lookup:
        """The values at vector number u."""
        values, known = self._values[u], self._known
        return lambda n: values[n.number] if n.number in values else known[n.number]

    def compute(self, nodes: Sequence[Node], read: Sequence[Node]) -> None:
        """Evaluate nodes that vary along the columns, of which some are read from outside."""
        for node in computed(nodes, read):
            for u, place in enumerate(self._places):
                self._values[u][node.number] = self._value(node, u, place)

    def _value(self, node: Node, u: int, place: Any) -> Any:
        nest, v = self._nest, self._nest.vectors
        if nest.is_array(node):
            return v.load(self._at(node.value, place), node.dtype, self._mask)
        return (
            nest.builder.add(v.splat(place), v.numbers()) if node.op == "argument" else v.evaluate(node, self.lookup(u))
        )

    def _at(self, name: str, place: Any) -> Any:
        return self._nest.moved(self._lines[name], name, place)

    def store(self, outputs: Sequence[Output]) -> None:
        """Write the results; sums over the rows are added to what stands there."""
        nest, v = self._nest, self._nest.vectors
        for name, kind, node in outputs:
            for u, place in enumerate(self._places):
                if kind == "column":
                    old = v.load(self._at(name, place), "float", self._mask)
                    v.store(nest.added(v, old, node, self.lookup(u)), "float", self._at(name, place), self._mask)
                else:
                    self._store(name, node, nest.value(v, node, self.lookup(u)), place)

    def _store(self, name: str, node: Node, value: Any, place: Any) -> None:
        nest, v = self._nest, self._nest.vectors
        step = nest.step_of(name)
        if step == 1:
            return v.store(value, node.dtype, self._at(name, place), self._mask)
        b, apart = nest.builder, v.constant(step * nest.size(name), "int")
        first = b.ptrtoint(self._at(name, b.mul(place, I64(step))), I64)
        addresses = b.add(v.splat(first), b.mul(v.numbers(), apart))
        return v.scatter(value, node.dtype, addresses, v.constant(True, "bool") if self._mask is None else self._mask)


def is_product(node: Node) -> bool:
    """Whether adding a node is a multiply-add."""
    return node.op == "*" and node.dtype == "float"


def values_read(reductions: Sequence[Node], outputs: Sequence[Output]) -> list[Node]:
    """The nodes whose values reductions and outputs read: of a product that is summed, its factors."""
    summed = [n.args[0] for n in reductions if n.op == "row_sum"] + [x for _, kind, x in outputs if kind == "column"]
    others = [n.args[0] for n in reductions if n.op != "row_sum"] + [x for _, kind, x in outputs if kind != "column"]
    return [a for n in summed for a in (n.args if is_product(n) else (n,))] + others


def by_column(output: Output) -> bool:
    """Whether an output is written inside the loop over the columns."""
    _, kind, value = output
    return value.axes[1] or kind in ("element", "column")
