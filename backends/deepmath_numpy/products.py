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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from llvmlite import ir

from deepmath_numpy.target import SIZES, Target

__all__ = ["ARGUMENTS", "module"]

ARGUMENTS = ("a", "a_row", "a_inner", "b", "b_inner", "b_column", "c", "c_row", "inner", "accumulate")
"""What the array of integers holds: addresses, strides in numbers, the length of the inner axis (-1: n), 0 or 1."""
DEEP, SHALLOW = 256, 64
"""How long a piece of the inner axis is: a packed panel of B stays near; and where each step along A is far from the
last, what was read of A stays in the first cache, and its pages in the table of pages, until the next tile of rows."""
FAR = 64
"""Numbers from which on a step along A is far."""
PAGE, MANY = 4000, 1 << 18
"""Panels that could be read where they lie are packed too if B's rows are so many bytes apart, so that each takes a
page, or if that times the rows of the result is so much, so that a panel is read often."""

NARROW, HIGH = 16, 16
"""Up to so many columns and from so many rows on, vectors along the rows of C are fuller than along its columns."""
WORTH_TURNING = {"float32": 4, "float64": 0}
"""The same where A has to be turned for it, which costs as much as some columns take."""

I1, I32, I64, POINTER, NOTHING = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.PointerType(), ir.VoidType()
PACKING = [POINTER, I64, POINTER, I64, I64, I64]
"""A panel's place, its stride, where it goes to, the width there, its rows and columns."""


def module(precision: str, target: Target) -> str:
    """The LLVM IR of a module with one function, `product(i64 *a, double *c, i64 n, i64 r0, i64 r1, i64 c0, i64 c1)`.

    It computes C[r0:r1, c0:c1]. The IR needs no optimisation before machine code is made of it.
    """
    text = ir.Module("products")
    _product(text, precision, target)
    return str(text)


def heights(target: Target) -> dict[int, tuple[tuple[int, int], ...]]:
    """For panels of so many vectors of columns: the rows of a tile, and how many more than those must be left for it.

    The first tiles fill the registers, less those for B and A. The next have about eight sums: an fma takes four cycles
    and two start in each, so fewer would take as long. So a row may be computed twice, which gives the same bits.
    """
    if target.registers >= 32:
        return {4: ((6, 4), (2, 1), (1, 0)), 2: ((8, 4), (4, 1), (1, 0)), 1: ((8, 1), (1, 0))}
    return {2: ((6, 4), (4, 1), (1, 0)), 1: ((8, 1), (1, 0))}


