"""Penalties on weights: a number added to the loss, and its slope."""

from __future__ import annotations

from deepmath.typing import Flat, Namespace, Scalar


def l2(xp: Namespace, w: Flat, strength: Scalar) -> Scalar:
    """strength / 2 times the sum of squares.

    Article 3's lambda with its 1 / (2 m) is strength = lambda / m here; Keras's L2(k) is strength = 2 k.

    >>> import numpy as np
    >>> l2(np, np.asarray([3.0, 4.0]), 0.1).tolist()
    [1.25]
    """
    return 0.5 * strength * xp.sum(w * w, axis=-1, keepdims=True)


def l2_slope(xp: Namespace, w: Flat, strength: Scalar) -> Flat:
    """strength w."""
    return strength * w


def l1_l2(xp: Namespace, w: Flat, first: Scalar, second: Scalar) -> Scalar:
    """first times the sum of absolute values, plus second / 2 times the sum of squares.

    >>> import numpy as np
    >>> l1_l2(np, np.asarray([3.0, -4.0]), 0.1, 0.1).round(6).tolist()
    [1.95]
    """
    return xp.sum(first * xp.abs(w) + 0.5 * second * (w * w), axis=-1, keepdims=True)


def l1_l2_slope(xp: Namespace, w: Flat, first: Scalar, second: Scalar) -> Flat:
    """first sign(w) + second w; the slope of |w| at its kink 0 is 0."""
    return first * xp.sign(w) + second * w


def max_norm(xp: Namespace, w: Flat, limit: Scalar) -> Flat:
    """Each row of w, shortened to length `limit` where it is longer.

    A row holds the weights that lead into one unit. Source: Srebro and Shraibman (2005); Srivastava et al. (2014).

    >>> import numpy as np
    >>> max_norm(np, np.asarray([[3.0, 4.0], [0.3, 0.4]]), 1.0)
    array([[0.6, 0.8],
           [0.3, 0.4]])
    """
    return clip_by_norm(xp, w, limit)[0]


def length(xp: Namespace, g: Flat) -> Scalar:
    """The Euclidean length of g.

    It is taken in units of the largest component, so that it is right where squares would overflow or vanish. The
    length of a vector cut in pieces is that of the vector of the pieces' lengths.

    >>> import numpy as np
    >>> length(np, np.asarray([3.0, 4.0])).tolist()
    [5.0]
    """
    largest = xp.max(xp.abs(g), axis=-1, keepdims=True)
    unit = xp.where(largest > 0.0, largest, 1.0)
    return unit * xp.sqrt(xp.sum((g / unit) * (g / unit), axis=-1, keepdims=True))


def shortened(xp: Namespace, g: Flat, norm: Scalar, limit: Scalar) -> Flat:
    """g, whose length is `norm`, shortened to length `limit` where it is longer."""
    return g * (limit / xp.maximum(norm, limit))


def clip_by_norm(xp: Namespace, g: Flat, limit: Scalar) -> tuple[Flat, Scalar]:
    """g, shortened to length `limit` where it is longer, and the length it had.

    Source: Pascanu, Mikolov and Bengio (2013), algorithm 1.

    >>> import numpy as np
    >>> clip_by_norm(np, np.asarray([3.0, 4.0]), 1.0)
    (array([0.6, 0.8]), array([5.]))
    """
    norm = length(xp, g)
    return shortened(xp, g, norm, limit), norm


def clip_by_value(xp: Namespace, g: Flat, limit: Scalar) -> Flat:
    """Each component of g, kept within -limit and limit.

    >>> import numpy as np
    >>> clip_by_value(np, np.asarray([-3.0, 0.5]), 1.0)
    array([-1. ,  0.5])
    """
    return xp.minimum(xp.maximum(g, -limit), limit)
