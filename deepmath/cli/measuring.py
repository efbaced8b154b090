"""How good a model is on some rows: in the classes' own names, or in the target's own unit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from deepmath.cli.data import DataSet
from deepmath.cli.screen import count, percent
from deepmath.model import Sequential
from deepmath.tables import NumberTarget


class Errors(NamedTuple):
    """Of predicted numbers, in the target's own unit: root of the mean squared error, mean error, and R2."""

    rmse: float
    mae: float
    r2: float


def errors(model: Sequential, data: DataSet, rows: Any, where: dict[str, Any]) -> Errors:
    """What a model of numbers misses on these rows."""
    squares = absolute = 0.0
    met: list[Any] = []
    for X, y in data.pieces(rows):
        true = np.asarray(data.target.decode(data.target.encode(y)), np.float64)
        missed = np.asarray(model.predict(X, **where), np.float64)[:, 0] - true
        squares += float(np.sum(missed**2))
        absolute += float(np.sum(np.abs(missed)))
        met.append(true)
    targets = np.concatenate(met)
    spread = float(np.sum((targets - targets.mean()) ** 2))
    n = len(targets)
    return Errors((squares / n) ** 0.5, absolute / n, 1.0 - squares / spread if spread else float("nan"))


def told(model: Sequential, data: DataSet, rows: Any, where: dict[str, Any]) -> str:
    """Accuracy and loss, or the error in the target's own unit, in one line."""
    if data.classes is not None:
        values = model.evaluate(*data.at(rows), **where)
        return f"accuracy {percent(values['accuracy'])} of {count(len(rows), 'row')}, loss {values['loss']:.4g}"
    found = errors(model, data, rows, where)
    return f"rmse {found.rmse:.4g} of {count(len(rows), 'row')}, mae {found.mae:.4g}, R2 {found.r2:.4f}"


def own_unit(target: Any) -> bool:
    """Whether a target of numbers is trained on in another unit than its own."""
    return isinstance(target, NumberTarget) and (target.origin, target.size) != (0.0, 1.0)
