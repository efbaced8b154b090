"""The kernel of matrix products, C = A B, printed as LLVM IR: one module for every size and every stride.

Every number of C is one sum over the inner axis in ascending order, each step a fused multiply-add into the same
accumulator (a product and a sum where the processor has no fma). With `accumulate` that sum starts at the old number
of C. So a number's bits depend on its row of A and its column of B alone: not on the block it is computed in, nor on
the tile, nor on how B lies in memory.

The inner axis is cut into pieces, the columns into panels, the rows into tiles. A tile's sums stay in registers for a
whole piece; from piece to piece they pass through C, which rounds nothing. A panel of B that lies badly is first copied
to the stack, row behind row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from deepmath_numpy.target import SIZES, Target

ARGUMENTS = ("a", "a_row", "a_inner", "b", "b_inner", "b_column", "c", "c_row", "inner", "accumulate")
"""What the array of integers holds: addresses, strides in numbers, the length of the inner axis (-1: n), 0 or 1."""
PIECE = 256
NEXT = 0
LOC=2
BYTES=1<<18
AHEAD = 0
TALL = 48
CAHEAD = False
HEIGHTS = None

I1, I32, I64, POINTER = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.PointerType()


def module(precision: str, target: Target) -> str:
    """The LLVM IR of a module with one function, `product(i64 *a, double *c, i64 n, i64 r0, i64 r1, i64 c0, i64 c1)`.

    It computes C[r0:r1, c0:c1]. The IR needs no optimisation before machine code is made of it.
    """
    return str(_Printer(precision, target).module)


def tiles(target: Target) -> dict[int, tuple[int, ...]]:
    if HEIGHTS: return HEIGHTS
    """For panels of so many vectors of columns: how many rows the tiles have.

    The first fill the registers, less those for B and A. The last have eight sums where they can: an fma takes four
    cycles and two start in each, so that fewer would take as long. That is why rest rows are computed more than once.
    """
    return {4: ((6, 4), (2, 1), (1, 0)), 2: ((8, 4), (4, 1), (1, 0)), 1: ((8, 1), (1, 0))} if target.registers == 32 else {2: ((6, 4), (4, 1), (1, 0)), 1: ((8, 1), (1, 0))}


def loop(b: Any, start: Any, stop: Any, step: Any, body: Callable[[Any], None]) -> Any:
    """Call body with start, start + step, ... below stop; what is returned is the first that isn't."""
    before, inside, after = b.block, b.append_basic_block(), b.append_basic_block()
    b.cbranch(b.icmp_signed("<", start, stop), inside, after)
    b.position_at_end(inside)
    index = b.phi(I64)
    index.add_incoming(start, before)
    body(index)
    following = b.add(index, step)
    index.add_incoming(following, b.block)
    b.cbranch(b.icmp_signed("<", following, stop), inside, after)
    last = b.block
    b.position_at_end(after)
    end = b.phi(I64)
    end.add_incoming(start, before)
    end.add_incoming(following, last)
    return end


def least(b: Any, x: Any, y: Any) -> Any:
    return b.select(b.icmp_signed("<", x, y), x, y)


