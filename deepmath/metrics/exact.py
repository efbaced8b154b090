"""Sums without rounding, so that no order of the numbers and no split into batches can show in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

SHIFT = 1074
"""Every float64 is a whole multiple of 2^-1074."""


class ExactSums:
    """Sums of float64 numbers by cell, a number from 0 to 2^51: `parts` maps it to the sum times 2^1074, an int.

    Infinities are counted in `infinite`, by cell; there must be no NaN and no -inf.

    >>> sums = ExactSums()
    >>> sums.add([1e16, 1.0, -1e16, 0.5], cells=[0, 0, 0, 7])
    >>> float(sums[0]), float(sums[7]), float(sums[3])
    (1.0, 0.5, 0.0)
    """

    def __init__(self, parts: Mapping[int, int] | None = None, infinite: Mapping[int, int] | None = None) -> None:
        self.parts = dict(parts or {})
        self.infinite = dict(infinite or {})

    def add(self, values: Any, cells: Any = 0) -> None:
        """Add each value to its cell (or all to one)."""
        values = np.asarray(values, np.float64)
        values, cells = (np.ravel(a) for a in np.broadcast_arrays(values, np.asarray(cells, np.int64)))
        endless = np.isinf(values)
        for cell, count in zip(*np.unique(cells[endless], return_counts=True), strict=True):
            self.infinite[int(cell)] = self.infinite.get(int(cell), 0) + int(count)
        fractions, exponents = np.frexp(np.where(endless, 0.0, values))
        # value = whole 2^(exponent - 53); halves of 27 bits leave room for 2^36 of them in an int64
        whole = np.ldexp(fractions, 53).astype(np.int64)
        keys, place = np.unique((cells << 12) + (exponents + 2048), return_inverse=True)
        sums = np.zeros((2, len(keys)), np.int64)
        for half, part in enumerate((whole >> 27, whole & ((1 << 27) - 1))):
            np.add.at(sums[half], place, part)
        for key, high, low in zip(keys.tolist(), *sums.tolist(), strict=True):
            cell, total = key >> 12, (high << 27) + low
            # below 2^-1021 the last bits of `whole` are zero, so nothing is lost to the right
            shift = (key & 4095) - 2048 - 53 + SHIFT
            self.parts[cell] = self.parts.get(cell, 0) + (total << shift if shift >= 0 else total >> -shift)

    def merge(self, other: ExactSums) -> None:
        """Add another's sums, cell by cell."""
        for mine, theirs in ((self.parts, other.parts), (self.infinite, other.infinite)):
            for cell, value in theirs.items():
                mine[cell] = mine.get(cell, 0) + value

    def __getitem__(self, cell: int) -> Fraction:
        """A cell's sum, exactly; 0 for a cell that got nothing."""
        return Fraction(self.parts.get(cell, 0), 1 << SHIFT)


def products(*factors: Any) -> list[Any]:
    """Arrays whose sum is exactly the factors' product, element by element, if nothing overflows or vanishes.

    >>> [float(p) for p in products(1.0 + 2.0**-52, 1.0 + 2.0**-52)]
    [1.0000000000000004, 4.930380657631324e-32]
    """
    terms = [np.asarray(factors[0], np.float64)]
    for factor in factors[1:]:
        terms = [part for term in terms for part in _two_product(term, np.asarray(factor, np.float64))]
    return terms


def ratio(a: Fraction, b: Fraction) -> float:
    """a / b rounded once; NaN for 0 / 0."""
    if b == 0:
        return math.nan if a == 0 else _endless(a)
    try:
        return float(a / b)
    except OverflowError:
        return _endless(a * b)


def _endless(a: Fraction) -> float:
    return math.inf if a > 0 else -math.inf


def _two_product(a: Any, b: Any) -> tuple[Any, Any]:
    """a b rounded, and exactly what the rounding lost (Dekker)."""
    product = a * b
    a1, a2 = _split(a)
    b1, b2 = _split(b)
    return product, a2 * b2 - (((product - a1 * b1) - a2 * b1) - a1 * b2)


def _split(a: Any) -> tuple[Any, Any]:
    """a as two numbers of 26 bits (Veltkamp)."""
    scaled = a * 134217729.0
    high = scaled - (scaled - a)
    return high, a - high
