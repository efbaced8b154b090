"""Rows: inputs, targets and weights that belong together, as somebody gave them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepmath.arrays import is_array, is_frame
from deepmath.checks import is_sparse, real_numbers
from deepmath.errors import ConfigError

CHUNK = 1 << 23
"""About how many bytes of inputs are read at a time where nobody says."""

Change = Callable[[Any], Any]


class Rows(NamedTuple):
    """Inputs [rows, *features], targets [rows] or [rows, outputs], and weights [rows] or None."""

    X: Any
    y: Any
    weights: Any = None

    def mapped(self, change: Change | None) -> Rows:
        """The same rows with changed inputs."""
        return self if change is None else self._replace(X=change(self.X))

    def each(self, function: Change) -> Rows:
        """What a function makes of each of the three that is there."""
        return Rows(*(None if a is None else function(a) for a in self))


def as_array(values: Any) -> Any:
    """Arrays, frames and sparse matrices as they are, anything else as NumPy takes it."""
    return values if is_array(values) or is_frame(values) or is_sparse(values) else np.asarray(values)


def shape_of(values: Any) -> tuple[int, ...]:
    """The shape of an array, a frame, or nested lists."""
    return tuple(int(n) for n in (values.shape if hasattr(values, "shape") else real_numbers(values, "X").shape))


def sliced(values: Any, start: int, stop: int) -> Any:
    """Rows start ... stop - 1 of an array, a sparse matrix or a frame."""
    if is_frame(values):
        return values.slice(start, stop)
    return values[start:stop, ...] if is_array(values) else values[start:stop]


def taken(values: Any, numbers: Any) -> Any:
    """The rows of these numbers, int64 [rows], of an array, a sparse matrix or a frame in memory."""
    if is_frame(values):
        return values.take(numbers)
    return (values.tocsr() if is_sparse(values) else values)[numbers]


def check_counts(rows: Rows) -> int:
    """The number of rows; ConfigError unless inputs, targets and weights have the same one."""
    counts = [shape_of(a)[0] if shape_of(a) else 0 for a in rows if a is not None]
    if len(set(counts)) > 1:
        raise ConfigError(f"Found input variables with inconsistent numbers of samples: {counts}")
    return counts[0]


def as_batch(batch: Any, number: int) -> Rows:
    """A batch as somebody gave it. Raises ConfigError that names it by its number."""
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        raise ConfigError(f"batch {number} must be (X, y) or (X, y, weights); got {kind_of(batch)}")
    return Rows(*batch)


def rows_in(bytes_: int, features: tuple[int, ...]) -> int:
    """How many rows of float32 numbers take about so many bytes; at least one.

    >>> rows_in(1 << 20, (784,))
    334
    """
    return max(1, bytes_ // max(1, 4 * math.prod(features)))


def joined(parts: Sequence[Any]) -> Any:
    """Arrays one after the other; a single one is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def kind_of(x: Any) -> str:
    """What messages call something that was not expected."""
    size = f" of {len(x)}" if isinstance(x, (tuple, list)) else ""
    return f"a {type(x).__name__}{size}"
