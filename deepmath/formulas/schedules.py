"""Learning-rate laws: the rate at each update t = 0, 1, ..., in float64."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence


def exponential(t: float, rate: float, factor: float, steps: float) -> float:
    """rate factor^(t / steps): after every `steps` updates the rate is `factor` times what it was.

    Source: article 3, "learning-rate decay".

    >>> exponential(20, 1.0, 0.5, 10.0)
    0.25
    """
    return rate * factor ** (t / steps)


def inverse_time(t: float, rate: float, decay: float, steps: float) -> float:
    """rate / (1 + decay t / steps). Source: article 3, with t / steps as the epoch, counted from 0.

    >>> inverse_time(20, 1.0, 0.5, 10.0)
    0.5
    """
    return rate / (1.0 + decay * t / steps)


def inverse_root(t: float, rate: float, k: float, steps: float) -> float:
    """rate k / sqrt(1 + t / steps): article 3's k / sqrt(epoch) times the rate, epochs of `steps` counted from 1.

    >>> inverse_root(30, 1.0, 0.5, 10.0)
    0.25
    """
    return rate * k / math.sqrt(1.0 + t / steps)


def staircase(t: float, steps: float) -> float:
    """The last multiple of `steps` that is not after t: a law of it stays the same for `steps` updates.

    >>> staircase(29, 10.0)
    20.0
    """
    return math.floor(t / steps) * steps


def polynomial(t: float, rate: float, end: float, steps: float, power: float) -> float:
    """end + (rate - end) (1 - t / steps)^power, and `end` from t = steps on. Source: Keras and Optax, without cycles.

    >>> polynomial(5, 1.0, 0.0, 10.0, 2.0)
    0.25
    """
    return end + (rate - end) * (1.0 - min(t / steps, 1.0)) ** power


def cosine(share: float, start: float, end: float) -> float:
    """From `start` at share 0 to `end` at share 1 along half a cosine. Source: Loshchilov and Hutter (2017), eq. 5.

    >>> cosine(0.5, 1.0, 0.0)
    0.5
    """
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0


def warmed_cosine(t: float, rate: float, steps: float, warmup: float, end: float) -> float:
    """Up the line rate (t + 1) / (warmup + 1) until t = warmup, then down half a cosine to `end` at t = steps.

    The line starts at t = -1, so that the first update is not wasted on a rate of 0.

    >>> [warmed_cosine(t, 1.0, 5, 3, 0.0) for t in range(4)]
    [0.25, 0.5, 0.75, 1.0]
    """
    if t < warmup:
        return rate * (t + 1.0) / (warmup + 1.0)
    return cosine(min((t - warmup) / (steps - warmup), 1.0), rate, end)


def cosine_restarts(t: float, rate: float, period: float, factor: float, end: float) -> float:
    """Half a cosine from `rate` to `end` over `period` updates, then again, each `factor` times as long as the last.

    Source: Loshchilov and Hutter (2017), SGDR, with T_0 = period and T_mult = factor.

    >>> [round(cosine_restarts(t, 1.0, 2, 2.0, 0.0), 3) for t in range(7)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """
    if factor == 1.0:
        return cosine(t % period / period, rate, end)
    # without the small number, rounding would make a cycle that begins at a whole t begin one update late
    cycle = math.floor(math.log1p((factor - 1.0) * t / period) / math.log(factor) + 1e-9)
    begin = period * (factor**cycle - 1.0) / (factor - 1.0)
    return cosine((t - begin) / (period * factor**cycle), rate, end)


def one_cycle(t: float, low: float, high: float, end: float, steps: float, share: float) -> float:
    """From `low` up to `high` at t = share steps - 1, down to `end` at t = steps - 1, along half a cosine each.

    Source: Smith and Topin (2018), in PyTorch's form with two phases. It stays at `end` afterwards.

    >>> [round(one_cycle(t, 0.0, 1.0, 0.5, 6, 0.5), 3) for t in range(6)]
    [0.0, 0.5, 1.0, 0.875, 0.625, 0.5]
    """
    peak = share * steps - 1.0
    if t < peak:
        return cosine(t / peak, low, high)
    return cosine(min((t - peak) / (steps - 1.0 - peak), 1.0), high, end)


def piecewise_constant(t: float, rates: Sequence[float], boundaries: Sequence[float]) -> float:
    """rates[i] from update boundaries[i - 1] on, until before boundaries[i].

    PyTorch's MultiStepLR has the same ends; Keras changes one update later.

    >>> [piecewise_constant(t, (0.5, 0.25), (2,)) for t in range(4)]
    [0.5, 0.5, 0.25, 0.25]
    """
    return rates[bisect.bisect_right(boundaries, t)]
