"""The Gaussian error linear unit, and the complementary error function that it needs.

The Array API standard has no error function; this one is written in what it has, so it runs and compiles
wherever the other formulas do.
"""

from __future__ import annotations

from deepmath.typing import Elements, Namespace

_FIT = (
    -2.0464643167884864e-09, 4.0892199715234985e-09, 1.222569385669846e-08, -3.935651802407584e-08,
    -1.711024480978522e-09, 1.5387602496525122e-07, -2.4404669452888016e-07, -1.6939231041429644e-07,
    1.2437192127945657e-06, -1.2713431327320607e-06, -2.9430927300834915e-06, 8.561914949221782e-06,
    1.350910513734397e-07, -3.0187528862609648e-05, 3.1746165636669884e-05, 7.1400891897355e-05,
    -0.00017430319942831555, -9.373500302131175e-05, 0.0006736788382504169, -0.00014624686754027648,
    -0.0023458125049825693, 0.0017589335581654204, 0.008824938557327761, -0.009872689366406725,
    -0.046895610231182674, 0.04734330684190473, 0.6726432239776567, -0.6717940840566923,
)  # fmt: skip
"""log(erfc(x) e^(x^2) / t) as a Chebyshev fit in u = 2 t - 1 with t = 2 / (2 + x), x >= 0; error 6e-18."""

FAR = 40.0
"""gelu(-40) is 0 in every precision."""


def erfc(xp: Namespace, x: Elements) -> Elements:
    """Complementary error function, t exp(fit(t) - x^2) for x >= 0, and 2 - erfc(-x) below.

    >>> import numpy as np
    >>> erfc(np, np.asarray([0.0, 1.0, -np.inf])).round(6)
    array([1.      , 0.157299, 2.      ])
    """
    a = xp.abs(x)
    t = 2.0 / (2.0 + a)
    u = 2.0 * t - 1.0
    fit = _FIT[0] * u + _FIT[1]
    for coefficient in _FIT[2:]:
        fit = fit * u + coefficient
    near = xp.minimum(a, FAR)
    tail = t * xp.exp(fit - near * near)
    return xp.where(x >= 0.0, tail, 2.0 - tail)


def gelu(xp: Namespace, z: Elements) -> Elements:
    """z Phi(z) with the normal distribution's Phi(z) = erfc(-z / sqrt(2)) / 2. Source: Hendrycks and Gimpel (2016).

    >>> import numpy as np
    >>> gelu(np, np.asarray([-np.inf, 1.0])).round(6)
    array([-0.      ,  0.841345])
    """
    return 0.5 * xp.maximum(z, -FAR) * erfc(xp, -0.7071067811865476 * z)


def gelu_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """Phi(z) + z phi(z) with the normal density phi. Keeps z."""
    near = xp.minimum(xp.maximum(z, -FAR), FAR)
    return 0.5 * erfc(xp, -0.7071067811865476 * z) + near * (0.3989422804014327 * xp.exp(-0.5 * near * near))


def gelu_tanh(xp: Namespace, z: Elements) -> Elements:
    """The tanh approximation, z (1 + tanh(v)) / 2 = z / (1 + e^(-2 v)) with v = sqrt(2 / pi) (z + 0.044715 z^3).

    >>> import numpy as np
    >>> gelu_tanh(np, np.asarray([-np.inf, 1.0])).round(6)
    array([-0.      ,  0.841192])
    """
    near = xp.minimum(xp.maximum(z, -FAR), FAR)
    e = xp.exp(-xp.abs(_twice(near)))
    return xp.maximum(z, -FAR) * (xp.where(z >= 0.0, 1.0, e) / (1.0 + e))


def gelu_tanh_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """s + z s (1 - s) (2 v)' with s = 1 / (1 + e^(-2 v)). Keeps z."""
    near = xp.minimum(xp.maximum(z, -FAR), FAR)
    e = xp.exp(-xp.abs(_twice(near)))
    inner = 1.5957691216057308 * (1.0 + 0.134145 * near * near)
    return (xp.where(z >= 0.0, 1.0, e) + near * inner * e / (1.0 + e)) / (1.0 + e)


def _twice(z: Elements) -> Elements:
    """2 v; 1.5957691216057308 is 2 sqrt(2 / pi)."""
    return 1.5957691216057308 * (z + 0.044715 * z * z * z)