class _Code(ir.IRBuilder):  # type: ignore[misc]
    """Writes one function, with the few forms that products are made of."""

    def __init__(self, function: Any, precision: str, target: Target) -> None:
        super().__init__(function.append_basic_block())
        self.target, self.size, self.lanes = target, SIZES[precision], target.lanes(precision)
        self.number = ir.FloatType() if precision == "float32" else ir.DoubleType()

    def at(self, base: Any, index: Any) -> Any:
        """The place of a number, so many numbers behind another."""
        return self.gep(base, [index], source_etype=self.number)

    def least(self, x: Any, y: Any) -> Any:
        return self.select(self.icmp_signed("<", x, y), x, y)

    def merged(self, values: Mapping[Any, Any]) -> Any:
        """The value that belongs to the block that the processor comes from."""
        phi = self.phi(next(iter(values.values())).type)
        for block, value in values.items():
            phi.add_incoming(value, block)
        return phi

    def loop(self, start: Any, stop: Any, step: Any, body: Callable[[Any], object]) -> Any:
        """Write `body` for start, start + step, ... below stop, and return the first that isn't below."""
        before, inside, after = self.block, self.append_basic_block(), self.append_basic_block()
        self.cbranch(self.icmp_signed("<", start, stop), inside, after)
        self.position_at_end(inside)
        index = self.merged({before: start})
        body(index)
        following = self.add(index, step)
        index.add_incoming(following, self.block)
        last = self.block
        self.cbranch(self.icmp_signed("<", following, stop), inside, after)
        self.position_at_end(after)
        return self.merged({before: start, last: following})

    def intrinsic(self, name: str, result: Any, *arguments: Any) -> Any:
        """A function of LLVM's own, called."""
        known = self.module.globals.get(name)
        kind = ir.FunctionType(result, [x.type for x in arguments])
        return self.call(known or ir.Function(self.module, kind, name), arguments)

    def spelled(self, kind: Any) -> str:
        """A type in the name of an intrinsic."""
        return (f"v{kind.count}" if isinstance(kind, ir.VectorType) else "") + f"f{8 * self.size}"

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        if not self.target.has_fma:
            return self.fadd(self.fmul(x, y), z)
        return self.intrinsic(f"llvm.fma.{self.spelled(x.type)}", x.type, x, y, z)

    def everywhere(self, x: Any, lanes: int) -> Any:
        """A vector of the same number."""
        if lanes == 1:
            return x
        unset = ir.Constant(ir.VectorType(x.type, lanes), ir.Undefined)
        zeros = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        return self.shuffle_vector(self.insert_element(unset, x, I32(0)), unset, zeros)

    def first(self, count: Any) -> Any:
        """The mask of the first `count` lanes."""
        order = ir.Constant(ir.VectorType(I32, self.lanes), list(range(self.lanes)))
        return self.icmp_signed("<", order, self.everywhere(self.trunc(count, I32), self.lanes))

    def read(self, place: Any, lanes: int = 1, mask: Any = None) -> Any:
        """A number or a vector; lanes that a mask leaves out aren't touched and give 0."""
        kind = self.number if lanes == 1 else ir.VectorType(self.number, lanes)
        if mask is None:
            return self.load(place, typ=kind, align=self.size)
        name = f"llvm.masked.load.{self.spelled(kind)}.p0"
        return self.intrinsic(name, kind, place, I32(self.size), mask, ir.Constant(kind, None))

    def write(self, value: Any, place: Any, mask: Any = None) -> None:
        if mask is None:
            self.store(value, place, align=self.size)
        else:
            name = f"llvm.masked.store.{self.spelled(value.type)}.p0"
            self.intrinsic(name, NOTHING, value, place, I32(self.size), mask)


def _internal(text: Any, name: str, kinds: list[Any], precision: str, target: Target) -> tuple[_Code, Any]:
    """A function that only this module calls."""
    function = ir.Function(text, ir.FunctionType(NOTHING, kinds), name)
    function.linkage = "internal"
    return _Code(function, precision, target), function


def _copy(text: Any, precision: str, target: Target) -> Any:
    """The function that packs a panel whose rows are contiguous. Only where there are masks may a vector be cut off."""
    b, function = _internal(text, "copy", PACKING, precision, target)
    source, stride, out, width, deep, columns = function.args
    rest = b.srem(columns, I64(b.lanes))
    whole = b.sub(columns, rest)
    mask = b.first(rest) if target.has_masks else None

    def row(i: Any) -> None:
        here, there = b.at(source, b.mul(i, stride)), b.at(out, b.mul(i, width))
        b.loop(I64(0), whole, I64(b.lanes), lambda j: b.write(b.read(b.at(here, j), b.lanes), b.at(there, j)))
        if mask:
            with b.if_then(b.icmp_signed(">", rest, I64(0))):
                b.write(b.read(b.at(here, whole), b.lanes, mask), b.at(there, whole))

    b.loop(I64(0), deep, I64(1), row)
    b.ret_void()
    return function


