"""The affine map y = x W + b, the heart of every dense layer."""

from __future__ import annotations

from deepmath.typing import Columns, Elements, Inputs, Kernel, Namespace


def affine(xp: Namespace, x: Inputs, w: Kernel, b: Columns | None) -> Elements:
    """y = x W + b for rows x [..., features], W [features, units], b [units] or None.

    Its derivative is taken on the graph: (dx, dW, db) = (dy W^T, x^T dy, sum of dy over the rows).
    Source: article 1, "vectorising over several samples" (which writes rows as columns).

    >>> import numpy as np
    >>> affine(np, np.asarray([[1.0, 2.0]]), np.asarray([[3.0], [4.0]]), np.asarray([0.5]))
    array([[11.5]])
    """
    y = xp.matmul(x, w)
    return y if b is None else y + b
