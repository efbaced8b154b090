"""Tables from CSV and Parquet files, whole or in chunks; Polars reads the cells."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deepmath.errors import ConfigError, FormatError, require
from deepmath.files import open_regular
from deepmath.tables.blocks import Block, CsvBlocks
from deepmath.tables.columns import EXACT
from deepmath.tables.frames import Frame, frame_of, no_column
from deepmath.tables.words import MISSING_WORDS

PARQUET = b"PAR1"
_LONGEST = 120
"""How much of another library's message is shown."""
_ROWS, _BYTES = 10_000, 1 << 25
"""Blocks are put together until they have so many rows or bytes."""


def read_table(
    path: str | os.PathLike[str],
    *,
    header: bool = True,
    na: str | Collection[str] = (),
    columns: Sequence[str] | None = None,
    text: Collection[str] = (),
    separator: str | None = None,
) -> Frame:
    """A CSV file (`.gz` too) or a Parquet file as a `Frame`. What it is, its first bytes say, not its name.

    CSV is UTF-8, with cells between commas, semicolons, tabs or bars; which, the first records show. A column whose
    cells are all numbers such as 12, -0.5 or 1e-3 is one of numbers; words for missing such as NA may stand among
    them. Any other column is text, also where a number is written with zeros in front (00501) or is whole and
    beyond 2^53. An empty cell is missing. Blank lines, and blanks around a cell, don't count.

    Args:
        path: a regular file.
        header: whether the first line holds names; without it the columns are called x0, x1, ...
        na: further cells that mean "missing", in every column.
        columns: names of those to read, by default all.
        text: columns that are taken as text whatever stands in them; `TableEncoding.text` names those of a model.
        separator: one of tab, ";", "|" and ",".

    Raises:
        FormatError: no such table; the message names the file, and the line where one is at fault.
        ConfigError: there is no column of a name in `columns`.
        MissingExtra: Polars or Narwhals is not installed.
        OSError: the file is missing or can't be read.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "people.csv")
    ...     _ = path.write_text("age;zip;city\\n31;00501;Nice\\nNA;10001;\\n")
    ...     frame = read_table(path)
    >>> [(name, frame.column(name).values.tolist()) for name in frame.names]
    [('age', [31.0, nan]), ('zip', ['00501', '10001']), ('city', ['Nice', None])]
    """
    name, pl = os.fspath(path), require("polars", "tables", "tables in files")
    if is_parquet(name):
        with open_regular(name, "a table") as file, PolarsErrors(name, pl):
            frame = pl.read_parquet(file)
        return frame_of(_parquet_columns(name, pl, frame, columns, _wide(pl, frame.lazy())))
    reader = _CsvReader(CsvBlocks(name, header=header, separator=separator), na, columns)
    kinds = {n: Cells(text=n in text) for n in reader.columns}
    frames = []
    for raw in reader:
        found = {n: Cells(text=kinds[n].text) for n in reader.columns}
        frames.append(raw.select(found[n].typed(pl, raw[n]) for n in reader.columns))
        for n, cells in found.items():
            kinds[n].merge(cells)
    schemas = [dict(f.schema) for f in frames]
    mixed = [n for n in reader.columns if any(schema[n] != kinds[n].dtype(pl) for schema in schemas)]
    frame = pl.concat([f.drop(mixed) for f in frames]) if len(mixed) < len(reader.columns) else pl.DataFrame()
    if mixed:  # a word far down turned numbers into text: these columns are read again
        reader = _CsvReader(reader.blocks, na, mixed)
        again = pl.concat([raw.select(kinds[n].cast(pl, raw[n]) for n in mixed) for raw in reader])
        if again.height != sum(f.height for f in frames):
            raise FormatError(f"{name}: the file was changed while it was read")
        frame = pl.concat([frame, again], how="horizontal")
    return frame_of(frame.select(list(dict.fromkeys(columns)) if columns is not None else reader.blocks.names))


