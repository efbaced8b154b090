"""The target of a table: labels and their codes, or numbers and their scale; saved and read back as plain data.

Labels are compared by what they mean. To classes of numbers, 1, 1.0, True and "1" are one; to classes of text, 1 and
1.0 are "1" and True is "true" (or "True", "yes", ... whichever word the classes use); to booleans, True, 1, "true"
and "yes" are one.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepmath.arrays import namespace_of
from deepmath.descriptions import config_of, described, from_config, set_field
from deepmath.errors import ConfigError, FormatError, LabelError
from deepmath.tables.columns import Booleans, Column, Numbers, as_texts
from deepmath.tables.encoders import check_text
from deepmath.tables.frames import values_of
from deepmath.tables.spelling import PLAIN, Spelling
from deepmath.tables.words import boolean_of, is_missing_word

_SHOWN = 10

Label: TypeAlias = str | int | float | bool


class Target(abc.ABC):
    """What a model learns: `encode` gives what it is trained on, `decode` what its outputs mean."""

    name: str

    @abc.abstractmethod
    def encode(self, values: Any, rows: int | NDArray[np.int64] = 0) -> NDArray[Any]:
        """The target of some rows as numbers. Raises LabelError for a missing or unknown one, naming the row.

        `rows` is the number of the first of them in messages, or the numbers of all: int64 [rows].
        """

    @abc.abstractmethod
    def decode(self, values: Any) -> NDArray[Any]:
        """What codes or outputs mean."""

    def predictions(self, p: Any) -> Any:
        """A model's outputs [rows, outputs] in the target's own unit; probabilities of classes stay as they are."""
        return p

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

    def encode(self, values: Any, rows: int | NDArray[np.int64] = 0) -> NDArray[np.int64]:
        """Labels as codes: int64 [rows]."""
        column = values_of(values, self.name)
        check_present(column.missing, self.name, rows)
        found = as_texts(column)
        codes = [self._code(level) for level in found.levels]
        wrong = np.flatnonzero(np.array([code is None for code in codes], dtype=np.bool_)[found.codes])
        if len(wrong):
            label = found.levels[found.codes[wrong[0]]]
            raise LabelError(
                f"{self.name}: row {_row(rows, wrong[0])} has the label {label[:40]!r}; the model knows {self.shown}"
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

    def encode(self, values: Any, rows: int | NDArray[np.int64] = 0) -> NDArray[np.float64]:
        """Numbers as the model is trained on them: float64 [rows]. Raises LabelError where one is none, or infinite."""
        column = values_of(values, self.name)
        numbers = numbers_of(column, self.spelling, self.name, rows)
        check_present(np.isnan(numbers), self.name, rows)
        infinite = np.flatnonzero(np.isinf(numbers))
        if len(infinite):
            raise LabelError(f"{self.name}: row {_row(rows, infinite[0])} is infinite; correct it or leave it out")
        return (numbers - self.origin) / self.size

    def decode(self, values: Any) -> NDArray[np.float64]:
        """A model's outputs as numbers in the target's unit."""
        return np.asarray(values, dtype=np.float64) * self.size + self.origin

    def predictions(self, p: Any) -> Any:
        return p if (self.origin, self.size) == (0.0, 1.0) else p * self.size + self.origin


@described
@dataclass(frozen=True)
class NumbersTarget(Target):
    """Several numbers in their own units, as `NumberTarget` has one: targets = values * sizes + origins.

    >>> NumbersTarget(("height", "weight"), (170.0, 70.0), (10.0, 20.0)).encode([[180.0, 80.0]]).tolist()
    [[1.0, 0.5]]
    """

    names: tuple[str, ...]
    origins: tuple[float, ...]
    sizes: tuple[float, ...]

    def __post_init__(self) -> None:
        check_text("NumbersTarget", *self.names)
        lengths = {len(self.names), len(self.origins), len(self.sizes)}
        if len(lengths) != 1 or not all(map(math.isfinite, (*self.origins, *self.sizes))) or min(self.sizes) <= 0:
            raise FormatError(f"NumbersTarget: bad origins or sizes: {self.origins!r}, {self.sizes!r}")

    @property
    def name(self) -> str:  # type: ignore[override]
        """All names."""
        return ", ".join(self.names)

    def encode(self, values: Any, rows: int | NDArray[np.int64] = 0) -> NDArray[np.float64]:
        """Numbers as the model is trained on them: float64 [rows, targets]."""
        numbers = np.asarray(values, dtype=np.float64)
        if numbers.ndim != 2 or numbers.shape[1] != len(self.names):
            raise ConfigError(f"y has shape {numbers.shape}, but the model predicts {len(self.names)}: {self.name}")
        columns = [
            NumberTarget(name, origin, size).encode(numbers[:, i], rows)
            for i, (name, origin, size) in enumerate(zip(self.names, self.origins, self.sizes, strict=True))
        ]
        return np.stack(columns, axis=1)

    def decode(self, values: Any) -> NDArray[np.float64]:
        """A model's outputs [rows, targets] as numbers in the targets' units."""
        return np.asarray(values, dtype=np.float64) * np.asarray(self.sizes) + np.asarray(self.origins)

    def predictions(self, p: Any) -> Any:
        columns = [
            p[:, i : i + 1] * size + origin
            for i, (origin, size) in enumerate(zip(self.origins, self.sizes, strict=True))
        ]
        return namespace_of(p).concat(columns, axis=1)


def read_target(config: Any) -> Target:
    """What `Target.config` wrote. Raises FormatError for anything else."""
    try:
        target = from_config(config, {})
    except (ConfigError, TypeError) as error:
        raise FormatError(f"the description of the target can't be read: {error}") from error
    if not isinstance(target, Target):
        raise FormatError(f"the description of the target can't be read: it is a {type(target).__name__}")
    return target


def check_present(missing: NDArray[np.bool_], name: str, rows: int | NDArray[np.int64] = 0) -> None:
    """Raise LabelError where a target is missing: bool [rows]."""
    found = np.flatnonzero(missing)
    if len(found):
        count = f"{len(found)} row{'s have' if len(found) > 1 else ' has'} none"
        raise LabelError(
            f"{name}: row {_row(rows, found[0])} has no value ({count}); a target must be known: leave them out"
        )


def numbers_of(column: Column, spelling: Spelling, name: str, rows: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """The cells of a target as numbers: float64 [rows]; NaN where one is missing. LabelError where one is none."""
    if isinstance(column, Numbers):
        return column.values
    if isinstance(column, Booleans):
        return np.where(column.missing, np.nan, column.values)
    found = as_texts(column)
    numbers: list[float | None] = [spelling.number(level) for level in found.levels]
    strange = [n is None and not is_missing_word(level) for n, level in zip(numbers, found.levels, strict=True)]
    wrong = np.flatnonzero(np.array([*strange, False])[found.codes])
    if len(wrong):
        shown = "" if spelling.plain else f" written as {spelling.example}"
        level = found.levels[found.codes[wrong[0]]][:40]
        raise LabelError(f"{name}: row {_row(rows, wrong[0])} is {level!r}, which is not a number{shown}")
    values: Any = np.array([*numbers, None], dtype=np.float64)  # None becomes NaN
    return values[found.codes]


def _row(rows: int | NDArray[np.int64], place: int) -> int:
    return int(rows + place) if isinstance(rows, int) else int(rows[place])
