"""Tables larger than memory: fitted chunk by chunk, encoded chunk by chunk, and kept as numbers in temporary files."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmath.errors import ConfigError, LabelError
from deepmath.tables.columns import cells_of, joined
from deepmath.tables.encoding import FittedTable, TableEncoder, TableEncoding
from deepmath.tables.frames import Frame, no_column
from deepmath.tables.reading import TableScan
from deepmath.tables.target_kinds import missing_rows, scaled_to, target_of
from deepmath.tables.targets import NumberTarget, Target


def fit_scan(
    scan: TableScan,
    encoder: TableEncoder,
    target: str,
    kind: str | None = None,
    *,
    scale: bool = False,
    learn_from: Callable[[NDArray[Any]], NDArray[np.int64]] | None = None,
) -> tuple[FittedTable, Target]:
    """What the columns of a table in chunks, and its target, become. Rows without a target are left out.

    `learn_from` gets the targets of all rows that have one, as the loss takes them, and gives the numbers of those to
    learn columns and scale from, by default all. What the labels are, all rows say.

    The table is gone through twice. Memory holds a chunk, the samples of `TableEncoder.fit_chunks`, and the whole
    target: 8 bytes a row, or 4 for text.
    """
    if target not in scan.names:
        no_column(target, scan.names, scan.path)
    column = joined([frame.column(target) for frame in scan])
    found = target_of(column, target, kind)
    rows = np.setdiff1d(np.arange(scan.rows, dtype=np.int64), missing_rows(column, target, found))
    if scale or learn_from is not None:
        y = found.encode(cells_of(column, rows), rows)
        chosen = np.arange(len(rows)) if learn_from is None else np.sort(learn_from(y))
        rows = rows[chosen]
        if scale and isinstance(found, NumberTarget):
            found = scaled_to(found, y[chosen])
    return encoder.fit_chunks(_chosen(scan, target, rows)), found


def _chosen(scan: TableScan, target: str, rows: NDArray[np.int64]) -> Iterator[Frame]:
    """The chunks without the target's column, of the rows of these numbers, which increase."""
    first = 0
    for frame in scan:
        start, stop = np.searchsorted(rows, [first, first + frame.rows])
        if stop > start:
            chosen = frame.drop(target).take(rows[start:stop] - first)
            chosen.row_numbers = rows[start:stop]
            yield chosen
        first += frame.rows


def encoded(
    scan: TableScan, encoding: TableEncoding, target: Target, dtype: str = "float64"
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Chunks of a table as (inputs [rows, outputs], targets [rows]), without the rows that have no target."""
    first = 0
    for frame in scan:
        kept, rows = with_target(frame, target)
        if len(kept):
            X = encoding.apply(frame, dtype=dtype, who=scan.path, first_row=first)
            y = target.encode(kept.column(target.name), rows + first)
            yield X if len(X) == len(y) else X[rows], y
        first += frame.rows


def with_target(frame: Frame, target: Target) -> tuple[Frame, NDArray[np.int64]]:
    """The rows whose target is known, and their numbers: int64."""
    missing = missing_rows(frame.column(target.name), target.name, target)
    rows = np.setdiff1d(np.arange(frame.rows, dtype=np.int64), missing)
    return (frame if not len(missing) else frame.take(rows)), rows


class EncodedTable:
    """A table as numbers in two temporary files: `X` [rows, outputs] and `y` [rows] are memory maps.

    The files go when this is closed or no longer used, and at the end of the process. `dropped` is how many rows had
    no target.

    Raises:
        LabelError: no row has a target.
        ConfigError: the folder for temporary files is too small.
    """

    def __init__(
        self,
        scan: TableScan,
        encoding: TableEncoding,
        target: Target,
        *,
        dtype: str = "float32",
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        place = Path(tempfile.mkdtemp(prefix="deepmath-table-", dir=folder))
        self._finalizer = weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)
        try:
            self._write(place, scan, encoding, target, dtype)
        except BaseException:
            self.close()
            raise

    def _write(self, place: Path, scan: TableScan, encoding: TableEncoding, target: Target, dtype: str) -> None:
        width, rows = encoding.outputs, 0
        need = scan.rows * (width * np.dtype(dtype).itemsize + 8)
        free = shutil.disk_usage(place).free
        if need > free:
            raise ConfigError(
                f"{scan.path}: its numbers need {need:,} bytes in {place.parent}, where {free:,} are free; "
                "set TMPDIR to a larger folder"
            )
        codes: Any = None
        inputs = np.lib.format.open_memmap(place / "X.npy", "w+", dtype=np.dtype(dtype), shape=(scan.rows, width))
        for X, y in encoded(scan, encoding, target, dtype):
            if codes is None:
                codes = np.lib.format.open_memmap(place / "y.npy", "w+", dtype=y.dtype, shape=(scan.rows,))
            inputs[rows : rows + len(X)], codes[rows : rows + len(X)] = X, y
            rows += len(X)
        if codes is None:
            raise LabelError(f"{scan.path}: the target '{target.name}' is missing in every row")
        self.dropped = scan.rows - rows
        inputs.flush()
        codes.flush()
        self.X: NDArray[Any] = np.load(place / "X.npy", mmap_mode="r")[:rows]
        self.y: NDArray[Any] = np.load(place / "y.npy", mmap_mode="r")[:rows]

    def close(self) -> None:
        """Remove the files."""
        self._finalizer()