def scan_table(
    path: str | os.PathLike[str],
    rows_per_chunk: int,
    *,
    header: bool = True,
    na: str | Collection[str] = (),
    columns: Sequence[str] | None = None,
    text: Collection[str] = (),
    separator: str | None = None,
) -> TableScan:
    """The same table as `read_table` gives, in chunks of so many rows, for files larger than memory.

    The file is gone through once to find the columns' types, which are then the same in every chunk. Arguments and
    errors as of `read_table`.
    """
    name, pl = os.fspath(path), require("polars", "tables", "tables in files")
    if rows_per_chunk < 1:
        raise ConfigError(f"scan_table: rows_per_chunk must be at least 1; got {rows_per_chunk}")
    if is_parquet(name):
        with open_regular(name, "a table"), PolarsErrors(name, pl):
            lazy = pl.scan_parquet(name, glob=False)
            rows = int(lazy.select(pl.len()).collect().item())
            wide = _wide(pl, lazy)
            names = lazy.collect_schema().names()
        lazy = _parquet_columns(name, pl, lazy, columns, wide) if rows else lazy
        if not rows:
            raise FormatError(f"{name}: a table without rows")
        return TableScan(name, tuple(dict.fromkeys(columns or names)), rows, rows_per_chunk, lazy)
    reader = _CsvReader(CsvBlocks(name, header=header, separator=separator), na, columns)
    kinds = {n: Cells(text=n in text) for n in reader.columns}
    rows = 0
    for raw in reader:
        rows += raw.height
        for n in reader.columns:
            kinds[n].look(pl, raw[n])
    return TableScan(name, tuple(dict.fromkeys(columns or reader.columns)), rows, rows_per_chunk, (reader, kinds))


class TableScan:
    """A table in a file, gone through in chunks as often as needed: `for frame in scan`.

    Attributes: `names` of the columns; `rows`, how many in all; `rows_per_chunk`.
    """

    def __init__(self, path: str, names: tuple[str, ...], rows: int, rows_per_chunk: int, source: Any) -> None:
        self.path, self.names, self.rows, self.rows_per_chunk = path, names, rows, rows_per_chunk
        self._source = source

    def __iter__(self) -> Iterator[Frame]:
        pl = require("polars", "tables", "tables in files")
        held: list[Any] = []
        rows = total = 0
        for part in self._parts(pl):
            held.append(part)
            rows, total = rows + part.height, total + part.height
            if rows >= self.rows_per_chunk:
                whole = pl.concat(held)
                for start in range(0, rows - self.rows_per_chunk + 1, self.rows_per_chunk):
                    yield frame_of(whole.slice(start, self.rows_per_chunk).select(self.names))
                rows %= self.rows_per_chunk
                held = [whole.tail(rows)] if rows else []
        if held:
            yield frame_of(pl.concat(held).select(self.names))
        if total != self.rows:
            raise FormatError(f"{self.path}: {total} rows, and {self.rows} before; the file was changed meanwhile")

    def _parts(self, pl: Any) -> Iterator[Any]:
        if isinstance(self._source, tuple):
            reader, kinds = self._source
            for raw in reader:
                yield raw.select(kinds[n].cast(pl, raw[n]) for n in reader.columns)
            return
        with PolarsErrors(self.path, pl):
            yield from self._source.collect_batches(chunk_size=self.rows_per_chunk, maintain_order=True)


@dataclass
class Cells:
    """What the cells of a CSV column have been so far: what makes it a column of numbers or of text."""

    text: bool = False
    numbers: bool = False

    def look(self, pl: Any, cells: Any) -> Any:
        """Take in more cells, text without blanks around it or null; them as numbers, null for a word."""
        floats = cells.cast(pl.Float64, strict=False)
        if self.text:
            return floats
        words = cells.filter(floats.is_null() & cells.is_not_null()).unique()
        self.numbers = self.numbers or bool(floats.is_not_nan().any())
        self.text = not set(words.str.to_lowercase().to_list()) <= MISSING_WORDS
        self.text = self.text or bool(cells.str.contains(r"^[+-]?0[0-9]").any())
        if not self.text and bool((floats.abs() >= EXACT).any()):
            large = cells.filter(floats.abs() >= EXACT)
            whole = large.filter(large.str.contains(r"^[+-]?[0-9]+$")).unique().to_list()
            self.text = any(len(cell) > 20 or abs(int(cell)) > EXACT for cell in whole)  # 2^53 + 1 as a float is 2^53
        return floats

    def merge(self, other: Cells) -> None:
        """Take in what other cells of the same column have been."""
        self.text, self.numbers = self.text or other.text, self.numbers or other.numbers

    def dtype(self, pl: Any) -> Any:
        """What the column is in Polars. A column of nothing but words for missing keeps them as text."""
        return pl.Float64 if self.numbers and not self.text else pl.String

    def typed(self, pl: Any, cells: Any) -> Any:
        """The cells by what they alone are."""
        floats = self.look(pl, cells)
        return floats if self.dtype(pl) == pl.Float64 else cells

    def cast(self, pl: Any, cells: Any) -> Any:
        """The cells by what the whole column is."""
        return cells.cast(pl.Float64, strict=False) if self.dtype(pl) == pl.Float64 else cells


