"""Initial weights from standard random numbers.

`formula(numbers, fan_in, fan_out)` scales float64 numbers drawn on the host: uniform ones in [0, 1)
or standard normal ones. fan_in and fan_out count a unit's inputs and outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath.typing import Array


def glorot_uniform(u: Array, fan_in: int, fan_out: int) -> Array:
    """Uniform on [-a, a) with a = sqrt(6 / (fan_in + fan_out)). Source: Glorot and Bengio (2010), equation 16."""
    return (2.0 * u - 1.0) * (6.0 / (fan_in + fan_out)) ** 0.5


def glorot_normal(n: Array, fan_in: int, fan_out: int) -> Array:
    """Normal with variance 2 / (fan_in + fan_out), not truncated. Source: article 3, "Glorot"."""
    return n * (2.0 / (fan_in + fan_out)) ** 0.5


def he_uniform(u: Array, fan_in: int, fan_out: int) -> Array:
    """Uniform on [-a, a) with a = sqrt(6 / fan_in). Source: He et al. (2015), equation 10."""
    return (2.0 * u - 1.0) * (6.0 / fan_in) ** 0.5


def he_normal(n: Array, fan_in: int, fan_out: int) -> Array:
    """Normal with variance 2 / fan_in, not truncated. Source: He et al. (2015), equation 10."""
    return n * (2.0 / fan_in) ** 0.5


def lecun_uniform(u: Array, fan_in: int, fan_out: int) -> Array:
    """Uniform on [-a, a) with a = sqrt(3 / fan_in). Source: LeCun et al., "Efficient backprop" (1998), section 4.6."""
    return (2.0 * u - 1.0) * (3.0 / fan_in) ** 0.5


def lecun_normal(n: Array, fan_in: int, fan_out: int) -> Array:
    """Normal with variance 1 / fan_in, not truncated. Source: LeCun et al. (1998); article 3, "Xavier"."""
    return n * (1.0 / fan_in) ** 0.5


def orthogonal(n: Any) -> Any:
    """A matrix with orthonormal rows or columns, whichever are fewer, from normal numbers [fan_in, fan_out].

    The QR factors' signs are fixed by R's diagonal, which makes the distribution uniform over all such
    matrices. Source: Saxe, McClelland and Ganguli (2013); Mezzadri (2007), section 5.
    """
    tall = n if n.shape[0] >= n.shape[1] else n.T
    q, r = np.linalg.qr(tall)
    q = q * np.where(np.diagonal(r) < 0.0, -1.0, 1.0)
    return q if n.shape[0] >= n.shape[1] else q.T


def random_uniform(u: Array, low: float, high: float) -> Array:
    """Uniform on [low, high). Articles 2 and 4 draw weights on [0, 1)."""
    return low + (high - low) * u
