"""The target of a table: labels and their codes, or numbers and their scale; found, saved and read back as plain data.

Which it is, where nobody says:

| the cells | target |
|---|---|
| text, categories, booleans | classes |
| numbers with fractions, dates | numbers; dates are refused |
| two different whole numbers | classes |
| whole numbers from 0 or 1 to `MOST_CODES` at most, with few gaps, `ROWS_PER_CLASS` rows a value | classes, told |
| at most `FEW_VALUES` different whole numbers below 1000, 2 rows a value | classes, told |
| other whole numbers: ages, years, prices | numbers, told |

Labels are compared by what they mean. To classes of numbers, 1, 1.0, True and "1" are one; to classes of text, 1 and
1.0 are "1" and True is "true" (or "True", "yes", ... whichever word the classes use); to booleans, True, 1, "true"
and "yes" are one.
"""

from __future__ import annotations

import abc
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepmath.descriptions import config_of, described, from_config, set_field
from deepmath.errors import ConfigError, FormatError, LabelError
from deepmath.tables.columns import EXACT, Booleans, Column, Dates, Numbers, Texts, as_texts, number_text
from deepmath.tables.encoders import check_text
from deepmath.tables.frames import name_of, values_of
from deepmath.tables.kinds import USED, wanted
from deepmath.tables.spelling import PLAIN, Spelling, spelling_of
from deepmath.tables.words import boolean_of, is_missing_word

logger = logging.getLogger("deepmath")

MOST_CODES = 50
"""Whole numbers up to this, without many gaps, are codes of classes."""
ROWS_PER_CLASS = 5
"""Codes of classes come in at least so many rows each, on average."""
FEW_VALUES = 10
"""So few different whole numbers are classes wherever they begin."""
_SMALL = 1000
_SHOWN = 10

Label: TypeAlias = str | int | float | bool


class Target(abc.ABC):
    """What a model learns: `encode` gives what it is trained on, `decode` what its outputs mean."""

    name: str

    @abc.abstractmethod
    def encode(self, values: Any, first_row: int = 0) -> NDArray[Any]:
        """The target of some rows as numbers. Raises LabelError for a missing or unknown one, naming the row."""

    @abc.abstractmethod
    def decode(self, values: Any) -> NDArray[Any]:
        """What codes or outputs mean."""

    def config(self) -> Any:
        """This as plain data for JSON; `read_target` is the way back."""
        return config_of(self)


@described
@dataclass(frozen=True)
class ClassTarget(Target):
    """Labels, in the order of their codes 0 ... k - 1: all text, all numbers or all booleans.

    >>> target = ClassTarget(("no", "yes"), "answer")
    >>> target.encode(["yes", "no", "yes"]).tolist(), target.decode([1, 0]).tolist()
    ([1, 0, 1], ['yes', 'no'])
    """

    classes: tuple[Label, ...]
    name: str = "y"

    def __post_init__(self) -> None:
        check_text("ClassTarget", self.name)
        sorts = {"number" if type(c) in (int, float) else type(c).__name__ for c in self.classes}
        if len(sorts) != 1 or not sorts <= {"str", "bool", "number"} or len(set(self.classes)) < len(self.classes):
            raise FormatError(f"ClassTarget: classes must be different labels of one type; got {self.classes!r}")
        set_field(self, "classes", tuple(self.classes))

    def encode(self, values: Any, first_row: int = 0) -> NDArray[np.int64]:
        """Labels as codes: int64 [rows]."""
        column = values_of(values, self.name)
        check_present(column, self.name, first_row)
        found = as_texts(column)
        codes = [self._code(level) for level in found.levels]
        wrong = np.flatnonzero(np.array([code is None for code in codes], dtype=np.bool_)[found.codes])
        if len(wrong):
            label = found.levels[found.codes[wrong[0]]]
            raise LabelError(
                f"{self.name}: row {first_row + int(wrong[0])} has the label {label[:40]!r}; "
                f"the model knows {self.shown}"
            )
        return np.array([-1 if code is None else code for code in codes], dtype=np.int64)[found.codes]

    def decode(self, values: Any) -> NDArray[Any]:
        """Codes int [rows] as labels [rows]."""
        kind = object if isinstance(self.classes[0], str) else None
        return np.array(self.classes, dtype=kind)[np.asarray(values, dtype=np.int64)]

    @property
    def shown(self) -> str:
        """The classes for a message."""
        more = f", ... ({len(self.classes)} in all)" if len(self.classes) > _SHOWN else ""
        return ", ".join(str(c) for c in self.classes[:_SHOWN]) + more

    def _code(self, level: str) -> int | None:
        first = self.classes[0]
        truth = boolean_of(level)
        if isinstance(first, bool):
            return None if truth is None or truth not in self.classes else self.classes.index(truth)
        if not isinstance(first, str):
            number = PLAIN.number(level)
            number = float(truth) if number is None and truth is not None and level in ("true", "false") else number
            return None if number is None or number not in self.classes else self.classes.index(number)
        if level in self.classes:
            return self.classes.index(level)
        number = PLAIN.number(level)
        if number is not None:
            same = [i for i, c in enumerate(self.classes) if PLAIN.number(str(c)) == number]
        else:
            same = [i for i, c in enumerate(self.classes) if level in ("true", "false") and boolean_of(str(c)) is truth]
        return same[0] if len(same) == 1 else None


