"""Training data that needn't fit into memory: rows in files and memory maps, and batches that somebody else makes."""

from __future__ import annotations

import abc
import copy
import itertools
import math
import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepmath.arrays import is_array, to_numpy
from deepmath.errors import ConfigError
from deepmath.training.memory import Reused

CHUNK = 1 << 23
"""About how many bytes of inputs are read at a time where nobody says."""

Piece = tuple[int, int]
"""Rows start ... stop - 1."""


class Rows(NamedTuple):
    """Inputs [rows, *features], targets [rows] or [rows, outputs], and weights [rows] or None."""

    X: Any
    y: Any
    weights: Any = None


class Given(abc.ABC):
    """Data that somebody handed in. `shape` is that of all inputs; a generator's rows count as 0.

    `like` is an array in whose library the work should be done, where there is one.
    """

    shape: tuple[int, ...]
    kind: str
    like: Any = None

    @abc.abstractmethod
    def mapped(self, change: Callable[[Any], Any]) -> Given:
        """The same data with changed inputs."""

    @abc.abstractmethod
    def targets(self) -> Iterator[Any]:
        """All targets, in pieces. Raises ConfigError where they come only once."""


class Whole(Given):
    """Arrays in memory, of any library, as they were given: they are checked at the door."""

    kind = "memory"

    def __init__(self, rows: Rows) -> None:
        self.rows, self.like = rows, rows.X

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """That of X, as NumPy sees what is no array."""
        X = self.rows.X
        return tuple(int(n) for n in (X.shape if is_array(X) else np.shape(X)))

    def mapped(self, change: Callable[[Any], Any]) -> Whole:
        return Whole(changed(self.rows, change))

    def targets(self) -> Iterator[Any]:
        yield self.rows.y


class Source(Given):
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

    def within(self, memory: Reused) -> Source:
        """The same rows, the inputs read into this memory if the source knows how to; they may be overwritten
        once nobody holds them.
        """
        return self

    def mapped(self, change: Callable[[Any], Any]) -> Source:
        return _Mapped(self, change)

    def inputs(self) -> Iterator[Any]:
        """All inputs in chunks, in the order of the rows."""
        return (self.read([piece]).X for piece in self.chunks())

    def targets(self) -> Iterator[Any]:
        """All targets in chunks. Where they can be read without the inputs, a source of your own does that."""
        return (self.read([piece]).y for piece in self.chunks())

    def chunks(self) -> Iterator[Piece]:
        """The pieces that hold about `CHUNK` bytes of inputs each."""
        size = rows_in(CHUNK, self.shape[1:])
        return ((start, min(start + size, self.rows)) for start in range(0, self.rows, size))


class ArraySource(Source):
    """Arrays that lie in a file as memory maps (`numpy.load(path, mmap_mode="r")`), or in memory.

    Raises ConfigError where they don't agree in their number of rows, which is at least one.
    """

    kind = "arrays"

    def __init__(self, X: Any, y: Any, weights: Any = None) -> None:
        self._arrays = Rows(*(None if a is None else a if is_array(a) else np.asarray(a) for a in (X, y, weights)))
        check_rows(*self._arrays)
        self.shape = tuple(self._arrays.X.shape)

    def read(self, pieces: Sequence[Piece]) -> Rows:
        return _each(self._arrays, lambda a: joined([a[start:stop] for start, stop in pieces]))

    def take(self, numbers: Any) -> Rows:
        for array in self._arrays:
            unordered(array)
        return _each(self._arrays, lambda a: np.asarray(a[numbers]))

    def targets(self) -> Iterator[Any]:
        return (to_numpy(self._arrays.y[start:stop]) for start, stop in self.chunks())


class Batched(Given):
    """An object with `len` whose elements are batches (X, y) or (X, y, weights), such as a list of them."""

    kind = "sequence"

    def __init__(self, batches: Any, change: Callable[[Any], Any] | None = None) -> None:
        self._batches, self._change = batches, change
        if len(batches) == 0:
            raise ConfigError("fit: the sequence of batches is empty")
        self.first = self.at(0)
        self.shape = tuple(np.shape(self.first.X))

    def __len__(self) -> int:
        return len(self._batches)

    def at(self, number: int) -> Rows:
        """Batch `number`, from 0."""
        return changed(as_rows(self._batches[number], number), self._change)

    def mapped(self, change: Callable[[Any], Any]) -> Batched:
        return Batched(self._batches, change)

    def targets(self) -> Iterator[Any]:
        return (as_rows(self._batches[number], number).y for number in range(len(self)))


