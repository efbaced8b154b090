"""Softmax: a row of scores as a row of probabilities."""

from __future__ import annotations

from deepmath.typing import Elements, Namespace


def softmax(xp: Namespace, z: Elements) -> Elements:
    """exp(z) / sum(exp(z)) along each row, computed from z - max(z) so that nothing overflows.

    Source: article 2, equation 8.

    >>> import numpy as np
    >>> softmax(np, np.asarray([[1000.0, 1000.0]]))
    array([[0.5, 0.5]])
    """
    e = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def softmax_pullback(xp: Namespace, z: Elements, y: Elements, dy: Elements) -> Elements:
    """dz = y (dy - sum(dy y)). Keeps y."""
    return y * (dy - xp.sum(dy * y, axis=-1, keepdims=True))


def log_softmax(xp: Namespace, z: Elements) -> Elements:
    """log(softmax(z)), as z - max(z) - log(sum(exp(z - max(z)))).

    >>> import numpy as np
    >>> log_softmax(np, np.asarray([[0.0, -1e4]]))
    array([[     0., -10000.]])
    """
    centred = z - xp.max(z, axis=-1, keepdims=True)
    return centred - xp.log(xp.sum(xp.exp(centred), axis=-1, keepdims=True))


def log_softmax_pullback(xp: Namespace, z: Elements, y: Elements, dy: Elements) -> Elements:
    """dz = dy - exp(y) sum(dy). Keeps y."""
    return dy - xp.exp(y) * xp.sum(dy, axis=-1, keepdims=True)
