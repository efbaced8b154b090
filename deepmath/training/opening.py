"""What somebody handed in, as data of a kind: arrays in memory, a source of rows, or batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np

from deepmath.arrays import is_array, to_numpy
from deepmath.descriptions import check_number
from deepmath.errors import ConfigError
from deepmath.training.sources import ArraySource, Batched, Given, Rows, Source, Streamed, Whole, kind_of


def opened(
    rows: Rows, steps_per_epoch: int | None = None, shuffle: bool | int = False, who: str = "fit", X: str = "X"
) -> Given:
    """The data that X, y and weights stand for. `who` takes them, and calls the inputs `X`.

    Memory maps are a source. So are arrays in memory that are shuffled within a window: they train as a file would.
    """
    windowed = not isinstance(shuffle, (bool, np.bool_))
    given, y, weights = rows
    if y is not None:
        if isinstance(given, Source) or steps_per_epoch is not None:
            source = isinstance(given, Source)
            what = "a source brings its own targets" if source else "steps_per_epoch is for generators"
            raise ConfigError(f"{who}: {what}; leave out {'y' if source else 'it, or y'}")
        return ArraySource(*rows) if windowed or isinstance(given, np.memmap) else Whole(rows)
    if is_array(given) or isinstance(given, (str, bytes, dict)):
        raise ConfigError(
            f"{who}: y is missing; give {who}({X}, y), a source, or batches (X, y). {X} is {kind_of(given)}"
        )
    if weights is not None:
        raise ConfigError(f"{who}: sample_weight goes with arrays; a source or a batch brings its own: (X, y, weights)")
    if not isinstance(given, Source) and windowed:
        raise ConfigError(f"{who}: shuffle={shuffle!r} rows needs rows; batches are shuffled as a whole, or not at all")
    if isinstance(given, Source) or (isinstance(given, Sized) and hasattr(given, "__getitem__")):
        if steps_per_epoch is not None:
            raise ConfigError(f"{who}: steps_per_epoch is for generators; this data set has a length")
        return given if isinstance(given, Source) else Batched(given)
    if not isinstance(given, Iterable):
        raise ConfigError(f"{who}: y is missing, and {X} is {kind_of(given)}, not a source and no batches (X, y)")
    return Streamed(given, _steps(given, steps_per_epoch, who))


def _steps(batches: Any, steps_per_epoch: int | None, who: str) -> int:
    if steps_per_epoch is None:
        if isinstance(batches, Sized):
            return len(batches)
        raise ConfigError(f"{who}: a generator needs steps_per_epoch, how many of its batches make an epoch")
    if isinstance(steps_per_epoch, bool) or int(steps_per_epoch) != steps_per_epoch or steps_per_epoch < 1:
        raise ConfigError(f"{who}: steps_per_epoch must be a whole number >= 1; got {steps_per_epoch!r}")
    return int(steps_per_epoch)


def held_out(rows: Rows, validation_data: Any, split: float) -> tuple[Rows, Rows | None]:
    """What trains, and what validates, if anything does.

    A split takes the last share of the rows, before anything is shuffled.
    """
    check_number("fit", "validation_split", split, low=0.0, high=1.0, open_high=True)
    if validation_data is not None:
        if split:
            raise ConfigError("fit: give validation_data or validation_split, not both")
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
            raise ConfigError("fit: validation_data must be (X, y) or (X, y, sample_weight)")
        return rows, Rows(*validation_data)
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
    return trained, held


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
