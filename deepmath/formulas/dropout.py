"""Dropout: some values become zero, the others grow, so that the expectation stays."""

from __future__ import annotations

from deepmath.typing import Elements, Namespace, Scalar


def dropout(xp: Namespace, x: Elements, bits: Elements, threshold: Scalar, growth: Scalar) -> Elements:
    """growth x where bits >= threshold, else 0; linear in x, so it is its own pullback.

    With 24 random bits, rate r drops where bits < threshold = round(r 2^24), and growth = 1 / (1 - r).
    Article 3's p is the chance to keep, 1 - r. Source: Srivastava et al. (2014), inverted form.

    >>> import numpy as np
    >>> dropout(np, np.asarray([1.0, 1.0]), np.asarray([5, 9000000]), 8388608, 2.0)
    array([0., 2.])
    """
    return xp.where(bits >= threshold, growth * x, 0.0)


def gaussian(xp: Namespace, first: Elements, second: Elements) -> Elements:
    """Standard normal numbers from two sets of 24 random bits: sqrt(-2 ln u) cos(2 pi v) (Box and Muller, 1958).

    u lies in (0, 1) and v in [0, 1), so nothing overflows; the largest magnitude is 5.9.

    >>> import numpy as np
    >>> gaussian(np, np.asarray([8388608.0]), np.asarray([0.0])).round(6)
    array([1.17741])
    """
    u = (first + 0.5) * 5.960464477539063e-08
    return xp.sqrt(-2.0 * xp.log(u)) * xp.cos(second * 3.7450702829239286e-07)
