"""What the page shows of the predictions at an epoch: regions in the plane, a confusion matrix, or numbers."""

from __future__ import annotations

import abc
import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.metrics import ConfusionMatrix

GRID = 72
"""Points of the grid along each axis of the plane."""

POINTS = 400
"""The most points or rows that are drawn one by one."""

LEVELS = 15
"""How finely a margin is told, from 0 to 1."""

Predict = Callable[[Any], Any]


class View(abc.ABC):
    """Predictions of chosen rows, made small enough for a page. `X` are the rows [rows, features], in the data's units.

    `kind` names the script's function that draws it.
    """

    kind: str
    X: Any

    @abc.abstractmethod
    def fixed(self) -> dict[str, Any]:
        """What is the same at every epoch, as JSON."""

    @abc.abstractmethod
    def frame(self, predict: Predict) -> tuple[Any, str]:
        """One epoch as JSON, and in words."""


@dataclass(frozen=True)
class ClassView(View):
    """The confusion matrix on rows X [rows, features] with labels y [rows], whole numbers from 0."""

    X: Any
    y: Any
    names: Sequence[str]
    kind = "confusion"

    def fixed(self) -> dict[str, Any]:
        return {"names": list(self.names)}

    def frame(self, predict: Predict) -> tuple[Any, str]:
        p = predict(self.X)
        matrix = ConfusionMatrix().of(p, self.y)
        return matrix.astype(int).tolist(), _right(p, self.y)


@dataclass(frozen=True)
class PlaneView(View):
    """Regions of the classes in the plane, round points X [rows, 2] with labels y [rows]; at most 16 classes."""

    X: Any
    y: Any
    names: Sequence[str]
    axes: Sequence[str] = ("x1", "x2")
    kind = "plane"

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """What is shown of each axis: a little more than the points reach."""
        found = []
        for values in np.asarray(self.X, np.float64).T:
            low, high = float(values.min()), float(values.max())
            pad = 0.08 * (high - low) or 1.0
            found.append((low - pad, high + pad))
        return found

    def fixed(self) -> dict[str, Any]:
        some = slice(None, POINTS)
        points = np.round(np.asarray(self.X, np.float64)[some], 5).tolist()
        labels = np.asarray(self.y)[some].astype(int).tolist()
        return {
            "names": list(self.names), "axes": list(self.axes), "ranges": self.ranges, "grid": GRID, "points": points,
            "labels": labels, "levels": LEVELS,
        }  # fmt: skip

    def frame(self, predict: Predict) -> tuple[Any, str]:
        """A byte for each point of the grid, from the lowest row: the class in the high half, its margin in the low."""
        ticks = [low + (high - low) * (np.arange(GRID) + 0.5) / GRID for low, high in self.ranges]
        grid = np.stack(np.meshgrid(*ticks), axis=-1).reshape(-1, 2)
        shares = _shares(predict(grid))
        ordered = np.sort(shares, axis=1)
        margin = np.clip(ordered[:, -1] - ordered[:, -2], 0.0, 1.0)
        cells = (shares.argmax(axis=1) << 4) | np.round(margin * LEVELS).astype(np.int64)
        return base64.b64encode(cells.astype(np.uint8).tobytes()).decode(), _right(predict(self.X), self.y)


@dataclass(frozen=True)
class NumberView(View):
    """Predicted against true numbers for rows X [rows, features], y [rows]; the target is y * size + origin."""

    X: Any
    y: Any
    size: float = 1.0
    origin: float = 0.0
    kind = "numbers"

    def fixed(self) -> dict[str, Any]:
        return {"true": _short(np.asarray(self.y, np.float64)[:POINTS] * self.size + self.origin)}

    def frame(self, predict: Predict) -> tuple[Any, str]:
        p = np.asarray(predict(self.X), np.float64).reshape(len(self.X), -1)[:, 0]
        error = float(np.sqrt(np.mean((p - np.asarray(self.y)) ** 2))) * self.size
        return _short(p[:POINTS] * self.size + self.origin), f"root mean square error {error:.4g}"


def _shares(p: Any) -> Any:
    """A share for each class [rows, classes]; one output is the share of class 1."""
    p = np.nan_to_num(np.asarray(p, np.float64).reshape(len(p), -1))
    return np.concatenate([1.0 - p, p], axis=1) if p.shape[1] == 1 else p


def _right(p: Any, y: Any) -> str:
    share = float(np.mean(_said(p) == np.asarray(y).ravel()))
    return f"{100 * share:.1f} % of {len(p):,} rows right"


def _said(p: Any) -> Any:
    """The predicted classes; a share of exactly 0.5 counts as class 0, as in the accuracy."""
    p = np.asarray(p, np.float64).reshape(len(p), -1)
    return (p[:, 0] > 0.5).astype(int) if p.shape[1] == 1 else p.argmax(axis=1)


def _short(values: Any) -> list[float]:
    return [float(f"{v:.5g}") for v in np.asarray(values).ravel()]
