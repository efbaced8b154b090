"""deepmath as a candidate: the public model on one of its backends. The worker loads this file.

The deepmath that it imports may be another checkout's, so it uses nothing but what every commit has.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import deepmath
from deepmath import Dense, Sequential
from deepmath.initializers import Draws
from deepmath.layers import GaussianNoise, Layer, PReLU
from deepmath.optimizers import Adam, Optimizer
from deepmath.preprocessing import Standardize

PARTS = ("GaussianNoise", "PReLU", "own layer", "own loss", "own optimiser")
"""What may be added to a network: a layer behind each hidden one (PReLU in the place of ReLU), a loss or a rule."""


@dataclass(frozen=True)
class Gain(Layer):
    """A layer of somebody's own: y = g x, with a gain for each feature that is learnt."""

    def init(self, shape: Any, draws: Draws | Any) -> tuple[Any, Any]:  # noqa: ARG002 - every layer's arguments
        """Gains of 1."""
        return {"gain": np.ones(shape[-1:])}, {}

    def apply(self, xp: Any, params: Any, state: Any, x: Any, bits: Any, training: bool) -> Any:  # noqa: ARG002
        """Forward, and what goes backward."""
        g = params["gain"]
        return g * x, lambda dy: (g * dy, {"gain": xp.sum(x * dy, axis=0)}), {}


def squares(xp: Any, p: Any, d: Any) -> Any:
    """A loss of somebody's own: the mean square."""
    return xp.mean((p - d) * (p - d), axis=-1, keepdims=True)


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """An optimiser of somebody's own: s = s + g^2; w - rate g / (sqrt(s) + 1e-7)."""

    learning_rate: float = 1e-2

    @property
    def slots(self) -> tuple[str, ...]:
        """Sums of squares."""
        return ("s",)

    def coefficients(self, step: int) -> tuple[float, ...]:
        """The rate."""
        return (self.rate(step),)

    def update(self, xp: Any, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        """The rule."""
        s, rate = rest
        s = s + g * g
        return w - rate * g / (xp.sqrt(s) + 1e-7), s


def layers(widths: Sequence[int], part: str = "") -> list[Layer]:
    """Dense layers with ReLU between, a sigmoid behind one output or softmax behind several, and the part."""
    added = {"GaussianNoise": GaussianNoise(0.1), "PReLU": PReLU(), "own layer": Gain()}.get(part)
    found: list[Layer] = []
    for place, units in enumerate(widths[1:-1]):
        activation = None if part == "PReLU" else "relu"
        found.append(Dense(units, activation=activation, input_dim=None if place else widths[0]))
        found += [added] if added is not None else []
    last = "sigmoid" if widths[-1] == 1 else "softmax"
    return [*found, Dense(widths[-1], activation=last, input_dim=None if found else widths[0])]


def optimizer(part: str, rate: float, given: Optimizer | None = None) -> Optimizer:
    """Adam or the one given, unless the part is an optimiser."""
    return AdaGrad(rate) if part == "own optimiser" else given or Adam(rate)


def loss(part: str, given: str) -> Any:
    """The loss given, unless the part is one."""
    return squares if part == "own loss" else given


def scaling(sample: Any) -> Any:
    """What standardises data like the sample; None without one."""
    return None if sample is None else Standardize().fit(sample)


def _tell_of_cores(count: int) -> None:
    """Make this process count so many cores, and so take no more threads; they may still run on any core."""
    os.cpu_count = lambda: count
    if hasattr(os, "sched_getaffinity"):
        os.sched_getaffinity = lambda _: set(range(count))


class Candidate:
    """`Sequential.fit` and `.predict`, as anybody calls them."""

    def __init__(self, task: Any) -> None:
        self.task, self.part = task, task.part
        if "cores" in task.options:
            _tell_of_cores(task.options["cores"])
        self.source = Path(deepmath.__file__).resolve().parent.parent
        wanted = task.options.get("source")
        if wanted is not None and self.source != Path(wanted).resolve():
            raise RuntimeError(f"it should be deepmath of {wanted}, and {self.source} was imported")
        self.where = {
            "backend": task.options["backend"],
            "device": task.options.get("device", task.device),
            "precision": task.precision,
        }
        self.model = Sequential(layers(task.widths, self.part), preprocessing=scaling(task.sample))
        self.call: Any = None

    def settings(self, kind: str) -> list[Any]:  # noqa: ARG002 - the worker asks by kind
        """deepmath chooses by itself."""
        return [None]

    def use(self, setting: Any) -> None:
        """There is nothing to set."""

    def load(self, weights: list[Any]) -> None:
        """These weights, and an optimiser that begins anew."""
        rule = optimizer(self.part, self.task.learning_rate)
        self.model.compile(rule, loss(self.part, self.task.loss), reset_optimizer=True)
        self.model.set_weights(weights)
        self.call = None

    def attach(self, X: Any, y: Any) -> None:
        """Train on these rows; `fit` takes them from the host each time."""
        self.X, self.y = X, y

    def train(self, epochs: int, shuffle: bool) -> list[float]:
        """One call of `fit`."""
        self.call = None
        history = self.model.fit(
            self.X, self.y, epochs=epochs, batch_size=self.task.batch, shuffle=shuffle, verbose=0, **self.where
        )
        return list(history.history["loss"])

    def pairs(self, count: int) -> tuple[list[float], Any]:
        """`train_on_batch` and `predict` of the same rows in turns: losses, and the last predictions."""
        losses, p = [], None
        for _ in range(count):
            losses.append(self.model.train_on_batch(self.X, self.y, **self.where)["loss"])
            p = self.model.predict(self.X, **self.where)
        return losses, np.asarray(p)

    def weights(self) -> list[Any]:
        """Kernel, bias, kernel, bias, ..."""
        return self.model.get_weights()

    def predict(self, X: Any) -> Any:
        """Probabilities on the host: of `predict`, or of the callable that `predictor` gives."""
        if not self.task.options.get("predictor"):
            return np.asarray(self.model.predict(X, **self.where))
        if self.call is None:
            made: Any = getattr(self.model, "predictor", None)
            if made is None:
                raise RuntimeError("this deepmath has no Sequential.predictor")
            self.call = made()
        return self.call(X)

    def about(self) -> dict[str, Any]:
        """Which program ran, and from where."""
        return {"plan": self.model.plan(**self.where).splitlines(), "source": str(self.source)}
