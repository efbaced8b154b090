"""The loop nests of a kernel in LLVM IR: by rows, by blocks of columns, and with a row in each lane."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import ir

from deepmath.graph import Node
from deepmath.printers.loops import Kernel, Pass, is_virtual
from deepmath.printers.vectors import I1, I8, I32, I64, POINTER, Vectors, computed

HEAVY = {"exp": 24, "expm1": 30, "log": 32, "log1p": 40, "tanh": 40, "cos": 40, "sin": 40, "pow": 80, "/": 3, "sqrt": 3}
"""About how many instructions an operation is, where that isn't one."""

MASKED = 64
"""Bytes of vectors that are masked at no cost, so that long loops are printed once and not once more for the rest."""


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
    """What all loop nests have in common: where arrays lie, and the values that don't change in the loops."""

    def __init__(self, kernel: Kernel, vectors: Vectors, entries: Sequence[Any], column_steps: Mapping[str, int]):
        self.kernel, self.vectors, self.entries, self.column_steps = kernel, vectors, entries, column_steps
        self.builder = vectors.builder
        self.scalars = Vectors(vectors.module, vectors.builder, vectors.precision, 1, vectors.inline)
        self.lanes = vectors.lanes
        self.masks = vectors.lanes * vectors.size >= MASKED
        self.address: dict[str, Any] = {}
        self.base: dict[str, Any] = {}
        self.stride: dict[str, Any] = {}
        self.dtype = {e.name: e.dtype for e in entries}
        self.fixed: dict[int, Any] = {}
        self.rows: tuple[Any, Any]
        self.ends: tuple[Any, Any]
        self.columns: Any

    def begin(self, given: Sequence[Any]) -> None:
        """Read `a` and `c`, and compute what doesn't change."""
        b = self.builder
        a, numbers, _, *bounds = given
        self.rows, self.ends = (bounds[0], bounds[1]), (bounds[2], bounds[3])
        self.columns = b.sub(bounds[3], bounds[2])
        indices, place = {}, 0
        for entry in self.entries:
            read = [self._read(a, place + i) for i in range(entry.places)]
            place += entry.places
            if entry.kind == "scalar":
                indices[entry.name] = read[0]
            else:
                self.address[entry.name], self.stride[entry.name] = read
                self.base[entry.name] = b.inttoptr(read[0], POINTER)
        for node in self.kernel.hoisted:
            self.fixed[node.number] = self._fixed(node, indices, numbers)

    def turned(self, other: type[Nest]) -> Nest:
        """Another nest over the same arrays."""
        nest = other(self.kernel, self.vectors, self.entries, self.column_steps)
        nest.address, nest.base, nest.stride, nest.fixed = self.address, self.base, self.stride, self.fixed
        nest.rows, nest.ends, nest.columns = self.rows, self.ends, self.columns
        return nest

    @abc.abstractmethod
    def emit(self) -> None:
        """Print the loops."""

    def _read(self, a: Any, place: int) -> Any:
        return self.builder.load(self.builder.gep(a, [I64(place)], source_etype=I64), align=8, typ=I64)

    def _fixed(self, node: Node, indices: Mapping[str, Any], numbers: Any) -> Any:
        b, number = self.builder, self.scalars.types["float"]
        if node.op == "size":
            return b.sitofp(self.columns if node.value == "columns" else b.sub(self.rows[1], self.rows[0]), number)
        if node.op != "argument":
            return self.scalars.evaluate(node, lambda n: self.fixed[n.number])
        double = ir.DoubleType()
        read = b.load(b.gep(numbers, [indices[node.value]], source_etype=double), align=8, typ=double)
        if node.dtype != "float":
            whole = b.fptosi(read, I64)
            return whole if node.dtype == "int" else self.scalars.cast(whole, "int", "bool")
        return b.fptrunc(read, number) if number != double else read

    # Places in memory

    def pointer(self, name: str, row: Any = None, column: Any = None) -> Any:
        """Where an array's number at (row, column) lies."""
        b = self.builder
        base = self.base[name]
        if row is not None:
            base = self._moved(base, name, b.mul(row, self.stride[name]))
        return base if column is None else self._moved(base, name, column)

    def _moved(self, pointer: Any, name: str, places: Any) -> Any:
        return self.builder.gep(pointer, [places], source_etype=self._element(name))

    def _element(self, name: str) -> Any:
        return I8 if self.dtype[name] == "bool" else self.scalars.scalars[self.dtype[name]]

    def size(self, name: str) -> int:
        """Bytes of an array's number."""
        return {"float": self.vectors.size, "int": 8, "bool": 1}[self.dtype[name]]

    def mask(self, place: Any, stop: Any) -> Any:
        """The lanes of a vector at `place` that lie in front of `stop`."""
        b, v, most = self.builder, self.vectors, I64(self.lanes)
        if self.lanes == 1:
            return None
        left = b.sub(stop, place)
        few = b.select(b.icmp_signed("<", left, most), left, most)
        return b.icmp_signed("<", v.numbers(I32), v.splat(b.trunc(few, I32)))

    def step_of(self, name: str) -> int:
        """How far apart an output's neighbours along a row lie."""
        return self.column_steps.get(name.removeprefix("out_"), 1)

    def widened(self, nodes: Sequence[Node], values: Mapping[int, Any]) -> dict[int, Any]:
        """Splats of the scalars among `values` that these nodes use, made in front of a loop."""
        used = {a.number for n in nodes for a in n.args} | {n.number for n in nodes}
        return {number: self.vectors.splat(values[number]) for number in sorted(used & values.keys())}

    def added(self, v: Vectors, total: Any, node: Node, value: Callable[[Node], Any]) -> Any:
        """total + node, which as a product becomes a multiply-add."""
        if _is_product(node):
            factors = [v.constant(a.value) if a.op == "constant" else v.cast(value(a), a.dtype, "float") for a in node.args]
            return v.multiply_add(*factors, total)
        return self.builder.fadd(total, self._value(v, node, value))

    def joined(self, v: Vectors, reduction: Node, old: Any, value: Callable[[Node], Any], mask: Any) -> Any:
        """A row reduction with one more value."""
        node = reduction.args[0]
        new = self.added(v, old, node, value) if reduction.op == "row_sum" else v.maximum(old, self._value(v, node, value))
        return new if mask is None else self.builder.select(mask, new, old)

    def _value(self, v: Vectors, node: Node, value: Callable[[Node], Any]) -> Any:
        return v.constant(node.value, node.dtype) if node.op == "constant" else value(node)

    def unrolled(self, nodes: Sequence[Node]) -> int:
        """How many vectors a loop over light operations takes at a time."""
        weight = sum(HEAVY.get(n.op, 1) for n in nodes)
        return 2 if weight <= 12 else 1