@described
@dataclass(frozen=True)
class NumberTarget(Target):
    """A number in its own unit: target = value * size + origin, where the model is trained on the values.

    >>> NumberTarget("price", 100.0, 10.0).encode([120, "95"]).tolist()
    [2.0, -0.5]
    """

    name: str = "y"
    origin: float = 0.0
    size: float = 1.0
    spelling: Spelling = PLAIN

    def __post_init__(self) -> None:
        check_text("NumberTarget", self.name)
        if not math.isfinite(self.origin) or not math.isfinite(self.size) or self.size <= 0:
            raise FormatError(f"NumberTarget '{self.name}': bad origin or size: {self.origin!r}, {self.size!r}")

    def encode(self, values: Any, first_row: int = 0) -> NDArray[np.float64]:
        """Numbers as the model is trained on them: float64 [rows]. Raises LabelError where one is none, or infinite."""
        column = values_of(values, self.name)
        check_present(column, self.name, first_row)
        numbers = _numbers(column, self.spelling, self.name, first_row)
        infinite = np.flatnonzero(np.isinf(numbers))
        if len(infinite):
            raise LabelError(f"{self.name}: row {first_row + int(infinite[0])} is infinite; correct it or leave it out")
        return (numbers - self.origin) / self.size

    def decode(self, values: Any) -> NDArray[np.float64]:
        """A model's outputs as numbers in the target's unit."""
        return np.asarray(values, dtype=np.float64) * self.size + self.origin


def target_of(values: Any, name: str | None = None, kind: str | None = None, *, scale: bool = False) -> Target:
    """The target that a column of training rows is, by the table above or as `kind` says.

    Args:
        values: a series, an array [rows] or a list. Rows without a value don't count; `missing_rows` finds them.
        name: the column's name, by default the series' own, or "y".
        kind: "category" (classes) or "number"; also "number:1.234,5" for text written so.
        scale: whether numbers are trained on with mean 0 and deviation 1.

    Raises:
        LabelError: no row has a value, all have the same label, or cells aren't of that kind.
        ConfigError: another kind.
    """
    name = name or name_of(values) or "y"
    column = values_of(values, name)
    if kind is not None and wanted(name, kind).kind not in ("category", "number"):
        raise ConfigError(f"the target '{name}' can be a category or a number; got {kind!r}" + _hint(kind))
    if isinstance(column, Dates):
        raise LabelError(f"the target '{name}' holds dates; turn them into a number, such as days")
    if bool(column.missing.all()):
        raise LabelError(f"the target '{name}' is missing in every row")
    given = None if kind is None else wanted(name, kind)
    spelling = PLAIN if given is None or given.numbers is None else given.numbers
    if isinstance(column, Texts) and (given is None or (given.kind == "number" and given.numbers is None)):
        found, _ = spelling_of([level for level in column.levels if not is_missing_word(level)])
        if found is not None:
            spelling, column = found, Numbers(_numbers(column, found, name, 0))
    as_numbers = (
        given.kind == "number" if given is not None else isinstance(column, Numbers) and not _classes(column, name)
    )
    if not as_numbers:
        return ClassTarget(_labels(column, name), name)
    numbers = _numbers(column, spelling, name, 0)
    numbers = numbers[np.isfinite(numbers)]
    if not scale or not len(numbers):
        return NumberTarget(name, spelling=spelling)
    size = float(numbers.std())
    return NumberTarget(name, float(numbers.mean()), size if size > 0 else 1.0, spelling)


