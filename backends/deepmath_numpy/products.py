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

from dataclasses import dataclass
from functools import partial
from typing import Any

from llvmlite import ir

from deepmath_numpy.product_code import I1, I32, I64, NOTHING, POINTER, Code, internal
from deepmath_numpy.product_packing import copying, turning
from deepmath_numpy.target import Target

__all__ = ["ARGUMENTS", "module"]

ARGUMENTS = ("a", "a_row", "a_inner", "b", "b_inner", "b_column", "c", "c_row", "inner", "accumulate")
"""What the array of integers holds: addresses, strides in numbers, the length of the inner axis (-m: n m), 0 or 1."""
DEEP = 512
"""How long a piece of the inner axis is where panels of B are packed: one stays in the second cache."""
FAR, SHALLOW, LONG, LESS_SHALLOW = 64, 64, 256, 128
"""How long a piece is where a step along A is more than FAR numbers: what was read of A stays in the first cache, and
its pages in the table of pages, until the next tile of rows. In a longer sum than LONG, C is passed through less often.
"""
PAGE, MANY = 4000, 1 << 17
"""Panels that could be read where they lie are packed too if B's rows are so many bytes apart, so that each takes a
page, or if that times the rows of the result is so much, so that a panel is read often."""

NARROW, HIGH = 16, 16
"""Up to so many columns and from so many rows on, vectors along the rows of C are fuller than along its columns."""
WORTH_TURNING = {4: 4, 8: 0}
"""The same where A must be turned for it, which takes as long as some columns do, by the bytes of a number."""


def module(precision: str, target: Target) -> str:
    """The LLVM IR of a module with one function, `product(i64 *a, double *c, i64 n, i64 r0, i64 r1, i64 c0, i64 c1)`.

    It computes C[r0:r1, c0:c1]. The IR needs no optimisation before machine code is made of it.
    """
    text = ir.Module("products")
    _product(text, precision, target)
    return str(text)


def heights(target: Target) -> dict[int, tuple[tuple[int, int], ...]]:
    """For panels of so many vectors of columns: the rows of a tile, and how many rows must be left at least, less one.

    The first tiles fill the registers, less those for B and A and, without fma, for a product. The next have about
    eight sums: an fma takes four cycles and two start in each, so fewer would take as long. So a tile may compute its
    last row more than once, which writes the same bits.
    """
    few = {2: ((6, 4), (4, 1), (1, 0)), 1: ((8, 1), (1, 0))}
    if target.registers >= 32:
        return {4: ((6, 4), (2, 1), (1, 0)), **few, 2: ((8, 4), (4, 1), (1, 0))}
    return {3: ((4, 1), (1, 0)), **few} if target.has_fma else few


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
    copy, turn = copying(text, precision, target), turning(text, precision, target)
    kinds = [POINTER, I64, I64, POINTER, I64, I64, POINTER, I64, I64, I64, I64, I1]
    b, function = internal(text, "panels", kinds, precision, target)
    a, a_row, a_inner, b_, b_inner, b_column, c, c_row, inner, rows, all_columns, accumulates = function.args
    shapes = heights(target)
    widest = max(shapes) * b.lanes
    stack = b.alloca(b.number, DEEP * widest)
    stack.align = 64
    is_turned = b.icmp_signed("!=", b_column, I64(1))
    packs = b.or_(is_turned, _reads_badly(b, b_inner, rows, widest))
    end = b.select(b.icmp_signed(">", inner, I64(0)), inner, I64(1))  # an empty sum is written too
    shallow = b.select(b.icmp_signed(">", inner, I64(LONG)), I64(LESS_SHALLOW), I64(SHALLOW))
    step = b.select(b.icmp_signed(">", a_inner, I64(FAR)), shallow, b.select(packs, I64(DEEP), end))

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


def _reads_badly(b: Code, b_inner: Any, rows: Any, widest: int) -> Any:
    """Whether to pack panels of B although their rows are contiguous."""
    apart = b.mul(b_inner, I64(b.size))
    takes_pages = b.and_(b.icmp_signed(">=", apart, I64(PAGE)), b.icmp_signed(">=", rows, I64(8)))
    is_read_often = b.icmp_signed(">", b.mul(rows, apart), I64(MANY))
    return b.or_(takes_pages, b.and_(is_read_often, b.icmp_signed(">", b_inner, I64(widest))))


def _product(text: Any, precision: str, target: Target) -> None:
    """The function itself. A narrow product is computed as C' = B' A', whose vectors are full, and turned."""
    panels = _panels(text, precision, target)
    turn = text.get_global("turn")
    function = ir.Function(text, ir.FunctionType(NOTHING, [POINTER, POINTER, *[I64] * 5]), "product")
    integers, _, n, r0, r1, c0, c1 = function.args
    b = Code(function, precision, target)
    width = I64(max(heights(target)) * b.lanes)
    stack = b.alloca(b.number, I64(NARROW * width.constant))
    stack.align = 64
    given = {}
    for i, name in enumerate(ARGUMENTS):
        kind = POINTER if name in ("a", "b", "c") else I64
        given[name] = b.load(b.gep(integers, [I64(i)], source_etype=I64), typ=kind, align=8)
    a_row, a_inner, b_inner, b_column, c_row = (given[s] for s in ARGUMENTS if s.partition("_")[2])
    negative = b.icmp_signed("<", given["inner"], I64(0))
    inner = b.select(negative, b.mul(n, b.neg(given["inner"])), given["inner"])
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

    with b.if_else(_is_narrow(b, a_row, a_inner, rows, columns)) as (yes, no):
        with yes:
            b.loop(I64(0), rows, width, strip)
        with no:
            straight = [left, a_row, a_inner, right, b_inner, b_column, out, c_row]
            b.call(panels, [*straight, inner, rows, columns, accumulates])
    b.ret_void()


def _is_narrow(b: Code, a_row: Any, a_inner: Any, rows: Any, columns: Any) -> Any:
    """Whether C' = B' A' is faster; rows of A' or its columns must be contiguous."""
    stands = b.and_(b.icmp_signed("==", a_row, I64(1)), b.icmp_signed("<=", columns, I64(NARROW)))
    may_turn = b.icmp_signed("<=", columns, I64(WORTH_TURNING[b.size]))
    lies = b.and_(b.icmp_signed("==", a_inner, I64(1)), may_turn)
    is_high = b.and_(b.icmp_signed(">=", rows, I64(HIGH)), b.icmp_signed(">", columns, I64(0)))
    return b.and_(is_high, b.or_(stands, lies))


def _tile(b: Code, piece: _Piece, height: int, vectors: int, lanes: int, mask: Any, row: Any) -> None:
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
