"""Small trainings that pictures look into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepmath.callbacks import Callback
from deepmath.layers import Dense
from deepmath.model import Sequential
from deepmath.study.watched import LayerOutputs
from deepmath.training.callbacks import Run

SETTINGS: dict[str, Any] = {"verbose": 0, "precision": "float64"}


class Watch(Callback):
    """Calls `look(epoch)` with the values of the run put into a model, before training and after these epochs."""

    def __init__(self, model: Sequential, epochs: Sequence[int], look: Callable[[int, Sequential], None]) -> None:
        self._twin, self._epochs, self._look = Sequential(model.layers), frozenset(epochs), look

    def on_train_begin(self, run: Run) -> None:
        self._seen(run)

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:  # noqa: ARG002 - the loop gives the epoch's results
        self._seen(run)

    def _seen(self, run: Run) -> None:
        if run.epoch in self._epochs:
            state = run.program.state()
            self._twin.set_weights([v for n, v in state.items() if n.startswith(("params.", "state."))])
            self._look(run.epoch, self._twin)


def chain(
    widths: Sequence[int], activation: str = "relu", last: str = "sigmoid", seed: int = 0, **dense: Any
) -> Sequential:
    """Dense layers of these widths, from the inputs to the outputs."""
    model = Sequential(seed=seed)
    for i, units in enumerate(widths[1:]):
        kind = last if i == len(widths) - 2 else activation
        model.add(Dense(units, kind, input_dim=widths[0] if i == 0 else None, **dense))
    return model


def outputs(model: Sequential, X: Any) -> list[Any]:
    """The outputs of each layer for rows X [rows, features], by the reference formulas in float64."""
    return LayerOutputs(model.layers, np.shape(X)[1:], model.values).of(X)
