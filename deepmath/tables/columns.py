"""The columns of a table as NumPy holds them: numbers, booleans, dates and texts, each with its missing cells."""

from __future__ import annotations

import datetime
import decimal
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepmath.errors import ConfigError

EXACT = 2**53
"""float64 holds each whole number up to this; larger ones are kept as text, so that none is rounded in silence."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """float64 [rows]; NaN is a missing cell."""

    values: NDArray[np.float64]
    type: ClassVar[str] = "number"

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which cells are missing: bool [rows]."""
        return np.isnan(self.values)


@dataclass(frozen=True, eq=False)
class Booleans:
    """bool [rows]; False where a cell is missing."""

    values: NDArray[np.bool_]
    missing: NDArray[np.bool_]
    type: ClassVar[str] = "boolean"


@dataclass(frozen=True, eq=False)
class Dates:
    """datetime64[us] [rows], in UTC where there was a time zone; NaT is a missing cell."""

    values: NDArray[np.datetime64]
    type: ClassVar[str] = "date"

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which cells are missing: bool [rows]."""
        return np.isnat(self.values)


@dataclass(frozen=True, eq=False)
class Texts:
    """Text by its distinct values: the cell of a row is `levels[code]`, and missing where the code is -1.

    Levels stand in the order of their first appearance, without the blanks around them; an empty cell is missing.
    `order` holds all categories of a column that brings an order of its own.
    """

    levels: tuple[str, ...]
    codes: NDArray[np.int32]
    order: tuple[str, ...] | None = None
    type: ClassVar[str] = "text"

    @property
    def values(self) -> NDArray[Any]:
        """The cells: an object array [rows] of str, and None where a cell is missing."""
        return np.array([*self.levels, None], dtype=object)[self.codes]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which cells are missing: bool [rows]."""
        return self.codes < 0


Column: TypeAlias = Numbers | Booleans | Dates | Texts


def texts(cells: Iterable[str | None], order: Sequence[str] | None = None) -> Texts:
    """Text cells by their distinct values; None is missing.

    >>> found = texts(["b", " a", None, "", "a"])
    >>> found.levels, found.codes.tolist()
    (('b', 'a'), [0, 1, -1, -1, 1])
    """
    raw: dict[str | None, int] = {}
    codes = np.array([raw.setdefault(cell, len(raw)) for cell in cells], dtype=np.int32)
    return cleaned(list(raw), codes, order)


def cleaned(raw: Sequence[str | None], codes: Any, order: Sequence[str] | None = None) -> Texts:
    """Texts of raw levels: without the blanks around them, and missing where nothing is left."""
    clean = ["" if level is None else level.strip() for level in raw]
    if clean == raw and "" not in clean:
        return Texts(tuple(clean), codes, None if order is None else tuple(order))
    levels: dict[str, int] = {}
    places = np.array([levels.setdefault(c, len(levels)) if c else -1 for c in clean], dtype=np.int32)
    codes = places[codes] if len(places) else codes
    return Texts(tuple(levels), codes, None if order is None else tuple(dict.fromkeys(o.strip() for o in order)))


def cells_of(column: Column, rows: Any) -> Column:
    """The cells of the rows of these numbers, int64, in this order."""
    if isinstance(column, Texts):
        return replace(column, codes=column.codes[rows])
    if isinstance(column, Booleans):
        return Booleans(column.values[rows], column.missing[rows])
    return replace(column, values=column.values[rows])


def by_appearance(found: Texts, places: Any) -> Texts:
    """Text whose row i is cell `places[i]` of this one, its levels in the order in which they appear."""
    codes = found.codes[places]
    levels, first, ranks = np.unique(codes, return_index=True, return_inverse=True)
    seen = np.argsort(first[levels >= 0])
    ordered = levels[levels >= 0][seen]
    place_of = np.full(len(levels), -1, np.int32)
    place_of[np.flatnonzero(levels >= 0)[seen]] = np.arange(len(ordered), dtype=np.int32)
    return Texts(tuple(found.levels[i] for i in ordered), place_of[ranks.reshape(-1)])


def joined(parts: Sequence[Column]) -> Column:
    """The cells of several pieces of one column; numbers beside text become text."""
    if all(isinstance(part, Numbers) for part in parts):
        return Numbers(np.concatenate([part.values for part in parts]))
    if all(isinstance(part, Booleans) for part in parts):
        return Booleans(*(np.concatenate([getattr(p, a) for p in parts]) for a in ("values", "missing")))
    if all(isinstance(part, Dates) for part in parts):
        return Dates(np.concatenate([part.values for part in parts]))
    levels: dict[str, int] = {}
    codes, order = [], None
    for part in map(as_texts, parts):
        places = np.array([*(levels.setdefault(v, len(levels)) for v in part.levels), -1], dtype=np.int32)
        codes.append(places[part.codes])
        order = part.order or order
    return Texts(tuple(levels), np.concatenate(codes), order)


def number_text(value: float) -> str:
    """A number as text, the same for 1, 1.0 and True.

    >>> number_text(1.0), number_text(0.1), number_text(1e300)
    ('1', '0.1', '1e+300')
    """
    value = float(value)
    return str(int(value)) if value.is_integer() and abs(value) <= EXACT else repr(value)


