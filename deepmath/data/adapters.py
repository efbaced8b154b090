"""What somebody handed in, as data of one kind: arrays and frames in memory, a source of rows, or batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np

from deepmath.arrays import is_array, is_frame
from deepmath.checks import is_sparse
from deepmath.data.columns import columns_taken, frame_of
from deepmath.data.rows import Change, Rows, as_array, as_batch, check_counts, kind_of, shape_of, sliced
from deepmath.data.sources import Adapter, ArraySource, Source, SparseSource
from deepmath.descriptions import check_number
from deepmath.errors import ConfigError


class ArrayAdapter(Adapter):
    """Arrays of any library, or a frame, in memory, as they were given."""

    kind = "memory"

    def __init__(self, rows: Rows) -> None:
        self.rows, self.like, self.shape = rows, rows.X, shape_of(rows.X)
        self.of_frames = is_frame(rows.X)

    def mapped(self, change: Change) -> ArrayAdapter:
        return ArrayAdapter(self.rows.mapped(change))

    def part(self, start: int, stop: int) -> ArrayAdapter:
        check_counts(self.rows)
        return ArrayAdapter(self.rows.each(lambda a: sliced(as_array(a), start, stop)))

    def inputs(self) -> Iterator[Any]:
        yield self.rows.X

    def targets(self) -> Iterator[Any]:
        yield self.rows.y


class SequenceAdapter(Adapter):
    """An object with `len` whose elements are batches (X, y) or (X, y, weights), such as a list of them."""

    kind = "sequence"

    def __init__(self, batches: Any, change: Change | None = None) -> None:
        self._batches, self._change = batches, change
        if len(batches) == 0:
            raise ConfigError("fit: the sequence of batches is empty")
        self.first = self.at(0)
        self.shape, self.of_frames = shape_of(self.first.X), is_frame(self.first.X)

    def __len__(self) -> int:
        return len(self._batches)

    def at(self, number: int) -> Rows:
        """Batch `number`, from 0."""
        return self._given(number).mapped(self._change)

    def mapped(self, change: Change) -> SequenceAdapter:
        return SequenceAdapter(self._batches, change)

    def inputs(self) -> Iterator[Any]:
        return (self._given(number).X for number in range(len(self))) if self.of_frames else super().inputs()

    def targets(self) -> Iterator[Any]:
        return (self._given(number).y for number in range(len(self)))

    def _given(self, number: int) -> Rows:
        return _batch(self._batches[number], number)


class GeneratorAdapter(Adapter):
    """An iterable of batches that can only be gone through: a generator, or what begins anew with each epoch.

    The first batch is taken at once, because its shape decides the model's.
    """

    kind = "iterable"

    def __init__(self, batches: Iterable[Any], steps: int, change: Change | None = None) -> None:
        self._batches, self.steps, self._change = batches, steps, change
        stream = iter(batches)
        self.once = stream is batches
        first = next(stream, None)
        if first is None:
            raise ConfigError("fit: the generator gave no batch at all")
        if self.once:
            self._batches = itertools.chain([first], stream)
        self.first = _batch(first, 0).mapped(change)
        self.shape, self.of_frames = (0, *shape_of(self.first.X)[1:]), is_frame(self.first.X)

    def begin(self) -> Iterator[Rows]:
        """The batches from the first on; a generator goes on where it stands."""
        return (_batch(batch, number).mapped(self._change) for number, batch in enumerate(self._batches))

    def mapped(self, change: Change) -> GeneratorAdapter:
        return GeneratorAdapter(self._batches, self.steps, change)

    def inputs(self) -> Iterator[Any]:
        if not self.of_frames:
            return super().inputs()
        if self.once:
            raise ConfigError(
                "fit: what a generator's frames hold can't be learnt before it trains; give the model "
                "preprocessing=TableEncoder().fit(frame), or the batches as a list"
            )
        return (rows.X for rows in itertools.islice(self.begin(), self.steps))

    def targets(self) -> Iterator[Any]:
        if self.once:
            raise ConfigError("fit: a generator's labels can't be counted before it trains; give class_weight numbers")
        return (rows.y for rows in itertools.islice(self.begin(), self.steps))


def adapt(
    X: Any, y: Any = None, weights: Any = None, *, who: str = "fit", steps_per_epoch: Any = None, shuffle: Any = False
) -> Adapter:
    """The data that X, y and weights stand for, in messages of `who`.

    Memory maps and sparse matrices are a source. So are arrays in memory that are shuffled within a window: they train
    as a file would. Of a frame, y and weights may be names of its columns. Raises ConfigError for what is none of
    these, or doesn't go together.
    """
    windowed = not isinstance(shuffle, (bool, np.bool_)) and not callable(shuffle)
    if y is not None:
        if isinstance(X, Source) or steps_per_epoch is not None:
            what = "a source brings its own targets" if isinstance(X, Source) else "steps_per_epoch is for generators"
            raise ConfigError(f"{who}: {what}; leave out {'y' if isinstance(X, Source) else 'it, or y'}")
        return _of_rows(columns_taken(Rows(X, y, weights), who), windowed)
    if is_array(X) or is_frame(X) or is_sparse(X) or isinstance(X, (str, bytes, dict)):
        name = ", its name or its column" if is_frame(X) else ""
        raise ConfigError(
            f"{who}: y is missing{name}; give {who}(X, y), a source, or batches (X, y). X is {kind_of(X)}"
        )
    if weights is not None:
        raise ConfigError(f"{who}: sample_weight goes with arrays; a source or a batch brings its own: (X, y, weights)")
    if not isinstance(X, Source) and windowed:
        raise ConfigError(f"{who}: shuffle={shuffle!r} rows needs rows; batches are shuffled as a whole, or not at all")
    if isinstance(X, Source) or (isinstance(X, Sized) and hasattr(X, "__getitem__")):
        if steps_per_epoch is not None:
            raise ConfigError(f"{who}: steps_per_epoch is for generators; this data set has a length")
        return X if isinstance(X, Source) else SequenceAdapter(X)
    if not isinstance(X, Iterable):
        raise ConfigError(f"{who}: y is missing, and X is {kind_of(X)}, not a source and no batches (X, y)")
    return GeneratorAdapter(X, _steps(X, steps_per_epoch, who))


def adapt_measured(X: Any, y: Any, weights: Any, who: str) -> Adapter:
    """Data that are gone through in their order, of the same kinds as for `fit`, but for generators."""
    if y is None and not isinstance(X, (Source, Sized)) and isinstance(X, Iterable):
        raise ConfigError(f"{who}: nobody knows where a generator ends; give a source, or a sequence of batches")
    return adapt(X, y, weights, who=who)


def adapt_inputs(X: Any) -> Adapter:
    """The inputs that X stands for: arrays, or any data for `fit`, whose targets are passed over."""
    if _in_pieces(X):
        return adapt_measured(X, None, None, "predict")
    return _of_rows(Rows(frame_of(X) if is_frame(X) else X, None), False)


def _of_rows(rows: Rows, windowed: bool) -> Adapter:
    """Rows in memory, or a source of them where they would be too many once they are dense, or come by windows."""
    if is_sparse(rows.X) and not windowed:
        return SparseSource(*rows)
    return ArraySource(*rows) if windowed or isinstance(rows.X, np.memmap) else ArrayAdapter(rows)


def for_backend(given: Adapter, takes_sparse: bool) -> Adapter:
    """The same data, sparse rows in memory as they are for a backend that takes them so."""
    return ArrayAdapter(given.whole) if takes_sparse and isinstance(given, SparseSource) else given


def _batch(given: Any, number: int) -> Rows:
    """A batch as somebody gave it: y and weights may be columns of a frame by name, sparse rows become dense."""
    rows = columns_taken(as_batch(given, number), f"batch {number}").each(as_array)
    return rows._replace(X=rows.X.toarray()) if is_sparse(rows.X) else rows


def _in_pieces(X: Any) -> bool:
    """Whether these are a source or batches (X, y), and not an array, a table, or numbers in lists."""
    if isinstance(X, Source):
        return True
    if isinstance(X, (list, tuple)):
        first = X[0] if X else None
        if not isinstance(first, (list, tuple)) or len(first) not in (2, 3):
            return False
        return is_frame(first[0]) or (is_array(first[0]) and first[0].ndim > 1)
    array = is_array(X) or is_frame(X) or hasattr(X, "__array__") or hasattr(X, "shape")
    return isinstance(X, Iterable) and not array and not isinstance(X, (str, bytes, dict))


def _steps(batches: Any, steps_per_epoch: Any, who: str) -> int:
    if steps_per_epoch is None:
        if isinstance(batches, Sized):
            return len(batches)
        raise ConfigError(f"{who}: a generator needs steps_per_epoch, how many of its batches make an epoch")
    return int(check_number(who, "steps_per_epoch", steps_per_epoch, low=1, whole=True))


def rows_of(given: Adapter) -> Rows:
    """All rows of data that aren't batches."""
    if isinstance(given, ArrayAdapter):
        return given.rows
    assert isinstance(given, Source), "batches come one by one"
    return given.read([(0, given.rows)])


