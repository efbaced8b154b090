"""A table in a file that needn't fit into memory, as numbers that a model trains on."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmath.arrays import FLOATS
from deepmath.data.fingerprint import digest
from deepmath.data.rows import Rows
from deepmath.data.sources import Piece, Source
from deepmath.errors import ConfigError
from deepmath.program import Data
from deepmath.tables import EncodedTable, Target, fit_scan, scan_table
from deepmath.tables.encoding import FittedTable, TableEncoder, TableEncoding
from deepmath.tables.kinds import wanted
from deepmath.tables.places import place_of

CHUNK_ROWS = 1 << 15
"""How many rows of a file are in memory at one time."""

LearnFrom = Callable[[NDArray[Any]], NDArray[np.int64]]


class TableSource(Source):
    """Rows of a CSV or Parquet file, for `fit`, `evaluate` and `predict`: numbers, categories, dates, missing cells.

    Making one goes through the file, chunk by chunk: what each column is and becomes is learnt, as from a data frame,
    and the numbers are written to temporary files (8 bytes for each of `encoding.outputs` and row), which go when
    nobody uses them. A model that is fitted to it takes over its encoding, in front of its other preprocessing, and
    its target; `like` makes a source for a model that has them. Rows without a target are left out.

    Args:
        path: a file as for `deepmath.tables.read_table`.
        target: name or place (from 0; negative ones count from the end) of the target's column, by default the last,
            or that of `like`.
        like: a fitted model, or another source, that says what columns and target become.
        encoder: how columns are encoded; by default a table of nothing but numbers stays as it is.
        kind: what the target is, "category" or "number", where its cells don't show it.
        scale: whether a target of numbers is trained on with mean 0 and deviation 1.
        learn_from: a function of the targets of all rows, as the loss takes them, that gives the numbers of those to
            learn columns and scale from: the rows that train.
        header, na: as of `read_table`.
        dtype: "float64", or "float32" for files of half the size.
        folder: for the temporary files.

    Attributes: `encoding`, a `TableEncoding`; `target`, a `ClassTarget` or `NumberTarget`; `summary` of the columns,
    None with `like`; `dropped`, how many rows had no target; `feature_names`, those of the columns that are used.

    Raises FormatError, ConfigError, LabelError, NumericError and OSError, as `read_table` and `TableEncoder` do.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "flowers.csv")
    ...     _ = path.write_text("length,colour,kind\\n5.1,red,setosa\\n6.2,blue,virginica\\n4.9,red,setosa\\n")
    ...     source = TableSource(path)
    >>> source.shape, source.encoding.output_names, source.target.classes
    ((3, 3), ('length', 'colour=blue', 'colour=red'), ('setosa', 'virginica'))
    >>> source.take([1]).X.tolist(), source.take([1]).y.tolist()
    ([[6.2, 1.0, 0.0]], [1])
    """

    kind = "table"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        target: str | int | None = None,
        like: Any = None,
        encoder: TableEncoder | None = None,
        kind: str | None = None,
        scale: bool = False,
        learn_from: LearnFrom | None = None,
        header: bool = True,
        na: str | Collection[str] = (),
        dtype: str = "float64",
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        words = {na} if isinstance(na, str) else set(na)
        if dtype not in FLOATS:
            raise ConfigError(f"TableSource: dtype must be 'float64' or 'float32'; got {dtype!r}")
        if like is None:
            encoder = TableEncoder(keep_numbers=True) if encoder is None else encoder
            text = encoder.text
        else:
            self.encoding, self.target = _known(like)
            text, words = self.encoding.text, words | set(self.encoding.na)
            target = self.target.name if target is None else target
        scan = scan_table(path, CHUNK_ROWS, header=header, na=words, text=text)
        name = scan.names[place_of("TableSource", scan.path, scan.names, target)]
        self.summary = None
        if encoder is not None:
            if kind is not None and wanted(name, kind).numbers is not None:
                scan = scan_table(path, CHUNK_ROWS, header=header, na=words, text={*text, name})
            fitted, self.target = fit_scan(scan, encoder, name, kind, scale=scale, learn_from=learn_from)
            self.encoding, self.summary = fitted.encoding.with_na(words), fitted.summary
        if name != self.target.name:
            raise ConfigError(f"TableSource: the model's target is '{self.target.name}'; got target={name!r}")
        self._table = EncodedTable(scan, self.encoding, self.target, dtype=dtype, folder=folder)
        self.dropped, self.feature_names = self._table.dropped, self.encoding.features
        self.table_encoding, self.table_target = self.encoding, self.target
        self._numbers: NDArray[np.int64] | None = None
        self.shape = self._table.X.shape

    def subset(self, numbers: Any) -> TableSource:
        """The rows of these numbers, int64 [rows], in this order, of the same files."""
        other = copy.copy(self)
        chosen = np.asarray(numbers, np.int64)
        other._numbers = chosen if self._numbers is None else self._numbers[chosen]
        other.shape = (len(chosen), *self.shape[1:])
        return other

    def part(self, start: int, stop: int) -> TableSource:
        return self.subset(np.arange(start, stop))

    def read(self, pieces: Sequence[Piece]) -> Rows:
        return self.take(np.concatenate([np.arange(start, stop) for start, stop in pieces]))

    def take(self, numbers: Any) -> Rows:
        rows = np.asarray(numbers, np.int64)
        rows = rows if self._numbers is None else self._numbers[rows]
        return Rows(self._table.X[rows], self._table.y[rows])

    def digest(self) -> str:
        """A short hash of the numbers of all rows of the file."""
        return digest(Data(self._table.X, self._table.y, None))


def _known(like: Any) -> tuple[TableEncoding, Target]:
    """Encoding and target of a model or a source."""
    encoding = getattr(
        like if isinstance(like, TableSource) else getattr(like, "preprocessing", None), "encoding", None
    )
    target = getattr(like, "target", None)
    if not isinstance(encoding, TableEncoding) or not isinstance(target, Target):
        raise ConfigError(
            "TableSource: like must be a model that was fitted to a table with its target, or another TableSource; "
            f"got a {type(like).__name__}"
        )
    return encoding, target


CsvSource = TableSource
"""The name that `TableSource` had; it goes with the next version."""
