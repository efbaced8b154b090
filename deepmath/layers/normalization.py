"""Layers that normalise: over the batch, or over the units of each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.descriptions import check_number, described
from deepmath.formulas import normalization
from deepmath.initializers import Draws
from deepmath.layers.base import Bits, Layer, Pullback, Shape, Values
from deepmath.ranges import ANY, Range
from deepmath.typing import Namespace


@described
@dataclass(frozen=True)
class BatchNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta for each feature, over the batch.

    In training the moments are the batch's (the variance divided by the number of rows, so that one row works),
    and running averages follow them: average = momentum average + (1 - momentum) moment. Prediction uses the
    averages. Source: Ioffe and Szegedy (2015), algorithms 1 and 2.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_number("BatchNormalization", "momentum", self.momentum, low=0.0, high=1.0)
        check_number("BatchNormalization", "epsilon", self.epsilon, low=0.0, open_low=True)

    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        size = shape[-1:]
        params = {"gamma": np.ones(size), "beta": np.zeros(size)}
        return params, {"moving_mean": np.zeros(size), "moving_variance": np.ones(size)}

    def apply(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool
    ) -> tuple[Any, Pullback, Values]:
        features = x.shape[-1]
        columns = xp.matrix_transpose(xp.reshape(x, (-1, features)))  # a row of it is one feature over the batch

        def row(v: Any) -> Any:
            return xp.reshape(v, (features, 1))

        def back(v: Any) -> Any:
            return xp.reshape(xp.matrix_transpose(v), x.shape)

        gamma, beta = row(params["gamma"]), row(params["beta"])
        new_state: Values = {}
        if training:
            y, mean, variance = normalization.normalize(xp, columns, gamma, beta, self.epsilon)
            moments = {"moving_mean": mean, "moving_variance": variance}
            for name, value in moments.items():
                average = normalization.running_average(
                    xp, state[name], xp.reshape(value, (features,)), self.momentum, 1.0 - self.momentum
                )
                new_state[name] = average
        else:
            mean, variance = row(state["moving_mean"]), row(state["moving_variance"])
            y = normalization.scale(xp, columns, mean, variance, gamma, beta, self.epsilon)

        def pullback(dy: Any) -> tuple[Any, Values]:
            dcolumns = xp.matrix_transpose(xp.reshape(dy, (-1, features)))
            dx, share = normalization.normalize_pullback(xp, columns, mean, variance, gamma, dcolumns, self.epsilon)
            if not training:
                dx = gamma * dcolumns / xp.sqrt(variance + self.epsilon)
            return back(dx), {"gamma": xp.sum(share, axis=-1), "beta": xp.sum(dcolumns, axis=-1)}

        return back(y), pullback, new_state

    def output_range(self, inputs: Range) -> Range:
        return ANY


@described
@dataclass(frozen=True)
class LayerNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with the moments of each row's last axis.

    Training and prediction do the same. Source: Ba, Kiros and Hinton (2016), equation 4.
    """

    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_number("LayerNormalization", "epsilon", self.epsilon, low=0.0, open_low=True)

    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        return {"gamma": np.ones(shape[-1:]), "beta": np.zeros(shape[-1:])}, {}

    def apply(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool
    ) -> tuple[Any, Pullback, Values]:
        gamma = params["gamma"]
        y, mean, variance = normalization.normalize(xp, x, gamma, params["beta"], self.epsilon)

        def pullback(dy: Any) -> tuple[Any, Values]:
            dx, share = normalization.normalize_pullback(xp, x, mean, variance, gamma, dy, self.epsilon)
            rows = (-1, gamma.shape[0])
            return dx, {"gamma": xp.sum(xp.reshape(share, rows), axis=0), "beta": xp.sum(xp.reshape(dy, rows), axis=0)}

        return y, pullback, {}

    def output_range(self, inputs: Range) -> Range:
        return Range(alone="its beta")
