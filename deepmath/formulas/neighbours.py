"""Nearest neighbours: what rows alike say about a row, without any network."""

from __future__ import annotations

import numpy as np

from deepmath.typing import Array


def squared_distances(x: Array, points: Array) -> Array:
    """|x_i - p_j|^2 for x [rows, features] and points [others, features]: [rows, others], rounded up to 0.

    >>> squared_distances(np.asarray([[0.0, 0.0]]), np.asarray([[3.0, 4.0]])).tolist()
    [[25.0]]
    """
    sizes = np.sum(x * x, axis=1)[:, None] + np.sum(points * points, axis=1)[None, :]
    return np.maximum(sizes - 2.0 * np.matmul(x, points.T), 0.0)


def nearest_others(x: Array, k: int) -> Array:
    """The numbers of the k nearest other rows of each row of x [rows, features]: [rows, k], in no order.

    Source: Cover and Hart (1967).

    >>> nearest_others(np.asarray([[0.0], [1.0], [5.0]]), 1).tolist()
    [[1], [0], [1]]
    """
    distances = squared_distances(x, x)
    np.fill_diagonal(distances, np.inf)
    return np.argpartition(distances, k - 1, axis=1)[:, :k]