def _turn(text: Any, precision: str, target: Target) -> Any:
    """The function that transposes, for panels whose columns are contiguous, in squares of 16 bytes by 16 bytes.

    The last squares that would stick out begin earlier. Nothing beside out[:deep, :columns] is written.
    """
    b, function = _internal(text, "turn", PACKING, precision, target)
    source, stride, out, width, deep, columns = function.args
    side = 16 // b.size
    last_row, last_column = b.sub(deep, I64(side)), b.sub(columns, I64(side))

    def one(i: Any, j: Any) -> None:
        b.write(b.read(b.at(source, b.add(b.mul(j, stride), i))), b.at(out, b.add(b.mul(i, width), j)))

    def squares(lanes: int, i: Any, j: Any) -> None:
        j = b.least(j, last_column)
        here, there = b.at(source, b.add(b.mul(j, stride), i)), b.at(out, b.add(b.mul(i, width), j))
        turned = _turned(b, [b.read(b.at(here, b.mul(stride, I64(r))), lanes) for r in range(side)])
        for start in range(0, lanes, side):
            for r, x in enumerate(turned):
                part = b.shuffle_vector(x, x, _order(*range(start, start + side)))
                b.write(part, b.at(there, b.mul(width, I64(start + r))))

    def strip(lanes: int, i: Any) -> None:
        i = b.least(i, b.sub(deep, I64(lanes)))
        b.loop(I64(0), columns, I64(side), partial(squares, lanes, i))

    with b.if_else(b.icmp_signed("<", b.least(last_row, last_column), I64(0))) as (narrow, usual):
        with narrow:
            b.loop(I64(0), deep, I64(1), lambda i: b.loop(I64(0), columns, I64(1), lambda j: one(i, j)))
        with usual:
            done = b.loop(I64(0), b.sub(deep, I64(b.lanes - 1)), I64(b.lanes), partial(strip, b.lanes))
            b.loop(done, deep, I64(side), partial(strip, side))
    b.ret_void()
    return function


def _order(*places: int) -> Any:
    return ir.Constant(ir.VectorType(I32, len(places)), places)


