"""The names of a file's columns, and the place of one that is asked for."""

from __future__ import annotations

import numbers
import os
from collections.abc import Sequence
from typing import Any

from deepmath.errors import require
from deepmath.tables.blocks import CsvBlocks
from deepmath.tables.frames import no_column
from deepmath.tables.reading import PolarsErrors, is_parquet


def table_names(path: str | os.PathLike[str], *, header: bool = True) -> tuple[str, ...]:
    """The names of a file's columns, without reading its rows; errors as of `read_table`."""
    name, pl = os.fspath(path), require("polars", "tables", "tables in files")
    if not is_parquet(name):
        return CsvBlocks(name, header=header).names
    with PolarsErrors(name, pl):
        return tuple(pl.read_parquet_schema(name))


def place_of(who: str, path: str, names: Sequence[str], target: Any) -> int:
    """The target column's place from 0: by name, by number (negative ones count from the end), or the last.

    Raises ConfigError for one that isn't there.

    >>> place_of("fit", "t.csv", ["a", "b", "c"], -2), place_of("fit", "t.csv", ["a", "b", "c"], None)
    (1, 2)
    """
    if target is None:
        return len(names) - 1
    if isinstance(target, str) and target in names:
        return list(names).index(target)
    if isinstance(target, numbers.Integral) and not isinstance(target, bool) and -len(names) <= target < len(names):
        return int(target) % len(names)
    no_column(str(target), names, f"{who}: {path}")