def _is_product(node: Node) -> bool:
    return node.op == "*" and node.dtype == "float"


def _read(reductions: Sequence[Node], outputs: Sequence[tuple[str, str, Node]]) -> list[Node]:
    """The nodes whose values reductions and outputs read: of a product that is summed, its factors."""
    summed = [n.args[0] for n in reductions if n.op == "row_sum"] + [x for _, kind, x in outputs if kind == "column"]
    read = [a for n in summed for a in (n.args if _is_product(n) else (n,))]
    return read + [n.args[0] for n in reductions if n.op != "row_sum"] + [x for _, kind, x in outputs if kind != "column"]


def _flattens(kernel: Kernel) -> bool:
    """Whether a block of rows that lie closely packed may be worked at as one long row."""
    nodes = [n for step in kernel.passes for n in (*step.before, *step.inside, *step.reductions)]
    return all(n.axes == (True, True) and not is_virtual(n, kernel) for n in nodes) and all(
        kind == "element" for _, kind, _ in kernel.outputs
    )


def _by_column(output: tuple[str, str, Node]) -> bool:
    _, kind, value = output
    return value.axes[1] or kind in ("element", "column")


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
        def body(place: Any, _: Any, copies: int, mask: Any) -> list[Any]:
            self.vectors.store(self.vectors.constant(0), "float", self.pointer(name, None, place), mask)
            return []

        self._over_columns(self.ends[1], 1, [], body)

    def _flat(self) -> tuple[Any, Any]:
        """The ends of columns and rows where a block that lies closely packed is taken as one row."""
        b = self.builder
        packed = I1(1)
        for stride in self.stride.values():
            packed = b.and_(packed, b.icmp_signed("==", stride, self.columns))
        count = b.sub(self.rows[1], self.rows[0])
        long = b.add(self.ends[0], b.mul(count, self.columns))
        some = b.zext(b.icmp_signed(">", count, I64(0)), I64)
        one = b.add(self.rows[0], some)
        return b.select(packed, long, self.ends[1]), b.select(packed, one, self.rows[1])

    def _over_columns(self, stop: Any, copies: int, carried: Sequence[Any], body: Callable[..., Any]) -> list[Any]:
        """Blocks of `copies` vectors, then what is left by single masked ones, which carry a first part on."""
        b, start, block = self.builder, self.ends[0], copies * self.lanes
        if copies == 1 and self.masks:
            return loop(b, start, stop, block, carried, lambda j, old: body(j, old, 1, self.mask(j, stop)))
        whole = b.add(start, b.and_(b.sub(stop, start), I64(-block)))
        full = loop(b, start, whole, block, carried, lambda j, old: body(j, old, copies, None))
        if block == 1:
            return full
        count = len(carried) // copies
        rest = loop(b, whole, stop, self.lanes, full[:count], lambda j, old: body(j, old, 1, self.mask(j, stop)))
        return rest + full[count:]

    def _row(self, r: Any, stop: Any, totals: Sequence[Any], old: Sequence[Any]) -> list[Any]:
        known = dict(self.fixed)
        lookup = lambda n: known[n.number]  # noqa: E731
        for step in self.kernel.passes:
            for node in step.before:
                known[node.number] = self._scalar(node, r, lookup)
            known |= self._pass(step, r, stop, known)
        for name, kind, value in self.kernel.outputs:
            if kind in ("row", "total_once") and not value.axes[1]:
                place = self.pointer(name, r if kind == "row" else None)
                self.scalars.store(self._value(self.scalars, value, lookup), value.dtype, place)
        return [self.added(self.scalars, t, o[2], lookup) for t, o in zip(old, totals, strict=True)]

    def _scalar(self, node: Node, r: Any, lookup: Callable[[Node], Any]) -> Any:
        if node.op != "argument":
            return self.scalars.evaluate(node, lookup)
        return r if is_virtual(node, self.kernel) else self.scalars.load(self.pointer(node.value, r), node.dtype)

    def _pass(self, step: Pass, r: Any, stop: Any, known: Mapping[int, Any]) -> dict[int, Any]:
        """One loop over the columns; gives the values of its reductions."""
        v = self.vectors
        outputs = [o for o in self.kernel.outputs if step.last and _by_column(o)]
        if not outputs and not step.reductions:
            return {}
        read = _read(step.reductions, outputs)
        wide = self.widened([*step.inside, *read], known)
        copies = self.unrolled(step.inside)
        starts = [v.constant(0.0 if n.op == "row_sum" else -math.inf) for n in step.reductions]
        names = {n.value for n in step.inside if n.op == "argument" and not is_virtual(n, self.kernel)}
        names |= {name for name, kind, _ in outputs}
        lines = {name: self.pointer(name, r if self._has_rows(name) else None) for name in sorted(names)}

        def body(j: Any, old: Sequence[Any], copies: int, mask: Any) -> list[Any]:
            places = Places(self, lines, j, copies, mask, wide)
            places.compute(step.inside, read)
            new = [
                self.joined(v, n, old[u * len(starts) + i], places.lookup(u), mask)
                for u in range(copies) for i, n in enumerate(step.reductions)
            ]  # fmt: skip
            places.store(outputs)
            return new

        sums = self._over_columns(stop, copies, starts * copies, body)
        count = len(starts)
        return {n.number: self._across(n, sums[i::count]) for i, n in enumerate(step.reductions)}

    def _has_rows(self, name: str) -> bool:
        return next(e.kind for e in self.entries if e.name == name) == "element"

    def _across(self, reduction: Node, values: Sequence[Any]) -> Any:
        """One number of the lanes of a few vectors."""
        v, is_sum = self.vectors, reduction.op == "row_sum"
        values = list(values)
        while len(values) > 1:
            half = len(values) // 2
            pairs = zip(values[:half], values[half:], strict=True)
            values = [self.builder.fadd(x, y) if is_sum else v.maximum(x, y) for x, y in pairs]
        return v.sum(values[0]) if is_sum else v.max(values[0])


