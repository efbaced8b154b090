"""Which work a matrix product takes over from a kernel, for each product of a dense layer: a table in the form of code.

cublasLt can add a bias, cut at zero, keep which elements were above zero, multiply by that, and sum up gradients of
biases while a product is written. What it can't, a kernel of ours does in a pass of its own.
"""

from __future__ import annotations

from typing import NamedTuple

HALVES = ("bf16", "float16")
"""Precisions whose products take numbers of 16 bits, and sum in float32."""

WHOLE = ("float32", "tf32")


class Dense(NamedTuple):
    """What a choice depends on. `activation` is "none", "relu", or "other"."""

    precision: str
    bias: bool
    activation: str
    units: int


def forward(layer: Dense, *, training: bool, mask_wanted: bool) -> str:
    """The epilogue of x W. `mask_wanted`: the layer above can use a mask in its backward pass.

    >>> forward(Dense("tf32", True, "relu", 64), training=True, mask_wanted=True)
    'relu_mask_bias'
    """
    if layer.precision == "float64" or not layer.bias or layer.activation == "other":
        return "none"  # with another activation, one kernel does bias and activation in one pass
    if layer.activation == "none":
        return "bias"
    return "relu_mask_bias" if training and mask_wanted else "relu_bias"


def input_gradient(layer: Dense, below: Dense | None, *, masked: bool) -> str:
    """The epilogue of dz W^T, which is the gradient by the output of the layer below; `masked`: that has a mask.

    A layer of one unit is left out: its product has an inner dimension of 1, for which cublasLt has no such epilogue.
    """
    if below is None or not masked or layer.units == 1:
        return "none"
    return "slope_sums" if below.bias and layer.precision in WHOLE else "slope"


def weight_gradient(layer: Dense, *, sums_known: bool) -> str:
    """The epilogue of x^T dz; `sums_known`: the bias's gradient has been summed up before."""
    return "sums" if layer.bias and not sums_known and layer.precision != "float64" else "none"
