"""Preprocessing of data X [batch, features]: sums over the rows that can be merged, and the maps they lead to.

A mean is held in two parts, mean + rest, where rest is what the mean loses by rounding. (x - mean) - rest is
then right to a few roundings of itself, however far the data lie from zero.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from deepmath.typing import Array, Columns, Elements, Inputs, Namespace, Scalar

EPS = 2.0**-52
"""The distance from 1 to the next float64."""

Features: TypeAlias = Annotated[Array, "features"]
"""One value for each feature: [features]."""

Axes: TypeAlias = Annotated[Array, "features components"]
"""Directions in the space of the features, one in each column: [features, components]."""


def column_moments(xp: Namespace, x: Inputs) -> tuple[Features, Features, Features]:
    """Mean, rest and spread of each column; the spread is sqrt(sum((x - mean - rest)^2)).

    Two passes: the second takes the mean of what the first left over. Equal numbers have a spread of exactly 0,
    because the first row is taken off before anything is summed. Error of the spread: rows x eps of itself.
    Source: Chan, Golub and LeVeque (1983), "corrected two-pass".

    >>> import numpy as np
    >>> [m.tolist() for m in column_moments(np, np.asarray([[1.0, 5.0], [3.0, 5.0]]))]
    [[2.0, 5.0], [0.0, 0.0], [1.4142135623730951, 0.0]]
    """
    first = x[0, :]
    mean = first + xp.mean(x - first, axis=0)
    rest = xp.mean(x - mean, axis=0)
    spread = _norms(xp, (x - mean) - rest)
    return *_two_sum(mean, rest), spread


def merged_moments(
    xp: Namespace, rows: float, a: tuple[Features, Features, Features], more: float, b: tuple[Features, ...]
) -> tuple[Features, Features, Features]:
    """Mean, rest and spread of `rows` rows with moments a and `more` rows with moments b together.

    Source: Chan, Golub and LeVeque (1983), equation 2.1, on roots of sums so that no square overflows.

    >>> import numpy as np
    >>> a, b = (column_moments(np, np.asarray(x)) for x in ([[1.0], [3.0]], [[5.0], [7.0]]))
    >>> [m.tolist() for m in merged_moments(np, 2, a, 2, b)]
    [[4.0], [0.0], [4.47213595499958]]
    """
    gap = (b[0] - a[0]) + (b[1] - a[1])
    mean, rest = _two_sum(a[0], a[1] + gap * (more / (rows + more)))
    between = xp.abs(gap) * (rows * (more / (rows + more))) ** 0.5
    return mean, rest, xp.hypot(xp.hypot(a[2], b[2]), between)


def column_scale(xp: Namespace, rows: float, mean: Features, spread: Features) -> Features:
    """The standard deviation spread / sqrt(rows), or 1 where it is no more than rounding of the mean.

    That is where var <= n eps var + (n eps mean)^2, scikit-learn's bound for a feature that is constant.

    >>> import numpy as np
    >>> column_scale(np, 4, np.asarray([0.0, 1e10, 1.0]), np.asarray([6.0, 1e-6, 0.0]))
    array([3., 1., 1.])
    """
    deviation = spread / rows**0.5
    constant = deviation * (1.0 - rows * EPS) ** 0.5 <= rows * EPS * xp.abs(mean)
    return xp.where(constant, 1.0, deviation)


def standardize(xp: Namespace, x: Elements, mean: Columns, rest: Columns, scale: Columns) -> Elements:
    """(x - mean) / scale. Source: article 5, "standardisation".

    >>> import numpy as np
    >>> standardize(np, np.asarray([[1.0], [3.0]]), 2.0, 0.0, 0.5)
    array([[-2.],
           [ 2.]])
    """
    return ((x - mean) - rest) / scale


def unstandardize(xp: Namespace, y: Elements, mean: Columns, rest: Columns, scale: Columns) -> Elements:
    """y scale + mean, the way back of `standardize`.

    >>> import numpy as np
    >>> unstandardize(np, np.asarray([[-2.0], [2.0]]), 2.0, 0.0, 0.5)
    array([[1.],
           [3.]])
    """
    return (y * scale + rest) + mean


def min_max(xp: Namespace, x: Elements, least: Columns, most: Columns, low: Scalar, high: Scalar) -> Elements:
    """The line through (least, low) and (most, high); both ends are hit exactly. Where most = least it gives low.

    Source: article 5, "min-max normalisation".

    >>> import numpy as np
    >>> min_max(np, np.asarray([[2.0], [3.0], [6.0]]), np.asarray([[2.0]]), np.asarray([[6.0]]), 0.0, 1.0)
    array([[0.  ],
           [0.25],
           [1.  ]])
    """
    t = xp.where(most > least, x - least, 0.0) / xp.where(most > least, most - least, 1.0)
    return low * (1.0 - t) + high * t


def undo_min_max(xp: Namespace, y: Elements, least: Columns, most: Columns, low: Scalar, high: Scalar) -> Elements:
    """The way back of `min_max`; where most = least it gives that number.

    >>> import numpy as np
    >>> undo_min_max(np, np.asarray([[0.25]]), np.asarray([[2.0]]), np.asarray([[6.0]]), 0.0, 1.0)
    array([[3.]])
    """
    t = (y - low) / (high - low)
    return least * (1.0 - t) + most * t


def smooth_clip(xp: Namespace, x: Elements, limit: Columns) -> Elements:
    """x / sqrt(1 + (x / limit)^2), between -limit and limit. Source: Holzmueller et al. (2024), section 3.

    >>> import numpy as np
    >>> smooth_clip(np, np.asarray([[4.0], [-1e300]]), 3.0)
    array([[ 2.4],
           [-3. ]])
    """
    far = 1e9 * limit  # beyond it the result is the limit to the last digit
    t = xp.minimum(xp.maximum(x, -far), far) / limit
    return limit * (t / xp.sqrt(1.0 + t * t))


def undo_smooth_clip(xp: Namespace, y: Elements, limit: Columns) -> Elements:
    """The way back of `smooth_clip` for |y| < limit.

    >>> import numpy as np
    >>> undo_smooth_clip(np, np.asarray([[2.4]]), 3.0).round(9)
    array([[4.]])
    """
    t = y / limit
    return y / xp.sqrt((1.0 - t) * (1.0 + t))


def whiten(xp: Namespace, x: Inputs, mean: Features, rest: Features, matrix: Axes) -> Array:
    """(x - mean) matrix, with a matrix [features, components] that makes the covariance the identity.

    Source: article 5, "whitening"; Kessy, Lewin and Strimmer (2018), equation 1.

    >>> import numpy as np
    >>> whiten(np, np.asarray([[1.0, 4.0]]), np.asarray([0.0, 2.0]), np.asarray([0.0, 0.0]), np.asarray([[1.0], [0.5]]))
    array([[2.]])
    """
    return xp.matmul((x - mean) - rest, matrix)


def unwhiten(xp: Namespace, y: Array, mean: Features, rest: Features, matrix: Array) -> Array:
    """y matrix + mean, with the matrix [components, features] of the way back.

    >>> import numpy as np
    >>> unwhiten(np, np.asarray([[2.0]]), np.asarray([0.0, 2.0]), np.asarray([0.0, 0.0]), np.asarray([[0.5, 1.0]]))
    array([[1., 4.]])
    """
    return (xp.matmul(y, matrix) + rest) + mean


def principal_axes(xp: Namespace, factor: Inputs) -> tuple[Array, Axes]:
    """Singular values, from the largest, and right singular vectors [features, components] of centred data.

    The vectors' signs are fixed: the first of the largest entries of each is positive. The vectors of small
    values are as good as those of large ones; eigenvectors of the covariance wouldn't be, for it squares the
    condition number.

    >>> import numpy as np
    >>> s, v = principal_axes(np, np.asarray([[0.0, -2.0], [1.0, 0.0]]))
    >>> s.tolist(), np.abs(v).tolist(), bool(np.all(v >= 0.0))
    ([2.0, 1.0], [[0.0, 1.0], [1.0, 0.0]], True)
    """
    _, values, rows = xp.linalg.svd(factor, full_matrices=False)
    largest = xp.max(xp.abs(rows), axis=1, keepdims=True)
    # Entries equal but for rounding must not decide by their rounding.
    leading = xp.argmax(xp.astype(xp.abs(rows) >= largest * (1.0 - 1e-6), xp.int8), axis=1)
    sign = xp.sign(xp.take_along_axis(rows, leading[:, None], axis=1))
    return values, xp.matrix_transpose(rows * sign)


def _two_sum(a: Features, b: Features) -> tuple[Features, Features]:
    """a + b rounded, and exactly what the rounding lost (Knuth)."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def _norms(xp: Namespace, x: Inputs) -> Features:
    """sqrt(sum(x^2)) of each column, where x^2 may overflow or vanish."""
    largest = xp.max(xp.abs(x), axis=0)
    part = x / xp.where(largest > 0.0, largest, 1.0)
    return largest * xp.sqrt(xp.sum(part * part, axis=0))