class Places:
    """The values of elements at a few neighbouring vectors of a row, from column `j` on."""

    def __init__(
        self, nest: Nest, lines: Mapping[str, Any], j: Any, copies: int, mask: Any, known: Mapping[int, Any]
    ) -> None:
        self._nest, self._lines, self._mask, self._known = nest, lines, mask, known
        b = nest.builder
        self._places = [j if u == 0 else b.add(j, I64(u * nest.lanes)) for u in range(copies)]
        self._values: list[dict[int, Any]] = [{} for _ in range(copies)]

    def inherit(self, outer: Places) -> None:
        """Take over the values of the same places that don't change with the rows."""
        self._values = [dict(values) for values in outer._values]
        self._known = {**outer._known, **self._known}

    def lookup(self, u: int) -> Callable[[Node], Any]:
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
        if node.op != "argument":
            return v.evaluate(node, self.lookup(u))
        if is_virtual(node, nest.kernel):
            return nest.builder.add(v.splat(place), v.numbers())
        return v.load(self._at(node.value, place), node.dtype, self._mask)

    def _at(self, name: str, place: Any) -> Any:
        return self._nest._moved(self._lines[name], name, place)

    def store(self, outputs: Sequence[tuple[str, str, Node]]) -> None:
        """Write the results; sums over the rows are added to what stands there."""
        nest, v = self._nest, self._nest.vectors
        for name, kind, node in outputs:
            for u, place in enumerate(self._places):
                if kind == "column":
                    old = v.load(self._at(name, place), "float", self._mask)
                    v.store(nest.added(v, old, node, self.lookup(u)), "float", self._at(name, place), self._mask)
                else:
                    self._store(name, node, nest._value(v, node, self.lookup(u)), place)

    def _store(self, name: str, node: Node, value: Any, place: Any) -> None:
        nest, v = self._nest, self._nest.vectors
        step = nest.step_of(name)
        if step == 1:
            return v.store(value, node.dtype, self._at(name, place), self._mask)
        b, size = nest.builder, step * nest.size(name)
        first = b.ptrtoint(self._at(name, b.mul(place, I64(step))), I64)
        addresses = b.add(v.splat(first), b.mul(v.numbers(), v.constant(size, "int")))
        return v.scatter(value, node.dtype, addresses, self._mask or v.constant(True, "bool"))


