"""Targets checked before the first step: whether the metrics of a model can be measured on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from deepmath.errors import LabelError
from deepmath.metrics.measure import Measure
from deepmath.metrics.rows import Metric

SUM_OFF = 1e-3
"""How far from 1 the shares of a row's classes may add up."""


def _no_share(d: Any) -> Any:
    return ((d < 0) | (d > 1)).any(axis=1)


def _no_answer(d: Any) -> Any:
    return ((d != 0) & (d != 1)).any(axis=1)


_WRONG: dict[str, Callable[[Any], Any]] = {
    "shares": _no_share,
    "answers": _no_answer,
    "classes": lambda d: _no_answer(d) | (d.sum(axis=1) != 1),
    "shares of classes": lambda d: _no_share(d) | (np.abs(d.sum(axis=1, dtype=np.float64) - 1.0) > SUM_OFF),
}
"""For each kind of targets, which rows of d [rows, outputs] are not of it: booleans [rows]."""


def check_targets(
    measures: Iterable[Measure], loss: str, targets: Any, row: Callable[[int], Any] = int, weights: Any = None
) -> None:
    """Raise LabelError unless the measures of a model can be measured on these targets, numbers [rows, outputs].

    `loss` says which targets the loss takes, as `Loss.targets`: where it takes shares, those serve accuracies too.
    `row` is what messages call a row; rows whose weight is 0 don't matter.
    """
    asked: dict[str, Measure] = {}
    for measure in measures:
        asked.setdefault(_kind(measure, loss == "shares", targets.shape[1]), measure)
    asked.pop("values", None)
    for kind, measure in asked.items():
        wrong = _WRONG[kind](targets)
        if weights is not None:
            wrong &= weights > 0.0
        if wrong.any():
            first = int(np.argmax(wrong))
            raise LabelError(_message(measure, kind, targets[first], row(first)))


def _kind(measure: Measure, shares: bool, outputs: int) -> str:
    """Which of the kinds of targets a measure needs; `shares` says whether the loss takes shares."""
    kind = measure.targets
    soft = shares and isinstance(measure, Metric)  # scores count whole rows
    if kind == "classes" and outputs > 1:
        return "shares of classes" if soft else kind
    if kind in ("classes", "answers"):
        return "shares" if soft else "answers"
    return kind


def _message(measure: Measure, kind: str, target: Any, row: Any) -> str:
    who = f"metric '{measure.name}'"
    odd = target[_no_share(target[:, None]) if "shares" in kind else _no_answer(target[:, None])]
    if len(odd):
        what = "no share of a class, 0 to 1" if "shares" in kind else "no class"
        return (
            f"{who} is for classes; target {odd[0]:g} at row {row} is {what}. For numbers use metric 'mae' or 'r2'; "
            "encode two classes as 0 and 1, several as one-hot rows."
        )
    cure = "" if isinstance(measure, Metric) else ", or give the metric yes_above=0.5"
    return (
        f"{who} needs one class for each row; the targets of row {row} are {target.tolist()}. "
        f"For several labels a row use loss='binary_crossentropy' with metric 'accuracy'{cure}."
    )
