"""Losses: one number for each row, and its slope.

`loss(xp, p, d)` takes predictions p and targets d, both [batch, units], and gives [batch, 1].
`loss_slope(xp, p, d)` is the derivative of exactly that number by p, [batch, units]. A name that
ends in `_logits` takes the scores z in front of the output activation instead of predictions; it is
stable at any magnitude. A loss over units is their mean, except `sse`, which is their sum. What a
model minimises is the (weighted) mean of these numbers over the rows.
"""

from __future__ import annotations

from deepmath.formulas.softmax import softmax
from deepmath.typing import Elements, Index, Namespace, Rows, Scalar


def mse(xp: Namespace, p: Elements, d: Elements) -> Rows:
    """Mean squared error, mean((p - d)^2).

    >>> import numpy as np
    >>> mse(np, np.asarray([[1.0, 3.0]]), np.asarray([[0.0, 0.0]]))
    array([[5.]])
    """
    return xp.mean((p - d) * (p - d), axis=-1, keepdims=True)


def mse_slope(xp: Namespace, p: Elements, d: Elements) -> Elements:
    """2 (p - d) / units."""
    return 2.0 * (p - d) / p.shape[-1]


def sse(xp: Namespace, p: Elements, d: Elements) -> Rows:
    """Sum of squared errors, sum((p - d)^2). Source: article 4, equation 1.3.

    >>> import numpy as np
    >>> sse(np, np.asarray([[1.0, 3.0]]), np.asarray([[0.0, 0.0]]))
    array([[10.]])
    """
    return xp.sum((p - d) * (p - d), axis=-1, keepdims=True)


def sse_slope(xp: Namespace, p: Elements, d: Elements) -> Elements:
    """2 (p - d)."""
    return 2.0 * (p - d)


def binary_crossentropy(xp: Namespace, p: Elements, d: Elements) -> Rows:
    """-mean(d ln p + (1 - d) ln(1 - p)) with 0 ln 0 = 0; a certain mistake costs infinity.

    Source: article 1 ("log loss").

    >>> import numpy as np
    >>> binary_crossentropy(np, np.asarray([[0.5], [0.0]]), np.asarray([[1.0], [0.0]]))
    array([[0.69314718],
           [0.        ]])
    """
    hit = xp.where(d > 0.0, p, 1.0)
    miss = xp.where(d < 1.0, p, 0.0)
    return xp.mean(d * -xp.log(hit) + (1.0 - d) * -xp.log1p(-miss), axis=-1, keepdims=True)


def binary_crossentropy_slope(xp: Namespace, p: Elements, d: Elements) -> Elements:
    """((1 - d) / (1 - p) - d / p) / units."""
    hit = xp.where(d > 0.0, p, 1.0)
    miss = xp.where(d < 1.0, p, 0.0)
    return ((1.0 - d) / (1.0 - miss) - d / hit) / p.shape[-1]


def binary_crossentropy_logits(xp: Namespace, z: Elements, d: Elements) -> Rows:
    """Binary cross-entropy of p = sigmoid(z): mean(d softplus(-z) + (1 - d) softplus(z)).

    >>> import numpy as np
    >>> binary_crossentropy_logits(np, np.asarray([[-200.0], [np.inf]]), np.asarray([[1.0], [1.0]]))
    array([[200.],
           [  0.]])
    """
    hit = xp.maximum(-xp.where(d > 0.0, z, 0.0), 0.0)
    miss = xp.maximum(xp.where(d < 1.0, z, 0.0), 0.0)
    return xp.mean(d * hit + (1.0 - d) * miss + xp.log1p(xp.exp(-xp.abs(z))), axis=-1, keepdims=True)


def binary_crossentropy_logits_slope(xp: Namespace, z: Elements, d: Elements) -> Elements:
    """(sigmoid(z) - d) / units, as (1 - d) sigmoid(z) - d sigmoid(-z) so that no digit is lost where the two agree."""
    e = xp.exp(-xp.abs(z))
    up = xp.where(z >= 0.0, 1.0, e)
    down = xp.where(z >= 0.0, e, 1.0)
    return ((1.0 - d) * up - d * down) / (1.0 + e) / z.shape[-1]


def categorical_crossentropy(xp: Namespace, p: Elements, d: Elements, smoothing: Scalar = None) -> Rows:
    """-sum(d ln p) with 0 ln 0 = 0. p is taken as it is: nothing is rescaled to sum to 1.

    Source: article 2, equation 6.

    >>> import numpy as np
    >>> categorical_crossentropy(np, np.asarray([[0.5, 0.5]]), np.asarray([[1.0, 0.0]]))
    array([[0.69314718]])
    """
    d = smoothed(d, smoothing)
    return -xp.sum(d * xp.log(xp.where(d > 0.0, p, 1.0)), axis=-1, keepdims=True)


def categorical_crossentropy_slope(xp: Namespace, p: Elements, d: Elements, smoothing: Scalar = None) -> Elements:
    """-d / p."""
    d = smoothed(d, smoothing)
    return -(d / xp.where(d > 0.0, p, 1.0))


def categorical_crossentropy_logits(xp: Namespace, z: Elements, d: Elements, smoothing: Scalar = None) -> Rows:
    """Categorical cross-entropy of p = softmax(z): sum(d (log(sum(exp(z))) - z)), in logarithms throughout.

    >>> import numpy as np
    >>> categorical_crossentropy_logits(np, np.asarray([[1e4, 0.0]]), np.asarray([[0.0, 1.0]]))
    array([[10000.]])
    """
    d = smoothed(d, smoothing)
    centred = z - xp.max(z, axis=-1, keepdims=True)
    spread = xp.log(xp.sum(xp.exp(centred), axis=-1, keepdims=True))
    return xp.sum(d * (spread - xp.where(d > 0.0, centred, 0.0)), axis=-1, keepdims=True)


def categorical_crossentropy_logits_slope(
    xp: Namespace, z: Elements, d: Elements, smoothing: Scalar = None
) -> Elements:
    """softmax(z) sum(d) - d."""
    d = smoothed(d, smoothing)
    return softmax(xp, z) * xp.sum(d, axis=-1, keepdims=True) - d


def smoothed(d: Elements, smoothing: Scalar) -> Elements:
    """Targets moved towards even shares: (1 - smoothing) d + smoothing / units; d itself without smoothing.

    Source: Szegedy et al., "Rethinking the Inception architecture" (2015), section 7.

    >>> import numpy as np
    >>> smoothed(np.asarray([[1.0, 0.0]]), 0.1)
    array([[0.95, 0.05]])
    """
    return d if smoothing is None else (1.0 - smoothing) * d + smoothing / d.shape[-1]


def one_hot(xp: Namespace, label: Rows, index: Index, like: Elements) -> Elements:
    """1 where the column's index equals the row's label, else 0: whole-number labels as targets.

    `index` is 0, 1, ... along the columns, and the result has the dtype of `like`.

    >>> import numpy as np
    >>> one_hot(np, np.asarray([[2]]), np.asarray([[0, 1, 2]]), np.zeros((1, 3)))
    array([[0., 0., 1.]])
    """
    return xp.astype(index == label, like.dtype)
