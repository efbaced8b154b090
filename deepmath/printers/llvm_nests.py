"""The loop nests of a kernel in LLVM IR: by rows, by blocks of columns, and with a row in each lane."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from deepmath.graph import Node
from deepmath.printers.llvm_nest import Lookup, Nest, Output, Places, by_column, loop, values_read
from deepmath.printers.loops import Kernel, Pass, is_virtual
from deepmath.printers.vector_functions import WEIGHTS
from deepmath.printers.vectors import I1, I64, Vectors


def _weight(nodes: Sequence[Node]) -> int:
    """About how many instructions these nodes are."""
    return sum(WEIGHTS.get(n.op, 1) for n in nodes)


def _start(v: Vectors, reduction: Node) -> Any:
    return v.constant(0.0 if reduction.op == "row_sum" else -math.inf)


class ByRows(Nest):
    """Rows outside, vectors of columns inside. Sums over the rows are kept in memory."""

    def emit(self) -> None:
        b, kernel = self.builder, self.kernel
        totals = [o for o in kernel.outputs if o[1] == "total"]
        for name, kind, _ in kernel.outputs:
            if kind == "column":
                self._clear(name)
        stop, (start, end) = self.ends[1], self.rows
        if _flattens(kernel) and not self.column_steps:
            stop, end = self._flat()
        zeros = [self.scalars.constant(0) for _ in totals]
        sums = loop(b, start, end, 1, zeros, lambda r, old: self._row(r, stop, totals, old))
        for (name, _, _), value in zip(totals, sums, strict=True):
            self.scalars.store(value, "float", self.pointer(name))

    def _clear(self, name: str) -> None:
        def body(place: Any, _carried: Any, _copies: int, mask: Any) -> list[Any]:
            self.vectors.store(self.vectors.constant(0), "float", self.pointer(name, None, place), mask)
            return []

        self.over_columns(self.ends[1], 1, [], body)

    def _flat(self) -> tuple[Any, Any]:
        """The ends of columns and rows, where a block that lies closely packed is taken as one long row."""
        b = self.builder
        packed = I1(1)
        for stride in self.stride.values():
            packed = b.and_(packed, b.icmp_signed("==", stride, self.columns))
        count = b.sub(self.rows[1], self.rows[0])
        last = b.add(self.ends[0], b.mul(count, self.columns))
        one = b.add(self.rows[0], b.zext(b.icmp_signed(">", count, I64(0)), I64))
        return b.select(packed, last, self.ends[1]), b.select(packed, one, self.rows[1])

    def _row(self, r: Any, stop: Any, totals: Sequence[Output], old: Sequence[Any]) -> list[Any]:
        known = dict(self.fixed)

        def lookup(node: Node) -> Any:
            return known[node.number]

        for step in self.kernel.passes:
            for node in step.before:
                known[node.number] = self.row_value(node, r, lookup)
            known |= self._pass(step, r, stop, known)
        for name, kind, value in self.kernel.outputs:
            if kind in ("row", "total_once") and not value.axes[1]:
                place = self.pointer(name, r if kind == "row" else None)
                self.scalars.store(self.value(self.scalars, value, lookup), value.dtype, place)
        return [self.added(self.scalars, t, o[2], lookup) for t, o in zip(old, totals, strict=True)]

    def _pass(self, step: Pass, r: Any, stop: Any, known: Mapping[int, Any]) -> dict[int, Any]:
        """One loop over the columns; gives the values of its reductions."""
        v = self.vectors
        outputs = [o for o in self.kernel.outputs if step.last and by_column(o)]
        if not outputs and not step.reductions:
            return {}
        read = values_read(step.reductions, outputs)
        wide = self.widened([*step.inside, *read], known)
        names = {n.value for n in step.inside if self.is_array(n)} | {name for name, _, _ in outputs}
        lines = {name: self.pointer(name, r if self.kind[name] == "element" else None) for name in sorted(names)}

        def body(j: Any, old: Sequence[Any], copies: int, mask: Any) -> list[Any]:
            places = Places(self, lines, j, copies, mask, wide)
            places.compute(step.inside, read)
            new = [self.joined(v, n, x, places.lookup(), mask) for n, x in zip(step.reductions, old, strict=False)]
            places.store(outputs)
            return [*old[len(new) :], *new]

        # Two sums that take turns: an addition needn't wait for the one before it.
        starts = [_start(v, n) for n in step.reductions] * 2
        several = len(self.kernel.passes) == 1 and _weight(step.inside) <= 12
        sums = self.over_columns(stop, 2 if several else 1, starts, body)
        pairs = zip(step.reductions, sums, sums[len(step.reductions) :], strict=False)
        return {n.number: self._across(n, x, y) for n, x, y in pairs}

    def _across(self, reduction: Node, a: Any, b: Any) -> Any:
        """One number of the lanes of two vectors."""
        v = self.vectors
        return v.sum(self.builder.fadd(a, b)) if reduction.op == "row_sum" else v.max(v.maximum(a, b))


def _flattens(kernel: Kernel) -> bool:
    """Whether a block of rows that lie closely packed may be worked at as one long row."""
    nodes = [n for step in kernel.passes for n in (*step.before, *step.inside, *step.reductions)]
    return all(n.axes == (True, True) and not is_virtual(n, kernel) for n in nodes) and all(
        kind == "element" for _, kind, _ in kernel.outputs
    )


class ByColumns(Nest):
    """Blocks of columns outside, rows inside: sums over the rows stay in registers. Nothing is reduced along rows."""

    def emit(self) -> None:
        (step,) = self.kernel.passes
        by_row = [o for o in self.kernel.outputs if not by_column(o)]
        if by_row:
            self.turned(ByRows, by_row).emit()
        weight = _weight(step.inside)
        copies = 4 if weight <= 4 else (2 if weight <= 12 else 1)
        self.over_columns(self.ends[1], copies, [], lambda j, _, copies, mask: self._block(step, j, copies, mask))

    def _block(self, step: Pass, j: Any, copies: int, mask: Any) -> list[Any]:
        v, b = self.vectors, self.builder
        outputs = [o for o in self.kernel.outputs if by_column(o)]
        sums = [o for o in outputs if o[1] == "column"]
        elements = [o for o in outputs if o[1] == "element"]
        read = values_read([], outputs)
        used = [*step.inside, *read]
        above, inside = ([n for n in step.inside if n.axes[0] == rows] for rows in (False, True))
        lines = {n.value: self.pointer(n.value) for n in above if self.is_array(n)}
        fixed = Places(self, lines, j, copies, mask, self.widened(used, self.fixed))
        fixed.compute(above, [*read, *(a for n in inside for a in n.args)])
        names = sorted({n.value for n in inside if self.is_array(n)} | {name for name, _, _ in elements})

        def row(r: Any, old: Sequence[Any]) -> list[Any]:
            known: dict[int, Any] = {}
            for node in step.before:
                known[node.number] = self.row_value(node, r, lambda n: {**self.fixed, **known}[n.number])
            lines = {name: self.pointer(name, r) for name in names}
            places = Places(self, lines, j, copies, mask, self.widened(used, known))
            places.inherit(fixed)
            places.compute(inside, read)
            new = [
                self.added(v, old[u * len(sums) + i], value, places.lookup(u))
                for u in range(copies) for i, (_, _, value) in enumerate(sums)
            ]  # fmt: skip
            places.store(elements)
            return new

        results = loop(b, self.rows[0], self.rows[1], 1, [v.constant(0)] * (copies * len(sums)), row)
        for i, (name, _, _) in enumerate(sums):
            for u in range(copies):
                place = self.pointer(name, None, b.add(j, I64(u * self.lanes)))
                v.store(results[u * len(sums) + i], "float", place, mask)
        return []


class RowsInLanes(Nest):
    """A row in each lane, columns one by one: for short rows. There are no sums over the rows.

    What varies along the columns alone is scalar here.
    """

    def emit(self) -> None:
        start, stop = self.rows
        loop(self.builder, start, stop, self.lanes, [], lambda r, _: self._group(r, stop))

    def _group(self, r: Any, stop: Any) -> list[Any]:
        group = Group(self, r, self.mask(r, stop) if self.lanes > 1 else self.vectors.constant(True, "bool"))
        for step in self.kernel.passes:
            group.compute(step.before, None)
            self._pass(step, group)
        for output in self.kernel.outputs:
            if output[1] == "row":
                group.store(output, None)
        return []

    def _pass(self, step: Pass, group: Group) -> None:
        outputs = [o for o in self.kernel.outputs if step.last and by_column(o)]
        if not outputs and not step.reductions:
            return
        shapes = [self.vectors if n.axes[0] else self.scalars for n in step.reductions]

        def column(j: Any, old: Sequence[Any]) -> list[Any]:
            inner = group.inner()
            inner.compute(step.inside, j)
            for output in outputs:
                inner.store(output, j)
            return [
                self.joined(v, n, x, inner.lookup(n.axes[0]), None)
                for v, n, x in zip(shapes, step.reductions, old, strict=True)
            ]

        starts = [_start(v, n) for v, n in zip(shapes, step.reductions, strict=True)]
        results = loop(self.builder, self.ends[0], self.ends[1], 1, starts, column)
        group.known |= {n.number: x for n, x in zip(step.reductions, results, strict=True)}


class Group:
    """The values of as many rows as there are lanes, from row r on: `known` by the nodes' numbers.

    Those that vary along the rows are vectors, the others scalars.
    """

    def __init__(self, nest: RowsInLanes, r: Any, mask: Any) -> None:
        self._nest, self._mask, self._r = nest, mask, r
        self.known = dict(nest.fixed)
        nodes = [n for step in nest.kernel.passes for n in (*step.before, *step.inside, *step.reductions)]
        self._wide = nest.widened([*nodes, *(value for _, _, value in nest.kernel.outputs)], nest.fixed)
        names = sorted(name for name, kind in nest.kind.items() if kind in ("element", "row"))
        self._lines = {name: self._line(name) for name in names}

    def inner(self) -> Group:
        """The same rows inside a loop over their columns."""
        group = object.__new__(Group)
        group.__dict__.update(self.__dict__, known=dict(self.known))
        return group

    def lookup(self, wide: bool) -> Lookup:
        """Values as vectors, or as scalars."""
        return self._vector if wide else lambda node: self.known[node.number]

    def compute(self, nodes: Sequence[Node], j: Any) -> None:
        """Evaluate nodes, at column j if they vary along the columns."""
        nest = self._nest
        for node in nodes:
            if node.op == "argument":
                self.known[node.number] = self._argument(node, j)
            else:
                v = nest.vectors if node.axes[0] else nest.scalars
                self.known[node.number] = v.evaluate(node, self.lookup(node.axes[0]))

    def store(self, output: Output, j: Any) -> None:
        """Write a result."""
        name, _, node = output
        value = self._nest.value(self._nest.vectors, node, self._vector)
        self._nest.vectors.scatter(value, node.dtype, self._addresses(name, j), self._mask)

    def _vector(self, node: Node) -> Any:
        if node.axes[0]:
            return self.known[node.number]
        return (
            self._wide[node.number] if node.number in self._wide else self._nest.vectors.splat(self.known[node.number])
        )

    def _argument(self, node: Node, j: Any) -> Any:
        nest, v = self._nest, self._nest.vectors
        if not nest.is_array(node):
            return nest.builder.add(v.splat(self._r), v.numbers()) if node.axes[0] else j
        if not node.axes[0]:
            return nest.scalars.load(nest.pointer(node.value, None, j), node.dtype)
        return v.gather(self._addresses(node.value, j if node.axes[1] else None), node.dtype, self._mask)

    def _line(self, name: str) -> Any:
        """The addresses of the rows' first numbers."""
        nest, v, b = self._nest, self._nest.vectors, self._nest.builder
        stride = b.mul(nest.stride[name], I64(nest.size(name)))
        first = b.add(nest.address[name], b.mul(self._r, stride))
        return b.add(v.splat(first), b.mul(v.numbers(), v.splat(stride)))

    def _addresses(self, name: str, j: Any) -> Any:
        """The addresses of the rows' numbers in column j."""
        nest, b = self._nest, self._nest.builder
        if j is None:
            return self._lines[name]
        return b.add(self._lines[name], nest.vectors.splat(b.mul(j, I64(nest.step_of(name) * nest.size(name)))))
