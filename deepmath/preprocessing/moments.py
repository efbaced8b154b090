"""Rows, mean and spread of the columns of data, block by block."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from deepmath.errors import NumericError
from deepmath.formulas.preprocessing import column_moments, merged_moments
from deepmath.preprocessing.inputs import Input


class Moments(NamedTuple):
    """Number of rows; mean + rest and spread = sqrt(sum of squares about it), each float64 [features]."""

    rows: float
    mean: Any
    rest: Any
    spread: Any

    @staticmethod
    def of(x: Any) -> Moments:
        """Of one block: float64 NumPy [rows, features]."""
        return Moments(float(x.shape[0]), *column_moments(np, x))

    def merge(self, other: Moments) -> Moments:
        """Of both blocks' rows."""
        return Moments(self.rows + other.rows, *merged_moments(np, self.rows, self[1:], other.rows, other[1:]))


def moments_of(who: str, given: Input) -> Moments:
    """Of all rows. Raises NumericError where numbers are so large that their differences overflow."""
    total: Moments | None = None
    with np.errstate(over="ignore", invalid="ignore"):
        for block in given.host_blocks():
            one = Moments.of(block)
            total = one if total is None else total.merge(one)
    assert total is not None
    check_range(who, total.spread, total.mean)
    return total


def check_range(who: str, *statistics: Any) -> None:
    """Raise NumericError for the first column where a statistic [features] is not finite."""
    good = np.all([np.isfinite(s) for s in statistics], axis=0)
    if not np.all(good):
        column = int(np.flatnonzero(~good)[0])
        raise NumericError(
            f"{who}: the numbers in column {column} of X are too large: their differences must stay below 1.8e308. "
            "Use a larger unit."
        )
