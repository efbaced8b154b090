"""Rows that can be read in any order, as often as needed: files, memory maps, sparse matrices, large frames."""

from __future__ import annotations

import abc
import copy
import functools
import mmap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from deepmath.arrays import is_frame, to_numpy
from deepmath.checks import is_sparse
from deepmath.data.buffers import BufferPool
from deepmath.data.rows import CHUNK, Change, Rows, as_array, check_counts, joined, rows_in, shape_of, sliced
from deepmath.errors import ConfigError

Piece = tuple[int, int]
"""Rows start ... stop - 1."""


class Adapter(abc.ABC):
    """Training data of one kind, as somebody gave them: what comes out are `Rows`, not checked yet.

    `shape` is that of all inputs; a generator's rows count as 0. `like` is an array in whose library the work should
    be done, where there is one. Inputs `of_frames` have columns with names. Where inputs are the columns of a table as
    numbers already, `table_encoding` is how; where targets are what the loss takes already, `table_target` is.
    """

    shape: tuple[int, ...]
    kind: str
    like: Any = None
    of_frames = False
    table_encoding: Any = None
    table_target: Any = None

    @abc.abstractmethod
    def mapped(self, change: Change) -> Adapter:
        """The same data with changed inputs."""

    @abc.abstractmethod
    def targets(self) -> Iterator[Any]:
        """All targets, in pieces. Raises ConfigError where they come only once."""

    def inputs(self) -> Iterator[Any]:
        """All inputs, in pieces. Raises ConfigError where they come only once."""
        raise ConfigError("preprocessing can't be fitted to batches as they come: pass one that is, by .fit(rows)")

    def part(self, start: int, stop: int) -> Adapter:
        """Rows start ... stop - 1, for `validation_split`. Raises ConfigError for data that can't be cut."""
        raise ConfigError("fit: validation_split needs arrays; for data that come in pieces give validation_data")


class Source(Adapter):
    """Rows that can be read in any order, as often as needed, from any thread: a file, or a memory map.

    A source of your own says its `shape` [rows, *features] and its `kind`, and implements `read` and `take`.
    """

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.shape[0]

    @abc.abstractmethod
    def read(self, pieces: Sequence[Piece]) -> Rows:
        """The rows of all pieces, one after the other."""

    @abc.abstractmethod
    def take(self, numbers: Any) -> Rows:
        """The rows of these numbers, int64 [rows], in this order."""

    def within(self, pool: BufferPool) -> Source:
        """The same rows, the inputs read into this memory if the source knows how to; they may be overwritten
        once nobody holds them.
        """
        return self

    def mapped(self, change: Change) -> Source:
        return _MappedSource(self, change)

    def inputs(self) -> Iterator[Any]:
        return (self.read([piece]).X for piece in self.chunks())

    def targets(self) -> Iterator[Any]:
        """All targets in chunks. Where they can be read without the inputs, a source of your own does that."""
        return (self.read([piece]).y for piece in self.chunks())

    def chunks(self) -> Iterator[Piece]:
        """The pieces that hold about `CHUNK` bytes of inputs each."""
        size = rows_in(CHUNK, self.shape[1:])
        return ((start, min(start + size, self.rows)) for start in range(0, self.rows, size))


class ArraySource(Source):
    """Arrays in a file as memory maps (`numpy.load(path, mmap_mode="r")`), sparse rows, a frame, or arrays in memory.

    Sparse rows of SciPy are made dense as they are read. Raises ConfigError where these don't agree in their number of
    rows, which is at least one.
    """

    kind = "arrays"

    def __init__(self, X: Any, y: Any, weights: Any = None) -> None:
        self._arrays = Rows(X.tocsr() if is_sparse(X) else X, y, weights).each(as_array)
        check_rows(*self._arrays)
        self.shape, self.of_frames = shape_of(self._arrays.X), is_frame(X)

    def read(self, pieces: Sequence[Piece]) -> Rows:
        return self._arrays.each(functools.partial(_pieces_of, pieces))

    def take(self, numbers: Any) -> Rows:
        for array in self._arrays:
            unordered(array)
        return self._arrays.each(lambda a: a.take(numbers) if is_frame(a) else _dense(a[numbers]))

    def part(self, start: int, stop: int) -> ArraySource:
        return type(self)(*self._arrays.each(lambda a: sliced(a, start, stop)))

    def targets(self) -> Iterator[Any]:
        return (to_numpy(self._arrays.y[start:stop]) for start, stop in self.chunks())


class SparseSource(ArraySource):
    """Sparse rows of SciPy, which some backends take as they are: `whole`."""

    @property
    def whole(self) -> Rows:
        """All rows, the inputs sparse."""
        return self._arrays


def _pieces_of(pieces: Sequence[Piece], values: Any) -> Any:
    if is_frame(values):
        return values.take(np.concatenate([np.arange(start, stop) for start, stop in pieces]))
    return joined([_dense(values[start:stop]) for start, stop in pieces])


def _dense(values: Any) -> Any:
    return values.toarray() if is_sparse(values) else to_numpy(values)


class _MappedSource(Source):
    """A source with changed inputs."""

    def __init__(self, source: Source, change: Change) -> None:
        self._source, self._change = source, change
        self.kind, self.table_target = source.kind, source.table_target
        self.shape = (source.rows, *shape_of(change(source.read([(0, 1)]).X))[1:])

    def within(self, pool: BufferPool) -> Source:
        other = copy.copy(self)
        other._source = self._source.within(pool)
        return other

    def read(self, pieces: Sequence[Piece]) -> Rows:
        return self._source.read(pieces).mapped(self._change)

    def take(self, numbers: Any) -> Rows:
        return self._source.take(numbers).mapped(self._change)

    def targets(self) -> Iterator[Any]:
        return self._source.targets()


def check_rows(X: Any, y: Any, weights: Any = None) -> None:
    """Raise ConfigError unless arrays have the same number of rows, at least one, and X has features."""
    rows = check_counts(Rows(X, y, weights))
    if len(shape_of(X)) < 2 or rows == 0:
        raise ConfigError(f"X must have shape [rows, features] with at least one row; got {shape_of(X)}")


def unordered(array: Any) -> None:
    """Tell the system that a memory map is read row by row in no order: reading ahead would be in vain."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    if array is not None and hasattr(mmap, "MADV_RANDOM"):
        array.madvise(mmap.MADV_RANDOM)
