"""From a table to the numbers that a network takes: fitted once, saved as plain data, the same for every row."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepmath.arrays import FLOATS, is_frame
from deepmath.descriptions import check_number, config_of, described, from_config, set_field
from deepmath.errors import ConfigError, FormatError
from deepmath.tables.columns import Column, Numbers
from deepmath.tables.encoders import EncodedColumn, LeftOut, NumberColumn, Place, check_text
from deepmath.tables.frames import Frame, frame_of, listed, no_column
from deepmath.tables.kinds import LEFT_OUT, NUMBER, Wanted, kind_of, wanted
from deepmath.tables.learning import learnt
from deepmath.tables.seen import Seen
from deepmath.tables.summary import ColumnSummary, summarized

logger = logging.getLogger("deepmath")


@described
@dataclass(frozen=True)
class TableEncoder:
    """How a table becomes numbers, before it has seen one.

    Args:
        kinds: what single columns are, by name, where that isn't what their cells look like: "number", "category",
            "boolean", "date", "date:%d/%m/%Y", "number:1.234,5", or "out" to leave a column out. For all
            others `deepmath.tables.kinds` has the rules.
        max_categories: the most categories of a column that get an output each: the most frequent ones. The rest
            are "other", and so are those in fewer rows than 2 to 10 (a thousandth of all) in a column of more than 10.
        keep_numbers: whether all columns of a table that holds nothing but numbers and booleans, none of them missing,
            are used, constant ones and row numbers too: such a table is a matrix whose columns have names.

    Raises ConfigError for an unknown kind, or a number of categories below 2.

    >>> import pandas as pd
    >>> people = pd.DataFrame({"age": [31.0, None, 45.0], "city": ["Nice", "Rome", "Nice"]})
    >>> encoding = TableEncoder().fit(people)
    >>> encoding.output_names
    ('age', 'age missing', 'city=Nice', 'city=Rome')
    >>> encoding.apply(people)
    array([[31.,  0.,  1.,  0.],
           [38.,  1.,  0.,  1.],
           [45.,  0.,  1.,  0.]])
    """

    kinds: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    max_categories: int = 100
    keep_numbers: bool = False

    def __post_init__(self) -> None:
        pairs = self.kinds.items() if isinstance(self.kinds, Mapping) else self.kinds
        set_field(self, "kinds", tuple((str(name), kind) for name, kind in pairs))
        check_number("TableEncoder", "max_categories", self.max_categories, low=2, whole=True)
        self._wanted()

    def _wanted(self) -> dict[str, Wanted]:
        return {name: wanted(name, kind) for name, kind in self.kinds}  # type: ignore[str-unpack]

    @property
    def text(self) -> tuple[str, ...]:
        """Columns that a file's reader must take as text: pass them as `read_table(..., text=...)`."""
        return tuple(name for name, given in self._wanted().items() if given.as_text)

    def fit(self, frame: Any, *, tell: bool = True) -> TableEncoding:
        """What the columns of a data frame (the target is not among them) become. With `tell` the log has the notices.

        Raises ConfigError for a name in `kinds` that is no column, and where no column is left to learn from;
        NumericError for an infinite number.
        """
        fitted = self.fit_chunks([frame_of(frame)])
        if tell:
            fitted.tell()
        return fitted.encoding

    def fit_chunks(self, frames: Iterable[Frame]) -> FittedTable:
        """The same from a table in chunks: equal to `fit` on the whole. Memory holds a chunk, and of each column a
        sample of 262,144 rows and as many distinct texts: medians beyond so many rows are those of an even sample.
        """
        given = self._wanted()
        columns: dict[str, Seen] = {}
        for frame in frames:
            if not columns:
                columns = {name: Seen(name) for name in frame.names}
                for name in given:
                    if name not in columns:
                        no_column(name, frame.names, "kinds: the table")
            if set(frame.names) != set(columns):
                raise ConfigError(f"the chunks have different columns: {listed(frame.names)}; {listed(tuple(columns))}")
            for name, seen in columns.items():
                want = given.get(name)
                if want is not None and want.kind in LEFT_OUT:
                    continue
                column = frame.column(name)
                seen.add(column, want is not None and want.takes_as_text(column), frame.row_numbers)
        if not columns:
            raise ConfigError("TableEncoder: there are no columns, or no rows, to learn from")
        matrix = self.keep_numbers and all(s.type in ("number", "boolean") and not s.missing for s in columns.values())
        found = {n: kind_of(seen, NUMBER if matrix else given.get(n)) for n, seen in columns.items()}
        parts = [learnt(columns[name], found[name], self.max_categories) for name in columns]
        if all(isinstance(part.column, LeftOut) for part in parts):
            reasons = "; ".join(
                f"'{p.column.name}': {p.column.reason}" for p in parts[:3] if isinstance(p.column, LeftOut)
            )
            raise ConfigError(
                f"no column is left to learn from ({reasons}); say what they are: kinds={{'name': 'category'}}"
            )
        encoding = TableEncoding(tuple(part.column for part in parts))
        return FittedTable(encoding, tuple(summarized(columns[p.column.name], p) for p in parts))


@dataclass(frozen=True)
class FittedTable:
    """A fitted encoding, and what was found of each column."""

    encoding: TableEncoding
    summary: tuple[ColumnSummary, ...]

    def tell(self) -> None:
        """Log what is doubtful, and what is left out and why."""
        for row in self.summary:
            if row.notice is not None:
                logger.warning("%s", row.told)


