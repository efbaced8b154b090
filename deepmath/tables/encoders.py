"""What each column of a table becomes: descriptions that are saved with a model, and that write their outputs.

Each row's outputs depend on that row alone, so any split of a table into pieces gives the same bits.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import numpy as np

from deepmath.descriptions import described, set_field
from deepmath.errors import ConfigError, FormatError, NumericError
from deepmath.tables.columns import Booleans, Column, Dates, Texts, as_texts, number_text
from deepmath.tables.spelling import PLAIN, Spelling
from deepmath.tables.words import boolean_of, is_missing_word


@dataclass(frozen=True)
class Place:
    """Where cells stand, for messages: what the table is called, and the number of its first row, or of each."""

    who: str = "X"
    row: int = 0
    numbers: Any = None

    def refuse(self, name: str, row: int, what: str) -> NoReturn:
        """Raise NumericError for a cell."""
        number = self.row + (row if self.numbers is None else int(self.numbers[row]))
        raise NumericError(f"{self.who}: column '{name}', row {number}: {what}")


class EncodedColumn(abc.ABC):
    """A column that becomes inputs of a network."""

    kind: ClassVar[str]
    name: str

    @property
    @abc.abstractmethod
    def output_names(self) -> tuple[str, ...]:
        """The names of its outputs."""

    @property
    def as_text(self) -> bool:
        """Whether a file's cells must be read as text, whatever they look like."""
        return True

    @property
    @abc.abstractmethod
    def instead(self) -> str:
        """What missing cells count as where training had none, for a message."""

    @abc.abstractmethod
    def write(self, column: Column, out: Any, place: Place) -> Any:
        """Write its outputs into `out` [rows, outputs], which is zero; gives bool [rows], which cells are missing.

        Raises NumericError for a cell that has no meaning here, naming its row.
        """


@described
@dataclass(frozen=True)
class NumberColumn(EncodedColumn):
    """A number in its own scale; `median` where it is missing. With `indicator` a second output says so by 1.

    `words` are texts that count as missing beside the usual ones.
    """

    kind: ClassVar[str] = "number"
    name: str
    median: float
    indicator: bool = False
    spelling: Spelling = PLAIN
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_text("NumberColumn", self.name, *self.words)
        if not isinstance(self.median, (int, float)) or not math.isfinite(self.median):
            raise FormatError(f"NumberColumn '{self.name}': median must be a finite number; got {self.median!r}")
        set_field(self, "median", float(self.median))

    @property
    def output_names(self) -> tuple[str, ...]:
        return (self.name, f"{self.name} missing") if self.indicator else (self.name,)

    @property
    def as_text(self) -> bool:
        return not self.spelling.plain

    @property
    def instead(self) -> str:
        return f"they count as the median, {self.median:g}"

    def numbers(self, column: Column, place: Place) -> Any:
        """The cells as float64 [rows]; NaN where they are missing."""
        if isinstance(column, Texts):
            levels = [self._of_text(level) for level in column.levels]
            refuse_level(self.name, column, [v is None for v in levels], self._cure, place)
            values = np.array([*levels, np.nan], dtype=np.float64)[column.codes]
        elif isinstance(column, Booleans):
            values = np.where(column.missing, np.nan, column.values)
        elif isinstance(column, Dates):
            raise ConfigError(f"{place.who}: column '{self.name}' holds dates; it was numbers in training")
        elif self.spelling.sign == "%":
            given = f"numbers; in training it was text such as '{self.spelling.example}'"
            raise ConfigError(f"{place.who}: column '{self.name}' holds {given}. Write it so")
        else:
            values = column.values
        infinite = np.isinf(values)
        if infinite.any():
            cure = "correct it, or make it missing"
            place.refuse(self.name, int(np.argmax(infinite)), f"the number is infinite; {cure}")
        return values

    def write(self, column: Column, out: Any, place: Place) -> Any:
        values = self.numbers(column, place)
        missing = np.isnan(values)
        filled = np.where(missing, self.median, values)
        if out.dtype == np.float32 and (large := np.abs(filled) > np.finfo(np.float32).max).any():
            row = int(np.argmax(large))
            place.refuse(self.name, row, f"{filled[row]:g} is too large for float32; use precision='float64'")
        out[:, 0] = filled
        if self.indicator:
            out[:, 1] = missing
        return missing

    def _of_text(self, level: str) -> float | None:
        value = self.spelling.number(level)
        return math.nan if value is None and (is_missing_word(level) or level in self.words) else value

    @property
    def _cure(self) -> str:
        written = "" if self.spelling.plain else f" written as {self.spelling.example}"
        return f"is not a number{written}, as in training; correct it, make it missing, or train with it as a category"


