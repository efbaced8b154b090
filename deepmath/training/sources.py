"""Training data that needn't fit into memory: rows in files and memory maps, and batches that somebody else makes."""

from __future__ import annotations

import abc
import itertools
import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any, NamedTuple

import numpy as np

from deepmath.arrays import is_array, to_numpy
from deepmath.errors import ConfigError

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
    """Data for `fit` that are not arrays in memory. `shape` is that of all inputs; a generator's rows count as 0."""

    shape: tuple[int, ...]
    kind: str

    @abc.abstractmethod
    def mapped(self, change: Callable[[Any], Any]) -> Given:
        """The same data with changed inputs."""


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

    def mapped(self, change: Callable[[Any], Any]) -> Source:
        return _Mapped(self, change)

    def inputs(self) -> Iterator[Any]:
        """All inputs in chunks, in the order of the rows."""
        size = rows_in(CHUNK, self.shape[1:])
        for start in range(0, self.rows, size):
            yield self.read([(start, min(start + size, self.rows))]).X


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


class _Mapped(Source):
    """A source with changed inputs."""

    def __init__(self, source: Source, change: Callable[[Any], Any]) -> None:
        self._source, self._change = source, change
        self.kind = source.kind
        self.shape = (source.rows, *np.shape(change(source.read([(0, 1)]).X))[1:])

    def read(self, pieces: Sequence[Piece]) -> Rows:
        return changed(self._source.read(pieces), self._change)

    def take(self, numbers: Any) -> Rows:
        return changed(self._source.take(numbers), self._change)


def opened(X: Any, y: Any, weights: Any, steps_per_epoch: int | None, shuffle: bool | int) -> Any:
    """X as `Given` where it is a source, a memory map, or batches; X itself where it is arrays in memory.

    Arrays in memory that are shuffled within a window are a source too, so that they train as a file would.
    """
    windowed = not isinstance(shuffle, (bool, np.bool_))
    if y is not None:
        if isinstance(X, Source) or steps_per_epoch is not None:
            what = "a source brings its own targets" if isinstance(X, Source) else "steps_per_epoch is for generators"
            raise ConfigError(f"fit: {what}; leave out {'y' if isinstance(X, Source) else 'it, or y'}")
        return ArraySource(X, y, weights) if windowed or isinstance(X, np.memmap) else X
    if is_array(X) or isinstance(X, (str, bytes, dict)):
        raise ConfigError(f"fit: y is missing; give fit(X, y), a source, or batches (X, y). X is {_kind(X)}")
    if weights is not None:
        raise ConfigError("fit: sample_weight goes with arrays; a source or a batch brings its own: (X, y, weights)")
    if not isinstance(X, Source) and windowed:
        raise ConfigError(f"fit: shuffle={shuffle!r} rows needs rows; batches are shuffled as a whole, or not at all")
    if isinstance(X, Source) or (isinstance(X, Sized) and hasattr(X, "__getitem__")):
        if steps_per_epoch is not None:
            raise ConfigError("fit: steps_per_epoch is for generators; this data set has a length")
        return X if isinstance(X, Source) else Batched(X)
    if not isinstance(X, Iterable):
        raise ConfigError(f"fit: y is missing, and X is {_kind(X)}, not a source and no batches (X, y)")
    if steps_per_epoch is None:
        if not isinstance(X, Sized):
            raise ConfigError("fit: a generator needs steps_per_epoch, how many of its batches make an epoch")
        steps_per_epoch = len(X)
    if isinstance(steps_per_epoch, bool) or int(steps_per_epoch) != steps_per_epoch or steps_per_epoch < 1:
        raise ConfigError(f"fit: steps_per_epoch must be a whole number >= 1; got {steps_per_epoch!r}")
    return Streamed(X, int(steps_per_epoch))


def fitted(preprocessing: Any, X: Any) -> Any:
    """A preprocessing fitted to X if it isn't yet; to a source chunk by chunk."""
    if not hasattr(preprocessing, "fit"):
        return preprocessing
    if not isinstance(X, Given):
        return preprocessing.fit(X)
    if not isinstance(X, Source):
        raise ConfigError("preprocessing can't be fitted to batches as they come: pass one that is, by .fit(rows)")
    return preprocessing.fit_batches(_Chunks(X))


class _Chunks:
    """The inputs of a source, as often as somebody goes through them."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Any]:
        return self._source.inputs()


def rows_in(bytes_: int, features: tuple[int, ...]) -> int:
    """How many rows of float32 numbers take about so many bytes; at least one.

    >>> rows_in(1 << 20, (784,))
    334
    """
    return max(1, bytes_ // max(1, 4 * int(np.prod(features, dtype=np.int64))))


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
        raise ConfigError(f"batch {number} must be (X, y) or (X, y, weights); got {_kind(batch)}")
    return Rows(*(None if a is None else a if is_array(a) else np.asarray(a) for a in batch))


def changed(rows: Rows, change: Callable[[Any], Any] | None) -> Rows:
    """Rows with changed inputs."""
    return rows if change is None else rows._replace(X=change(rows.X))


def _each(arrays: Rows, function: Callable[[Any], Any]) -> Rows:
    return Rows(*(None if a is None else function(to_numpy(a)) for a in arrays))


def _kind(x: Any) -> str:
    size = f" of {len(x)}" if isinstance(x, (tuple, list)) else ""
    return f"a {type(x).__name__}{size}"
