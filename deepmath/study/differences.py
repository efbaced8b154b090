"""Derivatives along a direction by differences that choose their own step and keep away from kinks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
"""Steps as shares of the size of what moves, from the one with the least rounding to the one with the least reach."""

FINE = (1e-6, 1e-7, 1e-5)
"""Steps along a direction in which very many numbers move: one of many units is soon at its kink."""

TOLERANCE = 1e-6
"""How much of the scale a derivative may be off. Rounding is allowed for besides."""

ROUNDING = 50 * float(np.finfo(np.float64).eps)
"""Errors of the function's value as a share of it: sums of many terms are off by more than one unit."""


class Slope(NamedTuple):
    """A derivative by differences: the value nearest to what was claimed, how far that is off, and the step."""

    claimed: float
    found: float
    error: float
    step: float

    @property
    def right(self) -> bool:
        """Whether the claim stands: `error` is in units of what is allowed."""
        return bool(self.error <= 1.0)


def slope(
    function: Callable[[float], float], claimed: float, size: float, scale: float, steps: Sequence[float] = STEPS
) -> Slope:
    """The derivative at 0 of function(t), beside the one that is claimed.

    Five-point differences (error h^4) with a step of `size` times the first of `steps`; where they disagree with
    the claim by more than 1e-6 of the larger of it and `scale`, the other steps follow. A kink within reach, or
    much curvature, spoils the larger steps only, while a wrong derivative agrees at none. Article 3 takes 1e-7.

    >>> slope(lambda t: abs(t + 1e-5), 1.0, 1.0, 1.0).right
    True
    >>> slope(lambda t: math.exp(t), 1.001, 1.0, 1.0).right
    False
    """
    best = Slope(claimed, math.nan, math.inf, 0.0)
    for share in steps:
        h = share * size
        near, far = (function(h), function(-h)), (function(2 * h), function(-2 * h))
        found = (8.0 * (near[0] - near[1]) - (far[0] - far[1])) / (12.0 * h)
        rounding = ROUNDING * max(abs(v) for v in (*near, *far)) / h
        allowed = TOLERANCE * max(abs(claimed), scale) + rounding
        error = abs(found - claimed) / allowed if allowed > 0.0 else (0.0 if found == claimed else math.inf)
        if error < best.error or math.isnan(best.found):
            best = Slope(claimed, found, error, h)
        if best.right:
            break
    return best


def article_ratio(claimed: list[float], found: list[float]) -> float:
    """||g - g'|| / (||g|| + ||g'||), as article 3 has it; 0 where both are 0.

    >>> article_ratio([3.0, 4.0], [3.0, 4.0])
    0.0
    """
    g, other = np.asarray(claimed), np.asarray(found)
    size = float(np.linalg.norm(g) + np.linalg.norm(other))
    return float(np.linalg.norm(g - other)) / size if size else 0.0
