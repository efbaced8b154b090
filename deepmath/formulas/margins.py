"""Losses of classes beyond the cross-entropies: margins, divergences, and focal loss.

As in `losses.py`: p and d are [batch, units] and the loss is [batch, 1].
"""

from __future__ import annotations

from deepmath.typing import Elements, Namespace, Rows, Scalar


def hinge(xp: Namespace, p: Elements, d: Elements) -> Rows:
    """mean(max(0, 1 - s p)) for scores p, with s = 2 d - 1 for d = 0 or 1. Source: Cortes and Vapnik (1995).

    >>> import numpy as np
    >>> hinge(np, np.asarray([[0.5], [2.0]]), np.asarray([[0.0], [1.0]]))
    array([[1.5],
           [0. ]])
    """
    return xp.mean(xp.maximum(1.0 - (2.0 * d - 1.0) * p, 0.0), axis=-1, keepdims=True)


def hinge_slope(xp: Namespace, p: Elements, d: Elements) -> Elements:
    """-s / units where s p < 1, else 0, also at the kink."""
    s = 2.0 * d - 1.0
    return -s * xp.astype(s * p < 1.0, p.dtype) / p.shape[-1]


def squared_hinge(xp: Namespace, p: Elements, d: Elements) -> Rows:
    """mean(max(0, 1 - s p)^2) with s = 2 d - 1.

    >>> import numpy as np
    >>> squared_hinge(np, np.asarray([[0.5]]), np.asarray([[0.0]]))
    array([[2.25]])
    """
    short = xp.maximum(1.0 - (2.0 * d - 1.0) * p, 0.0)
    return xp.mean(short * short, axis=-1, keepdims=True)


def squared_hinge_slope(xp: Namespace, p: Elements, d: Elements) -> Elements:
    """-2 s max(0, 1 - s p) / units."""
    s = 2.0 * d - 1.0
    return -2.0 * s * xp.maximum(1.0 - s * p, 0.0) / p.shape[-1]


def kl_divergence(xp: Namespace, p: Elements, d: Elements) -> Rows:
    """sum(d ln(d / p)) with 0 ln 0 = 0. Source: Kullback and Leibler (1951).

    >>> import numpy as np
    >>> kl_divergence(np, np.asarray([[0.5, 0.5]]), np.asarray([[1.0, 0.0]]))
    array([[0.69314718]])
    """
    share, chance = xp.where(d > 0.0, d, 1.0), xp.where(d > 0.0, p, 1.0)
    return xp.sum(d * (xp.log(share) - xp.log(chance)), axis=-1, keepdims=True)


def kl_divergence_slope(xp: Namespace, p: Elements, d: Elements) -> Elements:
    """-d / p."""
    return -(d / xp.where(d > 0.0, p, 1.0))


def focal(xp: Namespace, p: Elements, d: Elements, gamma: Scalar, alpha: Scalar) -> Rows:
    """-mean(a (1 - q)^gamma ln q), q the chance given to the true class, a = alpha for d = 1 and 1 - alpha for d = 0.

    Source: Lin et al., "Focal loss for dense object detection" (2017), equation 5. d is 0 or 1.

    >>> import numpy as np
    >>> focal(np, np.asarray([[0.5]]), np.asarray([[1.0]]), 2.0, 0.25).round(6)
    array([[0.043322]])
    """
    missed, cost = _missed(xp, p, d)
    weight = d * alpha + (1.0 - d) * (1.0 - alpha)
    return xp.mean(weight * xp.pow(missed, gamma) * cost, axis=-1, keepdims=True)


def focal_slope(xp: Namespace, p: Elements, d: Elements, gamma: Scalar, alpha: Scalar) -> Elements:
    """-s a (gamma r^(gamma - 1) -ln q + r^gamma / q) / units with r = 1 - q and s = 2 d - 1."""
    missed, cost = _missed(xp, p, d)
    weight = (1.0 - 2.0 * d) * (d * alpha + (1.0 - d) * (1.0 - alpha))
    bounded = xp.where(missed > 0.0, cost, 0.0)
    hit = xp.where(d > 0.5, p, 1.0 - p)
    return weight * (gamma * _power_below(xp, missed, gamma) * bounded + xp.pow(missed, gamma) / hit) / p.shape[-1]


def _missed(xp: Namespace, p: Elements, d: Elements) -> tuple[Elements, Elements]:
    """1 - q and -ln q, each from p itself: by way of q = 1 - p a small p would lose every digit."""
    missed = xp.where(d > 0.5, 1.0 - p, p)
    cost = xp.where(d > 0.5, -xp.log(xp.where(d > 0.5, p, 1.0)), -xp.log1p(-xp.where(d > 0.5, 0.0, p)))
    return missed, cost


def _power_below(xp: Namespace, rest: Elements, gamma: Scalar) -> Elements:
    """rest^(gamma - 1), 0 where rest = 0: what multiplies it vanishes there."""
    return xp.where(rest > 0.0, xp.pow(xp.where(rest > 0.0, rest, 1.0), gamma - 1.0), 0.0)


def focal_logits(xp: Namespace, z: Elements, d: Elements, gamma: Scalar, alpha: Scalar) -> Rows:
    """Focal loss of p = sigmoid(z): mean(a sigmoid(-s z)^gamma softplus(-s z)), stable at any magnitude.

    >>> import numpy as np
    >>> focal_logits(np, np.asarray([[-1e4]]), np.asarray([[1.0]]), 2.0, 0.25)
    array([[2500.]])
    """
    m = (1.0 - 2.0 * d) * z
    e = xp.exp(-xp.abs(m))
    weight = d * alpha + (1.0 - d) * (1.0 - alpha)
    missed = xp.where(m >= 0.0, 1.0, e) / (1.0 + e)
    return xp.mean(weight * xp.pow(missed, gamma) * (xp.maximum(m, 0.0) + xp.log1p(e)), axis=-1, keepdims=True)


def focal_logits_slope(xp: Namespace, z: Elements, d: Elements, gamma: Scalar, alpha: Scalar) -> Elements:
    """-s a r^gamma (gamma (1 - r) softplus(m) + r) / units with m = -s z and r = sigmoid(m)."""
    s = 1.0 - 2.0 * d
    m = s * z
    e = xp.exp(-xp.abs(m))
    weight = d * alpha + (1.0 - d) * (1.0 - alpha)
    missed = xp.where(m >= 0.0, 1.0, e) / (1.0 + e)
    hit = xp.where(m >= 0.0, e, 1.0) / (1.0 + e)
    cost = xp.maximum(m, 0.0) + xp.log1p(e)
    bounded = xp.where(hit > 0.0, cost, 0.0)
    return s * weight * xp.pow(missed, gamma) * (gamma * hit * bounded + missed) / z.shape[-1]
