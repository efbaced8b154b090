"""House prices: invented houses whose price follows from what a buyer looks at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmath.datasets import arguments
from deepmath.datasets.synthetic import LAYER
from deepmath.formulas.random import normals, uniforms

HOUSE_FEATURES = ("size", "rooms", "age", "distance", "garden")
HOUSE_TARGETS = ("price", "rent")

_SIZE, _ROOMS, _AGE, _DISTANCE, _PLOT, _GARDEN, _PRICE, _RENT = range(16, 24)


def houses(
    n: int = 1000, noise: float = 0.05, seed: int = 0, targets: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Houses by size, rooms, age, distance and garden, with their price, or with price and rent.

    | feature | unit | how it is drawn |
    |---|---|---|
    | size | square metres | 100 exp(0.35 g), held to 25 ... 400 |
    | rooms | count | size / 25 + 0.7 g, rounded, held to 1 ... 12 |
    | age | years | 100 u^2, rounded down: more new houses than old ones |
    | distance | km to the centre | exponential with mean 8, held to at most 50 |
    | garden | square metres | none for 4 of 10; else exponential with mean 100 (1 + distance / 10), at most 5000 |

    with g standard normal and u uniform on [0, 1). With worth = exp(-distance / 20) and wear = 1 - 0.004 age,

        price = (5000 size worth wear + 8000 rooms + 150 garden) exp(noise g)    in euros
        rent  = (18 size worth wear + 30 rooms + 0.3 garden) exp(noise g')       in euros for a month

    so that a straight line explains most of the price and a small network the rest. A house depends on its number
    and the seed alone: the first ten of a thousand are those of `houses(10)`, whatever `noise` and `targets` are.

    Args:
        n: number of houses.
        noise: standard deviation of the logarithm of price and rent, about a share of them.
        seed: 0 to 2^32 - 1.
        targets: 1 for the price, 2 for price and rent.

    Returns:
        X float64 [n, 5], columns as in `HOUSE_FEATURES`, and y float64 [n], or [n, 2] as in `HOUSE_TARGETS`.

    Raises:
        ConfigError: an argument is outside its range.

    >>> X, y = houses(n=3, targets=2)
    >>> X.shape, y.shape
    ((3, 5), (3, 2))
    >>> dict(zip(HOUSE_FEATURES, X[0].round(1).tolist()))
    {'size': 82.9, 'rooms': 3.0, 'age': 31.0, 'distance': 5.0, 'garden': 31.5}
    """
    n, seed = arguments.rows("houses", n, 1), arguments.seed("houses", seed)
    noise = arguments.number("houses", "noise", noise, ">= 0")
    targets = arguments.whole("houses", "targets", targets, 1, 2)

    def normal(parameter: int) -> Any:
        return normals(seed, n, layer=LAYER, parameter=parameter)

    def uniform(parameter: int) -> Any:
        return uniforms(seed, n, layer=LAYER, parameter=parameter)

    size = np.clip(100.0 * np.exp(0.35 * normal(_SIZE)), 25.0, 400.0)
    rooms = np.clip(np.round(size / 25.0 + 0.7 * normal(_ROOMS)), 1.0, 12.0)
    age = np.floor(100.0 * uniform(_AGE) ** 2)
    distance = np.minimum(-8.0 * np.log1p(-uniform(_DISTANCE)), 50.0)
    garden = -100.0 * (1.0 + distance / 10.0) * np.log1p(-uniform(_GARDEN))
    garden = np.where(uniform(_PLOT) < 0.4, 0.0, np.minimum(garden, 5000.0))

    living = size * np.exp(-distance / 20.0) * (1.0 - 0.004 * age)
    price = (5000.0 * living + 8000.0 * rooms + 150.0 * garden) * np.exp(noise * normal(_PRICE))
    X = np.stack([size, rooms, age, distance, garden], axis=1)
    if targets == 1:
        return X, price
    rent = (18.0 * living + 30.0 * rooms + 0.3 * garden) * np.exp(noise * normal(_RENT))
    return X, np.stack([price, rent], axis=1)
