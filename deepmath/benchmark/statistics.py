"""Numbers out of repeated measurements: medians with their spread, and ratios of what was measured in one round."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """The median of several measurements, and the least and greatest of them."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest.

    >>> spread([3.0, 1.0, 2.0])
    Spread(median=2.0, low=1.0, high=3.0)
    """
    return Spread(statistics.median(values), min(values), max(values))


def rates(seconds: Sequence[float], work: float) -> Spread:
    """Work per second of each measurement; the median time gives the median rate.

    >>> rates([0.5, 0.25, 1.0], 1.0)
    Spread(median=2.0, low=1.0, high=4.0)
    """
    times = spread(seconds)
    return Spread(work / times.median, work / times.high, work / times.low)


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> Spread:
    """How many times as long theirs took as ours, round by round: what slows a machine down for a while cancels.

    >>> ratio([2.0, 4.0, 9.0], [1.0, 2.0, 3.0])
    Spread(median=2.0, low=2.0, high=3.0)
    """
    return spread([t / o for t, o in zip(theirs, ours, strict=True)])


def turns(count: int, number: int) -> list[list[int]]:
    """Who goes when: in each round everybody once, each round beginning with another.

    >>> turns(3, 2)
    [[0, 1, 2], [1, 2, 0]]
    """
    return [[(first + i) % count for i in range(count)] for first in range(number)] if count else []