def hold_out(given: Adapter, validation_data: Any, split: Any) -> tuple[Adapter, Adapter | None]:
    """What trains, and what validates, if anything does.

    A split takes the last share of the rows, before anything is shuffled.
    """
    check_number("fit", "validation_split", split, low=0.0, high=1.0, open_high=True)
    if validation_data is not None:
        if split:
            raise ConfigError("fit: give validation_data or validation_split, not both")
        return given, _validation(validation_data)
    if not split:
        return given, None
    count = given.shape[0] if given.shape else 0
    kept = count - round(count * float(split))
    if not 0 < kept < count and isinstance(given, (ArrayAdapter, ArraySource)):
        raise ConfigError(f"fit: validation_split={split} of {count} rows leaves no rows on one side")
    return given.part(0, kept), given.part(kept, count)


def _validation(given: Any) -> Adapter:
    """A tuple is (X, y) or (X, y, weights), and so is a list of arrays; anything else are data in pieces."""
    arrays = isinstance(given, tuple) or (isinstance(given, list) and bool(given) and not isinstance(given[0], tuple))
    if is_array(given) or isinstance(given, (str, bytes, dict)) or (arrays and len(given) not in (2, 3)):
        raise ConfigError("fit: validation_data must be (X, y) or (X, y, sample_weight), a source or a list of batches")
    rows = Rows(*given) if arrays else Rows(given, None)
    adapted = adapt_measured(*rows, "validation_data")
    if isinstance(adapted, GeneratorAdapter) and adapted.once:
        raise ConfigError("validation_data: every epoch goes through it, and this can be gone through only once")
    return adapted
