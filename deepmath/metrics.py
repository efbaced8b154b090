"""Metrics by name: what is reported beside the loss, as a mean over rows.

>>> from deepmath import metrics
>>> metrics.get("mse").name
'mse'
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepmath.descriptions import Table
from deepmath.formulas import losses, metrics
from deepmath.trace import Formula

__all__ = ["Metric", "get", "names", "register"]


@dataclass(frozen=True)
class Metric:
    """value(xp, p, d, index): predictions, targets [batch, units] and the columns' numbers [1, units] -> [batch, 1]."""

    name: str
    value: Formula


def _wrap(function: Callable[..., Any]) -> Metric:
    return Metric(getattr(function, "__name__", "custom"), lambda xp, p, d, index: function(xp, p, d))


_TABLE = Table("metric", Metric, _wrap)
register, get, names = _TABLE.add, _TABLE.get, _TABLE.names

register(Metric("binary_accuracy", lambda xp, p, d, index: metrics.binary_accuracy(xp, p, d)))
register(Metric("categorical_accuracy", metrics.categorical_accuracy))
register(Metric("mse", lambda xp, p, d, index: losses.mse(xp, p, d)))


def resolve(given: Any, outputs: int, loss: str) -> Metric:
    """The metric for a name, an object or a callable (xp, p, d); "accuracy" means the one that fits the outputs."""
    if given in ("accuracy", "acc"):
        binary = outputs == 1 or loss == "binary_crossentropy"
        return Metric("accuracy", get("binary_accuracy" if binary else "categorical_accuracy").value)
    return get(given)