def _turned(b: _Code, rows: list[Any]) -> list[Any]:
    """Two or four rows of squares, each of 16 bytes by 16 bytes, with every square transposed."""
    side, lanes = len(rows), rows[0].type.count

    def mixed(x: Any, y: Any, *places: int) -> Any:
        """In each square the numbers at these places of x and, behind them, of y."""
        starts = range(0, lanes, side)
        return b.shuffle_vector(x, y, _order(*(s + p % side + p // side * lanes for s in starts for p in places)))

    if side == 2:
        return [mixed(*rows, 0, 2), mixed(*rows, 1, 3)]
    x, y, z, w = rows
    low = mixed(x, y, 0, 4, 1, 5), mixed(z, w, 0, 4, 1, 5)
    high = mixed(x, y, 2, 6, 3, 7), mixed(z, w, 2, 6, 3, 7)
    return [mixed(*half, *places) for half in (low, high) for places in ((0, 1, 4, 5), (2, 3, 6, 7))]


@dataclass(frozen=True)
class _Piece:
    """A piece of the product within a panel: the three places, their strides, and what is to be summed how."""

    a: Any
    a_row: Any
    a_inner: Any
    b: Any
    b_inner: Any
    c: Any
    c_row: Any
    rows: Any
    deep: Any
    adds: Any


def _panels(text: Any, precision: str, target: Target) -> Any:
    """The function for a product from its first row and column: the widest panels first, then the tallest tiles."""
    copy, turn = _copy(text, precision, target), _turn(text, precision, target)
    kinds = [POINTER, I64, I64, POINTER, I64, I64, POINTER, I64, I64, I64, I64, I1]
    b, function = _internal(text, "panels", kinds, precision, target)
    a, a_row, a_inner, b_, b_inner, b_column, c, c_row, inner, rows, all_columns, accumulates = function.args
    shapes = heights(target)
    widest = max(shapes) * b.lanes
    stack = b.alloca(b.number, DEEP * widest)
    stack.align = 64
    is_turned = b.icmp_signed("!=", b_column, I64(1))
    apart = b.mul(b_inner, I64(b.size))
    takes_pages = b.and_(b.icmp_signed(">=", apart, I64(PAGE)), b.icmp_signed(">=", rows, I64(8)))
    is_read_often = b.and_(b.icmp_signed(">", b_inner, I64(widest)), b.icmp_signed(">", b.mul(rows, apart), I64(MANY)))
    packs = b.or_(is_turned, b.or_(takes_pages, is_read_often))
    end = b.select(b.icmp_signed(">", inner, I64(0)), inner, I64(1))  # an empty sum is written too
    step = b.select(b.icmp_signed(">", a_inner, I64(FAR)), I64(SHALLOW), b.select(packs, I64(DEEP), end))

    def panel(k: Any, vectors: int, lanes: int, masked: bool, packs: Any, column: Any) -> None:
        width, deep = I64(vectors * lanes), b.least(b.sub(inner, k), step)
        columns = b.least(b.sub(all_columns, column), width)
        place = b.at(b_, b.add(b.mul(k, b_inner), b.mul(column, b_column)))
        stride, before = b_inner, b.block
        if packs:
            with b.if_then(packs):
                with b.if_else(is_turned) as (yes, no):
                    with yes:
                        b.call(turn, [place, b_column, stack, width, deep, columns])
                    with no:
                        b.call(copy, [place, b_inner, stack, width, deep, columns])
                packed = b.block
            place, stride = b.merged({before: place, packed: stack}), b.merged({before: b_inner, packed: width})
        left, adds = b.at(a, b.mul(k, a_inner)), b.or_(accumulates, b.icmp_signed(">", k, I64(0)))
        piece = _Piece(left, a_row, a_inner, place, stride, b.at(c, column), c_row, rows, deep, adds)
        mask = b.first(columns) if masked else None
        row = I64(0)
        for height, more in shapes[vectors]:
            stop = b.sub(rows, I64(more))
            row = b.loop(row, stop, I64(height), partial(_tile, b, piece, height, vectors, lanes, mask))

    def panels(k: Any) -> None:
        column = I64(0)
        for vectors in shapes:
            width, masked = I64(vectors * b.lanes), vectors == 1 and target.has_masks
            stop = all_columns if masked else b.add(b.sub(all_columns, width), I64(1))
            column = b.loop(column, stop, width, partial(panel, k, vectors, b.lanes, masked, packs))
        if not target.has_masks:
            b.loop(column, all_columns, I64(1), partial(panel, k, 1, 1, False, None))

    b.loop(I64(0), end, step, panels)
    b.ret_void()
    return function


def _product(text: Any, precision: str, target: Target) -> None:
    """The function itself. A narrow product is computed as C' = B' A', whose vectors are full, and turned."""
    panels = _panels(text, precision, target)
    turn = text.get_global("turn")
    function = ir.Function(text, ir.FunctionType(NOTHING, [POINTER, POINTER, *[I64] * 5]), "product")
    integers, _, n, r0, r1, c0, c1 = function.args
    b = _Code(function, precision, target)
    width = I64(max(heights(target)) * b.lanes)
    stack = b.alloca(b.number, I64(NARROW * width.constant))
    stack.align = 64
    given = {}
    for i, name in enumerate(ARGUMENTS):
        kind = POINTER if name in ("a", "b", "c") else I64
        given[name] = b.load(b.gep(integers, [I64(i)], source_etype=I64), typ=kind, align=8)
    a_row, a_inner, b_inner, b_column, c_row = (given[s] for s in ARGUMENTS if s.partition("_")[2])
    inner = b.select(b.icmp_signed("<", given["inner"], I64(0)), n, given["inner"])
    accumulates = b.icmp_signed("!=", given["accumulate"], I64(0))
    rows, columns = b.sub(r1, r0), b.sub(c1, c0)
    left, right = b.at(given["a"], b.mul(r0, a_row)), b.at(given["b"], b.mul(c0, b_column))
    out = b.at(given["c"], b.add(b.mul(r0, c_row), c0))

    def strip(row: Any) -> None:
        """The next rows of C, which are columns of C'."""
        count, here = b.least(b.sub(rows, row), width), b.at(out, b.mul(row, c_row))
        with b.if_then(accumulates):
            b.call(turn, [here, c_row, stack, width, columns, count])
        turned = [right, b_column, b_inner, b.at(left, b.mul(row, a_row)), a_inner, a_row, stack, width]
        b.call(panels, [*turned, inner, columns, count, accumulates])
        b.call(turn, [stack, width, here, c_row, count, columns])

    is_narrow = b.and_(b.icmp_signed("<=", columns, I64(NARROW)), b.icmp_signed(">", columns, I64(0)))
    stands = b.icmp_signed("==", a_row, I64(1))
    lies = b.icmp_signed("==", a_inner, I64(1))
    may_turn = b.and_(lies, b.icmp_signed("<=", columns, I64(WORTH_TURNING[precision])))
    stands = b.or_(stands, may_turn)
    is_high = b.icmp_signed(">=", rows, I64(HIGH))
    with b.if_else(b.and_(is_narrow, b.and_(stands, is_high))) as (yes, no):
        with yes:
            b.loop(I64(0), rows, width, strip)
        with no:
            straight = [left, a_row, a_inner, right, b_inner, b_column, out, c_row]
            b.call(panels, [*straight, inner, rows, columns, accumulates])
    b.ret_void()


def _tile(b: _Code, piece: _Piece, height: int, vectors: int, lanes: int, mask: Any, row: Any) -> None:
    """Sums of `height` rows by `vectors` vectors of columns; for rows that aren't there the last one is taken again."""
    last = b.sub(piece.rows, I64(1))
    rows = [b.least(b.add(row, I64(r)), last) for r in range(height)]
    offsets = [b.mul(r, piece.a_row) for r in rows]
    lines = [b.at(piece.c, b.mul(r, piece.c_row)) for r in rows]
    places = [b.at(line, I64(v * lanes)) for line in lines for v in range(vectors)]
    start, adding, begin, inside, after = b.block, *(b.append_basic_block() for _ in range(4))
    b.cbranch(piece.adds, adding, begin)

    b.position_at_end(adding)
    old = [b.read(place, lanes, mask) for place in places]
    if vectors == max(heights(b.target)) and height > 2:  # the next tile's sums come from far in the meantime
        for place in places:
            following = b.at(place, b.mul(I64(height), piece.c_row))
            b.intrinsic("llvm.prefetch.p0", NOTHING, following, I32(1), I32(3), I32(1))
    b.branch(begin)

    b.position_at_end(begin)
    first = [b.merged({start: ir.Constant(x.type, None), adding: x}) for x in old]
    b.cbranch(b.icmp_signed(">", piece.deep, I64(0)), inside, after)

    b.position_at_end(inside)
    carried = [b.merged({begin: x}) for x in (piece.a, piece.b, piece.deep, *first)]
    left, right, remaining, *sums = carried
    columns = [b.read(b.at(right, I64(v * lanes)), lanes, mask) for v in range(vectors)]
    new = []
    for r, offset in enumerate(offsets):
        x = b.everywhere(b.read(b.at(left, offset)), lanes)
        new += [b.multiply_add(x, y, sums[r * vectors + v]) for v, y in enumerate(columns)]
    following = [b.at(left, piece.a_inner), b.at(right, piece.b_inner), b.sub(remaining, I64(1)), *new]
    for phi, x in zip(carried, following, strict=True):
        phi.add_incoming(x, inside)
    b.cbranch(b.icmp_signed(">", following[2], I64(0)), inside, after)

    b.position_at_end(after)
    final = [b.merged({begin: x, inside: y}) for x, y in zip(first, new, strict=True)]
    for x, place in zip(final, places, strict=True):
        b.write(x, place, mask)
