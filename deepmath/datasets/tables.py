"""Tables of numbers in CSV files, read strictly: what isn't a number is an error that names its place."""

from __future__ import annotations

import array
import difflib
import logging
import math
import numbers
import os
import shlex
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmath.datasets.lines import Records
from deepmath.errors import ConfigError, FormatError

logger = logging.getLogger("deepmath")


@dataclass(frozen=True, eq=False)
class Table:
    """What `read_csv` returns."""

    X: NDArray[np.float64]
    """The features [rows, features]."""

    y: NDArray[np.float64] | NDArray[np.int64]
    """The target [rows]: float64 as written, or int64 places in `classes`; float64 [rows, targets] for several."""

    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]

    classes: tuple[str, ...] | None
    """The labels in sorted order where the target is text, else None."""

    @property
    def target_name(self) -> str:
        """The target's name, the first one's where there are several."""
        return self.target_names[0]


def read_csv(
    path: str | os.PathLike[str],
    *,
    target: str | int | Sequence[str | int] | None = None,
    header: bool = True,
    na: Collection[str] = (),
) -> Table:
    """Read a comma-separated UTF-8 file of numbers; the target column may be text.

    A target of numbers stays as written. If a cell of it is text, the column holds labels: they become
    0 ... k - 1 in sorted order. Where numbers with fractions stand beside text, the text is an error, as
    in a feature. Blank lines are passed over, and blanks around a cell don't count.

    Args:
        path: the file.
        target: name or place (from 0; negative ones count from the end) of the target column, by default the last;
            a list of them gives y [rows, targets].
        header: whether the first line holds names; without it the columns are called x0, x1, ...
        na: cells that mean "missing"; they become NaN. A missing label is an error.

    Raises:
        FormatError: the file is not such a table; the message names the file, the line and the column.
        ConfigError: there is no such target column, it is named twice, or no column is left as a feature.
        OSError: the file is missing or can't be read.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "flowers.csv")
    ...     _ = path.write_text("length,width,kind\\n5.1,3.5,setosa\\n6.2,?,virginica\\n4.9,3.0,setosa\\n")
    ...     table = read_csv(path, na=["?"])
    >>> table.X.tolist(), table.y.tolist(), table.classes
    ([[5.1, 3.5], [6.2, nan], [4.9, 3.0]], [0, 1, 0], ('setosa', 'virginica'))
    """
    missing = frozenset([na] if isinstance(na, str) else na)
    with Records(path) as records:
        first = next(records, None)
        if first is None:
            msg = f"{records.name}: the file is empty; a header and rows of numbers are expected"
            raise FormatError(msg)
        names = header_names(records, first) if header else tuple(f"x{i}" for i in range(len(first)))
        if len(names) < 2:
            msg = f"{records.where}: 1 column, expected at least a feature and a target{separator_hint(first[0])}"
            raise FormatError(msg)
        several = isinstance(target, Sequence) and not isinstance(target, str)
        places = target_places(records.name, names, target)
        rows = TableRows(records, names, None if several else places[0], missing)
        if not header:
            rows.add(first)
        for cells in records:
            rows.add(cells)
        others = [i for i in range(len(names)) if i not in places]
        X = rows.features()
        feature_names, target_names = (tuple(names[i] for i in chosen) for chosen in (others, places))
        if several:
            return Table(X[:, others], X[:, places], feature_names, target_names, None)
        y, classes = rows.targets()
        return Table(X, y, feature_names, target_names, classes)


