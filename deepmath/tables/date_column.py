"""What a column of dates becomes: a number, and the parts that come round."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from deepmath.descriptions import described
from deepmath.errors import ConfigError, FormatError
from deepmath.tables.columns import Column, Dates, Texts, as_texts
from deepmath.tables.dates import ANY_DATES, DateSpelling
from deepmath.tables.encoders import EncodedColumn, Place, check_text, refuse_level
from deepmath.tables.words import is_missing_word

UNITS = {
    "year": 365.2425 * 86400.0,
    "month": 365.2425 / 12 * 86400.0,
    "day": 86400.0,
    "hour": 3600.0,
    "minute": 60.0,
    "second": 1.0,
}
"""Seconds in the units that a date is counted in."""
PARTS = {"season": 366, "weekday": 7, "hour": 1440}
"""Parts of a date that come round: the day of the year, the day of the week, the minute of the day."""


@described
@dataclass(frozen=True)
class DateColumn(EncodedColumn):
    """Units since `origin`, and each part as sine and cosine; zeros where the date is missing.

    `origin` is ISO 8601, `unit` one of `UNITS`, `parts` some of `PARTS`; with `indicator` a last output says "missing".
    """

    kind: ClassVar[str] = "date"
    name: str
    origin: str
    unit: str = "year"
    parts: tuple[str, ...] = ()
    indicator: bool = False
    spelling: DateSpelling = ANY_DATES

    def __post_init__(self) -> None:
        check_text("DateColumn", self.name, self.origin, self.unit, *self.parts)
        if self.unit not in UNITS or not set(self.parts) <= set(PARTS):
            raise FormatError(f"DateColumn '{self.name}': unknown unit or parts: {self.unit}, {self.parts}")

    @property
    def output_names(self) -> tuple[str, ...]:
        waves = [f"{self.name} {part} {wave}" for part in self.parts for wave in ("sine", "cosine")]
        return (f"{self.name} [{self.unit}s]", *waves, *([f"{self.name} missing"] if self.indicator else []))

    @property
    def instead(self) -> str:
        return f"they count as {self.origin}"

    def dates(self, column: Column, place: Place) -> Any:
        """The cells as datetime64[us] [rows]."""
        if isinstance(column, Dates):
            return column.values
        if isinstance(column, Texts) or self.spelling.format:
            column = as_texts(column)
            levels = self.spelling.read(column.levels)
            wrong = [bool(b) and not is_missing_word(v) for b, v in zip(np.isnat(levels), column.levels, strict=True)]
            written = self.spelling.format or "such as 2020-01-31"
            cure = f"is not a date written as in training ({written}); correct it or make it missing"
            refuse_level(self.name, column, wrong, cure, place)
            return np.append(levels, np.datetime64("NaT"))[column.codes]
        if column.missing.all():
            return np.full(len(column.values), np.datetime64("NaT"), dtype="datetime64[us]")
        raise ConfigError(f"{place.who}: column '{self.name}' holds {column.type}s; it was dates in training")

    def write(self, column: Column, out: Any, place: Place) -> Any:
        dates = self.dates(column, place)
        missing = np.isnat(dates)
        origin = np.datetime64(self.origin, "us")
        since = np.where(missing, origin, dates) - origin
        out[:, 0] = since.astype(np.int64) / (UNITS[self.unit] * 1e6)
        for i, part in enumerate(self.parts):
            out[:, 1 + 2 * i : 3 + 2 * i] = _wave(PARTS[part])[np.where(missing, -1, turn_of(part, dates))]
        if self.indicator:
            out[:, -1] = missing
        return missing


def turn_of(part: str, dates: Any) -> Any:
    """Where dates stand in a part that comes round: int64 from 0 to `PARTS[part]` - 1; meaningless for NaT."""
    days = dates.astype("datetime64[D]")
    if part == "season":
        return (days - days.astype("datetime64[Y]")).astype(np.int64)
    if part == "weekday":
        return (days.astype(np.int64) + 3) % 7  # 1970 began on a Thursday
    return (dates - days).astype(np.int64) // 60_000_000


@functools.cache
def _wave(period: int) -> Any:
    """Sine and cosine of each step of a period, and zeros for what is missing: [period + 1, 2].

    A table gives the same bits everywhere, which vectorised sines needn't.
    """
    turns = [2 * math.pi * i / period for i in range(period)]
    return np.array([*((math.sin(t), math.cos(t)) for t in turns), (0.0, 0.0)])
