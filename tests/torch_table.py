"""Every activation and loss in PyTorch, and where its slope jumps: a new one of deepmath gets a row here.

Rows go by the name without constants; each takes the constants of its description behind the arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

Function = Callable[..., Any]

ACTIVATIONS: dict[str, Function] = {
    "linear": lambda z: z,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softmax": lambda z: F.softmax(z, dim=-1),
    "log_softmax": lambda z: F.log_softmax(z, dim=-1),
    "leaky_relu": lambda z, slope: F.leaky_relu(z, negative_slope=slope),
    "hard_sigmoid": lambda z: F.relu6(z + 3.0) / 6.0,  # F.hardsigmoid's derivative holds 1/6 in float32
    "hard_swish": F.hardswish,
    "elu": lambda z, alpha: F.elu(z, alpha=alpha),
    "selu": F.selu,
    "celu": lambda z, alpha: torch.where(z > 0.0, z, alpha * torch.expm1(z / alpha)),  # F.celu holds alpha in float32
    "softplus": lambda z: torch.logaddexp(z, torch.zeros_like(z)),  # F.softplus is z itself above 20
    "softsign": F.softsign,
    "gelu": F.gelu,
    "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
}

KINKS: dict[str, tuple[float, ...]] = {
    "relu": (0.0,),
    "prelu": (0.0,),
    "leaky_relu": (0.0,),
    "elu": (0.0,),
    "selu": (0.0,),
    "celu": (0.0,),
    "softsign": (0.0,),
    "hard_sigmoid": (-3.0, 3.0),
    "hard_swish": (-3.0, 3.0),
}
"""Where an activation's first or second derivative jumps."""


def _focal(p: Any, d: Any, gamma: float, alpha: float) -> Any:
    q = torch.where(d > 0.5, p, 1.0 - p)
    share = alpha * d + (1.0 - alpha) * (1.0 - d)
    return -(share * (1.0 - q) ** gamma * torch.log(q)).mean(-1)


def _quantile(p: Any, d: Any, q: float) -> Any:
    return torch.where(p < d, q * (d - p), (1.0 - q) * (p - d)).mean(-1)


def _crossentropy(p: Any, d: Any, smoothing: float = 0.0) -> Any:
    shares = (1.0 - smoothing) * d + smoothing / d.shape[-1]
    return -(shares * torch.log(p)).sum(-1)


def _sparse_crossentropy(p: Any, d: Any, smoothing: float = 0.0) -> Any:
    return _crossentropy(p, F.one_hot(d, p.shape[-1]).to(p.dtype), smoothing)


def _hinge(p: Any, d: Any) -> Any:
    return torch.relu(1.0 - (2.0 * d - 1.0) * p)


LOSSES: dict[str, Function] = {
    "mse": lambda p, d: ((p - d) ** 2).mean(-1),
    "sse": lambda p, d: ((p - d) ** 2).sum(-1),
    "mae": lambda p, d: (p - d).abs().mean(-1),
    "huber": lambda p, d, delta: F.huber_loss(p, d, reduction="none", delta=delta).mean(-1),
    "log_cosh": lambda p, d: torch.log(torch.cosh(p - d)).mean(-1),
    "quantile": _quantile,
    "poisson": lambda p, d: (p - d * torch.log(p)).mean(-1),
    "binary_crossentropy": lambda p, d: -(d * torch.log(p) + (1.0 - d) * torch.log1p(-p)).mean(-1),
    "categorical_crossentropy": _crossentropy,
    "sparse_categorical_crossentropy": _sparse_crossentropy,
    "kl_divergence": lambda p, d: F.kl_div(torch.log(p), d, reduction="none").sum(-1),
    "hinge": lambda p, d: _hinge(p, d).mean(-1),
    "squared_hinge": lambda p, d: (_hinge(p, d) ** 2).mean(-1),
    "focal": _focal,
}
"""Each row's loss of predictions, targets and constants."""

LOSS_KINKS: dict[str, Function] = {
    "mae": lambda p, d: p - d,
    "quantile": lambda p, d, q: p - d,
    "huber": lambda p, d, delta: (p - d).abs() - delta,
    "hinge": lambda p, d: 1.0 - (2.0 * d - 1.0) * p,
    "squared_hinge": lambda p, d: 1.0 - (2.0 * d - 1.0) * p,
}
"""What is zero where a loss's first or second derivative jumps."""
