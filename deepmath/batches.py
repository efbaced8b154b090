"""Which rows each step trains on: of data that are whole in memory, or of a stretch of data that come in pieces."""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.errors import ConfigError
from deepmath.formulas.random import epoch_order
from deepmath.program import Batch, Data, Order, Program, Recipe, finished, tally

Orders = Callable[[int, int, int, int], Any]
"""(seed, first epoch, how many, rows) -> the orders in which epochs visit their rows, int64 [epochs, rows]."""
ORDERED = 1 << 14
"""About how many rows are told at once, where epochs are short."""


def epoch_orders(seed: int, first: int, epochs: int, rows: int) -> Any:
    """`epoch_order` of so many epochs from number `first` on: int64 [epochs, rows]."""
    return np.stack([epoch_order(seed, epoch, rows) for epoch in range(first, first + epochs)])


@dataclass(frozen=True)
class Stretch(Data):
    """Some of the rows of data that come in pieces: those of the steps `first_step` ... `last_step` - 1.

    Step `first_step` + i visits the places `bounds[i]` ... `bounds[i + 1]` - 1 of `order` [rows], which holds
    numbers of rows of x; without it rows come in their own order.
    """

    first_step: int = 0
    bounds: Sequence[int] = (0,)
    order: Any = None

    @property
    def last_step(self) -> int:
        """The number of the first step that is not this stretch's."""
        return self.first_step + len(self.bounds) - 1


class Batches(abc.ABC):
    """The micro-batches of each step. None of them has more than `micro` rows."""

    def __init__(self, recipe: Recipe, data: Data, micro: int) -> None:
        self.weights, self.micro = data.weights, micro
        self._summed = recipe.head is not None and recipe.head.loss.summed

    @abc.abstractmethod
    def rows_of(self, step: int) -> Any:
        """The numbers of the rows of update number `step`, in order."""

    @abc.abstractmethod
    def stretch(self, step: int, most: int) -> tuple[Any, Any]:
        """(rows, bounds) of the next steps, at most so many, whose rows can be told at once.

        Step number `step` + i visits rows[bounds[i]:bounds[i + 1]]; both are int64.
        """

    def at(self, step: int) -> list[Batch]:
        """The micro-batches of update number `step`."""
        rows = self.rows_of(step)
        weights = row_weights(self.weights, rows, self._summed)
        return [
            Batch(rows[i : i + self.micro], weights[i : i + self.micro], i) for i in range(0, len(rows), self.micro)
        ]

    def weight_of(self, step: int) -> tuple[float, int]:
        """The sum of the weights of update number `step`, and how many of its rows count."""
        rows = self.rows_of(step)
        return tally(None if self.weights is None else self.weights[rows], len(rows))


