"""One stage of a fused step for each kind of layer: forward into its own buffers, backward through them.

A stage's `forward(x, rows)` gives its outputs [rows, units], good until the next step; `backward(dy)` may
write over dy, leaves the parameters' gradients in the flat buffer, and gives dx. Inference uses the same
stages with their own buffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from deepmath.activations import ActivationFunction
from deepmath.formulas import dropout, normalization, random, rectifiers
from deepmath.layers import BatchNormalization, Dropout, Layer, LayerNormalization
from deepmath_numpy.kernels import Kernels

Views = Mapping[str, Any]


@dataclass
class Moment:
    """Where a step stands: what the random numbers depend on. The program moves it on."""

    seed: int
    step: int = 0
    first: int = 0


class Stage(Protocol):
    """What the program asks of a stage; `name` is the layer's, `how` says how it runs."""

    name: str
    how: str

    def forward(self, x: Any, training: bool) -> Any: ...
    def backward(self, dy: Any) -> Any: ...


def buffer(rows: int, *shape: int, dtype: str) -> Any:
    """A work array [rows, *shape]; untouched memory until it is used."""
    return np.empty((rows, *shape), dtype)


class AffineStage:
    """x W, then bias and activation in one loop; backward the slope and the bias's gradient in one loop."""

    name = "Dense"

    def __init__(
        self, kernels: Kernels, params: Views, grads: Views, function: ActivationFunction | None, rows: int, first: bool
    ) -> None:
        self._w, self._b = params["kernel"], params.get("bias")
        self._dw, self._db = grads["kernel"], grads.get("bias")
        features, units = self._w.shape
        dtype = kernels.precision
        self._loops = kernels.activation(function, self._b is not None)
        self._z = buffer(rows, units, dtype=dtype)
        self._y = buffer(rows, units, dtype=dtype) if self._loops.keeps_z else self._z
        self._dx = None if first else buffer(rows, features, dtype=dtype)
        self.how = "fused: matrix product (BLAS), " + _words(self._b is not None, function)

    def forward(self, x: Any, training: bool) -> Any:
        self._x = x
        n = len(x)
        z, y = self._z[:n], self._y[:n]
        np.matmul(x, self._w, out=z)
        self._loops.run_forward(z, y, self._b)
        return y

    def backward(self, dy: Any) -> Any:
        n = len(dy)
        self._loops.run_backward(dy, self._z[:n], self._y[:n], self._db)
        np.matmul(self._x.T, dy, out=self._dw)
        if self._dx is None:
            return None
        return np.matmul(dy, self._w.T, out=self._dx[:n])


class ActivationStage:
    """An activation on its own."""

    name = "Activation"

    def __init__(self, kernels: Kernels, function: ActivationFunction, units: int, rows: int) -> None:
        self._loops = kernels.activation(function, bias=False)
        self._z = buffer(rows, units, dtype=kernels.precision)
        self._y = buffer(rows, units, dtype=kernels.precision) if self._loops.keeps_z else self._z
        self.how = "fused: " + _words(False, function)

    def forward(self, x: Any, training: bool) -> Any:
        n = len(x)
        z, y = self._z[:n], self._y[:n]
        np.copyto(z, x)
        self._loops.run_forward(z, y, None)
        return y

    def backward(self, dy: Any) -> Any:
        n = len(dy)
        self._loops.run_backward(dy, self._z[:n], self._y[:n], None)
        return dy