class Streamed(Given):
    """An iterable of batches that can only be gone through: a generator, or what begins anew with each epoch.

    The first batch is taken at once, because its shape decides the model's.
    """

    kind = "iterable"

    def __init__(self, batches: Iterable[Any], steps: int, change: Callable[[Any], Any] | None = None) -> None:
        self._batches, self.steps, self._change = batches, steps, change
        stream = iter(batches)
        self.once = stream is batches
        first = next(stream, None)
        if first is None:
            raise ConfigError("fit: the generator gave no batch at all")
        if self.once:
            self._batches = itertools.chain([first], stream)
        self.first = changed(as_rows(first, 0), change)
        self.shape = (0, *np.shape(self.first.X)[1:])

    def begin(self) -> Iterator[Rows]:
        """The batches from the first on; a generator goes on where it stands."""
        return (changed(as_rows(batch, number), self._change) for number, batch in enumerate(self._batches))

    def mapped(self, change: Callable[[Any], Any]) -> Streamed:
        return Streamed(self._batches, self.steps, change)

    def targets(self) -> Iterator[Any]:
        if self.once:
            raise ConfigError("fit: a generator's labels can't be counted before it trains; give class_weight numbers")
        return (rows.y for rows in itertools.islice(self.begin(), self.steps))


class _Mapped(Source):
    """A source with changed inputs."""

    def __init__(self, source: Source, change: Callable[[Any], Any]) -> None:
        self._source, self._change = source, change
        self.kind = source.kind
        self.shape = (source.rows, *np.shape(change(source.read([(0, 1)]).X))[1:])

    def within(self, memory: Reused) -> Source:
        other = copy.copy(self)
        other._source = self._source.within(memory)
        return other

    def read(self, pieces: Sequence[Piece]) -> Rows:
        return changed(self._source.read(pieces), self._change)

    def take(self, numbers: Any) -> Rows:
        return changed(self._source.take(numbers), self._change)

    def targets(self) -> Iterator[Any]:
        return self._source.targets()


def rows_in(bytes_: int, features: tuple[int, ...]) -> int:
    """How many rows of float32 numbers take about so many bytes; at least one.

    >>> rows_in(1 << 20, (784,))
    334
    """
    return max(1, bytes_ // max(1, 4 * math.prod(features)))


def check_rows(X: Any, y: Any, weights: Any = None) -> None:
    """Raise ConfigError unless arrays have the same number of rows, at least one, and X has features."""
    counts = [len(a) if a.ndim else 0 for a in (X, y, weights) if a is not None]
    if len(set(counts)) > 1:
        raise ConfigError(f"Found input variables with inconsistent numbers of samples: {counts}")
    if X.ndim < 2 or counts[0] == 0:
        raise ConfigError(f"X must have shape [rows, features] with at least one row; got {tuple(X.shape)}")


def joined(parts: Sequence[Any]) -> Any:
    """Arrays one after the other; a single one is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def unordered(array: Any) -> None:
    """Tell the system that a memory map is read row by row in no order: reading ahead would be in vain."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    if array is not None and hasattr(mmap, "MADV_RANDOM"):
        array.madvise(mmap.MADV_RANDOM)


def as_rows(batch: Any, number: int) -> Rows:
    """A batch as somebody gave it. Raises ConfigError that names it by its number."""
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        raise ConfigError(f"batch {number} must be (X, y) or (X, y, weights); got {kind_of(batch)}")
    return Rows(*(None if a is None else a if is_array(a) else np.asarray(a) for a in batch))


def changed(rows: Rows, change: Callable[[Any], Any] | None) -> Rows:
    """Rows with changed inputs."""
    return rows if change is None else rows._replace(X=change(rows.X))


def _each(arrays: Rows, function: Callable[[Any], Any]) -> Rows:
    return Rows(*(None if a is None else function(to_numpy(a)) for a in arrays))


def kind_of(x: Any) -> str:
    """What messages call something that was not expected."""
    size = f" of {len(x)}" if isinstance(x, (tuple, list)) else ""
    return f"a {type(x).__name__}{size}"
