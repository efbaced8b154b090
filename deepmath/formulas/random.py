"""Counter-based random numbers: the same seed gives the same numbers on every library and device.

Philox4x32-10 turns a counter of four 32-bit words and a key of two into four random words. The key is
(seed, stream); the counter says which number is asked for: (unit // 4, row in the logical batch, step,
layer). There is no state: numbers don't depend on the order, the micro-batch, the rank or the kernel
that draws them. Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepmath.typing import Array, Namespace, Scalar

INITIALIZATION, SHUFFLE, NOISE = 0, 1, 2
"""Streams: what the numbers are for."""

_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85
_MASK = 0xFFFFFFFF


def philox(
    xp: Namespace, c0: Scalar, c1: Scalar, c2: Scalar, c3: Scalar, k0: Scalar, k1: Scalar
) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """Philox4x32-10 of counter (c0, c1, c2, c3) and key (k0, k1): four words in [0, 2^32).

    All are signed 64-bit integers, so that it runs wherever there is int64 (torch, for one, has no unsigned 32-bit
    addition). A product of two words wraps round, as int64 does in every library, and keeps all its bits.

    >>> zeros = np.zeros(1, np.int64)
    >>> [format(int(w[0]), "08x") for w in philox(np, zeros, zeros, zeros, zeros, 0, 0)]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    for _ in range(10):
        high0, low0 = _product(c0, _MULTIPLIERS[0])
        high1, low1 = _product(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def _product(a: Scalar, multiplier: int) -> tuple[Scalar, Scalar]:
    """High and low 32 bits of a 32-bit product, which in an int64 may wrap round."""
    product = a * multiplier
    return (product >> 32) & _MASK, product & _MASK


def words(xp: Namespace, seed: int, stream: int, rows: Array, units: Array, step: int, layer: int) -> Array:
    """Random 32-bit words for each row and unit: int64 [len(rows), 4 len(units)].

    `rows` [rows, 1] holds the rows' places in the logical batch, `units` [1, groups] the numbers of the
    groups of four units, both int64.
    """
    four = philox(xp, units, rows, step & _MASK, layer, seed & _MASK, stream)
    return xp.reshape(xp.stack(four, axis=-1), (rows.shape[0], -1))


def host_words(seed: int, stream: int, rows: int, units: int, *, step: int = 0, layer: int = 0, first: int = 0) -> Any:
    """`words` for rows first ... first + rows - 1 and units 0 ... units - 1, as a NumPy array [rows, units].

    >>> host_words(0, 0, 1, 3).tolist()
    [[1713891541, 3781805453, 3159862348]]
    """
    places = np.arange(first, first + rows, dtype=np.int64)[:, None]
    groups = np.arange((units + 3) // 4, dtype=np.int64)[None, :]
    return words(np, seed, stream, places, groups, step, layer)[:, :units]


def epoch_order(seed: int, epoch: int, size: int, *, part: int = 0, purpose: int = 0) -> Any:
    """The order in which an epoch visits its rows: a permutation of 0 ... size - 1, int64.

    Rows are sorted by a random word, ties by their number: one rule in integers, whatever sorts them. What is
    shuffled in parts has an order of its own for each `part`, and for each `purpose`.

    >>> epoch_order(0, 0, 5).tolist()
    [2, 4, 3, 1, 0]
    """
    return sorted_order(host_words(seed, SHUFFLE, 1, size, step=epoch, layer=purpose, first=part)[0])


def sorted_order(keys: Any) -> Any:
    """The places of random words [..., size] by their values, int64; of equal ones the first comes first."""
    places = keys << 31
    places |= np.arange(keys.shape[-1], dtype=np.int64)
    places.sort()
    places &= 0x7FFFFFFF
    return places


def uniforms(seed: int, count: int, *, layer: int, parameter: int) -> Any:
    """`count` numbers in [0, 1) with 53 random bits each, float64 on the host: what initialisers draw from.

    >>> bool((uniforms(0, 1000, layer=0, parameter=0) < 1.0).all())
    True
    """
    bits = host_words(seed, INITIALIZATION, 1, 2 * count, step=parameter, layer=layer)[0]
    return ((bits[0::2] >> 5) * 2.0**26 + (bits[1::2] >> 6)) * 2.0**-53


def normals(seed: int, count: int, *, layer: int, parameter: int) -> Any:
    """`count` standard normal numbers by Box and Muller, float64 on the host.

    They are never drawn on a device, whose logarithm and cosine could differ in the last digit.

    >>> round(float(np.std(normals(0, 10000, layer=0, parameter=0))), 1)
    1.0
    """
    u = uniforms(seed, 2 * count, layer=layer, parameter=parameter)
    return np.sqrt(-2.0 * np.log1p(-u[0::2])) * np.cos(2.0 * math.pi * u[1::2])
