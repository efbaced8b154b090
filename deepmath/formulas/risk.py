"""How good a model is, and why it isn't better: Akaike's criterion, bias and variance, moving averages of a loss."""

from __future__ import annotations

import math
from typing import Any

from deepmath.typing import Array, Namespace


def aic(log_likelihood: float, parameters: int) -> float:
    """2 k - 2 ln L, lower is better. Source: Akaike (1974); article 3, "AIC".

    >>> aic(-10.0, 3)
    26.0
    """
    return 2.0 * parameters - 2.0 * log_likelihood


def normal_log_likelihood(rows: int, sse: float) -> float:
    """-(m / 2) ln(SSE / m): ln L of m normal errors at the likeliest variance SSE / m, without its constant.

    The constant -(m / 2)(1 + ln 2 pi) is the same for every model of the same rows. With it `aic` gives article 3's
    m ln(SSE / m) + 2 k. An SSE of 0 has no finite likelihood: infinity.

    >>> aic(normal_log_likelihood(4, 4.0), 1), normal_log_likelihood(4, 0.0)
    (2.0, inf)
    """
    return -0.5 * rows * math.log(sse / rows) if sse > 0.0 else math.inf


def bias_and_variance(xp: Namespace, predictions: Array, truth: Array) -> tuple[Array, Array]:
    """Squared bias and variance of predictions [trials, points] for true values [points]: each [points].

    Over the trials drawn the two add up exactly to the mean squared distance to the truth.
    Source: Geman, Bienenstock and Doursat (1992), equation 2.8; article 3, "bias and variance".

    >>> import numpy as np
    >>> b, v = bias_and_variance(np, np.asarray([[1.0], [3.0]]), np.asarray([0.0]))
    >>> b.tolist(), v.tolist()
    ([4.0], [1.0])
    """
    mean = xp.mean(predictions, axis=0)
    return (mean - truth) ** 2, xp.mean((predictions - mean) ** 2, axis=0)


def standard_error(xp: Namespace, values: Any) -> Any:
    """The standard error of the mean of values [n, ...] along the first axis; needs n >= 2.

    >>> import numpy as np
    >>> float(standard_error(np, np.asarray([1.0, 3.0])))
    1.0
    """
    n = values.shape[0]
    return xp.sqrt(xp.sum((values - xp.mean(values, axis=0)) ** 2, axis=0) / (n - 1.0) / n)


def smoothed(average: float, value: float, kept: float, step: int) -> tuple[float, float]:
    """(new average, the same without the pull of its start at 0) of an exponential average, at step 0, 1, ...

    Source: Kingma and Ba (2015), section 3.

    >>> smoothed(0.0, 2.0, 0.5, 0)
    (1.0, 2.0)
    """
    average = kept * average + (1.0 - kept) * value
    return average, average / (1.0 - kept ** (step + 1))
