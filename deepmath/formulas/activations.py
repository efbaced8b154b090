"""Element-wise activations, each with its slope.

`f(xp, z)` is the value; `f_slope(xp, z, y)` is df/dz, where y = f(z). Which of z and y a slope uses
is what a program keeps from the forward pass. All hold for float32 and float64 with an error of at
most 4 ulp x (1 + |z f'/f|), NaN in gives NaN out, and +-inf give the limits.
"""

from __future__ import annotations

from deepmath.typing import Elements, Namespace


def linear(xp: Namespace, z: Elements) -> Elements:
    """The identity, z.

    >>> import numpy as np
    >>> linear(np, np.asarray([-1.0, 2.0]))
    array([-1.,  2.])
    """
    return z


def linear_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """One everywhere, NaN included. Keeps y, which costs nothing: it is the layer's output."""
    return xp.where(y == y, 1.0, y)


def relu(xp: Namespace, z: Elements) -> Elements:
    """Rectified linear unit, max(z, 0).

    Source: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines" (2010).

    >>> import numpy as np
    >>> relu(np, np.asarray([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return xp.maximum(z, 0.0)


def relu_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """1 where y > 0, else 0; at the kink z = 0 the slope is 0. Keeps y."""
    return xp.astype(y > 0.0, y.dtype)


def sigmoid(xp: Namespace, z: Elements) -> Elements:
    """Logistic function, 1 / (1 + e^-z), without overflow at any z.

    Source: article 1, figure 6; article 2, equation 7.

    >>> import numpy as np
    >>> sigmoid(np, np.asarray([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    e = xp.exp(-xp.abs(z))
    return xp.where(z >= 0.0, 1.0, e) / (1.0 + e)


def sigmoid_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """e / (1 + e)^2 with e = exp(-|z|). Keeps z: y (1 - y) would lose every digit where y is near 1.

    >>> import numpy as np
    >>> z = np.asarray([40.0])
    >>> float(sigmoid_slope(np, z, sigmoid(np, z))[0]) > 0.0
    True
    """
    e = xp.exp(-xp.abs(z))
    return e / ((1.0 + e) * (1.0 + e))


def tanh(xp: Namespace, z: Elements) -> Elements:
    """Hyperbolic tangent.

    >>> import numpy as np
    >>> tanh(np, np.asarray([0.0, 1000.0]))
    array([0., 1.])
    """
    return xp.tanh(z)


def tanh_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """4 e / (1 + e)^2 with e = exp(-2 |z|). Keeps z: 1 - y^2 would lose every digit where |y| is near 1."""
    e = xp.exp(-2.0 * xp.abs(z))
    return 4.0 * e / ((1.0 + e) * (1.0 + e))
