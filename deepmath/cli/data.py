"""Data for the command as numbers: X [rows, inputs] and targets, in memory or in files of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath import datasets
from deepmath.checks import check_finite
from deepmath.cli.settings import Settings
from deepmath.data.fingerprint import digest
from deepmath.datasets import TableSource
from deepmath.errors import ConfigError, LabelError
from deepmath.program import Data
from deepmath.tables import (
    ClassTarget,
    ColumnSummary,
    Frame,
    TableEncoding,
    Target,
    missing_rows,
    read_table,
)
from deepmath.tables.columns import Column, cells_of
from deepmath.tables.places import place_of, table_names

PIECE = 1 << 16
"""How many rows are measured at a time where all of them may be too many."""


@dataclass(frozen=True)
class DataSet:
    """Rows to learn from or to measure: X are numbers, and y what the target encodes.

    Of a table `encoding` and `summary` say what its columns are, and `dropped` how many rows had no target. A table
    larger than memory is a `source`, and X and y are None.
    """

    name: str
    X: Any
    y: Any
    features: tuple[str, ...]
    target: Target
    encoding: TableEncoding | None = None
    summary: tuple[ColumnSummary, ...] = ()
    dropped: int = 0
    source: TableSource | None = None

    @property
    def rows(self) -> int:
        return self.source.shape[0] if self.source is not None else len(self.X)

    @property
    def inputs(self) -> int:
        """How many numbers a row has."""
        return self.source.shape[1] if self.source is not None else self.X.shape[1]

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the labels, None where the target is numbers."""
        return tuple(map(str, self.target.classes)) if isinstance(self.target, ClassTarget) else None

    @property
    def has_plane(self) -> bool:
        """Whether a row is two numbers as the data have them, so that regions can be drawn."""
        columns = self.encoding.used if self.encoding is not None else ()
        return self.inputs == 2 and all(c.kind == "number" and len(c.output_names) == 1 for c in columns)

    def at(self, rows: Any) -> tuple[Any, ...]:
        """These rows as `fit` and `evaluate` take them: X and y, or a source."""
        if self.source is None:
            return self.X[rows], self.y[rows]
        part = self.source.subset(rows)
        part.table_encoding = None  # these are plain numbers, as those in memory are
        return (part,)

    def arrays(self, rows: Any) -> tuple[Any, Any]:
        """X and y of these rows, in memory."""
        if self.source is None:
            return self.X[rows], self.y[rows]
        found = self.source.take(rows)
        return found.X, self.target.decode(found.y)

    def sample(self, rows: Any, most: int) -> tuple[Any, Any]:
        """X and y of so many of these rows at most, evenly spread where the table is larger than memory."""
        if self.source is not None and len(rows) > most:
            rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
        return self.arrays(rows)

    def pieces(self, rows: Any) -> Iterator[tuple[Any, Any]]:
        """X and y of these rows, not too many at a time."""
        return (self.arrays(rows[start : start + PIECE]) for start in range(0, len(rows), PIECE))

    def codes(self) -> Any:
        """The targets of all rows as the loss takes them."""
        return self.target.encode(self.y) if self.source is None else self.source.take(np.arange(self.rows)).y

    def digest(self) -> str:
        """A short hash of the numbers: the same rows, wherever the file lies."""
        return digest(Data(self.X, self.codes(), None)) if self.source is None else self.source.digest()


def named(settings: Settings, target_of: Callable[[Any, str], Target]) -> DataSet:
    """A data set by its name, or an NPZ file; `target_of` says what numbers without names are."""
    if settings.data == "mnist" and settings.data_dir is None:
        raise ConfigError("mnist needs --data-dir DIR, the folder of its files")
    options = {} if settings.data_dir is None else {"data_dir": settings.data_dir}
    d = datasets.load(settings.data, seed=settings.seed, **options)
    if d.y.ndim != 1:
        raise ConfigError(f"{settings.data} has {d.y.shape[1]} targets; the command learns one")
    check_finite(d.X, f"X of {d.name}")
    if d.y.dtype.kind == "f":
        check_finite(d.y, f"y of {d.name}")
    y = d.y if d.classes is None else np.array(d.classes, dtype=object)[d.y]
    name = d.target_names[0]
    target = target_of(y, name) if d.classes is None else ClassTarget(d.classes, name)
    return DataSet(d.name, d.X, y, d.feature_names, target)


@dataclass(frozen=True)
class Table:
    """A table with a target: `inputs` are its other columns, `y` the target's cells, `dropped` rows that had none."""

    name: str
    inputs: Frame
    target: str
    y: Column
    dropped: int = 0

    def known(self, target: Target) -> Table:
        """The rows whose target is known. Raises LabelError where there is none."""
        missing = missing_rows(self.y, self.target, target)
        if len(missing) == self.inputs.rows:
            raise LabelError(f"{self.name}: the target '{self.target}' is missing in every row")
        rows = np.setdiff1d(np.arange(self.inputs.rows), missing)
        return replace(self, inputs=self.inputs.take(rows), y=cells_of(self.y, rows), dropped=len(missing))

    def numbers(self, encoding: TableEncoding, target: Target, summary: Sequence[ColumnSummary] = ()) -> DataSet:
        """The rows as numbers."""
        X = encoding.apply(self.inputs, who=self.name)
        names = encoding.output_names
        return DataSet(self.name, X, self.y.values, names, target, encoding, tuple(summary), self.dropped)


def table(settings: Settings, target: str, text: Collection[str] = (), na: Collection[str] = ()) -> Table:
    """A file as a table, read as the settings say; `text` and `na` are as of `read_table`."""
    frame = read_table(settings.data, header=settings.header, na={*settings.na, *na}, text=text)
    if len(frame.names) < 2:
        raise ConfigError(
            f"{settings.data} has one column, '{frame.names[0]}'; there must be one to learn from, and a target"
        )
    return Table(settings.data, frame.drop(target), target, frame.column(target))


def target_name(settings: Settings) -> str:
    """The name of the target's column: as given by name or place, or the last one."""
    names, given = table_names(settings.data, header=settings.header), settings.target
    by_place = given is not None and given not in names and given.lstrip("-").isdecimal()
    return names[place_of("--target", settings.data, names, int(given) if by_place and given else given)]
