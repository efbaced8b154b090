"""Metrics that are a mean over rows: `metric(xp, p, d)` gives one number for each row, [batch, 1]."""

from __future__ import annotations

from deepmath.typing import Elements, Index, Namespace, Rows, Scalar


def binary_accuracy(xp: Namespace, p: Elements, d: Elements, yes_above: Scalar = 0.5) -> Rows:
    """The share of a row's units with p above a number where d = 1, else not; p = 0.5 counts as class 0.

    >>> import numpy as np
    >>> binary_accuracy(np, np.asarray([[0.9], [0.2]]), np.asarray([[1.0], [1.0]]))
    array([[1.],
           [0.]])
    """
    return xp.mean(xp.astype((p > yes_above) == (d > 0.5), p.dtype), axis=-1, keepdims=True)


def categorical_accuracy(xp: Namespace, p: Elements, d: Elements, index: Index) -> Rows:
    """1 where the first largest score stands at the first largest target, else 0.

    >>> import numpy as np
    >>> categorical_accuracy(np, np.asarray([[0.4, 0.4]]), np.asarray([[0.0, 1.0]]), np.asarray([[0.0, 1.0]]))
    array([[0.]])
    """
    index = xp.astype(index, p.dtype)
    return xp.astype(_first_largest(xp, p, index) == _first_largest(xp, d, index), p.dtype)


def top_k_accuracy(xp: Namespace, p: Elements, d: Elements, index: Index, k: Scalar) -> Rows:
    """1 where fewer than k scores stand before that of the largest target, else 0; of equal scores the first is first.

    With k = 1 this is `categorical_accuracy`.

    >>> import numpy as np
    >>> p, d, index = np.asarray([[0.2, 0.5, 0.3]]), np.asarray([[0.0, 0.0, 1.0]]), np.asarray([[0.0, 1.0, 2.0]])
    >>> [float(top_k_accuracy(np, p, d, index, k)[0, 0]) for k in (1, 2)]
    [0.0, 1.0]
    """
    index = xp.astype(index, p.dtype)
    label = _first_largest(xp, d, index)
    score = xp.max(xp.where(index == label, p, -xp.inf), axis=-1, keepdims=True)
    before = (p > score) | ((p == score) & (index < label))
    return xp.astype(xp.sum(xp.astype(before, p.dtype), axis=-1, keepdims=True) < k, p.dtype)


def _first_largest(xp: Namespace, x: Elements, index: Index) -> Rows:
    place = xp.where(x == xp.max(x, axis=-1, keepdims=True), -index, -xp.inf)
    return -xp.max(place, axis=-1, keepdims=True)