class _Printer:
    def __init__(self, precision: str, target: Target):
        self.target, self.lanes, self.size = target, target.lanes(precision), SIZES[precision]
        self.number = ir.FloatType() if precision == "float32" else ir.DoubleType()
        self.module = ir.Module("products")
        self.copy, self.turn = self.copying(), self.turning()
        self.product()

    # Numbers, alone and in vectors

    def at(self, b: Any, base: Any, index: Any) -> Any:
        return b.gep(base, [index], source_etype=self.number)

    def vector(self, lanes: int) -> Any:
        return self.number if lanes == 1 else ir.VectorType(self.number, lanes)

    def called(self, b: Any, name: str, result: Any, arguments: Sequence[Any]) -> Any:
        """An intrinsic of LLVM, called."""
        known = self.module.globals.get(name)
        kind = ir.FunctionType(result, [x.type for x in arguments])
        return b.call(known or ir.Function(self.module, kind, name), arguments)

    def fma(self, b: Any, x: Any, y: Any, z: Any) -> Any:
        if not self.target.has_fma:
            return b.fadd(b.fmul(x, y), z)
        return self.called(b, f"llvm.fma.{self.suffix(x.type)}", x.type, [x, y, z])

    def suffix(self, kind: Any) -> str:
        return (f"v{kind.count}" if isinstance(kind, ir.VectorType) else "") + f"f{8 * self.size}"

    def spread(self, b: Any, x: Any, lanes: int) -> Any:
        """The number in every lane."""
        if lanes == 1:
            return x
        unset = ir.Constant(ir.VectorType(x.type, lanes), ir.Undefined)
        zeros = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        return b.shuffle_vector(b.insert_element(unset, x, I32(0)), unset, zeros)

    def load(self, b: Any, place: Any, lanes: int, mask: Any = None) -> Any:
        kind = self.vector(lanes)
        if mask is None:
            return b.load(place, typ=kind, align=self.size)
        name = f"llvm.masked.load.{self.suffix(kind)}.p0"
        return self.called(b, name, kind, [place, I32(self.size), mask, ir.Constant(kind, None)])

    def store(self, b: Any, value: Any, place: Any, mask: Any = None) -> None:
        if mask is None:
            b.store(value, place, align=self.size)
        else:
            name = f"llvm.masked.store.{self.suffix(value.type)}.p0"
            self.called(b, name, ir.VoidType(), [value, place, I32(self.size), mask])

    # Packing of panels

    def packing(self, name: str) -> tuple[Any, Any]:
        """A function of where a panel lies, the stride there, where it goes, its width there, its rows and columns."""
        kind = ir.FunctionType(ir.VoidType(), [POINTER, I64, POINTER, I64, I64, I64])
        function = ir.Function(self.module, kind, name)
        function.linkage = "internal"
        return function, ir.IRBuilder(function.append_basic_block())

    def copying(self) -> Any:
        """The function that packs a panel whose rows are contiguous."""
        function, b = self.packing("copy")
        source, stride, out, width, deep, columns = function.args
        whole = b.sub(columns, b.srem(columns, I64(self.lanes)))

        def row(i: Any) -> None:
            here, there = self.at(b, source, b.mul(i, stride)), self.at(b, out, b.mul(i, width))

            def copied(lanes: int) -> Callable[[Any], None]:
                return lambda j: self.store(b, self.load(b, self.at(b, here, j), lanes), self.at(b, there, j))

            loop(b, I64(0), whole, I64(self.lanes), copied(self.lanes))
            loop(b, whole, columns, I64(1), copied(1))

        loop(b, I64(0), deep, I64(1), row)
        b.ret_void()
        return function

    def turning(self) -> Any:
        """The function that packs a panel whose columns are contiguous, in squares of 16 bytes by 16 bytes.

        A last square that would stick out begins earlier; columns that aren't there are the last one again.
        """
        function, b = self.packing("turn")
        source, stride, out, width, deep, columns = function.args
        side = 16 // self.size
        last, end = b.sub(columns, I64(1)), b.sub(deep, I64(side))

        def one(i: Any, j: Any) -> None:
            x = self.load(b, self.at(b, source, b.add(b.mul(j, stride), i)), 1)
            self.store(b, x, self.at(b, out, b.add(b.mul(i, width), j)))

        def strip(j: Any) -> None:
            rows = [self.at(b, source, b.mul(least(b, b.add(j, I64(r)), last), stride)) for r in range(side)]

            def square(i: Any) -> None:
                i = least(b, i, end)
                for r, x in enumerate(self.turned(b, [self.load(b, self.at(b, row, i), side) for row in rows])):
                    self.store(b, x, self.at(b, out, b.add(b.mul(b.add(i, I64(r)), width), j)))

            loop(b, I64(0), deep, I64(side), square)

        with b.if_else(b.icmp_signed("<", end, I64(0))) as (shallow, usual):
            with shallow:
                loop(b, I64(0), deep, I64(1), lambda i: loop(b, I64(0), columns, I64(1), lambda j: one(i, j)))
            with usual:
                loop(b, I64(0), columns, I64(side), strip)
        b.ret_void()
        return function

    def turned(self, b: Any, rows: list[Any]) -> list[Any]:
        """The columns of a square of two or four rows."""

        def mixed(x: Any, y: Any, *order: int) -> Any:
            return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(order)), order))

        if len(rows) == 2:
            return [mixed(*rows, 0, 2), mixed(*rows, 1, 3)]
        x, y, z, w = rows
        low = mixed(x, y, 0, 4, 1, 5), mixed(z, w, 0, 4, 1, 5)
        high = mixed(x, y, 2, 6, 3, 7), mixed(z, w, 2, 6, 3, 7)
        return [mixed(*half, *order) for half in (low, high) for order in ((0, 1, 4, 5), (2, 3, 6, 7))]

    # The product

    def product(self) -> None:
        integers = [I64] * 5
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [POINTER, POINTER, *integers]), "product")
        arguments, _, n, r0, r1, c0, c1 = function.args
        b = ir.IRBuilder(function.append_basic_block())
        heights = tiles(self.target)
        stack = b.alloca(self.number, PIECE * max(heights) * self.lanes)
        stack.align = 64
        given = {
            name: b.load(
                b.gep(arguments, [I64(i)], source_etype=I64), typ=POINTER if name in "abc" else I64, align=8
            )
            for i, name in enumerate(ARGUMENTS)
        }
        a_row, a_inner, b_inner, b_column, c_row = (
            given[s] for s in ("a_row", "a_inner", "b_inner", "b_column", "c_row")
        )
        inner = b.select(b.icmp_signed("<", given["inner"], I64(0)), n, given["inner"])
        accumulate = b.icmp_signed("!=", given["accumulate"], I64(0))
        rows = b.sub(r1, r0)
        a, c = self.at(b, given["a"], b.mul(r0, a_row)), self.at(b, given["c"], b.mul(r0, c_row))
        turned = b.icmp_signed("!=", b_column, I64(1))
        bytes_ = b.mul(b_inner, I64(self.size))
        packs = b.or_(turned, b.or_(
            b.and_(b.icmp_signed(">=", rows, I64(8)), b.icmp_signed(">=", bytes_, I64(4000))),
            b.and_(b.icmp_signed(">", b.mul(rows, bytes_), I64(BYTES)), b.icmp_signed(">", b_inner, I64(max(heights) * self.lanes)))))
        once = b.select(b.icmp_signed(">", inner, I64(1)), inner, I64(1))
        step = b.select(packs, I64(PIECE), once)

        def piece(k: Any) -> None:
            deep = least(b, b.sub(inner, k), step)
            add = b.or_(accumulate, b.icmp_signed(">", k, I64(0)))
            left = self.at(b, a, b.mul(k, a_inner))

            def panels(vectors: int, lanes: int, packs: Any, start: Any, masked: bool) -> Any:
                width = vectors * lanes

                def panel(column: Any) -> None:
                    columns = least(b, b.sub(c1, column), I64(width))
                    mask = None
                    if masked:
                        order = ir.Constant(ir.VectorType(I32, lanes), list(range(lanes)))
                        mask = b.icmp_signed("<", order, self.spread(b, b.trunc(columns, I32), lanes))
                    source = self.at(b, given["b"], b.add(b.mul(k, b_inner), b.mul(column, b_column)))
                    before = b.block
                    place, stride = source, b_inner
                    if packs:
                        with b.if_then(packs):
                            with b.if_else(turned) as (yes, no):
                                with yes:
                                    b.call(self.turn, [source, b_column, stack, I64(width), deep, columns])
                                with no:
                                    b.call(self.copy, [source, b_inner, stack, I64(width), deep, columns])
                            packed = b.block
                        place, stride = b.phi(POINTER), b.phi(I64)
                        for phi, x, y in ((place, source, stack), (stride, b_inner, I64(width))):
                            phi.add_incoming(x, before)
                            phi.add_incoming(y, packed)
                    out = self.at(b, c, column)
                    row = I64(0)
                    for height, following in heights[vectors]:
                        row = loop(
                            b,
                            row,
                            b.sub(rows, I64(following)),
                            I64(height),
                            lambda row, height=height: self.tile(
                                b, (height, vectors, lanes), mask, (left, a_row, a_inner), (place, stride, source, b_inner), (out, c_row), row, rows, deep, add
                            ),
                        )

                return loop(b, start, c1 if masked else b.sub(c1, I64(width - 1)), I64(width), panel)

            column = c0
            for vectors in heights:
                column = panels(vectors, self.lanes, packs, column, vectors == 1 and self.target.has_masks)
            if not self.target.has_masks:
                panels(1, 1, None, column, False)

        loop(b, I64(0), once, step, piece)
        b.ret_void()

    def tile(
        self, b: Any, shape: tuple[int, int, int], mask: Any, left: Any, right: Any, out: Any, row: Any, rows: Any, deep: Any, add: Any
    ) -> None:
        height, vectors, lanes = shape
        kind = self.vector(lanes)
        last = b.sub(rows, I64(1))
        each = [least(b, b.add(row, I64(r)), last) for r in range(height)]
        offsets = [b.mul(r, left[1]) for r in each]
        lines = [self.at(b, out[0], b.mul(r, out[1])) for r in each]
        places = [self.at(b, line, I64(v * lanes)) for line in lines for v in range(vectors)]
        nextb = self.at(b, right[2], b.add(I64(vectors*lanes), b.mul(least(b, b.udiv(row, I64(6)), I64(3)), I64(lanes))))
        before, adding, begin = b.block, b.append_basic_block(), b.append_basic_block()
        b.cbranch(add, adding, begin)
        b.position_at_end(adding)
        old = [self.load(b, place, lanes, mask) for place in places]
        b.branch(begin)
        b.position_at_end(begin)
        first = [self.merged(b, kind, {before: ir.Constant(kind, None), adding: x}) for x in old]
        inside, after = b.append_basic_block(), b.append_basic_block()
        b.cbranch(b.icmp_signed(">", deep, I64(0)), inside, after)
        b.position_at_end(inside)
        ahead = NEXT and (height, vectors) == (6, 4)
        phis = [
            self.merged(b, x.type, {begin: x}) for x in (left[0], right[0], deep, *first)
        ]
        a, b_, remaining, *sums = phis
        if ahead:
            nextp = self.merged(b, POINTER, {begin: nextb})
            self.called(b, "llvm.prefetch.p0", ir.VoidType(), [nextp, I32(0), I32(LOC), I32(1)])
        columns = [self.load(b, self.at(b, b_, I64(v * lanes)), lanes, mask) for v in range(vectors)]
        if AHEAD and height > 4:
            self.called(b, "llvm.prefetch.p0", ir.VoidType(), [self.at(b, self.at(b, a, offsets[0]), b.mul(I64(AHEAD), left[2])), I32(0), I32(3), I32(1)])
        new = []
        for r in range(height):
            x = self.spread(b, self.load(b, self.at(b, a, offsets[r]), 1), lanes)
            new += [self.fma(b, x, columns[v], sums[r * vectors + v]) for v in range(vectors)]
        if ahead:
            nextp.add_incoming(self.at(b, nextp, right[3]), inside)
        following = [self.at(b, a, left[2]), self.at(b, b_, right[1]), b.sub(remaining, I64(1)), *new]
        for phi, x in zip(phis, following, strict=True):
            phi.add_incoming(x, inside)
        b.cbranch(b.icmp_signed(">", following[2], I64(0)), inside, after)
        b.position_at_end(after)
        final = [self.merged(b, kind, {begin: x, inside: y}) for x, y in zip(first, new, strict=True)]
        for x, place in zip(final, places, strict=True):
            self.store(b, x, place, mask)

    def merged(self, b: Any, kind: Any, values: dict[Any, Any]) -> Any:
        """The value of the block that was left last."""
        phi = b.phi(kind)
        for block, value in values.items():
            phi.add_incoming(value, block)
        return phi
