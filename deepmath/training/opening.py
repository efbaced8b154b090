"""What somebody handed in, as data of a kind: arrays in memory, a source of rows, or batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np

from deepmath.arrays import is_array, to_numpy
from deepmath.descriptions import check_number
from deepmath.errors import ConfigError
from deepmath.training.sources import ArraySource, Batched, Given, Rows, Source, Streamed, Whole, kind_of


def opened(rows: Rows, steps_per_epoch: int | None = None, shuffle: Any = False, who: str = "fit") -> Given:
    """The data that X, y and weights stand for, in messages of `who`.

    Memory maps are a source. So are arrays in memory that are shuffled within a window: they train as a file would.
    """
    windowed = not isinstance(shuffle, (bool, np.bool_)) and not callable(shuffle)
    given, y, weights = rows
    if y is not None:
        if isinstance(given, Source) or steps_per_epoch is not None:
            source = isinstance(given, Source)
            what = "a source brings its own targets" if source else "steps_per_epoch is for generators"
            raise ConfigError(f"{who}: {what}; leave out {'y' if source else 'it, or y'}")
        return ArraySource(*rows) if windowed or isinstance(given, np.memmap) else Whole(rows)
    if is_array(given) or isinstance(given, (str, bytes, dict)):
        raise ConfigError(f"{who}: y is missing; give {who}(X, y), a source, or batches (X, y). X is {kind_of(given)}")
    if weights is not None:
        raise ConfigError(f"{who}: sample_weight goes with arrays; a source or a batch brings its own: (X, y, weights)")
    if not isinstance(given, Source) and windowed:
        raise ConfigError(f"{who}: shuffle={shuffle!r} rows needs rows; batches are shuffled as a whole, or not at all")
    if isinstance(given, Source) or (isinstance(given, Sized) and hasattr(given, "__getitem__")):
        if steps_per_epoch is not None:
            raise ConfigError(f"{who}: steps_per_epoch is for generators; this data set has a length")
        return given if isinstance(given, Source) else Batched(given)
    if not isinstance(given, Iterable):
        raise ConfigError(f"{who}: y is missing, and X is {kind_of(given)}, not a source and no batches (X, y)")
    return Streamed(given, _steps(given, steps_per_epoch, who))


def measurable(rows: Rows, who: str) -> Given:
    """Data that are gone through in their order, of the same kinds as for `fit`, but for generators."""
    given, y, _ = rows
    known = y is not None or isinstance(given, (Source, Sized)) or not isinstance(given, Iterable)
    if not known:
        raise ConfigError(f"{who}: nobody knows where a generator ends; give a source, or a sequence of batches")
    return opened(rows, who=who)


def inputs(X: Any) -> Given:
    """The inputs that X stands for: arrays, or any data for `fit`, whose targets are passed over."""
    if isinstance(X, np.memmap):
        return ArraySource(X, None)
    return measurable(Rows(X, None), "predict") if _in_pieces(X) else Whole(Rows(X, None))


def _in_pieces(X: Any) -> bool:
    """Whether these are a source or batches (X, y), and not an array, a table, or numbers in lists."""
    if isinstance(X, Source):
        return True
    if isinstance(X, (list, tuple)):
        first = X[0] if X else None
        return isinstance(first, (list, tuple)) and len(first) in (2, 3) and is_array(first[0]) and first[0].ndim > 1
    array = is_array(X) or hasattr(X, "__array__") or hasattr(X, "shape")
    return isinstance(X, Iterable) and not array and not isinstance(X, (str, bytes, dict))


def _steps(batches: Any, steps_per_epoch: int | None, who: str) -> int:
    if steps_per_epoch is None:
        if isinstance(batches, Sized):
            return len(batches)
        raise ConfigError(f"{who}: a generator needs steps_per_epoch, how many of its batches make an epoch")
    if isinstance(steps_per_epoch, (bool, np.bool_)) or int(steps_per_epoch) != steps_per_epoch or steps_per_epoch < 1:
        raise ConfigError(f"{who}: steps_per_epoch must be a whole number >= 1; got {steps_per_epoch!r}")
    return int(steps_per_epoch)


def held_out(rows: Rows, validation_data: Any, split: float) -> tuple[Rows, Given | None]:
    """What trains, and what validates, if anything does.

    A split takes the last share of the rows, before anything is shuffled.
    """
    check_number("fit", "validation_split", split, low=0.0, high=1.0, open_high=True)
    if validation_data is not None:
        if split:
            raise ConfigError("fit: give validation_data or validation_split, not both")
        return rows, _validation(validation_data)
    if not split:
        return rows, None
    X, y, weights = rows
    if y is None:
        raise ConfigError("fit: validation_split needs arrays; for data that come in pieces give validation_data")
    X, y = (v if is_array(v) else np.asarray(v) for v in (X, y))
    count = int(X.shape[0])
    kept = count - round(count * split)
    if not 0 < kept < count:
        raise ConfigError(f"fit: validation_split={split} of {count} rows leaves no rows on one side")
    weights = None if weights is None else to_numpy(weights)
    parts = (slice(None, kept), slice(kept, None))
    trained, held = (Rows(X[part, ...], y[part, ...], None if weights is None else weights[part]) for part in parts)
    return trained, Whole(held)


def _validation(given: Any) -> Given:
    """A tuple is (X, y) or (X, y, weights), and so is a list of arrays; anything else are data in pieces."""
    arrays = isinstance(given, tuple) or (isinstance(given, list) and bool(given) and not isinstance(given[0], tuple))
    if is_array(given) or isinstance(given, (str, bytes, dict)) or (arrays and len(given) not in (2, 3)):
        raise ConfigError("fit: validation_data must be (X, y) or (X, y, sample_weight), a source or a list of batches")
    opened_ = measurable(Rows(*given) if arrays else Rows(given, None), "validation_data")
    if isinstance(opened_, Streamed) and opened_.once:
        raise ConfigError("validation_data: every epoch goes through it, and this can be gone through only once")
    return opened_


def fitted(preprocessing: Any, given: Given) -> Any:
    """A preprocessing fitted to the data if it isn't yet; to a source chunk by chunk."""
    if not hasattr(preprocessing, "fit"):
        return preprocessing
    if isinstance(given, Whole):
        return preprocessing.fit(given.rows.X)
    if not isinstance(given, Source):
        raise ConfigError("preprocessing can't be fitted to batches as they come: pass one that is, by .fit(rows)")
    return preprocessing.fit_batches(_Chunks(given))


def prepared(preprocessing: Any, given: Given) -> Given:
    """The data as the first layer takes them."""
    return given if preprocessing is None else given.mapped(preprocessing.apply)


class _Chunks:
    """The inputs of a source, as often as somebody goes through them."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Any]:
        return self._source.inputs()
