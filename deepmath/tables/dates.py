"""How dates are written as text: ISO 8601, with the names of months, day or month first where the column proves it."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.descriptions import described
from deepmath.errors import ConfigError
from deepmath.tables.words import Doubt

_TIME = r"(?:[T ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,6})\d*)?)?\s*([AaPp][Mm])?\s*(Z|[+-]\d{2}:?\d{2})?)?"
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})" + _TIME, re.ASCII)
_PLAIN = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?", re.ASCII)
_NUMERIC = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})" + _TIME, re.ASCII)
_SHORT = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2}(?:[T ].*)?", re.ASCII)
_DAY_NAME = re.compile(r"(\d{1,2})[-/. ]\s*([A-Za-z]{3,9})[-/., ]\s*(\d{4})" + _TIME, re.ASCII)
_NAME_DAY = re.compile(r"([A-Za-z]{3,9})[. ]\s*(\d{1,2}),?\s+(\d{4})" + _TIME, re.ASCII)
_FORMS, _HEAD = (_ISO, _NUMERIC, _SHORT, _DAY_NAME, _NAME_DAY), 100
_MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10}
_MONTHS |= {"nov": 11, "dec": 12}
_LONG = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november")
_NAMES = {**_MONTHS, **{name: _MONTHS[name[:3]] for name in (*_LONG, "december")}, "sept": 9}


@described
@dataclass(frozen=True)
class DateSpelling:
    """How the dates of a column are written: by `format`, as `strptime` takes it, or in any of the known ways.

    Known are 2020-01-31 and 2020/1/31, 31 Jan 2020 and January 31, 2020, and with `order` "day" or "month" 31/01/2020
    or 01/31/2020 (with slashes, points or hyphens), each with a time behind it or without. A time zone is taken
    into account; the result is in UTC.
    """

    order: str = ""
    format: str = ""

    def read(self, cells: Sequence[str]) -> Any:
        """The cells as datetime64[us] [cells]; NaT where one is no such date."""
        if not self.format and all(map(_PLAIN.fullmatch, cells)):
            try:
                return np.array(cells, dtype="datetime64[us]")
            except ValueError:  # there is no 31st of April
                pass
        found = [self._one(cell) for cell in cells]
        return np.array([np.datetime64("NaT") if d is None else d for d in found], dtype="datetime64[us]")

    def _one(self, cell: str) -> datetime.datetime | None:
        try:
            if self.format:
                date = datetime.datetime.strptime(cell, self.format)
                return date if date.tzinfo is None else date.astimezone(datetime.UTC).replace(tzinfo=None)
            if match := _ISO.fullmatch(cell):
                return _made(match[1], match[2], match[3], match.groups()[3:])
            if (match := _NUMERIC.fullmatch(cell)) and self.order:
                day, month = (match[1], match[2]) if self.order == "day" else (match[2], match[1])
                return _made(match[3], month, day, match.groups()[3:])
            if match := _DAY_NAME.fullmatch(cell):
                return _made(match[3], _NAMES[match[2].lower()], match[1], match.groups()[3:])
            if match := _NAME_DAY.fullmatch(cell):
                return _made(match[3], _NAMES[match[1].lower()], match[2], match.groups()[3:])
        except (ValueError, KeyError, OverflowError):
            return None
        return None


ANY_DATES = DateSpelling()
"""The ways that need no proof."""


def _made(year: Any, month: Any, day: Any, time: Sequence[str | None]) -> datetime.datetime:
    hour, minute, second, fraction, half, zone = time
    at = int(hour or 0)
    if half:
        if not 1 <= at <= 12:
            raise ValueError(hour)
        at = at % 12 + 12 * (half.lower() == "pm")
    micro = int((fraction or "").ljust(6, "0"))
    date = datetime.datetime(int(year), int(month), int(day), at, int(minute or 0), int(second or 0), micro)
    if zone and zone != "Z":
        shift = datetime.timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        date = date - shift if zone[0] == "+" else date + shift
    return date


def dates_of(cells: Collection[str]) -> tuple[DateSpelling | None, Doubt | None]:
    """How the cells of a column write dates, or None where some are no dates; and what is doubtful, if anything.

    >>> dates_of(["2020-01-31", "13/02/2020"])
    (DateSpelling(order='day', format=''), None)
    >>> dates_of(["01/02/2020", "03/04/2020"])
    (None, Doubt(what="'01/02/2020' may mean 1 February or 2 January", ask=('date:%d/%m/%Y', 'date:%m/%d/%Y')))
    """
    head = list(itertools.islice(cells, _HEAD))
    if 2 * sum(any(form.match(cell) for form in _FORMS) for cell in head) < len(head):
        return None, None
    numeric = [match for cell in cells if (match := _NUMERIC.fullmatch(cell))]
    order = ""
    if numeric:
        days = {place: any(int(m[place]) > 12 for m in numeric) for place in (1, 2)}
        order = "day" if days[1] else "month"
        if days[1] and days[2]:
            shown = [next(m[0] for m in numeric if int(m[place]) > 12) for place in (1, 2)]
            return None, Doubt(f"the day stands first in {shown[0]!r} and second in {shown[1]!r}; correct them")
    spelling = DateSpelling(order)
    wrong = [cell for cell, bad in zip(cells, np.isnat(spelling.read(list(cells))), strict=True) if bad]
    if wrong and all(map(_SHORT.fullmatch, cells)):
        return None, Doubt(f"{wrong[0]!r} has a year of two digits", _formats(wrong[0]))
    if wrong or not cells:
        few = len(wrong) * 10 <= len(cells)
        told = f"most look like dates, but {wrong[0]!r} is none; correct it or make it missing" if wrong and few else ""
        return None, Doubt(told) if told else None
    if numeric and not (days[1] or days[2]):
        unclear = next((m for m in numeric if m[1] != m[2]), None)
        if unclear is not None:
            one, two = int(unclear[1]), int(unclear[2])
            told = f"{unclear[0]!r} may mean {one} {_month(two)} or {two} {_month(one)}"
            return None, Doubt(told, _formats(unclear[0]))
        told = f"{numeric[0][0]!r} doesn't tell whether the day or the month stands first"
        return None, Doubt(told, _formats(numeric[0][0]))
    return spelling, None


def check_format(name: str, form: str) -> None:
    """Raise ConfigError unless a format of dates names day, month and year, or what stands for them."""
    try:
        written = datetime.datetime(2001, 2, 3, 4, 5, 6).strftime(form)
        read = datetime.datetime.strptime(written, form)
    except ValueError as error:
        raise ConfigError(f"kinds: '{name}' has the date format {form!r}, which can't be read: {error}") from error
    if (read.year, read.month) != (2001, 2):
        raise ConfigError(f"kinds: the date format {form!r} of '{name}' must name year and month, as %d/%m/%Y does")


def _formats(cell: str) -> tuple[str, str]:
    """The kinds to ask for, written as a cell is: day first, and month first."""
    match = re.fullmatch(r"\d{1,2}([-/.])\d{1,2}[-/.](\d{4}|\d{2})(.*)", cell)
    assert match is not None
    year = "%Y" if len(match[2]) == 4 else "%y"
    time = re.sub(r"\d{1,2}:\d{2}", "%H:%M", re.sub(r"\d{1,2}:\d{2}:\d{2}", "%H:%M:%S", match[3]))
    day, month = ("date:" + match[1].join([*order, year]) + time for order in (("%d", "%m"), ("%m", "%d")))
    return day, month


def _month(number: int) -> str:
    return _LONG[number - 1].capitalize() if number < 12 else "December"
