"""Small two-dimensional data sets with classes, made from a seed.

The numbers come from the counter-based generator of the initial weights, so that they don't depend on
NumPy's version; what differs between machines is at most the last digit of a cosine or a logarithm.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from deepmath.datasets import arguments
from deepmath.formulas.random import epoch_order, normals

Points: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]

LAYER = 0xDA7A
"""The layer number under which noise is drawn: far above any network's, so that weights never share its numbers."""

EPOCH = 0xDA7A0000
"""The epoch number of the first shuffle here: no training reaches it, so that its orders are its own."""

_CIRCLES, _MOONS, _XOR, _SPIRALS = 0, 1, 2, 3


def circles(n: int = 1000, noise: float = 0.1, factor: float = 0.2, seed: int = 0) -> tuple[Points, Labels]:
    """Two circles round one centre: the outer one of radius 1 is class 0, the inner one is class 1.

    The points lie at equal angles; n // 2 of them are outer. `factor` in [0, 1) is the inner radius,
    `noise` the standard deviation of the Gaussian noise on each coordinate. Rows are shuffled.

    Returns:
        X float64 [n, 2] and y int64 [n] of 0 and 1.

    Raises:
        ConfigError: an argument is outside its range.

    >>> X, y = circles(n=6, noise=0.0)
    >>> X.shape, y.tolist().count(0), y.tolist().count(1)
    ((6, 2), 3, 3)
    >>> [round(float(r), 12) for r in sorted({*np.hypot(X[:, 0], X[:, 1]).round(9)})]
    [0.2, 1.0]
    """
    n = arguments.rows("circles", n, 2)
    factor = arguments.number("circles", "factor", factor, "in [0, 1)")
    outer = _angles(n // 2, 2.0 * math.pi, endpoint=False)
    inner = _angles(n - n // 2, 2.0 * math.pi, endpoint=False)
    X = np.concatenate([outer, factor * inner])
    return _finish("circles", X, _two(n), noise, seed, _CIRCLES)


def moons(n: int = 1000, noise: float = 0.1, seed: int = 0) -> tuple[Points, Labels]:
    """Two half circles of radius 1 that interlock: the upper one is class 0, the lower one is class 1.

    The upper is centred on (0, 0), the lower on (1, 0.5); n // 2 points are upper. `noise` is the
    standard deviation of the Gaussian noise on each coordinate. Rows are shuffled.

    Returns:
        X float64 [n, 2] and y int64 [n] of 0 and 1.

    Raises:
        ConfigError: an argument is outside its range.

    >>> X, y = moons(n=4, noise=0.0)
    >>> sorted(zip(X.round(9).tolist(), y.tolist()))
    [([-1.0, 0.0], 0), ([0.0, 0.5], 1), ([1.0, 0.0], 0), ([2.0, 0.5], 1)]
    """
    n = arguments.rows("moons", n, 2)
    upper = _angles(n // 2, math.pi, endpoint=True)
    lower = np.array([1.0, 0.5]) - _angles(n - n // 2, math.pi, endpoint=True)
    return _finish("moons", np.concatenate([upper, lower]), _two(n), noise, seed, _MOONS)


def xor(n: int = 4, noise: float = 0.0, seed: int = 0) -> tuple[Points, Labels]:
    """The truth table of exclusive or, gone round until there are n rows.

    Row i is row i mod 4 of the table plus Gaussian noise of standard deviation `noise`. Rows are not
    shuffled: any four that follow each other hold the whole table.

    Returns:
        X float64 [n, 2] and y int64 [n] of 0 and 1.

    Raises:
        ConfigError: an argument is outside its range.

    >>> X, y = xor()
    >>> X.tolist(), y.tolist()
    ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    """
    n = arguments.rows("xor", n, 4)
    row = np.arange(n, dtype=np.int64) % 4
    table = np.stack([row // 2, row % 2], axis=1)
    return table + _noise("xor", n, noise, seed, _XOR), table[:, 0] ^ table[:, 1]


def spirals(
    n: int = 1000, noise: float = 0.1, turns: float = 1.0, classes: int = 2, seed: int = 0
) -> tuple[Points, Labels]:
    """Spirals that wind round one centre, one for each class.

    An arm of m points has them at radii 1/m, 2/m, ..., 1 and at angles 2 pi (turns radius + class / classes).
    Where n is no multiple of `classes`, the last ones get a point more. `noise` is the standard deviation of
    the Gaussian noise on each coordinate; along a radius neighbouring arms are 1 / (turns classes) apart.
    Rows are shuffled.

    Returns:
        X float64 [n, 2] and y int64 [n] from 0 to classes - 1.

    Raises:
        ConfigError: an argument is outside its range.

    >>> X, y = spirals(n=4, noise=0.0)
    >>> sorted(zip(y.tolist(), (X.round(9) + 0.0).tolist()))
    [(0, [-0.5, 0.0]), (0, [1.0, 0.0]), (1, [-1.0, 0.0]), (1, [0.5, 0.0])]
    """
    classes = arguments.whole("spirals", "classes", classes, 2, 1000)
    n = arguments.rows("spirals", n, classes)
    turns = arguments.number("spirals", "turns", turns, ">= 0")
    counts = [(n + k) // classes for k in range(classes)]
    radius = np.concatenate([np.arange(1, m + 1) / m for m in counts])
    y = np.repeat(np.arange(classes, dtype=np.int64), counts)
    angle = 2.0 * math.pi * (turns * radius + y / classes)
    X = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _finish("spirals", X, y, noise, seed, _SPIRALS)


def _angles(count: int, end: float, *, endpoint: bool) -> Points:
    """`count` points of the unit circle at equal angles from 0 to `end`: [count, 2]."""
    angle = np.linspace(0.0, end, count, endpoint=endpoint)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _two(n: int) -> Labels:
    """n // 2 zeros and ones behind them."""
    return (np.arange(n) >= n // 2).astype(np.int64)


def _noise(who: str, n: int, noise: float, seed: int, parameter: int) -> Points:
    noise = arguments.number(who, "noise", noise, ">= 0")
    drawn: Points = normals(arguments.seed(who, seed), 2 * n, layer=LAYER, parameter=parameter).reshape(n, 2)
    return noise * drawn


def _finish(who: str, X: Points, y: Labels, noise: float, seed: int, parameter: int) -> tuple[Points, Labels]:
    """Add the noise to points of labels y, and shuffle."""
    X = X + _noise(who, len(X), noise, seed, parameter)
    order = epoch_order(arguments.seed(who, seed), EPOCH + parameter, len(X))
    return X[order], y[order]
