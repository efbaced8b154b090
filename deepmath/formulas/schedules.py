"""Learning-rate laws: the rate at each update t = 0, 1, ..., in float64."""

from __future__ import annotations


def exponential(t: int, rate: float, factor: float, steps: float) -> float:
    """rate factor^(t / steps): after every `steps` updates the rate is `factor` times what it was.

    Source: article 3, "learning-rate decay".

    >>> exponential(20, 1.0, 0.5, 10.0)
    0.25
    """
    return rate * factor ** (t / steps)