@described
@dataclass(frozen=True)
class CategoryColumn(EncodedColumn):
    """A column of zeros with a one for each category. With `other` all that are not in `categories` share one more,
    and with `missing` cells without value have one; without, they count as other ones, or leave zeros.

    `numeric` says that the categories are numbers, so that 1, 1.0 and "1.0" are one.
    """

    kind: ClassVar[str] = "category"
    name: str
    categories: tuple[str, ...]
    other: bool = False
    missing: bool = False
    numeric: bool = False

    def __post_init__(self) -> None:
        check_text("CategoryColumn", self.name, *self.categories)

    @property
    def output_names(self) -> tuple[str, ...]:
        more = [f"{self.name} {what}" for what in ("other", "missing") if getattr(self, what)]
        return (*(f"{self.name}={category}" for category in self.categories), *more)

    @property
    def as_text(self) -> bool:
        return not self.numeric

    def write(self, column: Column, out: Any, place: Place) -> Any:  # noqa: ARG002 - any text has its place
        found = as_texts(column)
        count = len(self.categories)
        places = {category: i for i, category in enumerate(self.categories)}
        other = count if self.other else -1
        where = [places.get(self._canonical(level), other) for level in found.levels]
        where.append(count + self.other if self.missing else other)
        codes = np.array(where, dtype=np.int64)[found.codes]
        rows = np.flatnonzero(codes >= 0)
        out[rows, codes[rows]] = 1.0
        return found.missing

    @property
    def instead(self) -> str:
        return "they count as an other category" if self.other else "they count as none of its categories"

    def _canonical(self, level: str) -> str:
        value = PLAIN.number(level) if self.numeric else None
        return level if value is None else number_text(value)


@described
@dataclass(frozen=True)
class BooleanColumn(EncodedColumn):
    """1 for `yes`, 0 for `no`, and for a missing cell what is more frequent; with `indicator` a second output says so.

    Where `yes` is a usual word, so is any other: true, True, yes, y, on and 1 are the same.
    """

    kind: ClassVar[str] = "boolean"
    name: str
    usual: bool
    indicator: bool = False
    no: str = "false"
    yes: str = "true"

    def __post_init__(self) -> None:
        check_text("BooleanColumn", self.name, self.no, self.yes)

    @property
    def output_names(self) -> tuple[str, ...]:
        return (self.name, f"{self.name} missing") if self.indicator else (self.name,)

    def write(self, column: Column, out: Any, place: Place) -> Any:
        found = as_texts(column)
        levels = [self._of_text(level) for level in found.levels]
        cure = f"is neither {self.no} nor {self.yes}, as in training; correct it or make it missing"
        refuse_level(self.name, found, [v is None for v in levels], cure, place)
        values = np.array([*levels, np.nan], dtype=np.float64)[found.codes]
        missing = np.isnan(values)
        out[:, 0] = np.where(missing, self.usual, values)
        if self.indicator:
            out[:, 1] = missing
        return missing

    @property
    def instead(self) -> str:
        return f"they count as {self.yes if self.usual else self.no}, which is more frequent"

    def _of_text(self, level: str) -> float | None:
        if level in (self.no, self.yes):
            return float(level == self.yes)
        value = boolean_of(level) if boolean_of(self.yes) is not None else None
        return math.nan if value is None and is_missing_word(level) else None if value is None else float(value)


@described
@dataclass(frozen=True)
class LeftOut:
    """A column that is not used, its kind, and why."""

    name: str
    kind: str
    reason: str

    def __post_init__(self) -> None:
        check_text("LeftOut", self.name, self.kind, self.reason)


def refuse_level(name: str, column: Texts, wrong: Sequence[bool], cure: str, place: Place) -> None:
    """Raise NumericError for the first row whose text is wrong."""
    if any(wrong):
        rows = np.flatnonzero(np.array([*wrong, False])[column.codes])
        if len(rows):
            level = column.levels[column.codes[rows[0]]]
            place.refuse(name, int(rows[0]), f"{level[:40]!r} {cure}")


def check_text(who: str, *texts: object) -> None:
    """Raise FormatError unless a description's names are text, as they were saved."""
    for text in texts:
        if not isinstance(text, str):
            raise FormatError(f"{who}: names and words must be text; got {text!r}")