def read_target(config: Any) -> Target:
    """What `Target.config` wrote. Raises FormatError for anything else."""
    try:
        target = from_config(config, {})
    except (ConfigError, TypeError) as error:
        raise FormatError(f"the description of the target can't be read: {error}") from error
    if not isinstance(target, Target):
        raise FormatError(f"the description of the target can't be read: it is a {type(target).__name__}")
    return target


def missing_rows(values: Any, name: str = "y") -> NDArray[np.int64]:
    """The numbers of the rows whose target is missing: int64."""
    return np.flatnonzero(values_of(values, name).missing)


def check_present(column: Column, name: str, first_row: int = 0) -> None:
    """Raise LabelError where a target is missing."""
    missing = np.flatnonzero(column.missing)
    if len(missing):
        count = f"{len(missing)} row{'s have' if len(missing) > 1 else ' has'} none"
        raise LabelError(
            f"{name}: row {first_row + int(missing[0])} has no value ({count}); a target must be known: leave them out"
        )


def _classes(column: Numbers, name: str) -> bool:
    """Whether whole numbers are classes, by the table above; where that isn't plain, the log says so."""
    values = column.values[~column.missing]
    if not bool((np.isfinite(values) & (values == np.floor(values))).all()):
        return False
    distinct = np.unique(values)
    count, low, high, rows = len(distinct), distinct[0], distinct[-1], len(values)
    if count <= 2:
        return True
    codes = low in (0, 1) and high <= MOST_CODES and 2 * count >= high - low + 1 and rows >= ROWS_PER_CLASS * count
    few = count <= FEW_VALUES and max(abs(low), abs(high)) < _SMALL and rows >= 2 * count
    taken, other = ("classes", "number") if codes or few else ("numbers", "category")
    told = "the target '%s' holds %d different whole numbers, taken as %s; say kind='%s' if they are not"
    logger.log(logging.INFO if codes and few else logging.WARNING, told, name, count, taken, other)
    return codes or few


def _labels(column: Column, name: str) -> tuple[Label, ...]:
    labels: tuple[Label, ...]
    if isinstance(column, Booleans):
        labels = tuple(bool(v) for v in np.unique(column.values[~column.missing]))
    elif isinstance(column, Numbers):
        distinct = np.unique(column.values[~column.missing]).tolist()
        labels = tuple(int(v) if v == np.floor(v) and abs(v) <= EXACT else v for v in distinct)
    else:
        texts = as_texts(column)
        present = {texts.levels[code] for code in np.unique(texts.codes[texts.codes >= 0])}
        order = {category: i for i, category in enumerate(texts.order or ())}
        labels = tuple(sorted(present, key=lambda level: (order.get(level, len(order)), level)))
    if len(labels) < 2:
        raise LabelError(f"the target '{name}' is {labels[0]!r} in every row; there is nothing to tell apart")
    return labels


def _numbers(column: Column, spelling: Spelling, name: str, first_row: int) -> NDArray[np.float64]:
    if isinstance(column, Numbers):
        return column.values
    if isinstance(column, Booleans):
        return np.where(column.missing, np.nan, column.values)
    found = as_texts(column)
    numbers = [spelling.number(level) for level in found.levels]
    for i, number in enumerate(numbers):
        rows = np.flatnonzero(found.codes == i) if number is None else ()
        if number is None and not is_missing_word(found.levels[i]) and len(rows):
            shown = "" if spelling.plain else f" written as {spelling.example}"
            raise LabelError(
                f"{name}: row {first_row + int(rows[0])} is {found.levels[i][:40]!r}, which is not a number{shown}"
            )
    return np.array([*(math.nan if n is None else n for n in numbers), math.nan])[found.codes]


def _hint(kind: Sequence[str]) -> str:
    return "; classes are kind='category'" if kind in USED else ""
