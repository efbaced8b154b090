"""Activations made of straight pieces beyond ReLU, each with its slope.

As in `activations.py`: `f(xp, z)` is the value, `f_slope(xp, z, y)` is df/dz with y = f(z). At a kink the
slope is that of the outer or left piece, as each says.
"""

from __future__ import annotations

from deepmath.typing import Columns, Elements, Namespace, Scalar


def leaky_relu(xp: Namespace, z: Elements, negative: Scalar) -> Elements:
    """z where z > 0, else negative z.

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models" (2013).

    >>> import numpy as np
    >>> leaky_relu(np, np.asarray([-1.0, 2.0]), 0.01)
    array([-0.01,  2.  ])
    """
    return xp.where(z > 0.0, z, negative * z)


def leaky_relu_slope(xp: Namespace, z: Elements, y: Elements, negative: Scalar) -> Elements:
    """1 where z > 0, else `negative`, also at the kink z = 0. Keeps z."""
    up = xp.astype(z > 0.0, z.dtype)
    return up + negative * (1.0 - up)


def prelu(xp: Namespace, z: Elements, alpha: Columns) -> Elements:
    """z where z > 0, else alpha z, with an alpha for each unit that is learnt.

    Source: He et al., "Delving deep into rectifiers" (2015), equation 1.

    >>> import numpy as np
    >>> prelu(np, np.asarray([[-1.0, -1.0]]), np.asarray([0.25, 0.5]))
    array([[-0.25, -0.5 ]])
    """
    return xp.where(z > 0.0, z, alpha * z)


def prelu_pullback(xp: Namespace, z: Elements, alpha: Columns, dy: Elements) -> tuple[Elements, Elements]:
    """dz, and each element's share of dalpha; at the kink z = 0 the slope is alpha. Keeps z."""
    return xp.where(z > 0.0, dy, alpha * dy), xp.where(z > 0.0, 0.0, z * dy)


def hard_sigmoid(xp: Namespace, z: Elements) -> Elements:
    """(z + 3) / 6, kept within 0 and 1 (Keras 3 and PyTorch; Keras 2 had 0.2 z + 0.5).

    >>> import numpy as np
    >>> hard_sigmoid(np, np.asarray([-4.0, 0.0, 4.0]))
    array([0. , 0.5, 1. ])
    """
    return xp.minimum(xp.maximum(z + 3.0, 0.0), 6.0) / 6.0


def hard_sigmoid_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """1/6 where |z| < 3, else 0, also at both kinks. Keeps z."""
    return xp.astype(xp.abs(z) < 3.0, z.dtype) / 6.0


def hard_swish(xp: Namespace, z: Elements) -> Elements:
    """z hard_sigmoid(z): 0 below -3, z above 3. Source: Howard et al., "Searching for MobileNetV3" (2019).

    >>> import numpy as np
    >>> hard_swish(np, np.asarray([-4.0, 3.0]))
    array([-0.,  3.])
    """
    return xp.maximum(z, -3.0) * (xp.minimum(xp.maximum(z + 3.0, 0.0), 6.0) / 6.0)


def hard_swish_slope(xp: Namespace, z: Elements, y: Elements) -> Elements:
    """(2 z + 3) / 6 where |z| < 3, 0 below and 1 above, also at the kinks. Keeps z."""
    inside = xp.abs(z) < 3.0
    middle = (2.0 * xp.where(inside, z, 0.0) + 3.0) / 6.0
    return xp.where(inside, middle, xp.astype(z > 0.0, z.dtype))
