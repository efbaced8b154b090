"""Layers that normalise: over the batch, or over the units of each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.descriptions import check_number, described
from deepmath.formulas import normalization
from deepmath.initializers import Draws
from deepmath.layers.base import Bits, Layer, Shape, Values
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

    @property
    def constants(self) -> tuple[float, ...]:
        return self.epsilon, self.momentum, 1.0 - self.momentum

    def forward(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool,
        *constants: Any,
    ) -> tuple[Any, Values]:  # fmt: skip
        epsilon, momentum, rest = constants
        gamma, beta = params["gamma"], params["beta"]
        if not training:
            mean, variance = state["moving_mean"], state["moving_variance"]
            return normalization.scale(xp, x, mean, variance, gamma, beta, epsilon), {}
        rows = xp.reshape(x, (-1, x.shape[-1]))
        y, mean, variance = normalization.normalize(xp, rows, gamma, beta, epsilon, axis=0)
        moments = {"moving_mean": mean, "moving_variance": variance}
        return xp.reshape(y, x.shape), {
            name: normalization.running_average(xp, state[name], xp.reshape(value, (-1,)), momentum, rest)
            for name, value in moments.items()
        }

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

    @property
    def constants(self) -> tuple[float, ...]:
        return (self.epsilon,)

    def forward(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool,
        *constants: Any,
    ) -> tuple[Any, Values]:  # fmt: skip
        return normalization.normalize(xp, x, params["gamma"], params["beta"], *constants)[0], {}

    def output_range(self, inputs: Range) -> Range:
        return Range(alone="its beta")
