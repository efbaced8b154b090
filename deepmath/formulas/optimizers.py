"""One step of each optimiser, element by element: descent, momentum, Adam and its kin, Lion.

`update(xp, w, g, *slots, *coefficients)` takes parameters, their gradient, the optimiser's slots (all
[size]) and numbers that depend on the step alone, and gives the new parameters and slots. Update
rules are PyTorch's: the learning rate stands outside the velocity.

Every step is finite where w and g are, up to the overflow of a sum. Where g^2 overflows (|g| > 1.8e19 in
float32, 1.3e154 in float64) the second moment is infinite from then on, and the step of that parameter is 0.
Clipping prevents it.
"""

from __future__ import annotations

import math

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


def amsgrad(
    xp: Namespace,
    w: Flat,
    g: Flat,
    m: Flat,
    v: Flat,
    top: Flat,
    rate: Scalar,
    beta1: Scalar,
    rest1: Scalar,
    beta2: Scalar,
    rest2: Scalar,
    eps: Scalar,
) -> tuple[Flat, Flat, Flat, Flat]:
    """AMSGrad: Adam divided by the root of the largest v so far, top = max(top, v).

    The maximum is taken of v before its bias is corrected, and then divided by this step's 1 - beta2^t.
    Source: Reddi, Kale and Kumar (2018), algorithm 2, with PyTorch's bias corrections. (Optax corrects first.)

    >>> import numpy as np
    >>> zero = np.asarray([0.0])
    >>> w, m, v, top = amsgrad(np, np.asarray([1.0]), zero, zero, zero, np.asarray([4.0]), 0.1, 0.9, 0.1, 0.99, 0.01, 0)
    >>> top
    array([4.])
    """
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    top = xp.maximum(top, v)
    return w - rate * m / (xp.sqrt(top) + eps), m, v, top


def decayed(xp: Namespace, w: Flat, shrink: Scalar) -> Flat:
    """Weight decay apart from the gradient, w - shrink w, with shrink = rate weight_decay.

    PyTorch multiplies by 1 - shrink; in float32 that factor has lost most digits of a small shrink.
    Source: Loshchilov and Hutter (2019), algorithm 2, with the rate as PyTorch has it.

    >>> import numpy as np
    >>> decayed(np, np.asarray([2.0]), 0.25)
    array([1.5])
    """
    return w - shrink * w


def nadam(
    xp: Namespace,
    w: Flat,
    g: Flat,
    m: Flat,
    v: Flat,
    now: Scalar,
    ahead: Scalar,
    beta1: Scalar,
    rest1: Scalar,
    beta2: Scalar,
    rest2: Scalar,
    eps: Scalar,
) -> tuple[Flat, Flat, Flat]:
    """Adam with Nesterov's momentum: m and v as in `adam`; w - (now g + ahead m) / (sqrt(v) + eps).

    Source: Dozat (2016), in PyTorch's form; `nadam_coefficients` has the bias corrections. (Optax's nadam
    keeps the momentum constant and is another rule.)
    """
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    return w - (now * g + ahead * m) / (xp.sqrt(v) + eps), m, v


def lion(
    xp: Namespace, w: Flat, g: Flat, m: Flat, rate: Scalar, shrink: Scalar, beta1: Scalar, rest1: Scalar,
    beta2: Scalar, rest2: Scalar,
) -> tuple[Flat, Flat]:  # fmt: skip
    """Lion: w - shrink w - rate sign(beta1 m + rest1 g); then m = beta2 m + rest2 g.

    shrink = rate weight_decay; sign(0) = 0. Source: Chen et al. (2023), algorithm 2.

    >>> import numpy as np
    >>> lion(np, np.asarray([1.0]), np.asarray([-8.0]), np.asarray([0.0]), 0.5, 0.0, 0.75, 0.25, 0.5, 0.5)
    (array([1.5]), array([-4.]))
    """
    return decayed(xp, w, shrink) - rate * xp.sign(beta1 * m + rest1 * g), beta2 * m + rest2 * g


def adam_coefficients(
    t: int, rate: float, beta1: float, beta2: float, eps: float
) -> tuple[float, float, float, float, float, float]:
    """Adam's numbers for update t = 1, 2, ..., or for an array of such t, in float64.

    With c1 = 1 - beta1^t and c2 = 1 - beta2^t, rate (m / c1) / (sqrt(v / c2) + eps) equals
    (rate sqrt(c2) / c1) m / (sqrt(v) + eps sqrt(c2)): the variant without "epsilon hat".

    >>> [round(c, 6) for c in adam_coefficients(1, 0.001, 0.9, 0.999, 1e-8)]
    [0.000316, 0.9, 0.1, 0.999, 0.001, 0.0]
    """
    root = (1.0 - beta2**t) ** 0.5
    return rate * root / (1.0 - beta1**t), beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps * root


def nadam_coefficients(
    t: int, rate: float, beta1: float, beta2: float, eps: float, decay: float
) -> tuple[float, float, float, float, float, float, float]:
    """Nadam's numbers for update t = 1, 2, ..., in float64.

    With mu(t) = beta1 (1 - 0.96^(decay t) / 2) and M(t) = mu(1) ... mu(t), the step is
    rate [(1 - mu(t)) / (1 - M(t)) g + mu(t + 1) / (1 - M(t + 1)) m] / (sqrt(v / c2) + eps), c2 = 1 - beta2^t.

    >>> [round(c, 6) for c in nadam_coefficients(1, 0.001, 0.9, 0.999, 1e-8, 0.004)]
    [3.2e-05, 1.8e-05, 0.9, 0.1, 0.999, 0.001, 0.0]
    """
    root = float((1.0 - beta2**t) ** 0.5)
    mu, after = (beta1 * (1.0 - 0.5 * 0.96 ** (decay * k)) for k in (t, t + 1))
    now = rate * root * (1.0 - mu) / nadam_correction(t, beta1, decay)
    ahead = rate * root * after / nadam_correction(t + 1, beta1, decay)
    return now, ahead, beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps * root


def nadam_correction(t: int, beta1: float, decay: float) -> float:
    """1 - M(t), where M(t) is the product of beta1 (1 - q^k / 2) over k = 1 ... t and q = 0.96^decay; float64.

    ln M(t) = t ln(beta1) - sum over j >= 1 of 2^-j / j * (q^j + q^2j + ... + q^tj), and the inner sum is
    geometric: about 50 terms do for any t. All are of one sign, so that nothing cancels.

    >>> round(nadam_correction(2, 0.5, 1.0), 12), round(1 - 0.5 * (1 - 0.96 / 2) * 0.5 * (1 - 0.96**2 / 2), 12)
    (0.929904, 0.929904)
    """
    lowest = t * math.log(beta1) if beta1 else -math.inf
    if lowest < -40.0:  # M(t) is less than half a unit in the last place of 1
        return 1.0
    rate = decay * math.log(0.96)
    log_product = lowest
    for j in range(1, 64):
        ratio = math.expm1(j * t * rate) / math.expm1(j * rate) if rate else float(t)
        term = math.ldexp(math.exp(j * rate) * ratio, -j) / j
        log_product -= term
        if term < 1e-18 * -log_product:
            break
    return -math.expm1(log_product)
