"""One step of the optimisers that scale each parameter by its own past gradients: RMSprop, Adagrad, Adadelta.

Form and overflow are as in `deepmath.formulas.optimizers`.
"""

from __future__ import annotations

from deepmath.formulas.optimizers import momentum
from deepmath.typing import Flat, Namespace, Scalar


def rmsprop(
    xp: Namespace, w: Flat, g: Flat, v: Flat, rate: Scalar, rho: Scalar, rest: Scalar, eps: Scalar
) -> tuple[Flat, Flat]:
    """RMSprop: v = rho v + rest g^2; w - rate g / (sqrt(v) + eps), with rest = 1 - rho.

    Source: Tieleman and Hinton (2012), in PyTorch's form: eps outside the root, no bias correction.

    >>> import numpy as np
    >>> rmsprop(np, np.asarray([1.0]), np.asarray([4.0]), np.asarray([0.0]), 0.5, 0.75, 0.25, 0.0)
    (array([0.]), array([4.]))
    """
    v = rho * v + rest * (g * g)
    return w - rate * g / (xp.sqrt(v) + eps), v


def rmsprop_momentum(
    xp: Namespace, w: Flat, g: Flat, v: Flat, b: Flat, rate: Scalar, rho: Scalar, rest: Scalar, eps: Scalar, mu: Scalar
) -> tuple[Flat, Flat, Flat]:
    """RMSprop with momentum: v as in `rmsprop`; b = mu b + g / (sqrt(v) + eps); w - rate b. Source: PyTorch's form."""
    v = rho * v + rest * (g * g)
    w, b = momentum(xp, w, g / (xp.sqrt(v) + eps), b, rate, mu)
    return w, v, b


def rmsprop_centered(
    xp: Namespace, w: Flat, g: Flat, v: Flat, m: Flat, rate: Scalar, rho: Scalar, rest: Scalar, eps: Scalar
) -> tuple[Flat, Flat, Flat]:
    """RMSprop by the variance: m = rho m + rest g; v as in `rmsprop`; w - rate g / (sqrt(v - m^2) + eps).

    Source: Graves (2013), equations 38 to 45, with eps outside the root as PyTorch has it.
    """
    v = rho * v + rest * (g * g)
    m = rho * m + rest * g
    return w - rate * g / (_deviation(xp, v, m) + eps), v, m


def rmsprop_centered_momentum(
    xp: Namespace,
    w: Flat,
    g: Flat,
    v: Flat,
    m: Flat,
    b: Flat,
    rate: Scalar,
    rho: Scalar,
    rest: Scalar,
    eps: Scalar,
    mu: Scalar,
) -> tuple[Flat, Flat, Flat, Flat]:
    """`rmsprop_centered` with momentum: b = mu b + g / (sqrt(v - m^2) + eps); w - rate b. Source: PyTorch's form."""
    v = rho * v + rest * (g * g)
    m = rho * m + rest * g
    w, b = momentum(xp, w, g / (_deviation(xp, v, m) + eps), b, rate, mu)
    return w, v, m, b


def adagrad(
    xp: Namespace, w: Flat, g: Flat, total: Flat, rate: Scalar, initial: Scalar, eps: Scalar
) -> tuple[Flat, Flat]:
    """Adagrad: total = total + g^2; w - rate g / (sqrt(initial + total) + eps).

    `total` starts at zero like every slot; `initial` is what others start it from. Source: Duchi, Hazan and
    Singer (2011), figure 1, in PyTorch's form: eps outside the root, no decay of the rate. (Optax has it inside.)

    >>> import numpy as np
    >>> adagrad(np, np.asarray([1.0]), np.asarray([3.0]), np.asarray([0.0]), 0.5, 16.0, 1.0)
    (array([0.75]), array([9.]))
    """
    total = total + g * g
    return w - rate * g / (xp.sqrt(initial + total) + eps), total


def adadelta(
    xp: Namespace, w: Flat, g: Flat, v: Flat, u: Flat, rate: Scalar, rho: Scalar, rest: Scalar, eps: Scalar
) -> tuple[Flat, Flat, Flat]:
    """Adadelta: v = rho v + rest g^2; d = sqrt(u + eps) / sqrt(v + eps) g; u = rho u + rest d^2; w - rate d.

    Source: Zeiler (2012), algorithm 1, where the rate is 1; PyTorch, Keras and Optax have the same form.

    >>> import numpy as np
    >>> zero = np.asarray([0.0])
    >>> adadelta(np, np.asarray([1.0]), np.asarray([4.0]), zero, zero, 1.0, 0.75, 0.25, 0.0)
    (array([1.]), array([4.]), array([0.]))
    """
    v = rho * v + rest * (g * g)
    d = xp.sqrt(u + eps) / xp.sqrt(v + eps) * g
    return w - rate * d, v, rho * u + rest * (d * d)


def _deviation(xp: Namespace, v: Flat, m: Flat) -> Flat:
    """sqrt(v - m^2) as a product of two roots' sum and difference.

    Rounding can make v less than m^2 where all gradients are equal, which is taken as 0. The product, unlike the
    difference, is not NaN where v and m^2 both overflow.
    """
    root = xp.sqrt(v)
    return xp.sqrt(xp.maximum(root - xp.abs(m), 0.0) * (root + xp.abs(m)))
