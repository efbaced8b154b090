"""Losses by name. Each is one number for each row; a model minimises its (weighted) mean.

>>> from deepmath import losses
>>> losses.get("mse").name
'mse'
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepmath.derivative import pullback as derive
from deepmath.descriptions import Table
from deepmath.formulas import losses as formulas
from deepmath.trace import Formula

__all__ = ["Loss", "get", "names", "register"]


@dataclass(frozen=True)
class Loss:
    """value(xp, p, d): predictions and targets [batch, units] -> [batch, 1]; slope(xp, p, d): its derivative by p.

    Without a slope the derivative is taken on the formula's graph. `targets` says what d is: "values" (any
    finite numbers), "shares" (numbers from 0 to 1), or "labels" (whole numbers, turned into one-hot rows).
    `logits` names an output activation, and the same loss written in terms of the scores in front of it,
    which is stable where the activation saturates: (name, value, slope).
    """

    name: str
    value: Formula
    slope: Formula | None = None
    targets: str = "values"
    logits: tuple[str, Formula, Formula] | None = None

    def on_scores(self, activation: str | None) -> Loss | None:
        """This loss of the scores in front of the output activation, if it is written for that activation."""
        if self.logits is None or self.logits[0] != activation:
            return None
        return Loss(self.name, self.logits[1], self.logits[2], self.targets)

    def backward(self) -> Formula:
        """The formula (xp, p, d, weight) -> dp of weight times the value; weight is [batch, 1]."""
        if self.slope is not None:
            slope = self.slope
            return lambda xp, p, d, weight: slope(xp, p, d) * weight
        return derive(self.value, ["element", "element"])


def _wrap(function: Callable[..., Any]) -> Loss:
    return Loss(getattr(function, "__name__", "custom"), function)


_TABLE = Table("loss", Loss, _wrap)
register, get, names = _TABLE.add, _TABLE.get, _TABLE.names

_BINARY = ("sigmoid", formulas.binary_crossentropy_logits, formulas.binary_crossentropy_logits_slope)
_CLASSES = ("softmax", formulas.categorical_crossentropy_logits, formulas.categorical_crossentropy_logits_slope)
_CATEGORICAL = formulas.categorical_crossentropy, formulas.categorical_crossentropy_slope

register(Loss("mse", formulas.mse, formulas.mse_slope))
register(Loss("sse", formulas.sse, formulas.sse_slope))
register(
    Loss("binary_crossentropy", formulas.binary_crossentropy, formulas.binary_crossentropy_slope, "shares", _BINARY)
)
register(Loss("categorical_crossentropy", *_CATEGORICAL, "shares", _CLASSES))
register(Loss("sparse_categorical_crossentropy", *_CATEGORICAL, "labels", _CLASSES))
_TABLE.add(get("mse"), "mean_squared_error")