@described
@dataclass(frozen=True)
class TableEncoding:
    """What each column of a table becomes, as plain data: `columns` are `NumberColumn`, `CategoryColumn`,
    `BooleanColumn`, `DateColumn` and `LeftOut`, in the order of the training table.

    `na` are further cells that meant "missing" in the file it comes from: pass them as `read_table(..., na=...)`.
    """

    columns: tuple[EncodedColumn | LeftOut, ...]
    na: tuple[str, ...] = ()
    verbatim: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not all(isinstance(column, (EncodedColumn, LeftOut)) for column in self.columns):
            raise FormatError("TableEncoding: columns must be descriptions of columns")
        set_field(self, "columns", tuple(self.columns))
        check_text("TableEncoding", *self.na)
        set_field(self, "na", tuple(self.na))
        set_field(self, "_told", set())

    @property
    def used(self) -> tuple[EncodedColumn, ...]:
        """The columns that become inputs."""
        return tuple(column for column in self.columns if isinstance(column, EncodedColumn))

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The columns that don't."""
        return tuple(column for column in self.columns if isinstance(column, LeftOut))

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns that are used, in order."""
        return tuple(column.name for column in self.used)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs, such as 'city=Nice' and 'age missing'."""
        return tuple(name for column in self.used for name in column.output_names)

    @property
    def outputs(self) -> int:
        """How many numbers a row becomes."""
        return len(self.output_names)

    @property
    def text(self) -> tuple[str, ...]:
        """Columns that a file's reader must take as text: pass them as `read_table(..., text=...)`."""
        return tuple(column.name for column in self.used if column.as_text)

    def with_na(self, na: Iterable[str]) -> TableEncoding:
        """The same for a file in which these cells meant "missing" too."""
        return replace(self, na=tuple(sorted({*self.na, *na})))

    def config(self) -> Any:
        """This as plain data for JSON; `TableEncoding.read` is the way back."""
        return config_of(self)

    @staticmethod
    def read(config: Any) -> TableEncoding:
        """What `config` wrote. Raises FormatError for anything else."""
        try:
            encoding = from_config(config, {})  # no custom objects: a category may be called as one of them is
        except (ConfigError, TypeError) as error:
            raise FormatError(f"the description of the table can't be read: {error}") from error
        if not isinstance(encoding, TableEncoding):
            raise FormatError(f"the description of the table can't be read: it is a {type(encoding).__name__}")
        return encoding

    def unknown(self, frame: Any) -> tuple[str, ...]:
        """Columns of a data frame that training hadn't."""
        known = {column.name for column in self.columns}
        return tuple(name for name in frame_of(frame).names if name not in known)

    def apply(self, x: Any, *, dtype: str = "float64", who: str = "X", first_row: int = 0) -> NDArray[Any]:
        """A table as numbers: `dtype` [rows, outputs].

        Args:
            x: a data frame whose columns may stand in any order and be more than are needed; or, where only numbers
                and booleans are used, an array [rows, columns] of the columns that are used, or of all, in order.
            dtype: "float64" or "float32".
            who: what messages call it.
            first_row: the number of its first row in messages.

        Raises:
            ConfigError: a column is missing, or of a type that can't be meant; an array doesn't fit.
            NumericError: a cell that has no meaning; the message names its row.
        """
        if dtype not in FLOATS:
            raise ConfigError(f"TableEncoding.apply: dtype must be 'float32' or 'float64'; got {dtype!r}")
        given = self._columns_of(x, who)
        rows = len(given)
        out = np.zeros((rows, self.outputs), dtype=FLOATS[dtype])
        place, start = Place(who, first_row, getattr(given, "row_numbers", None)), 0
        for column in self.used:
            stop = start + len(column.output_names)
            missing = column.write(given.column(column.name), out[:, start:stop], place)
            start = stop
            if missing.any() and not getattr(column, "indicator", getattr(column, "missing", True)):
                self._tell_missing(column, who)
        return out

    def _columns_of(self, x: Any, who: str) -> Frame | _Positions:
        if isinstance(x, Frame) or is_frame(x):
            frame = frame_of(x, who)
            given = set(frame.names)
            missing = [name for name in self.features if name not in given]
            if missing:
                no_column(missing, frame.names, who, ", on which the model was trained")
            return frame
        array = np.asarray(x)
        strange = [
            c for c in self.used if c.kind not in ("number", "boolean") or (c.as_text and isinstance(c, NumberColumn))
        ]
        if strange:
            written = f" written as {c.spelling.example}" if isinstance(c := strange[0], NumberColumn) else ""
            what = f"column '{c.name}' is a {c.kind}{written}"
            raise ConfigError(f"{who} must be a data frame with the columns {listed(self.features)}, because {what}")
        names = self.features if array.shape[1:] == (len(self.features),) else tuple(c.name for c in self.columns)
        if array.ndim != 2 or array.shape[1] != len(names):
            shown = f"[rows, {len(self.features)}]: {listed(self.features)}"
            raise ConfigError(
                f"{who} must have the columns that the model was trained on, {shown}; got shape {array.shape}"
            )
        try:
            numbers = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{who} has dtype {array.dtype}; pass numbers, or a data frame with names") from error
        return _Positions(numbers, names)

    def _tell_missing(self, column: EncodedColumn, who: str) -> None:
        told: set[str] = self._told  # type: ignore[attr-defined]
        if column.name not in told:
            told.add(column.name)
            logger.warning(
                "%s: column '%s' has missing cells, and training had none: %s", who, column.name, column.instead
            )


class _Positions:
    """An array whose columns are known by their places."""

    def __init__(self, numbers: NDArray[np.float64], names: tuple[str, ...]) -> None:
        self._numbers, self._names = numbers, names

    def __len__(self) -> int:
        return len(self._numbers)

    def column(self, name: str) -> Column:
        return Numbers(self._numbers[:, self._names.index(name)])
