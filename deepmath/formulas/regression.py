"""Losses of numbers beyond the squared error: one number for each row, and its slope by the prediction.

As in `losses.py`: p and d are [batch, units], the loss is the mean over units, [batch, 1]. e = p - d.
"""

from __future__ import annotations

from deepmath.typing import Elements, Namespace, Rows, Scalar


def mae(xp: Namespace, p: Elements, d: Elements) -> Rows:
    """Mean absolute error, mean(|e|).

    >>> import numpy as np
    >>> mae(np, np.asarray([[1.0, -3.0]]), np.asarray([[0.0, 0.0]]))
    array([[2.]])
    """
    return xp.mean(xp.abs(p - d), axis=-1, keepdims=True)


def mae_slope(xp: Namespace, p: Elements, d: Elements) -> Elements:
    """sign(e) / units; 0 at a tie."""
    return xp.sign(p - d) / p.shape[-1]


def huber(xp: Namespace, p: Elements, d: Elements, delta: Scalar) -> Rows:
    """mean(e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2)). Source: Huber (1964).

    >>> import numpy as np
    >>> huber(np, np.asarray([[1.0], [3.0]]), np.asarray([[0.0], [0.0]]), 1.0)
    array([[0.5],
           [2.5]])
    """
    size = xp.abs(p - d)
    near = xp.minimum(size, delta)
    return xp.mean(near * (size - 0.5 * near), axis=-1, keepdims=True)


def huber_slope(xp: Namespace, p: Elements, d: Elements, delta: Scalar) -> Elements:
    """e, kept within -delta and delta, / units."""
    return xp.minimum(xp.maximum(p - d, -delta), delta) / p.shape[-1]


def log_cosh(xp: Namespace, p: Elements, d: Elements) -> Rows:
    """mean(log(cosh(e))): near 0 as log(1 + (e^|e| - 1)^2 / (2 e^|e|)), beyond as |e| - log 2 + log(1 + e^(-2 |e|)).

    >>> import numpy as np
    >>> log_cosh(np, np.asarray([[1000.0]]), np.asarray([[0.0]])).round(6)
    array([[999.306853]])
    """
    size = xp.abs(p - d)
    near = xp.minimum(size, 1.0)
    grown = xp.expm1(near)
    small = xp.log1p(0.5 * grown * grown / (1.0 + grown))
    large = size - 0.6931471805599453 + xp.log1p(xp.exp(-2.0 * size))
    return xp.mean(xp.where(size > 1.0, large, small), axis=-1, keepdims=True)


def log_cosh_slope(xp: Namespace, p: Elements, d: Elements) -> Elements:
    """tanh(e) / units."""
    return xp.tanh(p - d) / p.shape[-1]


def quantile(xp: Namespace, p: Elements, d: Elements, q: Scalar) -> Rows:
    """mean(q (d - p) where p < d, else (1 - q) (p - d)): least at the q-quantile. Source: Koenker and Bassett (1978).

    >>> import numpy as np
    >>> quantile(np, np.asarray([[0.0], [0.0]]), np.asarray([[1.0], [-1.0]]), 0.75)
    array([[0.75],
           [0.25]])
    """
    e = p - d
    return xp.mean(xp.maximum((1.0 - q) * e, -q * e), axis=-1, keepdims=True)


def quantile_slope(xp: Namespace, p: Elements, d: Elements, q: Scalar) -> Elements:
    """-q / units where p < d, (1 - q) / units where p > d; 0 at a tie."""
    up, down = xp.astype(p > d, p.dtype), xp.astype(p < d, p.dtype)
    return ((1.0 - q) * up - q * down) / p.shape[-1]


def poisson(xp: Namespace, p: Elements, d: Elements) -> Rows:
    """mean(p - d ln p) with 0 ln 0 = 0: the Poisson log-likelihood of counts d at rates p, without log(d!).

    >>> import numpy as np
    >>> poisson(np, np.asarray([[1.0]]), np.asarray([[3.0]]))
    array([[1.]])
    """
    counted = xp.minimum(xp.where(d > 0.0, p, 1.0), 1e30)  # beyond, the logarithm is lost beside p; inf - inf is not
    return xp.mean(p - d * xp.log(counted), axis=-1, keepdims=True)


def poisson_slope(xp: Namespace, p: Elements, d: Elements) -> Elements:
    """(1 - d / p) / units."""
    return (1.0 - d / xp.where(d > 0.0, p, 1.0)) / p.shape[-1]
