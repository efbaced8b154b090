"""Networks that are well and networks that are ill, for the tests of the training doctor.

Each is trained on one of two sets of data: `TUNED`, on which thresholds were fixed, and `UNSEEN`, which nobody
tuned on: moons against circles, spirals against handwritten digits, a made function against house prices.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepmath import Activation, BatchNormalization, Dense, Dropout, LayerNormalization, Sequential, datasets, diagnose
from deepmath.initializers import Constant, RandomNormal
from deepmath.optimizers import SGD, Adam
from deepmath.study import Diagnosis

TUNED, UNSEEN = "tuned", "unseen"
TRAIN, HELD = 300, 200
Rows = tuple[Any, Any]
DIGITS = 4


def two(which: str, seed: int, noise: float = 0.1) -> Rows:
    """Two classes in the plane."""
    if which == TUNED:
        return datasets.moons(TRAIN + HELD, noise=noise, seed=seed)
    return datasets.circles(TRAIN + HELD, noise=noise, factor=0.3, seed=seed)


def noisy(which: str, seed: int) -> Rows:
    """Two classes that overlap."""
    return two(which, seed, noise=0.35)


def several(which: str, seed: int) -> Rows:
    """Three spirals, or four digits."""
    if which == TUNED:
        return datasets.spirals(TRAIN + HELD, noise=0.05, turns=0.3, classes=3, seed=seed)
    X, y = _digits()
    rows = np.random.default_rng(seed).permutation(len(y))[: TRAIN + HELD]
    return X[rows], y[rows]


@functools.cache
def _digits() -> Rows:
    """Handwritten digits from 0 to 3, their inks from 0 to 1."""
    X, y = datasets.digits()
    return X[y < DIGITS] / 16.0, y[y < DIGITS]


def numbers(which: str, seed: int, noise: float = 0.1) -> Rows:
    """A number to predict, standardised."""
    if which == TUNED:
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((TRAIN + HELD, 3))
        y = np.sin(X[:, 0]) + 0.5 * X[:, 1] * np.tanh(X[:, 2]) + noise * rng.standard_normal(len(X))
    else:
        X, y = datasets.houses(TRAIN + HELD, noise=noise, seed=seed)
    return (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()


def noisy_numbers(which: str, seed: int) -> Rows:
    """The same under noise."""
    return numbers(which, seed, noise=0.4)


def out_of_scale(which: str, seed: int) -> Rows:
    """One column a thousand times the other."""
    X, y = two(which, seed)
    return X * [1.0, 1000.0], y


def rare(which: str, seed: int) -> Rows:
    """One class has 5 % of the rows."""
    X, y = two(which, seed)
    few = np.flatnonzero(y == 1)[: round(0.05 * np.sum(y == 0))]
    rows = np.random.default_rng(seed).permutation(np.concatenate([np.flatnonzero(y == 0), few]))
    return X[rows], y[rows]


def mislabelled(which: str, seed: int) -> Rows:
    """8 % of the labels are wrong."""
    X, y = two(which, seed)
    wrong = np.random.default_rng(seed).random(len(y)) < 0.08
    return X, np.where(wrong, 1 - y, y)


def few_in_many(which: str, seed: int) -> Rows:
    """60 rows that train, whose twenty further columns say nothing."""
    X, y = noisy(which, seed)
    X = np.hstack([X, np.random.default_rng(seed).standard_normal((len(X), 20))])
    return X[: 60 + HELD], y[: 60 + HELD]


@dataclass(frozen=True)
class Case:
    """A network on data: what must be found in it (nothing, if it is well), its layers, and how it trains."""

    name: str
    data: Callable[[str, int], Rows]
    hidden: list[Any]
    ill: str = ""
    optimizer: Any = field(default_factory=lambda: Adam(0.01))
    epochs: int = 25
    last: dict[str, Any] = field(default_factory=dict)


def relu(units: int, **settings: Any) -> Dense:
    return Dense(units, "relu", **{"kernel_initializer": "he_normal", **settings})


def blocks(units: int, count: int) -> list[Any]:
    return [layer for _ in range(count) for layer in (Dense(units), BatchNormalization(), Activation("relu"))]


WELL = [
    Case("small relu", two, [relu(16), relu(16)]),
    Case("one tanh layer", two, [Dense(12, "tanh")], optimizer=Adam(0.03), epochs=40),
    Case("wide relu", several, [relu(256)], optimizer=Adam(0.005)),
    Case("deep relu", two, [relu(24) for _ in range(10)], optimizer=Adam(0.003)),
    Case("deep tanh", several, [Dense(24, "tanh") for _ in range(8)], optimizer=Adam(0.003)),
    Case("deep batch norm", two, blocks(16, 6)),
    Case("layer norm, gelu", several, [Dense(24), LayerNormalization(), Activation("gelu"), Dense(24, "gelu")]),
    Case("dropout", two, [relu(32), Dropout(0.2), relu(32), Dropout(0.2)]),
    Case("noisy classes", noisy, [relu(8)]),
    Case("sigmoid, momentum", several, [Dense(24, "sigmoid")], optimizer=SGD(0.3, momentum=0.9), epochs=40),
    Case("numbers", numbers, [relu(32), relu(16)], epochs=40),
    Case("noisy numbers", noisy_numbers, [Dense(8, "tanh")]),
]

EQUAL = {"kernel_initializer": Constant(0.3)}
ILL = [
    Case("loud last layer", several, [relu(32)], "initial_loss", last={"kernel_initializer": RandomNormal(0.0, 8.0)}),
    Case("dead relu", two, [relu(16, bias_initializer=Constant(-5.0)), relu(16)], "dead_relu"),
    Case("saturated tanh", two, [Dense(16, "tanh", kernel_initializer=RandomNormal(0.0, 8.0))] * 2, "saturated"),
    Case("deep sigmoid", two, [Dense(16, "sigmoid") for _ in range(8)], "vanishing_gradient", epochs=10),
    Case(
        "loud deep relu",
        several,
        [relu(24, kernel_initializer=RandomNormal(0.0, 0.8)) for _ in range(9)],
        "exploding_gradient",
        epochs=10,
    ),
    Case("slow", two, [relu(16), relu(16)], "rate_too_small", optimizer=Adam(2e-5)),
    Case("fast", several, [Dense(16, "tanh"), Dense(16, "tanh")], "rate_too_large", optimizer=Adam(1.5)),
    Case(
        "all weights equal", two, [Dense(16, "tanh", kernel_initializer=Constant(0.3))], "symmetric_weights", last=EQUAL
    ),
    Case("inputs out of scale", out_of_scale, [relu(16)], "unscaled_inputs"),
    Case("a rare class", rare, [relu(16)], "class_imbalance"),
    Case("wrong labels", mislabelled, [relu(8)], "suspect_labels"),
    Case("a straight line", two, [], "high_bias"),
    Case("learned by heart", few_in_many, [relu(64), relu(64)], "high_variance", epochs=60),
    Case("trained for too long", few_in_many, [relu(64)], "early_stopping", epochs=150),
]


def treated(case: Case, which: str, seed: int, **settings: Any) -> Diagnosis:
    """The doctor's verdict on a case after its training."""
    X, y = case.data(which, seed)
    kept = len(X) - HELD
    model = network(case, y, seed)
    batch = 32
    backend = settings.pop("backend", "numpy")
    held = X[kept:], y[kept:]
    history = model.fit(
        X[:kept], y[:kept], epochs=case.epochs, batch_size=batch, validation_data=held, verbose=0, backend=backend
    )
    return diagnose(
        model, X[:kept], y[:kept], validation_data=held, history=history, batch_size=batch, backend=backend, **settings
    )


def network(case: Case, y: Any, seed: int) -> Sequential:
    """The case's network, compiled for targets like these."""
    whole = y.dtype.kind in "iu"
    classes = int(np.max(y)) + 1 if whole else 0
    kinds = {0: (1, None, "mse"), 2: (1, "sigmoid", "binary_crossentropy")}
    units, activation, loss = kinds.get(classes, (classes, "softmax", "sparse_categorical_crossentropy"))
    model = Sequential([*case.hidden, Dense(units, activation, **case.last)], seed=seed)
    model.compile(case.optimizer, loss)
    return model
