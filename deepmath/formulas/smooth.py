"""Smooth activations, each with its slope, in forms that lose no digits and overflow nowhere.

As in `activations.py`: `f(xp, z)` is the value, `f_slope(xp, z, y)` is df/dz with y = f(z), and +-inf give
the limits. Many are written in e = exp(-|z|), which lies in (0, 1].
"""

from __future__ import annotations

from deepmath.formulas.activations import sigmoid
from deepmath.typing import Elements, Namespace, Scalar

FAR = 1000.0
"""Beyond this, functions that decay like exp(-|z|) have reached their limits in every precision."""


def softplus(xp: Namespace, z: Elements) -> Elements:
    """log(1 + e^z), as max(z, 0) + log(1 + e^-|z|). Source: Dugas et al. (2001).

    >>> import numpy as np
    >>> softplus(np, np.asarray([-1000.0, 1000.0]))
    array([   0., 1000.])
    """
    return xp.maximum(z, 0.0) + xp.log1p(xp.exp(-xp.abs(z)))


def softplus_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """sigmoid(z). Keeps z."""
    return sigmoid(xp, z)


def softsign(xp: Namespace, z: Elements) -> Elements:
    """z / (1 + |z|). Source: Glorot and Bengio (2010).

    >>> import numpy as np
    >>> softsign(np, np.asarray([-np.inf, 1.0]))
    array([-1. ,  0.5])
    """
    z = xp.minimum(xp.maximum(z, -1e30), 1e30)
    return z / (1.0 + xp.abs(z))


def softsign_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """1 / (1 + |z|)^2. Keeps z."""
    inverse = 1.0 / (1.0 + xp.abs(z))
    return inverse * inverse


def elu(xp: Namespace, z: Elements, alpha: Scalar) -> Elements:
    """z where z > 0, else alpha (e^z - 1). Source: Clevert, Unterthiner and Hochreiter (2015), equation 15.

    >>> import numpy as np
    >>> elu(np, np.asarray([-np.inf, 2.0]), 1.0)
    array([-1.,  2.])
    """
    return xp.where(z > 0.0, z, alpha * xp.expm1(xp.minimum(z, 0.0)))


def elu_slope(xp: Namespace, z: Elements, y: Elements, alpha: Scalar) -> Elements:
    """1 where z > 0, else alpha e^z, also at the kink z = 0. Keeps z."""
    up = xp.astype(z > 0.0, z.dtype)
    return up + (1.0 - up) * (alpha * xp.exp(xp.minimum(z, 0.0)))


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""The fixed point of mean 0 and variance 1. Source: Klambauer et al. (2017), equation 14."""


def selu(xp: Namespace, z: Elements) -> Elements:
    """Scaled ELU: scale z where z > 0, else scale alpha (e^z - 1).

    >>> import numpy as np
    >>> selu(np, np.asarray([1.0])).round(4)
    array([1.0507])
    """
    return SELU_SCALE * elu(xp, z, SELU_ALPHA)


def selu_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """scale where z > 0, else scale alpha e^z, also at the kink z = 0. Keeps z."""
    return SELU_SCALE * elu_slope(xp, z, y, SELU_ALPHA)


def celu(xp: Namespace, z: Elements, alpha: Scalar) -> Elements:
    """z where z > 0, else alpha (e^(z / alpha) - 1): ELU with slope 1 at 0 for every alpha. Source: Barron (2017).

    >>> import numpy as np
    >>> celu(np, np.asarray([-np.inf, 2.0]), 0.5)
    array([-0.5,  2. ])
    """
    return xp.where(z > 0.0, z, alpha * xp.expm1(xp.minimum(z, 0.0) / alpha))


def celu_slope(xp: Namespace, z: Elements, y: Elements, alpha: Scalar) -> Elements:
    """e^(min(z, 0) / alpha). Keeps z."""
    return xp.exp(xp.minimum(z, 0.0) / alpha)


def silu(xp: Namespace, z: Elements) -> Elements:
    """z sigmoid(z), also called swish. Source: Elfwing, Uchibe and Doya (2017), equation 5.

    >>> import numpy as np
    >>> silu(np, np.asarray([-np.inf, 0.0, np.inf]))
    array([-0.,  0., inf])
    """
    return xp.maximum(z, -FAR) * sigmoid(xp, z)


def silu_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """sigmoid(z) + z sigmoid'(z). Keeps z."""
    near = xp.minimum(xp.maximum(z, -FAR), FAR)
    e = xp.exp(-xp.abs(near))
    return (xp.where(z >= 0.0, 1.0, e) + near * e / (1.0 + e)) / (1.0 + e)


def mish(xp: Namespace, z: Elements) -> Elements:
    """z tanh(softplus(z)). With e = exp(-|z|) the tanh is (1 + 2 e) / (1 + 2 e + 2 e^2) for z >= 0.

    Source: Misra, "Mish: a self regularized non-monotonic activation function" (2019).

    >>> import numpy as np
    >>> mish(np, np.asarray([-np.inf, 0.0, np.inf]))
    array([-0.,  0., inf])
    """
    e = xp.exp(-xp.abs(z))
    up = (1.0 + 2.0 * e) / (1.0 + 2.0 * e + 2.0 * e * e)
    down = e * (e + 2.0) / (e * (e + 2.0) + 2.0)
    return xp.maximum(z, -FAR) * xp.where(z >= 0.0, up, down)


def mish_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """tanh(s) + z (1 - tanh(s)^2) sigmoid(z) with s = softplus(z), written in e = exp(-|z|). Keeps z."""
    near = xp.minimum(xp.maximum(z, -FAR), FAR)
    e = xp.exp(-xp.abs(near))
    above, below = 1.0 + 2.0 * e + 2.0 * e * e, e * (e + 2.0) + 2.0
    up = (1.0 + 2.0 * e) / above + near * (4.0 * e * e * (1.0 + e) / (above * above))
    down = e * (e + 2.0) / below + near * (4.0 * e * (1.0 + e) / (below * below))
    return xp.where(z >= 0.0, up, down)
