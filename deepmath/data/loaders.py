"""Loaders: which stretch of the data holds a step, read and checked. For rows a rule of (seed, step) alone."""

from __future__ import annotations

import abc
import functools
import logging
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from deepmath.backend import Backend
from deepmath.batches import Stretch, steps_per_epoch, told_order
from deepmath.data.adapters import GeneratorAdapter, SequenceAdapter
from deepmath.data.buffers import BufferPool
from deepmath.data.rows import CHUNK, Rows, rows_in
from deepmath.data.sources import Adapter, Source
from deepmath.data.validation import Validator
from deepmath.errors import ConfigError
from deepmath.formulas.random import epoch_order
from deepmath.program import Data, Recipe

logger = logging.getLogger("deepmath")
BLOCKS = 16
"""How many blocks, each read at one go, make a window."""

_BLOCKS_ORDER, _WINDOW_ORDER = 1, 2
"""Purposes of random numbers: the order of blocks in an epoch, and that of rows in a window."""


class Loader(abc.ABC):
    """The stretches of a run, each with the steps that train on it."""

    per_epoch: int
    again = True
    """Whether the data of a step can be had more than once, and are the same then."""

    def __init__(self, validator: Validator) -> None:
        self.validator = validator

    @abc.abstractmethod
    def stretches(self, step: int, last: int) -> Iterator[Stretch]:
        """From the stretch that holds `step` on, up to the step in front of `last`."""

    def position(self, step: int) -> tuple[int, int]:
        """(epoch, place within the epoch) of update number `step`."""
        recipe = self.validator.recipe
        epochs, place = divmod(step - recipe.origin, self.per_epoch)
        return recipe.first_epoch + epochs, place


