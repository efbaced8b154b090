"""One step of each optimiser, element by element.

`update(xp, w, g, *slots, *coefficients)` takes parameters, their gradient, the optimiser's slots (all
[size]) and numbers that depend on the step alone, and gives the new parameters and slots. Update
rules are PyTorch's: the learning rate stands outside the velocity.
"""

from __future__ import annotations

from deepmath.typing import Flat, Namespace, Scalar


def sgd(xp: Namespace, w: Flat, g: Flat, rate: Scalar) -> tuple[Flat]:
    """Gradient descent, w - rate g. Source: article 5, section 2.3.1.

    >>> import numpy as np
    >>> sgd(np, np.asarray([1.0]), np.asarray([2.0]), 0.1)
    (array([0.8]),)
    """
    return (w - rate * g,)


def momentum(xp: Namespace, w: Flat, g: Flat, v: Flat, rate: Scalar, mu: Scalar) -> tuple[Flat, Flat]:
    """Gradient descent with momentum: v = mu v + g; w - rate v.

    Article 3 writes v = beta v + (1 - beta) g; its (alpha, beta) is rate = alpha (1 - beta), mu = beta here.
    Source: Polyak (1964); Sutskever et al. (2013), in PyTorch's form.
    """
    v = mu * v + g
    return w - rate * v, v


def nesterov(xp: Namespace, w: Flat, g: Flat, v: Flat, rate: Scalar, mu: Scalar) -> tuple[Flat, Flat]:
    """Nesterov's momentum: v = mu v + g; w - rate (g + mu v). Source: Sutskever et al. (2013), in PyTorch's form."""
    v = mu * v + g
    return w - rate * (g + mu * v), v


def adam(
    xp: Namespace,
    w: Flat,
    g: Flat,
    m: Flat,
    v: Flat,
    rate: Scalar,
    beta1: Scalar,
    rest1: Scalar,
    beta2: Scalar,
    rest2: Scalar,
    eps: Scalar,
) -> tuple[Flat, Flat, Flat]:
    """Adam: m = beta1 m + rest1 g; v = beta2 v + rest2 g^2; w - rate m / (sqrt(v) + eps).

    rest = 1 - beta. Both bias corrections are inside `rate` and `eps` (see `adam_coefficients`), so this
    is algorithm 1 of Kingma and Ba (2014) with one division and one root for each element.
    """
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    return w - rate * m / (xp.sqrt(v) + eps), m, v


def adam_coefficients(
    t: int, rate: float, beta1: float, beta2: float, eps: float
) -> tuple[float, float, float, float, float, float]:
    """Adam's numbers for update t = 1, 2, ..., in float64.

    With c1 = 1 - beta1^t and c2 = 1 - beta2^t, rate (m / c1) / (sqrt(v / c2) + eps) equals
    (rate sqrt(c2) / c1) m / (sqrt(v) + eps sqrt(c2)): the variant without "epsilon hat".

    >>> [round(c, 6) for c in adam_coefficients(1, 0.001, 0.9, 0.999, 1e-8)]
    [0.000316, 0.9, 0.1, 0.999, 0.001, 0.0]
    """
    root = float((1.0 - beta2**t) ** 0.5)
    return rate * root / (1.0 - beta1**t), beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps * root
