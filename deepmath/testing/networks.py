"""Small networks that together use every kind of part: what a backend's contract is tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from deepmath.backend import Backend
from deepmath.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    GaussianNoise,
    Layer,
    LayerNormalization,
    PReLU,
)
from deepmath.losses import get as loss_of
from deepmath.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from deepmath.program import Data, Program, Recipe
from deepmath.recipes import first_values, recipe_of
from deepmath.regularizers import L1L2, L2, MaxNorm
from deepmath.schedules import ExponentialDecay
from deepmath.training import door

ROWS, FEATURES = 61, 6


@dataclass(frozen=True)
class Turned(Layer):
    """A layer of somebody's own that no tracer can follow: it turns the order of the features round."""

    def init(self, shape: Any, draws: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}

    def apply(
        self,
        xp: Any,
        params: Any,
        state: Any,
        x: Any,
        bits: Any,
        training: bool,
    ) -> tuple[Any, Any, dict[str, Any]]:
        return xp.flip(x, axis=-1), lambda dy: (xp.flip(dy, axis=-1), {}), {}


def swish(xp: Any, z: Any) -> Any:
    """An activation of somebody's own."""
    return z / (1.0 + xp.exp(-z))


def quartic(xp: Any, p: Any, d: Any) -> Any:
    """A loss of somebody's own."""
    return xp.mean((p - d) * (p - d) * (p - d) * (p - d), axis=-1, keepdims=True)


@dataclass(frozen=True)
class Network:
    """Layers, what they minimise and how, and which targets: "labels", "truth" or "numbers"."""

    layers: tuple[Layer, ...]
    loss: Any
    optimizer: Optimizer
    targets: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    weighted: bool = False
    metrics: tuple[Any, ...] = ()

    @property
    def rows(self) -> tuple[Any, Any, Any]:
        """X, y and weights, the same each time."""
        rng = np.random.default_rng(3)
        X = rng.standard_normal((ROWS, FEATURES))
        scores = X @ rng.standard_normal((FEATURES, 3))
        y = {"labels": scores.argmax(1), "truth": (scores[:, :1] > 0) * 1.0, "numbers": np.sin(scores)}[self.targets]
        return X, y, rng.choice([0.0, 0.5, 1.0, 2.5], ROWS) if self.weighted else None

    @property
    def values(self) -> dict[str, Any]:
        """The first weights and states."""
        return first_values(self.layers, (FEATURES,), 7)

    def recipe(self, precision: str) -> Recipe:
        settings = {"batch_size": 16} | dict(self.settings)
        return recipe_of(
            self.layers, (FEATURES,), self.optimizer, loss_of(self.loss), self.metrics, precision=precision, seed=7,
            **settings,
        )  # fmt: skip

    def compiled(self, backend: Backend, precision: str, values: Any = None) -> Program:
        """A program of it with its data."""
        given = self.values if values is None else values
        return backend.compile(self.recipe(precision), given, self.data(backend, precision))

    def data(self, backend: Backend, precision: str) -> Data:
        """Its rows as programs take them."""
        return door.admit(backend, self.recipe(precision), *self.rows)

    def probe(self) -> Network:
        """The same, with a rule that leaves each step's gradient in its velocity and moves nothing."""
        return replace(self, optimizer=SGD(0.0, momentum=0.5))


NETWORKS = {
    "classes": Network(
        (Dense(16, "tanh"), Dense(9, "gelu"), Dense(3, "softmax")), "sparse_categorical_crossentropy", Adam(0.01),
        "labels", metrics=("accuracy", "log_loss"),
    ),
    "truth": Network(
        (Dense(12, "sigmoid"), Dense(1, "sigmoid")), "binary_crossentropy", SGD(0.1, momentum=0.9), "truth",
        weighted=True, metrics=("accuracy",),
    ),
    "normalised": Network(
        (
            Dense(17, "tanh", kernel_regularizer=L2(0.01)), Dropout(0.25), Dense(8, use_bias=False),
            BatchNormalization(), Activation("silu"), Dense(7), LayerNormalization(), GaussianNoise(0.1), Dense(3),
        ),
        "mse", Adam(ExponentialDecay(0.02, 0.9, 20), clipnorm=0.5), "numbers", {"accumulate": 2},
        weighted=True, metrics=("mae",),
    ),
    "bound": Network(
        (Dense(8, "softplus", kernel_constraint=MaxNorm(1.0)), Dense(3, kernel_regularizer=L1L2(0.001, 0.01))),
        "huber", AdamW(0.01, clipvalue=0.5), "numbers", {"drop_last": True}, True, ("mae", "mse"),
    ),
    "own formulas": Network((Dense(8, swish), Dense(3)), quartic, SGD(0.01), "numbers", {"shuffle": False}),
    "own layer": Network(
        (Dense(8, "tanh"), Turned(), Dense(3)), "mse", RMSprop(0.005), "numbers", weighted=True, metrics=("mse",)
    ),
    "no hidden layer": Network((Dense(3, use_bias=False),), "sse", SGD(0.001, nesterov=True, momentum=0.5), "numbers"),
    "kinks": Network(
        (Dense(8, "relu"), Dense(8), PReLU(), Dense(8, "leaky_relu(0.2)"), Dense(3)), "mae", SGD(0.01), "numbers"
    ),
}  # fmt: skip
"""Every network by name. Those of "kinks" have none in float64 that rounding could move."""

SMOOTH = tuple(name for name in NETWORKS if name != "kinks")