class ByColumns(Nest):
    """Blocks of columns outside, rows inside: sums over the rows stay in registers. Nothing is reduced along rows."""

    def emit(self) -> None:
        b, kernel = self.builder, self.kernel
        (step,) = kernel.passes
        if not all(_by_column(o) for o in kernel.outputs):
            rest = kernel._replace(outputs=tuple(o for o in kernel.outputs if not _by_column(o)))
            other = self.turned(ByRows)
            other.kernel = rest
            other.emit()
        copies = self.unrolled(step.inside)
        block, (start, stop) = copies * self.lanes, self.ends
        whole = b.add(start, b.and_(self.columns, I64(-block)))
        loop(b, start, whole, block, [], lambda j, _: self._block(step, j, copies, None))
        if block > 1:
            loop(b, whole, stop, self.lanes, [], lambda j, _: self._block(step, j, 1, self.mask(j, stop)))

    def _block(self, step: Pass, j: Any, copies: int, mask: Any) -> list[Any]:
        v, b = self.vectors, self.builder
        outputs = [o for o in self.kernel.outputs if _by_column(o)]
        sums = [o for o in outputs if o[1] == "column"]
        read = _read([], outputs)
        used = [*step.inside, *read]
        above = [n for n in step.inside if not n.axes[0]]
        lines = {n.value: self.pointer(n.value) for n in above if n.op == "argument" and not is_virtual(n, self.kernel)}
        fixed = Places(self, lines, j, copies, mask, self.widened(used, self.fixed))
        fixed.compute(above, [*read, *(a for n in step.inside for a in n.args)])
        names = {n.value for n in step.inside if n.op == "argument" and n.axes[0] and not is_virtual(n, self.kernel)}
        names |= {name for name, kind, _ in outputs if kind == "element"}

        def row(r: Any, old: Sequence[Any]) -> list[Any]:
            known = dict(self.fixed)
            for node in step.before:
                known[node.number] = ByRows._scalar(self, node, r, lambda n: known[n.number])  # type: ignore[arg-type]
            lines = {name: self.pointer(name, r) for name in sorted(names)}
            wide = self.widened(used, {k: x for k, x in known.items() if k not in self.fixed})
            places = Places(self, lines, j, copies, mask, wide)
            places.inherit(fixed)
            places.compute([n for n in step.inside if n.axes[0]], read)
            new = [
                self.added(v, old[u * len(sums) + i], value, places.lookup(u))
                for u in range(copies) for i, (_, _, value) in enumerate(sums)
            ]  # fmt: skip
            places.store([o for o in outputs if o[1] == "element"])
            return new

        results = loop(b, *self.rows, 1, [v.constant(0)] * (copies * len(sums)), row)
        for i, (name, _, _) in enumerate(sums):
            for u in range(copies):
                place = self.pointer(name, None, b.add(j, I64(u * self.lanes)))
                v.store(results[u * len(sums) + i], "float", place, mask)
        return []


