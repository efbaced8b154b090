"""Panels of B copied row behind row, as the tiles of a product read them."""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir

from deepmath_numpy.product_code import I32, I64, POINTER, Code, internal
from deepmath_numpy.target import Target

ARGUMENTS = [POINTER, I64, POINTER, I64, I64, I64]
"""Of both functions: a panel's place, its stride, where it goes to, the width there, its rows and columns."""


def copying(text: Any, precision: str, target: Target) -> Any:
    """The function that packs a panel whose rows are contiguous. Only where there are masks may a vector be cut off."""
    b, function = internal(text, "copy", ARGUMENTS, precision, target)
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


def turning(text: Any, precision: str, target: Target) -> Any:
    """The function that transposes, for panels whose columns are contiguous, in squares of 16 bytes by 16 bytes.

    The last squares that would stick out begin earlier. Nothing beside out[:deep, :columns] is written.
    """
    b, function = internal(text, "turn", ARGUMENTS, precision, target)
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


def _turned(b: Code, rows: list[Any]) -> list[Any]:
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
