"""Checks of the arguments that the data sets share."""

from __future__ import annotations

import math
import operator

import numpy as np

from deepmath.errors import ConfigError


def whole(who: str, name: str, value: object, low: int, high: int) -> int:
    """`value` as an int in low ... high.

    Raises:
        ConfigError: it is not a whole number, or lies outside.

    >>> whole("circles", "n", 1, 2, 9)
    Traceback (most recent call last):
    ...
    deepmath.errors.ConfigError: circles: n must be a whole number from 2 to 9, got 1
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or not low <= number <= high:
        msg = f"{who}: {name} must be a whole number from {low} to {high}, got {value!r}"
        raise ConfigError(msg)
    return number


def rows(who: str, value: object, low: int) -> int:
    """A number of rows; shuffling packs a row's number into 31 bits, hence the upper limit."""
    return whole(who, "n", value, low, 2**31 - 1)


def seed(who: str, value: object) -> int:
    """A seed: 32 bits are what keys the random numbers, and a longer seed would repeat a shorter one."""
    return whole(who, "seed", value, 0, 2**32 - 1)


def number(who: str, name: str, value: object, allowed: str) -> float:
    """`value` as a float in the range `allowed`, one of the keys of `_RANGES`.

    Raises:
        ConfigError: it is not a finite number, or lies outside `allowed`.
    """
    try:
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        result = math.nan
    if isinstance(value, (bool, np.bool_, str)) or not _RANGES[allowed](result):
        msg = f"{who}: {name} must be a number {allowed}, got {value!r}"
        raise ConfigError(msg)
    return result


_RANGES = {
    ">= 0": lambda x: 0.0 <= x < math.inf,
    "in [0, 1)": lambda x: 0.0 <= x < 1.0,
    "in (0, 1)": lambda x: 0.0 < x < 1.0,
}