class RowsInLanes(Nest):
    """A row in each lane, columns one by one: for short rows. There are no sums over the rows."""

    def emit(self) -> None:
        b, v, (start, stop) = self.builder, self.vectors, self.rows
        loop(b, start, stop, self.lanes, [], lambda r, _: self._group(r, stop))

    def _group(self, r: Any, stop: Any) -> list[Any]:
        b = self.builder
        mask = self.mask(r, stop) if self.lanes > 1 else self.vectors.constant(True, "bool")
        names = {e.name for e in self.entries if e.kind in ("element", "row")}
        lines = {name: self._line(name, r) for name in sorted(names)}
        known = dict(self.fixed)
        for step in self.kernel.passes:
            wide = self.widened(self._used(step), self.fixed)
            self._evaluate(step.before, known, wide, lines, r, None, mask)
            known |= self._pass(step, known, wide, lines, r, mask)
        wide = self.widened([value for _, _, value in self.kernel.outputs], self.fixed)
        for name, kind, node in self.kernel.outputs:
            if kind == "row":
                value = self._value(self.vectors, node, lambda n: self._wide(n, known, wide))
                self.vectors.scatter(value, node.dtype, lines[name], mask)
        return []

    def _used(self, step: Pass) -> list[Node]:
        values = [value for _, _, value in self.kernel.outputs]
        return [*step.before, *step.inside, *(n.args[0] for n in step.reductions), *values]

    def _line(self, name: str, r: Any) -> Any:
        """The addresses of the first numbers of the rows from r on."""
        b, v = self.builder, self.vectors
        stride = b.mul(self.stride[name], I64(self.size(name)))
        first = b.add(self.address[name], b.mul(r, stride))
        return b.add(v.splat(first), b.mul(v.numbers(), v.splat(stride)))

    def _wide(self, node: Node, known: Mapping[int, Any], wide: Mapping[int, Any]) -> Any:
        if node.axes[0]:
            return known[node.number]
        return wide[node.number] if node.number in wide else self.vectors.splat(known[node.number])

    def _evaluate(self, nodes: Sequence[Node], known: Any, wide: Any, lines: Any, r: Any, j: Any, mask: Any) -> None:
        for node in nodes:
            if node.op == "argument":
                known[node.number] = self._argument(node, lines, r, j, mask)
            elif node.axes[0]:
                known[node.number] = self.vectors.evaluate(node, lambda n: self._wide(n, known, wide))
            else:
                known[node.number] = self.scalars.evaluate(node, lambda n: known[n.number])

    def _argument(self, node: Node, lines: Mapping[str, Any], r: Any, j: Any, mask: Any) -> Any:
        b, v = self.builder, self.vectors
        if is_virtual(node, self.kernel):
            return b.add(v.splat(r), v.numbers()) if node.axes[0] else j
        if not node.axes[0]:
            return self.scalars.load(self.pointer(node.value, None, j), node.dtype)
        return v.gather(self._across(node.value, lines, j if node.axes[1] else None), node.dtype, mask)

    def _across(self, name: str, lines: Mapping[str, Any], j: Any) -> Any:
        """The addresses of column j."""
        b = self.builder
        if j is None:
            return lines[name]
        return b.add(lines[name], self.vectors.splat(b.mul(j, I64(self.step_of(name) * self.size(name)))))

    def _pass(self, step: Pass, outer: Any, wide: Any, lines: Any, r: Any, mask: Any) -> dict[int, Any]:
        v, s = self.vectors, self.scalars
        outputs = [o for o in self.kernel.outputs if step.last and _by_column(o)]
        if not outputs and not step.reductions:
            return {}
        shapes = [v if n.axes[0] else s for n in step.reductions]
        starts = [
            x.constant(0.0 if n.op == "row_sum" else -math.inf) for x, n in zip(shapes, step.reductions, strict=True)
        ]

        def column(j: Any, old: Sequence[Any]) -> list[Any]:
            known = dict(outer)
            self._evaluate(step.inside, known, wide, lines, r, j, mask)
            look = lambda n: self._wide(n, known, wide)  # noqa: E731
            for name, _, node in outputs:
                value = self._value(v, node, look)
                v.scatter(value, node.dtype, self._across(name, lines, j), mask)
            return [
                self.joined(x, n, o, look if n.axes[0] else (lambda m: known[m.number]), None)
                for x, n, o in zip(shapes, step.reductions, old, strict=True)
            ]

        results = loop(self.builder, *self.ends, 1, starts, column)
        return {n.number: x for n, x in zip(step.reductions, results, strict=True)}
