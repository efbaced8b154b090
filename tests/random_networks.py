"""Random networks from a seed, over all layers, activations, losses, penalties, optimisers and schedules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from networks import ACTIVATIONS, LOSSES, OUTPUTS, Case, targets

from deepmath import activations, initializers, losses
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
from deepmath.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, Nadam, Optimizer, RMSprop
from deepmath.regularizers import L1, L1L2, L2, MaxNorm
from deepmath.schedules import (
    CosineDecay,
    CosineRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    OneCycle,
    PiecewiseConstant,
    PolynomialDecay,
    SqrtDecay,
)

RATES = {"sse": 0.002, "binary_crossentropy": 0.1, "categorical_crossentropy": 0.1, "focal": 0.1}
"""Rates at which descent on the generator's data stays tame; 0.03 for the others."""

LAWS: dict[str, Callable[[float], Any]] = {
    "constant": lambda rate: rate,
    "exponential": lambda rate: ExponentialDecay(rate, 0.7, 4),
    "exponential stairs": lambda rate: ExponentialDecay(rate, 0.7, 3, staircase=True),
    "inverse time": lambda rate: InverseTimeDecay(rate, 0.5, 4),
    "inverse time stairs": lambda rate: InverseTimeDecay(rate, 0.5, 3, staircase=True),
    "root": lambda rate: SqrtDecay(rate, 1.5, 5),
    "polynomial": lambda rate: PolynomialDecay(rate, 0.1 * rate, 15, 2.0),
    "cosine": lambda rate: CosineDecay(rate, 18, 4, 0.1 * rate),
    "restarts": lambda rate: CosineRestarts(rate, 3, 2.0, 0.1 * rate),
    "one cycle": lambda rate: OneCycle(rate, 18, 0.3, 5.0, 10.0),
    "pieces": lambda rate: PiecewiseConstant((rate, 0.5 * rate, 0.1 * rate), (5, 12)),
}

RULES: dict[str, Callable[..., Optimizer]] = {
    "sgd": lambda law, **clips: SGD(law(1.0), **clips),
    "momentum": lambda law, **clips: SGD(law(1.0), momentum=0.9, **clips),
    "nesterov": lambda law, **clips: SGD(law(1.0), momentum=0.8, nesterov=True, **clips),
    "rmsprop": lambda law, **clips: RMSprop(law(0.005), 0.9, **clips),
    "rmsprop momentum": lambda law, **clips: RMSprop(law(0.002), 0.95, momentum=0.8, **clips),
    "rmsprop centered": lambda law, **clips: RMSprop(law(0.005), centered=True, **clips),
    "rmsprop both": lambda law, **clips: RMSprop(law(0.002), momentum=0.5, centered=True, **clips),
    "adam": lambda law, **clips: Adam(law(0.01), 0.8, 0.99, **clips),
    "amsgrad": lambda law, **clips: Adam(law(0.01), 0.9, 0.9, amsgrad=True, **clips),
    "adamw": lambda law, **clips: AdamW(law(0.01), 0.1, **clips),
    "adamw amsgrad": lambda law, **clips: AdamW(law(0.01), 0.2, 0.9, 0.9, amsgrad=True, **clips),
    "nadam": lambda law, **clips: Nadam(law(0.01), momentum_decay=0.1, **clips),
    "adagrad": lambda law, **clips: Adagrad(law(0.05), **clips),
    "adagrad initial": lambda law, **clips: Adagrad(law(0.05), initial_accumulator_value=0.1, **clips),
    "adadelta": lambda law, **clips: Adadelta(law(1.0), 0.9, **clips),
}
"""SGD's rates are multiplied by the loss's; the others' steps don't depend on the gradient's size."""


def random_case(seed: int, redraw: int = 0) -> Case:
    """Network number `seed`; `redraw` counts others with its loss, its kind of optimiser and its law.

    The three numbers of kinds have no common factor, so that any pair of kinds meets.
    """
    rng = np.random.default_rng([seed, redraw, 1])
    loss = LOSSES[seed % len(LOSSES)]
    layers: list[Layer] = []
    features = int(rng.integers(1, 9))
    for _ in range(int(rng.integers(0, 4))):
        layers += _block(rng)
    layers.append(_output(rng, loss))
    data = np.random.default_rng([seed, redraw, 2])
    rows = int(data.integers(8, 41))
    batch_size, accumulate = int(data.integers(3, 14)), int(data.choice([1, 1, 2, 3]))
    if any(isinstance(x, BatchNormalization) for x in layers):  # of fewer rows little is left to differentiate
        batch_size += 2
        rows -= rows % batch_size if rows % batch_size < 4 and rows > batch_size else 0
    drop_last = bool(data.random() < 0.2) and rows >= batch_size * accumulate
    weights = data.choice([0.0, 0.5, 1.0, 2.5], rows) if data.random() < 0.4 else None
    if weights is not None:
        weights[0] = 1.0
    case = Case(
        tuple(layers), _with_constants(rng, losses.get(loss)).name, _optimizer(rng, seed, RATES.get(loss, 0.03)),
        data.standard_normal((rows, features)), None, weights, batch_size, accumulate, drop_last,
        bool(rng.random() < 0.8), seed,
    )  # fmt: skip
    return replace(case, y=targets(data, loss, rows, layers[-1].units))


