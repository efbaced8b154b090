"""Data to measure or to predict, in pieces of the same rows whatever they come from: so results have the same bits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.errors import ConfigError
from deepmath.program import Data
from deepmath.training.sources import CHUNK, Batched, Given, Rows, Source, Streamed, Whole, check_rows, joined, rows_in
from deepmath.training.weights import Place

Admit = Callable[[Rows, Place | None], Data]
"""Rows become checked data; there is a place where they are a piece of a data set, as for `door.admit`."""


class Pieces:
    """Checked data, as often as they can be gone through: arrays in memory are admitted once, others as they come.

    Each piece holds about 8 MiB of inputs of this shape. Raises as `door.admit`.
    """

    def __init__(self, given: Given, features: tuple[int, ...], admit: Admit) -> None:
        self._given, self._admit, self._size = given, admit, rows_in(CHUNK, features)
        self.whole = admit(given.rows, None) if isinstance(given, Whole) else None

    def __iter__(self) -> Iterator[Data]:
        if self.whole is not None:
            return _cut(self.whole, self._size)
        return (self._admit(*piece) for piece in _rows(self._given, self._size))


def _cut(data: Data, size: int) -> Iterator[Data]:
    """Data that are whole, in pieces of so many rows."""
    if data.rows <= size:
        yield data
        return
    for start in range(0, data.rows, size):
        part = slice(start, min(start + size, data.rows))
        x, targets, weights = data.x[part, ...], data.targets, data.weights
        targets = None if targets is None else targets[part, ...]
        yield Data(x, targets, None if weights is None else weights[part])


def _rows(given: Given, size: int) -> Iterator[tuple[Rows, Place]]:
    """Data that come in pieces of their own, in pieces of so many rows, with what messages call a row."""
    if isinstance(given, Source):
        return _read(given, size)
    if isinstance(given, Batched):
        return _regrouped(map(given.at, range(len(given))), size)
    assert isinstance(given, Streamed)
    return _regrouped(itertools.islice(given.begin(), given.steps), size)


def _read(source: Source, size: int) -> Iterator[tuple[Rows, Place]]:
    for start in range(0, source.rows, size):
        yield source.read([(start, min(start + size, source.rows))]), start.__add__


def _regrouped(batches: Iterable[Rows], size: int) -> Iterator[tuple[Rows, Place]]:
    parts: list[_Part] = []
    count = 0
    for number, batch in enumerate(batches):
        rows = Rows(*(None if a is None else to_numpy(a) for a in batch))
        check_rows(*rows)
        if parts and _shapes(parts[0].rows) != _shapes(rows):
            raise ConfigError(f"batch {number} has rows of other shapes than the batch before it")
        start = 0
        while start < len(rows.X):
            stop = min(len(rows.X), start + size - count)
            parts.append(_Part(Rows(*(None if a is None else a[start:stop] for a in rows)), number, start))
            count += stop - start
            start = stop
            if count == size:
                yield _joined(parts)
                parts, count = [], 0
    if parts:
        yield _joined(parts)


class _Part(NamedTuple):
    """Rows of batch `number`, from row `start` on."""

    rows: Rows
    number: int
    start: int


def _joined(parts: Sequence[_Part]) -> tuple[Rows, Place]:
    rows = [part.rows for part in parts]
    begins = np.cumsum([0, *(len(r.X) for r in rows)])

    def place(row: int) -> str:
        i = int(np.searchsorted(begins, row, side="right")) - 1
        return f"{parts[i].start + row - int(begins[i])} of batch {parts[i].number}"

    y = None if rows[0].y is None else joined([r.y for r in rows])
    weights = None
    if any(r.weights is not None for r in rows):
        weights = joined([np.ones(len(r.X)) if r.weights is None else r.weights for r in rows])
    return Rows(joined([r.X for r in rows]), y, weights), place


def _shapes(rows: Rows) -> tuple[tuple[int, ...], ...]:
    return tuple(a.shape[1:] for a in (rows.X, rows.y) if a is not None)
