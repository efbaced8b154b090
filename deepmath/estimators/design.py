"""What a network is made of, in the words of the estimators' arguments, and the layers that this means."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deepmath.errors import ConfigError
from deepmath.estimators.losses import activation
from deepmath.layers import Activation, BatchNormalization, Dense, Dropout, Layer, LayerNormalization
from deepmath.regularizers import L2

NORMALIZATION: dict[str, type[BatchNormalization] | type[LayerNormalization]] = {
    "batch": BatchNormalization,
    "layer": LayerNormalization,
}


@dataclass(frozen=True)
class Design:
    """A network as an estimator's arguments describe it: enough to make its layers again.

    `hidden` are the units of hidden layers, each with its activation and dropout; normalisation stands between a
    layer's product and its activation.
    """

    features: int
    outputs: int
    hidden: tuple[int, ...]
    activations: tuple[Any, ...]
    out_activation: Any
    dropout: tuple[float, ...]
    normalization: str | None

    def layers(self, penalty: float = 0.0, initializer: str = "glorot_uniform") -> list[Layer]:
        """The layers; `penalty` is the strength of the L2 of every kernel."""
        return list(self._layers(L2(penalty) if penalty else None, initializer))

    def _layers(self, penalty: L2 | None, initializer: str) -> Iterator[Layer]:
        settings: dict[str, Any] = {"kernel_initializer": initializer, "kernel_regularizer": penalty}
        for units, function, rate in zip(self.hidden, self.activations, self.dropout, strict=True):
            if self.normalization is None:
                yield Dense(units, activation(function), **settings)
            else:
                yield Dense(units, **settings)
                yield NORMALIZATION[self.normalization]()
                yield Activation(activation(function))
            if rate:
                yield Dropout(rate)
        last = activation(self.out_activation)
        yield Dense(self.outputs, None if last.name in ("identity", "linear") else last, **settings)

    @functools.cached_property
    def dense(self) -> list[int]:
        """The numbers of the layers that have a kernel and a bias."""
        return [number for number, layer in enumerate(self.layers()) if isinstance(layer, Dense)]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The shape of every kernel."""
        sizes = [self.features, *self.hidden, self.outputs]
        return list(itertools.pairwise(sizes))

    def draw(self, rng: Any) -> dict[str, Any]:
        """First kernels and biases, float64, by name: the numbers that scikit-learn draws from the same `rng`.

        Uniform within sqrt(6 / (fan_in + fan_out)), with 2 in place of 6 for a logistic activation; the last layer
        takes the number of the one before it. Source: Glorot and Bengio (2010), equation 16; biases likewise.
        """
        values = {}
        functions = [*self.activations, self.activations[-1] if self.activations else None]
        for number, (fan_in, fan_out), function in zip(self.dense, self.shapes, functions, strict=True):
            bound = math.sqrt((2.0 if function == "logistic" else 6.0) / (fan_in + fan_out))
            values[f"params.{number}.kernel"] = rng.uniform(-bound, bound, (fan_in, fan_out))
            values[f"params.{number}.bias"] = rng.uniform(-bound, bound, fan_out)
        return values

    def check_shapes(self, values: Mapping[str, Any]) -> None:
        """Raise ConfigError unless these values are of this design's kernels."""
        found = [
            tuple(values[f"params.{n}.kernel"].shape) if f"params.{n}.kernel" in values else () for n in self.dense
        ]
        if found != self.shapes:
            raise ConfigError(
                f"the network at hand has kernels of shapes {found}, but the settings now mean {self.shapes}. "
                "Fit with warm_start=False to begin anew"
            )