_CONSTANTS: dict[str, Callable[[np.random.Generator], tuple[float, ...]]] = {
    "leaky_relu": lambda rng: (float(rng.uniform(0.05, 0.5)),),
    "elu": lambda rng: (float(rng.uniform(0.3, 2.0)),),
    "celu": lambda rng: (float(rng.uniform(0.3, 2.0)),),
    "huber": lambda rng: (float(rng.uniform(0.3, 2.0)),),
    "quantile": lambda rng: (float(rng.uniform(0.1, 0.9)),),
    "categorical_crossentropy": lambda rng: (float(rng.uniform(0.05, 0.5)),),
    "sparse_categorical_crossentropy": lambda rng: (float(rng.uniform(0.05, 0.5)),),
    "focal": lambda rng: (float(rng.choice([0.0, 0.5, 1.0, 3.0])), float(rng.uniform(0.2, 0.8))),
}


def _with_constants(rng: np.random.Generator, row: Any) -> Any:
    """Half of the time with constants of its own, where it takes any."""
    own = row.name in _CONSTANTS and rng.random() < 0.5
    return row.with_constants(*_CONSTANTS[row.name](rng)) if own else row


def _activation(rng: np.random.Generator, allowed: Any = ACTIVATIONS) -> Any:
    return _with_constants(rng, activations.get(str(rng.choice(list(allowed)))))


def _block(rng: np.random.Generator) -> list[Layer]:
    """A hidden layer, with or without normalisation between the map and the activation, and what may follow it."""
    units, activation = int(rng.integers(3, 13)), _activation(rng)
    kernel = str(rng.choice([n for n in initializers.names() if n not in ("zeros", "ones", "random_uniform")]))
    bias = "random_uniform" if rng.random() < 0.5 else "zeros"
    settings = {"kernel_regularizer": _penalty(rng), "kernel_constraint": _constraint(rng)}
    kind = rng.choice(["plain", "batch", "layer", "prelu"], p=[0.5, 0.2, 0.15, 0.15])
    noise: list[Layer] = []
    if rng.random() < 0.2:
        noise = [Dropout(0.3) if rng.random() < 0.5 else GaussianNoise(0.2)]
    if kind == "batch":  # a bias before it has no effect, and a gradient that is nothing but rounding
        return [Dense(units, None, False, kernel, **settings), BatchNormalization(), Activation(activation), *noise]
    first = Dense(units, None, bool(rng.random() < 0.8), kernel, bias, **settings)
    if kind == "layer":
        return [first, LayerNormalization(), Activation(activation), *noise]
    if kind == "prelu":
        return [first, PReLU(float(rng.choice([0.25, 0.1]))), *noise]
    return [replace(first, activation=activation), *noise]


def _penalty(rng: np.random.Generator) -> Any:
    strength = float(rng.uniform(0.001, 0.05))
    kinds = (L2(2.0 * strength), L1(strength), L1L2(strength, 2.0 * strength))
    return kinds[int(rng.integers(3))] if rng.random() < 0.4 else None


def _constraint(rng: np.random.Generator) -> MaxNorm | None:
    return MaxNorm(float(rng.uniform(0.5, 1.5))) if rng.random() < 0.25 else None


def _output(rng: np.random.Generator, loss: str) -> Dense:
    """A last layer that gives what the loss can take."""
    units = int(rng.integers(1, 6))
    if loss in ("categorical_crossentropy", "sparse_categorical_crossentropy", "kl_divergence"):
        units += 1
    smooth = [None, *(n for n in ACTIVATIONS if "softmax" not in n)]
    allowed = OUTPUTS.get(loss, smooth)
    name = allowed[int(rng.integers(len(allowed)))]
    activation = None if name is None else _with_constants(rng, activations.get(name))
    settings = {"kernel_regularizer": _penalty(rng), "kernel_constraint": _constraint(rng)}
    return Dense(units, activation, bool(rng.random() < 0.8), **settings)


def _optimizer(rng: np.random.Generator, seed: int, rate: float) -> Optimizer:
    rule = list(RULES)[seed % len(RULES)]
    law = list(LAWS.values())[seed % len(LAWS)]
    clips: dict[str, float] = {}
    if rng.random() < 0.25:
        clips["clipnorm"] = float(rng.uniform(0.05, 1.0))
    if rng.random() < 0.25:
        clips["clipvalue"] = float(rng.uniform(0.02, 0.2))
    size = rate if rule in ("sgd", "momentum", "nesterov") else 1.0
    return RULES[rule](lambda r: law(r * size), **clips)
