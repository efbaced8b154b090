"""Metrics that are a mean over rows. Their formulas can be fused into a training step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from deepmath.descriptions import check_number, described, set_field
from deepmath.errors import ConfigError, NumericError
from deepmath.formulas import metrics as formulas
from deepmath.metrics.exact import ExactSums, ratio
from deepmath.metrics.inputs import admit, rows_of_targets
from deepmath.metrics.measure import Accumulator, Measure
from deepmath.own_functions import ROWS, check_function
from deepmath.trace import Formula
from deepmath.typing import Namespace


@dataclass(frozen=True)
class Metric(Measure):
    """value(xp, p, d, index): predictions, targets [batch, units] and the columns' numbers [1, units] -> [batch, 1].

    `better`, "higher" or "lower", lets callbacks that compare results know which is better.

    >>> off = Metric("off", lambda xp, p, d, index: xp.max(xp.abs(p - d), axis=-1, keepdims=True), better="lower")
    >>> off.of([[1.0, 5.0], [2.0, 2.0]], [[1.0, 2.0], [1.0, 2.0]])
    2.0
    """

    name: str
    value: Formula
    better: str | None = field(default=None, kw_only=True)
    targets: str = field(default="values", kw_only=True)

    def __post_init__(self) -> None:
        if self.better not in (None, "higher", "lower"):
            raise ConfigError(f"Metric: better must be 'higher', 'lower' or None; got {self.better!r}")

    def begin(self) -> RowMean:
        """The weighted mean over rows, of values in float64."""
        return RowMean(self)

    def fitting(self, outputs: int, yes_above: float | None) -> Metric:
        return self


class RowMean(Accumulator):
    """Sum of weight times value (cell 0) and of weights (cell 1), exactly.

    >>> from deepmath import metrics
    >>> mean = metrics.get("mae").begin()
    >>> mean.update([1.0, 5.0], [0.0, 0.0])
    >>> mean.update([3.0], [0.0], [2.0])
    >>> mean.result()
    3.0
    """

    def __init__(self, measure: Metric) -> None:
        self.measure: Metric = measure
        self.sums = ExactSums()

    def update(self, p: Any, d: Any, weight: Any = None) -> None:
        name = self.measure.name
        batch = admit(name, p, d, weight, self.outputs)
        index = np.arange(batch.p.shape[1], dtype=np.float64)[None, :]
        if len(batch.p):
            with np.errstate(divide="ignore", invalid="ignore"):
                values = self.measure.value(np, batch.p, rows_of_targets(name, batch), index)
            column = np.broadcast_to(values, (len(batch.p), 1))[:, 0]
            bad = np.flatnonzero(~(column > -np.inf))
            if len(bad):
                raise NumericError(
                    f"{name} gave {column[bad[0]]} for prediction {batch.p[bad[0]].tolist()}; "
                    "choose a metric that fits such predictions"
                )
            self.sums.add(batch.weight * column, 0)
            self.sums.add(batch.weight, 1)
        self.outputs = batch.p.shape[1]

    def joined(self, other: RowMean) -> None:
        self.sums.merge(other.sums)

    def result(self) -> float:
        return float("inf") if self.sums.infinite else ratio(self.sums[0], self.sums[1])


@described
@dataclass(frozen=True)
class TopKAccuracy(Metric):
    """The share of rows whose class is among the k largest scores; of equal scores the first is first.

    `name` is "top_5_accuracy" for k = 5, if no other is given.

    >>> TopKAccuracy(2).of([[0.2, 0.5, 0.3], [0.2, 0.5, 0.3]], [2, 0])
    0.5
    """

    name: str = field(default="", kw_only=True)
    value: Formula = field(init=False, compare=False, repr=False)
    better: str | None = field(init=False, repr=False, default="higher")
    targets: str = field(init=False, repr=False, default="classes")
    k: int = 5

    def __post_init__(self) -> None:
        check_number("TopKAccuracy", "k", self.k, low=1, whole=True)
        set_field(self, "name", self.name or f"top_{self.k}_accuracy")
        set_field(self, "value", _in_top(float(self.k)))


@functools.cache  # the same formula for the same number, so that programs can be told apart
def _in_top(k: float) -> Formula:
    return functools.partial(_top_k_accuracy, k)


@described
@dataclass(frozen=True)
class BinaryAccuracy(Metric):
    """The share of the outputs that say yes, by being above `yes_above`, where they should.

    None takes what the model's loss says, and 0.5 without one.

    >>> BinaryAccuracy(0.0).of([0.2, -0.2, 0.2], [1, 1, 0])
    0.3333333333333333
    """

    name: str = field(default="binary_accuracy", kw_only=True)
    value: Formula = field(init=False, compare=False, repr=False)
    better: str | None = field(init=False, repr=False, default="higher")
    targets: str = field(init=False, repr=False, default="answers")
    yes_above: float | None = None

    def __post_init__(self) -> None:
        if self.yes_above is not None:
            check_number("BinaryAccuracy", "yes_above", self.yes_above)
        set_field(self, "value", _binary_accuracy(0.5 if self.yes_above is None else self.yes_above))

    def fitting(self, outputs: int, yes_above: float | None) -> Metric:
        return replace(self, yes_above=yes_above) if self.yes_above is None else self


@functools.cache
def _binary_accuracy(yes_above: float) -> Formula:
    return functools.partial(_yes_or_no, yes_above)


@dataclass(frozen=True)
class ByOutputs(Metric):
    """One metric for a single output, another for several. A model takes the one that `fitting` gives.

    >>> from deepmath import metrics
    >>> metrics.get("accuracy").of([0.9, 0.2], [1, 1]), metrics.get("accuracy").of([[0.4, 0.6]], [1])
    (0.5, 1.0)
    """

    name: str
    value: Formula = field(init=False, compare=False, repr=False)
    better: str | None = field(init=False, compare=False, repr=False)
    targets: str = field(init=False, compare=False, repr=False)
    one: Metric
    several: Metric

    def __post_init__(self) -> None:
        one, several = self.one.value, self.several.value
        set_field(self, "value", functools.partial(_by_outputs, one, several))
        set_field(self, "better", self.one.better)
        set_field(self, "targets", self.one.targets)

    def fitting(self, outputs: int, yes_above: float | None) -> Metric:
        """The metric for so many outputs; several that are questions of their own take that of one output."""
        chosen = self.one if outputs == 1 or yes_above is not None else self.several
        fitted = chosen.fitting(outputs, yes_above)
        return Metric(self.name, fitted.value, better=fitted.better, targets=fitted.targets)


def check(metric: Metric, outputs: int | None = None) -> None:
    """Call a metric's formula once: ConfigError unless it gives one number for each row, TraceError if it can't run.

    `outputs` of the model, which only what can't be traced needs to be known.
    """
    value, who = metric.value, f"metric '{metric.name}'"
    if isinstance(value, functools.partial) and value.func is _without_index:
        return check_function(who, value.args[0], ("p", "d"), ROWS, units=outputs)
    return check_function(who, value, ("p", "d", "index"), ROWS, units=outputs)


def of_rows(name: str, formula: Callable[..., Any], better: str | None = None, targets: str = "values") -> Metric:
    """A metric from a formula (xp, p, d) that needs no columns' numbers."""
    return Metric(name, functools.partial(_without_index, formula), better=better, targets=targets)


# Metrics hold formulas with their first arguments bound: unlike functions within functions, those go through a pickle.


def _top_k_accuracy(k: float, xp: Namespace, p: Any, d: Any, index: Any) -> Any:
    return formulas.top_k_accuracy(xp, p, d, index, k)


def _yes_or_no(yes_above: float, xp: Namespace, p: Any, d: Any, _index: Any) -> Any:
    return formulas.binary_accuracy(xp, p, d, yes_above)


def _by_outputs(one: Formula, several: Formula, xp: Namespace, p: Any, d: Any, index: Any) -> Any:
    return (one if p.shape[-1] == 1 else several)(xp, p, d, index)


def _without_index(formula: Callable[..., Any], xp: Namespace, p: Any, d: Any, _index: Any) -> Any:
    return formula(xp, p, d)
