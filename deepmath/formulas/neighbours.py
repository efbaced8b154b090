"""Nearest neighbours: what rows alike say about a row, without any network."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath.typing import Array, Inputs, Namespace


def squared_distances(xp: Namespace, x: Inputs) -> Array:
    """|x_i - x_j|^2 of all pairs of rows of x [rows, features]: [rows, rows]; rounding never makes one negative.

    >>> squared_distances(np, np.asarray([[0.0, 0.0], [3.0, 4.0]])).tolist()
    [[0.0, 25.0], [25.0, 0.0]]
    """
    sizes = xp.sum(x * x, axis=1)
    pairs = sizes[:, None] + sizes[None, :] - 2.0 * xp.matmul(x, xp.matrix_transpose(x))
    return xp.where(pairs > 0.0, pairs, 0.0)


def nearest_others(x: Any, k: int) -> Any:
    """The numbers of the k nearest other rows of each row of x [rows, features], on the host: [rows, k], in no order.

    Source: Cover and Hart (1967).

    >>> nearest_others(np.asarray([[0.0], [1.0], [5.0]]), 1).tolist()
    [[1], [0], [1]]
    """
    distances: Any = squared_distances(np, x)
    np.fill_diagonal(distances, np.inf)
    return np.argpartition(distances, k - 1, axis=1)[:, :k]