class TableRows:
    """The rows read so far: features as numbers, the target as text until all of it is known.

    `place` is the target's; without one all columns are numbers.
    """

    def __init__(self, records: Records, names: tuple[str, ...], place: int | None, missing: frozenset[str]) -> None:
        self.records, self.names, self.place, self.missing = records, names, place, missing
        self.values = array.array("d")
        self.labels: list[str] = []
        self.lines = array.array("q")

    def add(self, cells: list[str]) -> None:
        if len(cells) != len(self.names):
            fields = "1 field" if len(cells) == 1 else f"{len(cells)} fields"
            msg = f"{self.records.where}: {fields}, expected {len(self.names)}"
            raise FormatError(msg)
        if self.place is not None:
            self.labels.append(cells.pop(self.place))
        self.lines.append(self.records.line)
        self.values.extend(self._numbers(cells))

    def features(self) -> NDArray[np.float64]:
        if not self.lines:
            msg = f"{self.records.name}: a header and no rows"
            raise FormatError(msg)
        return np.array(self.values, dtype=np.float64).reshape(len(self.lines), -1)

    def targets(self) -> tuple[NDArray[np.float64] | NDArray[np.int64], tuple[str, ...] | None]:
        assert self.place is not None
        classes = classes_of(set(self.labels) - self.missing)
        if classes is None:
            return self.target_numbers(), None
        return self.codes(classes), classes

    def target_numbers(self) -> NDArray[np.float64]:
        """The target's cells as numbers."""
        assert self.place is not None
        return np.array([self._number(cell, row, self.place) for row, cell in enumerate(self.labels)], dtype=np.float64)

    def codes(self, classes: tuple[str, ...]) -> NDArray[np.int64]:
        """The target's cells as places in `classes`."""
        assert self.place is not None
        codes = {label: code for code, label in enumerate(classes)}
        for row, label in enumerate(self.labels):
            if label not in codes:
                msg = f"{self._where(row, self.place)}: {label!r} is missing, and a row needs its label; remove the row"
                raise FormatError(msg)
        return np.array([codes[label] for label in self.labels], dtype=np.int64)

    def _numbers(self, cells: list[str]) -> list[float]:
        """A row's features. Most rows are plain finite numbers, which one sum shows without a look at each."""
        if self.missing.isdisjoint(cells):
            try:
                values = list(map(float, cells))
            except ValueError:
                values = [math.nan]
            if math.isfinite(sum(values)) and not any("_" in cell for cell in cells):
                return values
        columns = [i for i in range(len(self.names)) if i != self.place]
        row = len(self.lines) - 1
        return [self._number(cell, row, column) for column, cell in zip(columns, cells, strict=True)]

    def _number(self, cell: str, row: int, column: int) -> float:
        if cell in self.missing:
            return math.nan
        value = parsed(cell)
        if value is not None and math.isfinite(value):
            return value
        where = self._where(row, column)
        if value is None:
            msg = f"{where}: {_shown(cell)} is not a number (use --na {shlex.quote(cell)} to treat it as missing)"
            raise FormatError(msg)
        msg = f"{where}: {_shown(cell)} is infinite as a 64-bit number; remove the row or correct it"
        raise FormatError(msg)

    def _where(self, row: int, column: int) -> str:
        return f"{self.records.name} line {self.lines[row]}, column '{self.names[column]}'"


def classes_of(labels: Collection[str]) -> tuple[str, ...] | None:
    """A target's distinct cells as sorted labels; None where they are numbers, or fractions stand among them."""
    numbers = {label: parsed(label) for label in labels}
    text = any(value is None and label for label, value in numbers.items())
    fractions = any(value is not None and not value.is_integer() for value in numbers.values())
    return tuple(sorted(numbers.keys() - {""})) if text and not fractions else None


def parsed(cell: str) -> float | None:
    """The number that a cell holds, or None; `nan` and Python's 1_000 are no numbers of a table."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return None if math.isnan(value) or "_" in cell else value


def header_names(records: Records, cells: list[str]) -> tuple[str, ...]:
    """The columns' names from a header's cells. Raises FormatError where two are the same."""
    names = tuple(cell or f"x{i}" for i, cell in enumerate(cells))
    if len(set(names)) < len(names):
        name = next(name for name, count in Counter(names).items() if count > 1)
        msg = f"{records.where}: two columns are called '{name}'; rename one (or use --no-header if the line is data)"
        raise FormatError(msg)
    if all(parsed(name) is not None for name in names):
        logger.warning(
            "%s: the first line holds only numbers and is taken as names (use --no-header if it is data)", records.name
        )
    return names


def target_places(file: str, names: Sequence[str], target: Any) -> list[int]:
    """The places of the target columns from 0; at least one column is left."""
    if isinstance(target, str) or not isinstance(target, Sequence):
        return [_place(file, names, target)]
    places = [_place(file, names, one) for one in target]
    if not places or len(set(places)) < len(places) or len(places) == len(names):
        fault = "names no column" if not places else "leaves no feature"
        fault = "names a column twice" if len(set(places)) < len(places) else fault
        msg = f"read_csv: target={list(target)!r} {fault}; {file} has {len(names)} columns"
        raise ConfigError(msg)
    return places


def _place(file: str, names: Sequence[str], target: str | int | None) -> int:
    """The target column's place from 0."""
    if target is None:
        return len(names) - 1
    if isinstance(target, str) and target in names:
        return names.index(target)
    if isinstance(target, numbers.Integral) and not isinstance(target, bool) and -len(names) <= target < len(names):
        return int(target) % len(names)
    shown = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
    close = difflib.get_close_matches(str(target), names, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    msg = f"read_csv: target={target!r} is not a column of {file}{hint} Columns: {shown}"
    raise ConfigError(msg)


def separator_hint(line: str) -> str:
    """A hint where a line of one column looks as if another separator was meant."""
    for character, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if character in line:
            return f"; the file seems to be separated by {name}: separate it by commas"
    return ""


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")