class InMemory(Batches):
    """Data that are whole: a rule of (seed, step) alone, run on the host."""

    def __init__(self, recipe: Recipe, data: Data, orders: Orders = epoch_orders) -> None:
        self.rows, self.seed, self.shuffle = data.rows, recipe.seed, recipe.shuffle
        self._shuffled = orders
        self._origin, self._first_epoch = recipe.origin, recipe.first_epoch
        super().__init__(recipe, data, min(recipe.batch_size, self.rows))
        self.logical = min(recipe.batch_size * recipe.accumulate, self.rows)
        self.per_epoch = steps_per_epoch(self.rows, self.logical, recipe.drop_last)
        self._orders = functools.lru_cache(maxsize=2)(self._epochs)

    def _epochs(self, first: int, epochs: int) -> Any:
        if callable(self.shuffle):
            return np.stack([told_order(self.shuffle, first + i, self.rows) for i in range(epochs)])
        if self.shuffle:
            return self._shuffled(self.seed, first, epochs, self.rows)
        return np.tile(np.arange(self.rows, dtype=np.int64), (epochs, 1))

    def position(self, step: int) -> tuple[int, int]:
        """(epoch, place within the epoch) of update number `step`."""
        epochs, place = divmod(step - self._origin, self.per_epoch)
        return self._first_epoch + epochs, place

    def rows_of(self, step: int) -> Any:
        epoch, place = self.position(step)
        return self._orders(epoch, 1)[0, place * self.logical : (place + 1) * self.logical]

    def stretch(self, step: int, most: int) -> tuple[Any, Any]:
        epoch, place = self.position(step)
        epochs = 1 if place else max(1, min(most // self.per_epoch, ORDERED // self.rows))
        steps = min(most, self.per_epoch - place)
        rows = self._orders(epoch, epochs)[:, place * self.logical : (place + steps) * self.logical]
        visited = rows.shape[1]
        stops = np.minimum(np.arange(1, steps + 1, dtype=np.int64) * self.logical, visited)
        starts = visited * np.arange(epochs, dtype=np.int64)[:, None]
        return rows.ravel(), np.concatenate([[0], (starts + stops).ravel()])


def told_order(order: Order, epoch: int, rows: int) -> Any:
    """The order that somebody's function gives. Raises ConfigError for what can't be one."""
    told = np.asarray(order(epoch, rows))
    if told.shape != (rows,) or told.dtype.kind not in "iu" or told.min() < 0 or told.max() >= rows:
        raise ConfigError(
            f"fit: shuffle(epoch, rows) must give {rows} whole numbers of rows, 0 to {rows - 1}; for epoch {epoch} it "
            f"gave {told.dtype} of shape {told.shape}" + (f" from {told.min()} to {told.max()}" if told.size else "")
        )
    return told.astype(np.int64)


class InStretch(Batches):
    """The steps of one stretch; there are no others."""

    def __init__(self, recipe: Recipe, data: Stretch) -> None:
        super().__init__(recipe, data, recipe.batch_size)
        self._data = data

    def rows_of(self, step: int) -> Any:
        data, i = self._data, step - self._data.first_step
        assert 0 <= i < len(data.bounds) - 1, f"step {step} lies outside the stretch at hand"
        start, stop = data.bounds[i], data.bounds[i + 1]
        return np.arange(start, stop, dtype=np.int64) if data.order is None else data.order[start:stop]

    def stretch(self, step: int, most: int) -> tuple[Any, Any]:
        data, i = self._data, step - self._data.first_step
        bounds = np.asarray(data.bounds[i : i + most + 1], np.int64)
        assert len(bounds) > 1, f"step {step} lies outside the stretch at hand"
        rows = np.arange(bounds[0], bounds[-1]) if data.order is None else data.order[bounds[0] : bounds[-1]]
        return np.ascontiguousarray(rows, np.int64), bounds - bounds[0]


def batches_of(recipe: Recipe, data: Data, orders: Orders = epoch_orders) -> Batches:
    """The rule for data of this kind; `orders` computes what `epoch_orders` says."""
    return InStretch(recipe, data) if isinstance(data, Stretch) else InMemory(recipe, data, orders)


def steps_per_epoch(rows: int, logical: int, drop_last: bool) -> int:
    """How many steps of `logical` rows an epoch has; the last may have fewer rows, unless it is dropped.

    >>> steps_per_epoch(10, 4, drop_last=False), steps_per_epoch(10, 4, drop_last=True)
    (3, 2)
    """
    whole, rest = divmod(rows, logical)
    return whole if drop_last or not rest else whole + 1


def run_steps(program: Program, batches: Batches, columns: int, k: int) -> Any:
    """`Program.run` by way of `gradients` and `apply`: the results float64 [k, columns] of k steps."""
    results = np.empty((k, columns))
    for i in range(k):
        gradients = None
        for batch in batches.at(program.step):
            gradients = program.gradients(batch, gradients)
        assert gradients is not None
        results[i] = finished(gradients.sums, *batches.weight_of(program.step))
        program.apply(gradients)
    return results


def row_weights(weights: Any, rows: Any, summed: bool) -> Any:
    """What each row's loss is multiplied by: its share of the mean, or its weight in a sum; zero where none counts."""
    if weights is None:
        return np.full(len(rows), 1.0 if summed else 1.0 / len(rows))
    chosen = weights[rows]
    total = math.fsum(chosen)
    return chosen if summed or total == 0.0 else chosen / total