class DropoutStage:
    """Random bits and the choice in fused loops; the same numbers as everywhere."""

    name = "Dropout"

    def __init__(self, kernels: Kernels, layer: Dropout, number: int, units: int, rows: int, moment: Moment) -> None:
        self._layer, self._number, self._moment = layer, number, moment
        self._noise = kernels.noise()
        names = ["x", "bits", "threshold", "growth"]
        kinds = ["element", "element:int", "scalar:int", "scalar"]
        self._drop = kernels.compiled("dropout", dropout.dropout, kinds, ["y"], names)
        self._drop_back = kernels.compiled("dropout_back", dropout.dropout, kinds, ["x"], names)
        self._bits = buffer(rows, (units + 3) // 4, 4, dtype="int32")
        self._y = buffer(rows, units, dtype=kernels.precision)
        self.how = "fused: random bits and choice"

    def forward(self, x: Any, training: bool) -> Any:
        if not training or self._layer.rate == 0.0:
            return x
        n, units = x.shape
        bits, at = self._bits[:n], self._moment
        words = [bits[:, :, i] for i in range(4)]
        self._noise(at.first, at.step & 0xFFFFFFFF, self._number, at.seed, random.NOISE, *words)
        self._flat = bits.reshape(n, -1)[:, :units]
        y = self._y[:n]
        self._drop(x, self._flat, *self._layer.coefficients, y)
        return y

    def backward(self, dy: Any) -> Any:
        if self._layer.rate > 0.0:
            self._drop_back(dy, self._flat, *self._layer.coefficients)
        return dy


class BatchNormalizationStage:
    """Moments, normalisation and its derivative in fused loops over features."""

    name = "BatchNormalization"

    def __init__(
        self, kernels: Kernels, layer: BatchNormalization, params: Views, grads: Views, state: Views, rows: int
    ) -> None:
        self._layer, self._params, self._grads, self._state = layer, params, grads, state
        units = params["gamma"].shape[0]
        dtype = kernels.precision
        self._normalize = kernels.compiled(
            "normalize", normalization.normalize, ["element", "row", "row", "scalar"], ["y", "mean", "variance"]
        )
        self._scale = kernels.compiled("scale", normalization.scale, ["element", *["row"] * 4, "scalar"], ["y"])
        self._back = kernels.compiled(
            "normalize_back", _back, ["element", "row", "row", "row", "element", "scalar"], ["dy", "dgamma", "dbeta"]
        )
        self._y = buffer(rows, units, dtype=dtype)
        self._mean, self._variance = np.empty(units, dtype), np.empty(units, dtype)
        self.how = "fused: moments and normalisation"

    def forward(self, x: Any, training: bool) -> Any:
        self._x = x
        y, gamma, beta, eps = self._y[: len(x)], self._params["gamma"], self._params["beta"], self._layer.epsilon
        if not training:
            moments = self._state["moving_mean"], self._state["moving_variance"]
            self._scale(x.T, *moments, gamma, beta, eps, y.T)
            return y
        self._normalize(x.T, gamma, beta, eps, y.T, self._mean, self._variance)
        momentum = self._layer.momentum
        for name, value in (("moving_mean", self._mean), ("moving_variance", self._variance)):
            average = self._state[name]
            average[:] = normalization.running_average(np, average, value, momentum, 1.0 - momentum)
        return y

    def backward(self, dy: Any) -> Any:
        gamma, eps = self._params["gamma"], self._layer.epsilon
        self._back(self._x.T, self._mean, self._variance, gamma, dy.T, eps, self._grads["gamma"], self._grads["beta"])
        return dy


def _back(xp: Any, x: Any, mean: Any, variance: Any, gamma: Any, dy: Any, eps: Any) -> tuple[Any, Any, Any]:
    dx, share = normalization.normalize_pullback(xp, x, mean, variance, gamma, dy, eps)
    return dx, xp.sum(share, axis=-1, keepdims=True), xp.sum(dy, axis=-1, keepdims=True)


class LayerNormalizationStage:
    """Moments and normalisation of each row, and their derivative, in fused loops."""

    name = "LayerNormalization"

    def __init__(self, kernels: Kernels, layer: LayerNormalization, params: Views, grads: Views, rows: int) -> None:
        self._eps, self._params, self._grads = layer.epsilon, params, grads
        units = params["gamma"].shape[0]
        self._normalize = kernels.compiled(
            "normalize_rows",
            normalization.normalize,
            ["element", "column", "column", "scalar"],
            ["y", "mean", "variance"],
        )
        kinds = ["element", "row", "row", "column", "element", "scalar"]
        self._back = kernels.compiled("normalize_rows_back", _rows_back, kinds, ["dy", "dgamma", "dbeta"])
        self._y = buffer(rows, units, dtype=kernels.precision)
        self._mean, self._variance = (np.empty(rows, kernels.precision) for _ in range(2))
        self.how = "fused: moments and normalisation"

    def forward(self, x: Any, training: bool) -> Any:
        n = len(x)
        self._x, y = x, self._y[:n]
        moments = self._mean[:n], self._variance[:n]
        self._normalize(x, self._params["gamma"], self._params["beta"], self._eps, y, *moments)
        return y

    def backward(self, dy: Any) -> Any:
        n = len(dy)
        moments = self._mean[:n], self._variance[:n]
        gradients = self._grads["gamma"], self._grads["beta"]
        self._back(self._x, *moments, self._params["gamma"], dy, self._eps, *gradients)
        return dy


def _rows_back(xp: Any, x: Any, mean: Any, variance: Any, gamma: Any, dy: Any, eps: Any) -> tuple[Any, Any, Any]:
    dx, share = normalization.normalize_pullback(xp, x, mean, variance, gamma, dy, eps)
    return dx, xp.batch_sum(share), xp.batch_sum(dy)


class PReLUStage:
    """The learnt rectifier and its derivative in fused loops."""

    name = "PReLU"

    def __init__(self, kernels: Kernels, params: Views, grads: Views, rows: int) -> None:
        self._alpha, self._dalpha = params["alpha"], grads["alpha"]
        self._forward = kernels.compiled("prelu", rectifiers.prelu, ["element", "column"], ["y"])
        kinds = ["element", "column", "element"]
        self._back = kernels.compiled("prelu_back", _prelu_back, kinds, ["dy", "dalpha"])
        self._y = buffer(rows, self._alpha.shape[0], dtype=kernels.precision)
        self.how = "fused: PReLU"

    def forward(self, x: Any, training: bool) -> Any:
        self._x, y = x, self._y[: len(x)]
        self._forward(x, self._alpha, y)
        return y

    def backward(self, dy: Any) -> Any:
        self._back(self._x, self._alpha, dy, self._dalpha)
        return dy


def _prelu_back(xp: Any, z: Any, alpha: Any, dy: Any) -> tuple[Any, Any]:
    dz, share = rectifiers.prelu_pullback(xp, z, alpha, dy)
    return dz, xp.batch_sum(share)


class ReferenceStage:
    """Any other layer: its own `apply`, on NumPy."""

    def __init__(
        self, xp: Any, layer: Layer, number: int, own: tuple[Views, Views, Views], moment: Moment, why: str
    ) -> None:
        self._xp, self._layer, self._number, self._moment = xp, layer, number, moment
        self._params, self._grads, self._state = own
        self.name = type(layer).__name__
        self.how = f"reference on numpy: {why}"

    def forward(self, x: Any, training: bool) -> Any:
        y, self._pullback, state = self._layer.apply(self._xp, self._params, self._state, x, self._bits, training)
        for name, value in state.items():
            self._state[name][...] = value
        return y

    def backward(self, dy: Any) -> Any:
        dx, gradients = self._pullback(dy)
        for name, value in gradients.items():
            self._grads[name][...] = value
        return dx

    def _bits(self, rows: int, units: int) -> Any:
        at = self._moment
        return (
            random.host_words(at.seed, random.NOISE, rows, units, step=at.step, layer=self._number, first=at.first) >> 8
        )


def _words(bias: bool, function: ActivationFunction | None) -> str:
    return (
        " + ".join([*(["bias"] if bias else []), *([function.name] if function is not None else [])]) or "nothing else"
    )