def as_texts(column: Column) -> Texts:
    """Any column's cells as text: whole numbers without a point, booleans as true and false, dates as ISO 8601."""
    if isinstance(column, Texts):
        return column
    shown: list[str]
    if isinstance(column, Booleans):
        distinct, codes = np.unique(column.values, return_inverse=True)
        shown = ["true" if v else "false" for v in distinct.tolist()]
    elif isinstance(column, Numbers):
        distinct, codes = np.unique(column.values, return_inverse=True)
        shown = [number_text(v) for v in distinct.tolist()]
    else:
        distinct, codes = np.unique(column.values, return_inverse=True)
        shown = [date_text(v) for v in distinct]
    return Texts(tuple(shown), np.where(column.missing, np.int32(-1), codes.astype(np.int32)))


def date_text(value: Any) -> str:
    """A datetime64 as text: without the time where it is midnight.

    >>> date_text(np.datetime64("2020-01-05T00:00")), date_text(np.datetime64("2020-01-05T10:30"))
    ('2020-01-05', '2020-01-05T10:30:00')
    """
    text = str(value.astype("datetime64[us]")).removesuffix(".000000")
    return text.removesuffix("T00:00:00")


def whole_numbers(cells: Sequence[int | None]) -> Column:
    """Python's whole numbers as a column: text where float64 would round one of them."""
    if any(cell is not None and abs(cell) > EXACT for cell in cells):
        return texts(None if cell is None else str(cell) for cell in cells)
    return Numbers(np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64))


def column_of_objects(name: str, cells: Sequence[Any]) -> Column:
    """Python objects as a column, by what they are; a mixture of numbers and text becomes text.

    Raises ConfigError for objects that no column holds, such as lists.
    """
    cells = [None if is_missing(cell) else cell for cell in cells]
    found = {_sort_of(cell) for cell in {type(cell): cell for cell in cells if cell is not None}.values()}
    if not found:
        return texts(cells)
    if found == {"boolean"}:
        return Booleans(np.array([bool(c) for c in cells]), np.array([c is None for c in cells], dtype=np.bool_))
    if found == {"whole"}:
        return whole_numbers([None if c is None else int(c) for c in cells])
    if found <= {"whole", "number"}:
        wholes = [int(c) for c in cells if isinstance(c, numbers.Integral)] if "whole" in found else []
        if not any(abs(c) > EXACT for c in wholes):
            return Numbers(np.array([np.nan if c is None else float(c) for c in cells]))
    elif found == {"date"}:
        return Dates(np.array([np.datetime64("NaT", "us") if c is None else _date(c) for c in cells]))
    elif found == {"duration"}:
        return Numbers(np.array([np.nan if c is None else _seconds(c) for c in cells]))
    strange = found - {"boolean", "whole", "number", "date", "text"}
    if strange:
        refuse_column(name, sorted(strange)[0])
    return texts(None if c is None else _object_text(c) for c in cells)


def is_missing(cell: Any) -> bool:
    """Whether an object stands for a missing cell: None, NaN, NaT, pandas.NA."""
    if cell is None or cell is np.ma.masked or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(cell, (float, np.floating, decimal.Decimal)):
        return bool(cell != cell)
    return isinstance(cell, (np.datetime64, np.timedelta64)) and bool(np.isnat(cell))


def refuse_column(name: str, holds: str) -> NoReturn:
    """Raise ConfigError for a column whose cells are no single values."""
    raise ConfigError(
        f"column '{name}' holds {holds}; a column holds numbers, text, booleans or dates. "
        f"Turn it into such columns, or leave it out: kinds={{'{name}': 'out'}}"
    )


def _sort_of(cell: Any) -> str:
    if isinstance(cell, (bool, np.bool_)):
        return "boolean"
    if isinstance(cell, (numbers.Integral, numbers.Real, decimal.Decimal)):
        return "whole" if isinstance(cell, numbers.Integral) else "number"
    if isinstance(cell, str):
        return "text"
    if isinstance(cell, (datetime.date, np.datetime64)):
        return "date"
    if isinstance(cell, (datetime.timedelta, np.timedelta64)):
        return "duration"
    if isinstance(cell, numbers.Complex):
        return "complex numbers"
    return f"objects of type {type(cell).__name__}"


def _date(cell: Any) -> np.datetime64:
    if isinstance(cell, datetime.datetime) and cell.tzinfo is not None:
        cell = cell.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(cell, "us") if not isinstance(cell, np.datetime64) else cell.astype("datetime64[us]")


def _seconds(cell: Any) -> float:
    return cell.total_seconds() if isinstance(cell, datetime.timedelta) else float(cell / np.timedelta64(1, "us")) / 1e6


def _object_text(cell: Any) -> str:
    sort = _sort_of(cell)
    if sort == "boolean":
        return "true" if cell else "false"
    if sort == "whole":
        return str(int(cell))
    if sort == "number":
        return number_text(float(cell))
    return date_text(_date(cell)) if sort == "date" else str(cell)
