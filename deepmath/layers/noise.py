"""Layers that add noise in training and do nothing in prediction."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deepmath.descriptions import check_number, described
from deepmath.formulas import dropout as formulas
from deepmath.initializers import Draws
from deepmath.layers.base import Bits, Layer, Shape, Values
from deepmath.ranges import ANY, Range
from deepmath.typing import Namespace


@described
@dataclass(frozen=True)
class Dropout(Layer):
    """In training, each value becomes 0 with probability `rate` and the others grow by 1 / (1 - rate).

    Article 3's p is the chance to keep: rate = 1 - p.
    """

    rate: float

    def __post_init__(self) -> None:
        check_number("Dropout", "rate", self.rate, low=0.0, high=1.0, open_high=True)

    @property
    def constants(self) -> tuple[float, ...]:
        """Threshold of the 24 random bits, and growth of what is kept."""
        return round(self.rate * 2**24), 1.0 / (1.0 - self.rate)

    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        return {}, {}

    def forward(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool,
        *constants: Any,
    ) -> tuple[Any, Values]:  # fmt: skip
        if not training or self.rate == 0.0:
            return x, {}
        noise = xp.reshape(bits(x.shape[0], math.prod(x.shape[1:])), x.shape)
        return formulas.dropout(xp, x, noise, *constants), {}

    def output_range(self, inputs: Range) -> Range:
        if self.rate == 0.0 or not inputs.known:
            return inputs
        low, high = (bound / (1.0 - self.rate) for bound in (min(inputs.low, 0.0), max(inputs.high, 0.0)))
        reached = low == 0.0 or inputs.low_reached, high == 0.0 or inputs.high_reached
        return Range(low, high, *reached, alone=inputs.alone)


@described
@dataclass(frozen=True)
class GaussianNoise(Layer):
    """In training, adds to each value a normal number of standard deviation `stddev`."""

    stddev: float

    def __post_init__(self) -> None:
        check_number("GaussianNoise", "stddev", self.stddev, low=0.0)

    def init(self, shape: Shape, draws: Callable[[int], Draws]) -> tuple[Values, Values]:
        return {}, {}

    @property
    def constants(self) -> tuple[float, ...]:
        return (self.stddev,)

    def forward(
        self, xp: Namespace, params: Mapping[str, Any], state: Mapping[str, Any], x: Any, bits: Bits, training: bool,
        *constants: Any,
    ) -> tuple[Any, Values]:  # fmt: skip
        if not training:
            return x, {}
        units = math.prod(x.shape[1:])
        both = xp.astype(bits(x.shape[0], 2 * units), x.dtype)
        noise = formulas.gaussian(xp, both[:, :units], both[:, units:])
        return x + constants[0] * xp.reshape(noise, x.shape), {}

    def output_range(self, inputs: Range) -> Range:
        return ANY if self.stddev else inputs