class RowLoader(Loader):
    """Rows of a source: in their own order, in that of a full index, or shuffled within a window.

    A full index gives exactly the batches of the same rows in memory. With a window of so many rows, an epoch
    visits blocks (a 16th of a window each) in a random order, and shuffles the rows of each window that follow
    one another in it. A window is rounded up to whole steps, and none reaches into another.
    """

    def __init__(self, validator: Validator, source: Source) -> None:
        super().__init__(validator)
        recipe = validator.recipe
        self._source, self._seed = source.within(BufferPool()), recipe.seed
        if source.rows >= 2**31:
            raise ConfigError(f"fit: a source has less than 2^31 rows; this one has {source.rows:,}")
        self._windowed = not isinstance(recipe.shuffle, bool) and not callable(recipe.shuffle)
        self._shuffled = bool(recipe.shuffle)
        self._logical = min(recipe.batch_size * recipe.accumulate, source.rows)
        self.per_epoch = steps_per_epoch(source.rows, self._logical, recipe.drop_last)
        window = rows_in(CHUNK, source.shape[1:]) if callable(recipe.shuffle) or not self._windowed else recipe.shuffle
        steps = -(-window // self._logical) if self._windowed else max(1, window // self._logical)
        self._steps = min(steps, self.per_epoch)
        self._block = max(1, -(-self._steps * self._logical // BLOCKS))
        self._used = min(self.per_epoch * self._logical, source.rows)
        order: Any = functools.partial(epoch_order, self._seed, size=source.rows)
        if callable(recipe.shuffle):
            order = functools.partial(told_order, recipe.shuffle, rows=source.rows)
        self._full_order = functools.lru_cache(maxsize=1)(order)

    def stretches(self, step: int, last: int) -> Iterator[Stretch]:
        while step < last:
            epoch, place = self.position(step)
            stretch = self.stretch(epoch, place // self._steps, step - place % self._steps)
            yield stretch
            step = stretch.last_step

    def stretch(self, epoch: int, number: int, first_step: int) -> Stretch:
        """Stretch `number` of an epoch: a pure function of the seed."""
        start = number * self._steps * self._logical
        stop = min(start + self._steps * self._logical, self._used)
        order = None
        if self._windowed:
            order = epoch_order(self._seed, epoch, stop - start, part=number, purpose=_WINDOW_ORDER)
            pieces = blocks(self._seed, epoch, self._source.rows, self._block, start, stop)
            rows = self._source.read(pieces)
            place = functools.partial(_place_in, pieces)
        elif self._shuffled:
            numbers = self._full_order(epoch)[start:stop]
            rows, place = self._source.take(numbers), functools.partial(_place_at, numbers)
        else:
            rows, place = self._source.read([(start, stop)]), functools.partial(_place_in, [(start, stop)])
        bounds = [*range(0, stop - start, self._logical), stop - start]
        return _stretch(self.validator.data(rows, place), first_step, bounds, order)


class SequenceLoader(Loader):
    """A sequence of batches, each of which is a step; shuffled as a whole."""

    def __init__(self, validator: Validator, batches: SequenceAdapter) -> None:
        super().__init__(validator)
        self._batches, self.per_epoch = batches, len(batches)

    def stretches(self, step: int, last: int) -> Iterator[Stretch]:
        recipe = self.validator.recipe
        for now in range(step, last):
            epoch, place = self.position(now)
            number = int(epoch_order(recipe.seed, epoch, self.per_epoch)[place]) if recipe.shuffle else place
            yield _one_step(self.validator, self._batches.at(number), now, number)


class GeneratorLoader(Loader):
    """Batches of a generator, each of which is a step, or of an iterable that begins anew with each epoch."""

    again = False

    def __init__(self, validator: Validator, batches: GeneratorAdapter) -> None:
        super().__init__(validator)
        self._batches, self.per_epoch = batches, batches.steps
        self._stream: Iterator[Rows] = iter(())
        self._next: int | None = None

    def stretches(self, step: int, last: int) -> Iterator[Stretch]:
        for now in range(step, last):
            self._go_to(now)
            batch = self._batch(now)
            yield _one_step(self.validator, batch, now, self._number(now))

    def _number(self, step: int) -> int:
        return step - self.validator.recipe.origin if self._batches.once else self.position(step)[1]

    def _go_to(self, step: int) -> None:
        """Stand in front of the batch of `step`: batches in front of it are made and let go."""
        number = self._number(step)
        if self._next is None or (number == 0 and not self._batches.once):
            self._stream, self._next = self._batches.begin(), step - number
        if self._next > step and not self._batches.once:
            self._stream, self._next = self._batches.begin(), step - number
        if self._next > step:
            raise ConfigError("fit: a generator can't go back to an earlier step; give a sequence or a source")
        if self._next < step:
            logger.info("passing over %d batches of the generator, up to step %d", step - self._next, step)
        while self._next < step:
            self._batch(self._next)

    def _batch(self, step: int) -> Rows:
        batch = next(self._stream, None)
        if batch is None:
            which, number = "generator" if self._batches.once else "iterable", self._number(step)
            per = "" if self._batches.once else " in each epoch"
            raise ConfigError(
                f"fit: the {which} ended after {number} batches, and steps_per_epoch={self.per_epoch} asks for more"
                f"{per} (epoch {self.position(step)[0] + 1} is not complete). Give more, or fewer steps."
            )
        self._next = step + 1
        return batch


def loader_of(validator: Validator, given: Adapter) -> Loader:
    """The loader for data of this kind."""
    if isinstance(given, Source):
        return RowLoader(validator, given)
    if isinstance(given, SequenceAdapter):
        return SequenceLoader(validator, given)
    assert isinstance(given, GeneratorAdapter)
    return GeneratorLoader(validator, given)


def empty_stretch(backend: Backend, recipe: Recipe, sparse: bool = False) -> Stretch:
    """A stretch without rows, which has the shapes and types of all others."""
    head = recipe.head
    x = np.zeros((0, *recipe.parts[0].shape))
    if sparse:
        from scipy.sparse import csr_array  # only who has sparse rows comes by here

        x = csr_array(x)
    x = backend.put(x, recipe.precision)
    if head is None or head.labelled:
        return Stretch(x, backend.put(np.zeros(0, np.int64), "int64"))
    return Stretch(x, backend.put(np.zeros((0, head.outputs)), recipe.precision))


def blocks(seed: int, epoch: int, rows: int, block: int, start: int, stop: int) -> list[tuple[int, int]]:
    """The pieces of the rows that stand at places start ... stop - 1 when blocks follow in an epoch's order.

    All blocks have `block` rows, but for the one at the end of the rows, which may have fewer.

    >>> blocks(0, 0, 10, 4, 0, 10), blocks(0, 0, 10, 4, 5, 9)
    ([(4, 8), (8, 10), (0, 4)], [(9, 10), (0, 3)])
    """
    count = -(-rows // block)
    order = epoch_order(seed, epoch, count, purpose=_BLOCKS_ORDER)
    first = order * block
    sizes = np.minimum(block, rows - first)
    ends = np.cumsum(sizes)
    begin, last = int(np.searchsorted(ends, start, side="right")), int(np.searchsorted(ends, stop, side="left"))
    pieces = []
    for i in range(begin, min(last + 1, count)):
        shift = int(first[i] - (ends[i] - sizes[i]))  # from a place in the epoch to a row
        pieces.append((max(start, int(ends[i] - sizes[i])) + shift, min(stop, int(ends[i])) + shift))
    return pieces


def _one_step(validator: Validator, rows: Rows, step: int, number: int) -> Stretch:
    data = validator.data(rows, lambda row: f"{row} of batch {number}")
    return _stretch(data, step, [0, data.rows], None)


def _stretch(data: Data, first_step: int, bounds: list[int], order: Any) -> Stretch:
    values = {f.name: getattr(data, f.name) for f in fields(Data)}
    return Stretch(**values, first_step=first_step, bounds=bounds, order=order)


def _place_at(numbers: Any, row: int) -> int:
    return int(numbers[row])


def _place_in(pieces: list[tuple[int, int]], row: int) -> int:
    for start, stop in pieces:
        if row < stop - start:
            return start + row
        row -= stop - start
    raise IndexError(row)
