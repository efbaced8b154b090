"""The affine map y = x W + b, the heart of every dense layer."""

from __future__ import annotations

from collections.abc import Callable

from deepmath.typing import Array, Columns, Elements, Inputs, Kernel, Namespace

Pullback = Callable[[Array], tuple[Array, Array, Array]]


def affine(xp: Namespace, x: Inputs, w: Kernel, b: Columns | None) -> tuple[Elements, Pullback]:
    """y = x W + b for rows x [..., features], W [features, units], b [units] or None.

    The pullback takes dy [..., units] and gives (dx, dW, db) = (dy W^T, x^T dy, sum of dy over the rows);
    it keeps x and W. Source: article 1, "vectorising over several samples" (which writes rows as columns).

    >>> import numpy as np
    >>> y, pullback = affine(np, np.asarray([[1.0, 2.0]]), np.asarray([[3.0], [4.0]]), np.asarray([0.5]))
    >>> y
    array([[11.5]])
    >>> [g.tolist() for g in pullback(np.asarray([[1.0]]))]
    [[[3.0, 4.0]], [[1.0], [2.0]], [1.0]]
    """
    y = xp.matmul(x, w)
    if b is not None:
        y = y + b

    def pullback(dy: Array) -> tuple[Array, Array, Array]:
        rows = xp.reshape(x, (-1, w.shape[0]))
        drows = xp.reshape(dy, (-1, w.shape[1]))
        dw = xp.matmul(xp.matrix_transpose(rows), drows)
        return xp.matmul(dy, xp.matrix_transpose(w)), dw, xp.sum(drows, axis=0)

    return y, pullback
