"""A table of numbers in a CSV file that needn't fit into memory, read in pieces while a model trains on it."""

from __future__ import annotations

import array
import os
from collections.abc import Collection, Sequence

import numpy as np

from deepmath.data.rows import Rows
from deepmath.data.sources import Piece, Source
from deepmath.datasets.lines import Records
from deepmath.datasets.tables import TableRows, classes_of, header_names, separator_hint, target_places
from deepmath.errors import FormatError

LABELS = 10_000
"""A target with more distinct cells than this holds numbers, not labels."""


class CsvSource(Source):
    """Rows of a CSV file as `read_csv` takes them, read anew in each epoch.

    Opening goes through the file once: it counts the rows, notes where each begins (16 bytes of memory a row) and
    collects the labels of a target that is text. Numbers are checked as they are read. Text takes about a
    microsecond a cell, so a table that is read often is better saved as NPY.

    Attributes: `classes`, `feature_names` and `target_names`, as of `Table`.

    Raises FormatError, ConfigError and OSError as `read_csv`.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "flowers.csv")
    ...     _ = path.write_text("length,width,kind\\n5.1,3.5,setosa\\n6.2,2.9,virginica\\n4.9,3.0,setosa\\n")
    ...     source = CsvSource(path)
    ...     X, y, _ = source.read([(1, 3)])
    >>> source.shape, source.classes, X.tolist(), y.tolist()
    ((3, 2), ('setosa', 'virginica'), [[6.2, 2.9], [4.9, 3.0]], [1, 0])
    """

    kind = "csv"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        target: str | int | Sequence[str | int] | None = None,
        header: bool = True,
        na: Collection[str] = (),
    ) -> None:
        self._path = os.fspath(path)
        self._missing = frozenset([na] if isinstance(na, str) else na)
        self._starts, self._lines = array.array("q"), array.array("q")
        with Records(path) as records:
            start, line = records.offset, records.lines_read
            first = next(records, None)
            if first is None:
                raise FormatError(f"{records.name}: the file is empty; a header and rows of numbers are expected")
            self._names = header_names(records, first) if header else tuple(f"x{i}" for i in range(len(first)))
            if len(first) < 2:
                hint = separator_hint(first[0])
                raise FormatError(f"{records.where}: 1 column, expected at least a feature and a target{hint}")
            self._several = isinstance(target, Sequence) and not isinstance(target, str)
            self._places = target_places(records.name, self._names, target)
            labels: set[str] = set()
            cells: list[str] | None = first
            if header:
                start, line, cells = records.offset, records.lines_read, next(records, None)
            while cells is not None:
                self._starts.append(start)
                self._lines.append(line)
                if not self._several and len(labels) <= LABELS:
                    labels.update(cells[self._places[0] : self._places[0] + 1])
                start, line, cells = records.offset, records.lines_read, next(records, None)
        if not self._starts:
            raise FormatError(f"{self._path}: a header and no rows")
        known = None if self._several or len(labels) > LABELS else classes_of(labels - self._missing)
        self.classes = known
        others = [i for i in range(len(self._names)) if i not in self._places]
        self.feature_names, self.target_names = (tuple(self._names[i] for i in c) for c in (others, self._places))
        self._others = others
        self.shape = (len(self._starts), len(others))

    def read(self, pieces: Sequence[Piece]) -> Rows:
        parts = [self._piece(start, stop) for start, stop in pieces]
        return Rows(np.concatenate([p.X for p in parts]), np.concatenate([p.y for p in parts]))

    def take(self, numbers: Sequence[int]) -> Rows:
        return self.read([(int(n), int(n) + 1) for n in numbers])

    def _piece(self, start: int, stop: int) -> Rows:
        with Records(self._path, self._starts[start], self._lines[start]) as records:
            rows = TableRows(records, self._names, None if self._several else self._places[0], self._missing)
            for _ in range(start, stop):
                cells = next(records, None)
                if cells is None:
                    raise FormatError(f"{self._path}: the file ends in front of row {stop - 1}; it was cut meanwhile")
                rows.add(cells)
        X = rows.features()
        if self._several:
            return Rows(X[:, self._others], X[:, self._places])
        return Rows(X, rows.target_numbers() if self.classes is None else rows.codes(self.classes))
