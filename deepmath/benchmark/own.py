"""deepmath as a candidate: the public model on one of its backends. The worker loads this file."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath import Dense, Sequential
from deepmath.optimizers import Adam


class Candidate:
    """`Sequential.fit` and `.predict`, as anybody calls them."""

    def __init__(self, task: Any) -> None:
        self.task = task
        self.where = {
            "backend": task.options["backend"],
            "device": task.options.get("device", task.device),
            "precision": task.precision,
        }
        last = "sigmoid" if task.binary else "softmax"
        kinds = ["relu"] * (len(task.widths) - 2) + [last]
        layers = [Dense(units, activation=kind) for units, kind in zip(task.widths[1:], kinds, strict=True)]
        layers[0] = Dense(task.widths[1], activation=kinds[0], input_dim=task.widths[0])
        self.model = Sequential(layers)

    def settings(self, kind: str) -> list[Any]:  # noqa: ARG002 - the worker asks by kind
        """deepmath chooses by itself."""
        return [None]

    def use(self, setting: Any) -> None:
        """There is nothing to set."""

    def load(self, weights: list[Any]) -> None:
        """These weights, and an optimiser that begins anew."""
        self.model.compile(Adam(self.task.learning_rate), self.task.loss, reset_optimizer=True)
        self.model.set_weights(weights)

    def attach(self, X: Any, y: Any) -> None:
        """Train on these rows; `fit` takes them from the host each time."""
        self.X, self.y = X, y

    def train(self, epochs: int, shuffle: bool) -> list[float]:
        """One call of `fit`."""
        history = self.model.fit(
            self.X, self.y, epochs=epochs, batch_size=self.task.batch, shuffle=shuffle, verbose=0, **self.where
        )
        return list(history.history["loss"])

    def weights(self) -> list[Any]:
        """Kernel, bias, kernel, bias, ..."""
        return self.model.get_weights()

    def predict(self, X: Any) -> Any:
        """Probabilities on the host."""
        return np.asarray(self.model.predict(X, **self.where))

    def about(self) -> dict[str, Any]:
        """Which program ran."""
        return {"plan": self.model.plan(**self.where).splitlines()}
