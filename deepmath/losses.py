"""Losses by name. Each is one number for each row; a model minimises its (weighted) mean.

>>> from deepmath import losses
>>> losses.get("mse").name
'mse'
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from deepmath.derivative import pullback as derive
from deepmath.descriptions import Parametrized, Table
from deepmath.formulas import losses as formulas
from deepmath.formulas import margins, regression
from deepmath.own_functions import ELEMENTS, ROWS, check_function
from deepmath.trace import Formula

__all__ = ["Loss", "get", "names", "register"]


@dataclass(frozen=True)
class Loss(Parametrized):
    """value(xp, p, d, *constants): predictions and targets [batch, units] -> [batch, 1]; `slope` its derivative by p.

    Without a slope the derivative is taken on the formula's graph. `targets` says what d is: "values" (any
    finite numbers), "counts" (numbers >= 0), "shares" (numbers from 0 to 1), "signs" (0 or -1 for no, 1 for yes;
    formulas get 0 and 1), or "labels" (whole numbers, turned into one-hot rows). `logits` names an output
    activation, and the same loss written in terms of the scores in front of it, which is stable where the
    activation saturates: (name, value, slope). A batch's loss is the mean over its rows, or where `summed` the sum.

    Where each output answers a question of its own, `yes_above` is the prediction above which it says yes: 0.5 for
    chances, 0 for margins. It is None where outputs are judged together, as classes that exclude one another.
    """

    name: str
    value: Formula = field(repr=False)
    slope: Formula | None = field(default=None, repr=False)
    targets: str = "values"
    logits: tuple[str, Formula, Formula] | None = field(default=None, repr=False)
    constants: tuple[float, ...] = field(default=(), repr=False)
    limits: tuple[tuple[str, float, float], ...] = field(default=(), repr=False)
    summed: bool = False
    yes_above: float | None = None

    def check(self, units: int | None = None) -> None:
        """Call the formulas once: ConfigError for results of a wrong shape, TraceError for one without a derivative.

        `units` is the number of outputs, which only what can't be traced needs to be known.
        """
        _check(self, units)

    def on_scores(self, activation: str | None) -> Loss | None:
        """This loss of the scores in front of the output activation, if it is written for that activation."""
        if self.logits is None or self.logits[0] != activation:
            return None
        return replace(self, value=self.logits[1], slope=self.logits[2], logits=None)

    def backward(self) -> Formula:
        """The formula (xp, p, d, weight, *constants) -> dp of weight times the value; weight is [batch, 1]."""
        if self.slope is not None:
            slope = self.slope
            return lambda xp, p, d, weight, *constants: slope(xp, p, d, *constants) * weight
        derived = derive(self.value, ["element", "element", *["scalar"] * len(self.constants)])
        return lambda xp, p, d, weight, *constants: derived(xp, p, d, *constants, weight)


@functools.lru_cache(maxsize=256)
def _check(loss: Loss, units: int | None) -> None:
    who = f"loss '{loss.name}'"
    values, slopes = [(who, loss.value)], [(f"the slope of {who}", loss.slope)]
    if loss.logits is not None:
        values.append((f"{who} of scores", loss.logits[1]))
        slopes.append((f"the slope of {who} of scores", loss.logits[2]))
    settings: dict[str, Any] = {"constants": loss.constants, "units": units}
    for name, value in values:
        check_function(name, value, ("p", "d"), ROWS, derived=loss.slope is None, **settings)
    for name, slope in slopes:
        if slope is not None:
            check_function(name, slope, ("p", "d"), ELEMENTS, **settings)


def _wrap(function: Callable[..., Any]) -> Loss:
    return Loss(getattr(function, "__name__", "custom"), function)


_TABLE = Table("loss", Loss, _wrap)
register, get, names = _TABLE.add, _TABLE.get, _TABLE.names

_BINARY = ("sigmoid", formulas.binary_crossentropy_logits, formulas.binary_crossentropy_logits_slope)
_CLASSES = ("softmax", formulas.categorical_crossentropy_logits, formulas.categorical_crossentropy_logits_slope)
_CATEGORICAL = formulas.categorical_crossentropy, formulas.categorical_crossentropy_slope
_SMOOTHING = (("label_smoothing", 0.0, 1.0),)
_FOCAL = ("sigmoid", margins.focal_logits, margins.focal_logits_slope)
_FOCAL_LIMITS = (("gamma", 0.0, 100.0), ("alpha", 0.0, 1.0))


def _row(name: str, value: Formula, slope: Formula, targets: str = "values", logits: Any = None, **rest: Any) -> None:
    register(Loss(name, value, slope, targets, logits, **rest))


_row("mse", formulas.mse, formulas.mse_slope)
_row("sse", formulas.sse, formulas.sse_slope, summed=True)
_row("mae", regression.mae, regression.mae_slope)
_row("huber", regression.huber, regression.huber_slope, constants=(1.0,), limits=(("delta", 1e-12, 1e12),))
_row("log_cosh", regression.log_cosh, regression.log_cosh_slope)
_row("quantile", regression.quantile, regression.quantile_slope, constants=(0.5,), limits=(("q", 0.0, 1.0),))
_row("poisson", regression.poisson, regression.poisson_slope, "counts")
_CHANCES = formulas.binary_crossentropy, formulas.binary_crossentropy_slope
_row("binary_crossentropy", *_CHANCES, "shares", _BINARY, yes_above=0.5)
_row("categorical_crossentropy", *_CATEGORICAL, "shares", _CLASSES, limits=_SMOOTHING)
_row("sparse_categorical_crossentropy", *_CATEGORICAL, "labels", _CLASSES, limits=_SMOOTHING)
_row("hinge", margins.hinge, margins.hinge_slope, "signs", yes_above=0.0)
_row("squared_hinge", margins.squared_hinge, margins.squared_hinge_slope, "signs", yes_above=0.0)
_row("kl_divergence", margins.kl_divergence, margins.kl_divergence_slope, "shares")
_FOCUS = {"constants": (2.0, 0.25), "limits": _FOCAL_LIMITS, "yes_above": 0.5}
_row("focal", margins.focal, margins.focal_slope, "shares", _FOCAL, **_FOCUS)
_TABLE.add(get("mse"), "mean_squared_error")
_TABLE.add(get("mae"), "mean_absolute_error")