class _CsvReader:
    """The blocks of a CSV file as frames of text: cells without blanks around them, null where they are missing."""

    def __init__(self, blocks: CsvBlocks, na: str | Collection[str], columns: Sequence[str] | None) -> None:
        self.blocks = blocks
        self._na = sorted({na} if isinstance(na, str) else set(na))
        places = {name: i for i, name in enumerate(blocks.names)}
        for name in columns or ():
            if name not in places:
                no_column(name, blocks.names, blocks.name)
        self._places = sorted({places[name] for name in (blocks.names if columns is None else columns)})
        self.columns = [blocks.names[i] for i in self._places]

    def __iter__(self) -> Iterator[Any]:
        pl = require("polars", "tables", "tables in files")
        clean = pl.all().str.strip_chars()
        clean = pl.when(clean.is_in(["", *self._na])).then(None).otherwise(clean).name.keep()
        rows = 0
        for block in self._batches():
            with PolarsErrors(self.blocks.name, pl):
                raw = pl.read_csv(
                    block.data,
                    has_header=False,
                    separator=self.blocks.separator,
                    infer_schema=False,
                    new_columns=list(map(str, range(len(self.blocks.names)))),
                )
            raw = raw.select(pl.col(str(i)).alias(n) for i, n in zip(self._places, self.columns, strict=True))
            if raw.height != block.records:
                raise FormatError(f"{self.blocks.name}: {block.records} records were read as {raw.height}")
            rows += block.records
            yield raw.with_columns(clean)
        if not rows:
            raise FormatError(f"{self.blocks.name}: a header and no rows")

    def _batches(self) -> Iterator[Block]:
        """Blocks of many rows: looking at a column has a price whatever the rows, and a table may be wide."""
        held: list[Block] = []
        for block in self.blocks:
            held.append(block)
            if sum(b.records for b in held) >= _ROWS or sum(len(b.data) for b in held) >= _BYTES:
                yield _joined(held)
                held = []
        if held:
            yield _joined(held)


def _joined(blocks: Sequence[Block]) -> Block:
    return Block(b"".join(block.data for block in blocks), sum(block.records for block in blocks))


def is_parquet(name: str) -> bool:
    """Whether a file is a Parquet file by its first bytes. FormatError where only its name says so."""
    with open_regular(name, "a table") as file:
        found = file.read(len(PARQUET)) == PARQUET
    if not found and name.lower().endswith((".parquet", ".pq")):
        raise FormatError(f"{name}: this is not a Parquet file; it doesn't begin with {PARQUET.decode()}")
    return found


def _wide(pl: Any, lazy: Any) -> list[str]:
    """Columns of whole numbers of which float64 would round one."""
    names = [n for n, dtype in lazy.collect_schema().items() if dtype.is_integer()]
    if not names:
        return []
    bounds = lazy.select(*(pl.col(n).min().alias(f"{i}-") for i, n in enumerate(names)))
    bounds = bounds.collect().row(0), lazy.select(pl.col(n).max() for n in names).collect().row(0)
    return [n for n, low, high in zip(names, *bounds, strict=True) if max(-(low or 0), high or 0) > EXACT]


def _parquet_columns(name: str, pl: Any, frame: Any, columns: Sequence[str] | None, wide: Sequence[str]) -> Any:
    names = frame.collect_schema().names()
    for column in columns or ():
        if column not in names:
            no_column(column, names, name)
    frame = frame.select(list(dict.fromkeys(columns))) if columns is not None else frame
    frame = frame.with_columns(pl.col(n).cast(pl.String) for n in wide if columns is None or n in columns)
    if getattr(frame, "height", 1) == 0 or not names:
        raise FormatError(f"{name}: a table without rows")
    return frame


class PolarsErrors:
    """Turns what Polars raises for a damaged file into a FormatError of one line."""

    def __init__(self, name: str, pl: Any) -> None:
        self._name, self._errors = name, (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, self._errors) and getattr(error, "errno", None) is None:
            said = (str(error).strip() or type(error).__name__).splitlines()[0][:_LONGEST]
            raise FormatError(f"{self._name}: the file can't be read; it is damaged or cut ({said})") from error
