"""The columns of a table as numbers, for programs that have no text: each column's inputs as a formula of its codes.

A number is its own code; no and yes are 0 and 1; a category is its index among the categories, and any other number
an unknown one; of all these NaN is a missing cell. A date is whole microseconds since 1970 in UTC, and
`NO_DATE` or less a missing one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from deepmath.tables.date_column import PARTS, UNITS, DateColumn
from deepmath.tables.encoders import BooleanColumn, CategoryColumn, EncodedColumn, NumberColumn
from deepmath.trace import Formula

NO_DATE = -(2**63) + 1
"""Dates up to this are missing: NumPy's NaT is one less."""
_DAY = 86_400_000_000
_MINUTE = 60_000_000


class Coded(NamedTuple):
    """A column's outputs: formula(xp, code, *constants) gives a tuple of arrays [rows, 1].

    `kinds` are those of `trace`. The formula of categories takes their codes 0, 1, ... instead of constants, and its
    first result is [rows, categories]. `widths` are those of the results.
    """

    formula: Formula
    kinds: tuple[str, ...]
    constants: tuple[float | int, ...]
    widths: tuple[int, ...]


def coded(column: EncodedColumn) -> Coded:
    """What becomes of a column's codes."""
    if isinstance(column, CategoryColumn):
        more = column.other + column.missing
        formula = _category(column.other, column.missing)
        return Coded(formula, ("row", "column"), (), (len(column.categories), *[1] * more))
    if isinstance(column, DateColumn):
        origin = int(np.datetime64(column.origin, "us").astype(np.int64))
        formula = _date(column.parts, column.indicator)
        kinds, outputs = ("row:int", "scalar:int", "scalar"), len(column.output_names)
        return Coded(formula, kinds, (origin, UNITS[column.unit] * 1e6), (1,) * outputs)
    assert isinstance(column, (NumberColumn, BooleanColumn))
    usual = column.median if isinstance(column, NumberColumn) else float(column.usual)
    formula = _number_and_missing if column.indicator else _number
    return Coded(formula, ("row", "scalar"), (usual,), (1,) * (1 + column.indicator))


def _number(xp: Any, x: Any, usual: Any) -> Any:
    return (xp.where(xp.isnan(x), usual, x),)


def _number_and_missing(xp: Any, x: Any, usual: Any) -> Any:
    return *_number(xp, x, usual), xp.astype(xp.isnan(x), x.dtype)


def _category(other: bool, missing: bool) -> Formula:
    def formula(xp: Any, x: Any, codes: Any) -> Any:
        hot, empty = xp.astype(x == codes, x.dtype), xp.astype(xp.isnan(x), x.dtype)
        rest = 1.0 - xp.max(hot, axis=-1, keepdims=True)
        return hot, *([rest - empty if missing else rest] * other), *([empty] * missing)

    return formula


def _date(parts: tuple[str, ...], indicator: bool) -> Formula:
    def formula(xp: Any, time: Any, origin: Any, unit: Any) -> Any:
        empty = time <= NO_DATE
        known = xp.where(empty, origin, time)
        outputs = [xp.astype(known - origin, unit.dtype) / unit]
        for part in parts:
            angle = 2.0 * math.pi * xp.astype(turn(xp, part, known), unit.dtype) / float(PARTS[part])
            outputs += [xp.where(empty, 0.0, xp.sin(angle)), xp.where(empty, 0.0, xp.cos(angle))]
        return *outputs, *([xp.astype(empty, unit.dtype)] * indicator)

    return formula


def turn(xp: Any, part: str, time: Any) -> Any:
    """Where a time in microseconds since 1970 stands in a part that comes round: int64 from 0 to `PARTS[part]` - 1.

    >>> [int(turn(np, part, np.int64(0))) for part in PARTS]
    [0, 3, 0]
    """
    day = time // _DAY
    if part == "weekday":
        return (day + 3) % 7  # 1970 began on a Thursday
    if part == "hour":
        return time % _DAY // _MINUTE
    since = (day - 10_957) % 146_097  # days since 1 January of 2000, or of a year that is 400 years or more away
    early = since // 366  # the year among 400, or the one before it
    year = xp.where(_first_day(early + 1) <= since, early + 1, early)
    return since - _first_day(year)


def _first_day(year: Any) -> Any:
    """The days before a year from 0 to 400 behind one that 400 divides."""
    return 365 * year + (year + 3) // 4 - (year + 99) // 100 + (year + 399) // 400
