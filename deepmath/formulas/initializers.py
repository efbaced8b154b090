"""Initial weights from standard random numbers.

`formula(numbers, fan_in, fan_out)` scales float64 numbers drawn on the host: uniform ones in [0, 1)
or standard normal ones. fan_in and fan_out count a unit's inputs and outputs.
"""

from __future__ import annotations

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


def random_uniform(u: Array, low: float, high: float) -> Array:
    """Uniform on [low, high). Articles 2 and 4 draw weights on [0, 1)."""
    return low + (high - low) * u
