"""Normalisation along an axis: zero mean and unit variance, then a learnt scale and offset.

Layer normalisation goes along the units of a row, batch normalisation along the rows. The formula is the same.
"""

from __future__ import annotations

from deepmath.typing import Elements, Flat, Namespace, Rows, Scalar


def moments(xp: Namespace, x: Elements, axis: int = -1) -> tuple[Rows, Rows]:
    """Mean and variance along an axis; the variance is divided by the number of elements and taken after centring.

    >>> import numpy as np
    >>> [m.tolist() for m in moments(np, np.asarray([[1.0, 3.0]]))]
    [[[2.0]], [[1.0]]]
    """
    mean = xp.mean(x, axis=axis, keepdims=True)
    return mean, xp.mean((x - mean) * (x - mean), axis=axis, keepdims=True)


def scale(
    xp: Namespace, x: Elements, mean: Scalar, variance: Scalar, gamma: Scalar, beta: Scalar, eps: Scalar
) -> Elements:
    """gamma (x - mean) / sqrt(variance + eps) + beta. gamma and beta: one for each row, or for each unit."""
    return gamma * ((x - mean) / xp.sqrt(variance + eps)) + beta


def normalize(
    xp: Namespace, x: Elements, gamma: Scalar, beta: Scalar, eps: Scalar, axis: int = -1
) -> tuple[Elements, Rows, Rows]:
    """`scale` by the moments along an axis; also gives the moments, for running averages.

    Source: Ioffe and Szegedy (2015), algorithm 1; Ba, Kiros and Hinton (2016), equation 3.

    >>> import numpy as np
    >>> normalize(np, np.asarray([[1.0, 3.0]]), 1.0, 0.0, 0.0)[0]
    array([[-1.,  1.]])
    """
    mean, variance = moments(xp, x, axis)
    return scale(xp, x, mean, variance, gamma, beta, eps), mean, variance


def normalize_pullback(
    xp: Namespace, x: Elements, mean: Rows, variance: Rows, gamma: Scalar, dy: Elements, eps: Scalar
) -> tuple[Elements, Elements]:
    """dx, and each element's share of dgamma (its share of dbeta is dy). Keeps x, mean and variance.

    dx = (u - mean(u) - n mean(u n)) / sqrt(variance + eps) with n the normalised x and u = gamma dy:
    the moments depend on x too. Source: Ioffe and Szegedy (2015), section 3.
    """
    spread = xp.sqrt(variance + eps)
    n = (x - mean) / spread
    u = gamma * dy
    along = xp.mean(u * n, axis=-1, keepdims=True)
    return (u - xp.mean(u, axis=-1, keepdims=True) - n * along) / spread, dy * n


def running_average(xp: Namespace, average: Flat, value: Flat, momentum: Scalar, rest: Scalar) -> Flat:
    """momentum average + rest value, with rest = 1 - momentum: Keras's sense of the word momentum."""
    return momentum * average + rest * value
