"""Data frames of any library as one thing: names, rows, and columns as NumPy holds them. Narwhals reads them all."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from deepmath.arrays import is_frame, is_series
from deepmath.errors import ConfigError, require
from deepmath.tables.columns import (
    EXACT,
    Booleans,
    Column,
    Dates,
    Numbers,
    Texts,
    by_appearance,
    cells_of,
    cleaned,
    column_of_objects,
    number_text,
    refuse_column,
    texts,
)

SHOWN = 20
"""How many names of columns a message lists."""


class Frame:
    """A table [rows, columns] whose columns have names and types. `frame_of` and `read_table` make one.

    Attributes: `names`, in order; `rows`, how many; `native`, the library's own frame; `row_numbers` of rows that were
    taken from a larger table, int64 [rows], for messages; else None.
    """

    def __init__(self, frame: Any, names: Sequence[str], row_numbers: NDArray[np.int64] | None = None) -> None:
        self._frame, self.names, self.row_numbers = frame, tuple(names), row_numbers
        self.rows = int(frame.shape[0])
        self._places = {name: i for i, name in enumerate(self.names)}
        self._texts: dict[str, Texts] = {}

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        return f"Frame({self.rows} rows: {listed(self.names)})"

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, len(self.names)

    def numbers(self, who: str = "X") -> NDArray[np.float64]:
        """A table of nothing but numbers and booleans as float64 [rows, columns]; NaN is a missing cell.

        Raises ConfigError that names a column of another type.
        """
        return np.stack([numbers_of(self.column(n), f"{who}: column '{n}'") for n in self.names], axis=1)

    @property
    def native(self) -> Any:
        """The frame of the library that it came from."""
        return self._frame.to_native()

    def column(self, name: str) -> Column:
        """The cells of a column. Raises ConfigError for an unknown one, or for nested and complex values."""
        if name in self._texts:
            return self._texts[name]
        column = column_of(self._frame[:, self._place(name)], name)
        if isinstance(column, Texts):
            self._texts[name] = column  # finding the distinct texts takes longest
        return column

    def select(self, names: Iterable[str]) -> Frame:
        """The columns of these names, in this order."""
        chosen = tuple(names)
        places = [self._place(name) for name in chosen]
        return self._with(self._frame[:, places], chosen)

    def drop(self, name: str) -> Frame:
        """All columns but this one."""
        self._place(name)
        return self.select(other for other in self.names if other != name)

    def renamed(self, names: Sequence[str]) -> Frame:
        """The same columns by other names, one for each."""
        return Frame(self._frame, names, self.row_numbers)

    def slice(self, start: int, stop: int) -> Frame:
        """Rows start ... stop - 1."""
        return Frame(self._frame[start:stop], self.names, self._numbered(np.arange(start, min(stop, self.rows))))

    def take(self, numbers: Any) -> Frame:
        """The rows of these numbers, int64 [rows], in this order."""
        chosen = np.asarray(numbers, dtype=np.int64)
        return Frame(self._frame[chosen], self.names, self._numbered(chosen))

    def _numbered(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows if self.row_numbers is None else self.row_numbers[rows]

    def _with(self, frame: Any, names: tuple[str, ...]) -> Frame:
        other = Frame(frame, names, self.row_numbers)
        other._texts = {name: column for name, column in self._texts.items() if name in other._places}
        return other

    def _place(self, name: str) -> int:
        if name not in self._places:
            no_column(name, self.names)
        return self._places[name]


def frame_of(x: Any, who: str = "X") -> Frame:
    """A data frame of any library that Narwhals reads, as a `Frame`; lazy ones are collected.

    Raises:
        ConfigError: no data frame, or two columns of one name.
        MissingExtra: Narwhals is not installed.
    """
    if isinstance(x, Frame):
        return x
    nw = require("narwhals.stable.v2", "tables", "data frames")
    if hasattr(x, "collect"):
        x = x.collect()
    names = [str(name) for name in getattr(x, "column_names", getattr(x, "columns", ()))]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"{who}: two columns are called '{twice[0]}'; rename one ({len(twice)} such names in all)")
    try:
        frame = nw.from_native(x, eager_only=True)
    except TypeError as error:
        raise ConfigError(
            f"{who} must be a data frame of pandas, polars or pyarrow; got {type(x).__module__}.{type(x).__name__}"
        ) from error
    return Frame(frame, [str(name) for name in frame.columns])


def values_of(x: Any, name: str = "y") -> Column:
    """One column from a series of any library, a NumPy array [rows] or [rows, 1], or a list.

    Raises ConfigError for more than one column, and for nested or complex values.
    """
    if isinstance(x, (Numbers, Booleans, Dates, Texts)):
        return x
    if is_series(x):
        nw = require("narwhals.stable.v2", "tables", "data frames")
        return column_of(nw.from_native(x, series_only=True), name)
    if is_frame(x):
        frame = frame_of(x, name)
        if len(frame.names) != 1:
            raise ConfigError(f"{name} must be one column; got {len(frame.names)}: {listed(frame.names)}")
        return frame.column(frame.names[0])
    array = x if isinstance(x, np.ndarray) else np.array(list(x), dtype=object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ConfigError(f"{name} must be one column [rows]; got shape {array.shape}")
    return column_of_array(array, name)


def numbers_of(column: Column, who: str) -> NDArray[np.float64]:
    """The cells of a column of numbers or booleans: float64 [rows]; NaN is a missing one. ConfigError for others."""
    if not isinstance(column, (Numbers, Booleans)):
        raise ConfigError(f"{who} holds {column.type}s; expected numbers. Encode it, or leave it out")
    return np.where(column.missing, np.nan, column.values)


def name_of(x: Any) -> str | None:
    """The name of a series, where it has one."""
    name = getattr(x, "name", None) if is_series(x) else None
    return None if name is None else str(name)


def column_of(series: Any, name: str) -> Column:
    """A series of Narwhals as a column."""
    nw = require("narwhals.stable.v2", "tables", "data frames")
    dtype = series.dtype
    if dtype == nw.Boolean:
        values = np.asarray(series.cast(nw.Float64).to_numpy(), dtype=np.float64)
        return Booleans(values == 1.0, np.isnan(values))
    if dtype.is_integer() or (dtype == nw.Decimal and not getattr(dtype, "scale", None)):
        low, high = series.min(), series.max()
        if low is not None and low == low and max(abs(int(low)), abs(int(high))) > EXACT:
            missing = series.is_null().to_list()
            return texts(None if m else str(int(v)) for v, m in zip(series.to_list(), missing, strict=True))
    if dtype.is_numeric():
        return Numbers(np.asarray(series.cast(nw.Float64).to_numpy(), dtype=np.float64))
    if dtype == nw.String:
        return _texts_of(nw, series)
    if dtype in (nw.Categorical, nw.Enum):
        cells = _cells_of_categories(nw, series, name)
        return _ordered(series, dtype, cells) if isinstance(cells, Texts) else cells
    if dtype == nw.Date:
        return Dates(series.cast(nw.Datetime("us")).to_numpy().astype("datetime64[us]"))
    if dtype == nw.Datetime:
        if getattr(dtype, "time_zone", None) is not None:
            series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return Dates(np.asarray(series.to_numpy()).astype("datetime64[us]"))
    if dtype == nw.Duration:
        return _durations(np.asarray(series.to_numpy()).astype("timedelta64[us]"))
    if dtype == nw.Time:
        return Numbers(np.array([np.nan if cell is None else _of_day(cell) for cell in series.to_list()]))
    if dtype.is_nested() or dtype == nw.Binary:
        refuse_column(name, "bytes" if dtype == nw.Binary else f"nested values ({dtype})")
    return column_of_array(np.asarray(series.to_numpy()), name)


def _texts_of(nw: Any, series: Any) -> Texts:
    """A column of text; where its values repeat, the library finds the distinct ones."""
    series = series.fill_null("")
    levels = series.unique(maintain_order=True).to_list()
    if len(levels) == len(series):
        return cleaned(levels, np.arange(len(levels), dtype=np.int32))
    if 2 * len(levels) > len(series):
        return texts(series.to_list())
    codes = series.replace_strict(levels, list(range(len(levels))), return_dtype=nw.Int32)
    return cleaned(levels, np.asarray(codes.to_numpy(), dtype=np.int32))


def _cells_of_categories(nw: Any, series: Any, name: str) -> Column:
    """A column of categories, of which only those that are there count: text, or what else pandas makes them of."""
    if series.implementation.is_pyarrow():
        native = series.to_native()
        return column_of(nw.from_native(native.cast(native.type.value_type), series_only=True), name)
    if not series.implementation.is_pandas_like():
        return _texts_of(nw, series.cast(nw.String))
    given = series.to_native().cat
    codes = np.asarray(given.codes)
    there, places = np.unique(codes, return_inverse=True)
    levels = given.categories.tolist()
    found = column_of_objects(name, [None if code < 0 else levels[code] for code in there.tolist()])
    places = places.reshape(-1)
    return by_appearance(found, places) if isinstance(found, Texts) else cells_of(found, places)


def _ordered(series: Any, dtype: Any, cells: Texts) -> Texts:
    """Text with the order of its categories, where the library gives them one that the rows' order doesn't change."""
    if hasattr(dtype, "categories"):
        order = list(dtype.categories)
    elif series.implementation.is_pandas_like():
        order = series.to_native().cat.categories.tolist()
    else:
        return cells
    shown = [o if isinstance(o, str) else number_text(o) for o in order if isinstance(o, (str, int, float))]
    return Texts(cells.levels, cells.codes, tuple(o.strip() for o in shown))


def column_of_array(array: Any, name: str) -> Column:
    """A NumPy array [rows] as a column; one of objects by what they are."""
    if isinstance(array, np.ma.MaskedArray):
        return column_of_objects(name, array.tolist())  # a list has None where a value is masked
    kind = array.dtype.kind
    if kind == "b":
        return Booleans(array, np.zeros(len(array), dtype=np.bool_))
    if kind == "f" or (kind in "iu" and (array.size == 0 or max(-int(array.min()), int(array.max())) <= EXACT)):
        return Numbers(array.astype(np.float64))
    if kind == "M":
        return Dates(array.astype("datetime64[us]"))
    if kind == "m":
        return _durations(array.astype("timedelta64[us]"))
    if kind == "c":
        refuse_column(name, "complex numbers")
    return column_of_objects(name, array.tolist())


def _durations(values: Any) -> Numbers:
    return Numbers(np.where(np.isnat(values), np.nan, values.astype(np.int64) / 1e6))


def _of_day(time: datetime.time) -> float:
    return time.hour * 3600 + time.minute * 60 + time.second + time.microsecond / 1e6


def no_column(missing: str | Sequence[str], names: Sequence[str], who: str = "the table", why: str = "") -> NoReturn:
    """Raise ConfigError for columns that aren't there, with the nearest name and those that are."""
    import difflib  # only for a message

    missing = [missing] if isinstance(missing, str) else list(missing)
    near = difflib.get_close_matches(missing[0], names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    what = "column" if len(missing) == 1 else "columns"
    lacking = ", ".join(f"'{name}'" for name in missing[:SHOWN])
    raise ConfigError(f"{who} has no {what} {lacking}{why}{hint} Columns: {listed(names)}")


def listed(names: Sequence[str]) -> str:
    """Names for a message, at most `SHOWN` of them.

    >>> listed(["a", "b"])
    'a, b'
    """
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
