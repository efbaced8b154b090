"""The area under the ROC curve: how well scores put rows of a class before the others."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from deepmath.descriptions import described, set_field
from deepmath.errors import ConfigError
from deepmath.metrics.classes import labelled
from deepmath.metrics.exact import ExactSums, ratio
from deepmath.metrics.inputs import admit, answers
from deepmath.metrics.measure import Accumulator, Score


@described
@dataclass(frozen=True)
class AUC(Score):
    """The chance that a row of the class has a larger score than a row that is not; equal scores count half.

    For one output the class is 1. For several it is the mean over the classes, each against the rest, of those that
    have rows on both sides; NaN if there is none. A row may have several labels. With `average` "each", or None, it is
    one result for each of them: "auc_label_0", "auc_label_1", ... Exact: no thresholds. Source: Hanley and McNeil
    (1982), equation 1.

    >>> AUC().of([0.9, 0.4, 0.4, 0.1], [1, 1, 0, 0])
    0.875
    """

    better = "higher"
    targets = "answers"
    average: str | None = "macro"
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if self.average not in ("macro", "each", None):
            raise ConfigError(f"AUC: average must be 'macro' or 'each'; got {self.average!r}")
        set_field(self, "average", self.average or "each")
        set_field(self, "name", self.name or ("auc" if self.average == "macro" else "auc_label"))

    def results(self, outputs: int) -> tuple[str, ...]:
        return labelled(self.name, outputs) if self.average == "each" else (self.name,)

    def begin(self) -> Ranked:
        return Ranked(self)


class Ranked(Accumulator):
    """All rows seen: scores and whether each is of the class [rows, outputs], weights [rows]; lists of batches."""

    def __init__(self, measure: AUC) -> None:
        self.measure: AUC = measure
        self.scores: list[Any] = []
        self.answers: list[Any] = []
        self.weights: list[Any] = []

    def update(self, p: Any, d: Any, weight: Any = None) -> None:
        name = self.measure.name
        batch = admit(name, p, d, weight, self.outputs)
        self.answers.append(answers(name, batch))
        self.scores.append(batch.p)
        self.weights.append(batch.weight)
        self.outputs = batch.p.shape[1]

    def joined(self, other: Ranked) -> None:
        self.scores += other.scores
        self.answers += other.answers
        self.weights += other.weights

    def result(self) -> Any:
        each = self.measure.average == "each"
        if not self.scores:
            return () if each else math.nan
        scores, true, weights = (np.concatenate(a) for a in (self.scores, self.answers, self.weights))
        areas = [_area(scores[:, c], true[:, c], weights) for c in range(scores.shape[1])]
        if each:
            return tuple(math.nan if a is None else float(a) for a in areas)
        known = [a for a in areas if a is not None]
        return ratio(sum(known, Fraction(0)), Fraction(len(known)))


def _area(score: Any, positive: Any, weight: Any) -> Fraction | None:
    """The area for scores [rows], exactly; None if all rows are on one side."""
    values, place = np.unique(score, return_inverse=True)
    counts = np.zeros((2, len(values)), np.int64)
    if np.all(weight == 1.0):
        np.add.at(counts, (positive.astype(np.int64), place), 1)
        twice_below = 2 * np.cumsum(counts[0]) - counts[0]
        # twice the pairs won, with a tie as half a pair: below 2^63 for 2^31 rows
        twice_won, pairs = int(np.sum(counts[1] * twice_below)), int(counts[0].sum()) * int(counts[1].sum())
        return Fraction(twice_won, 2 * pairs) if pairs else None
    sums = ExactSums()
    sums.add(weight, 2 * place + positive)
    below = won = of_class = 0  # weights times 2^1074; won also times 2
    for tie in range(len(values)):
        rest, own = sums.parts.get(2 * tie, 0), sums.parts.get(2 * tie + 1, 0)
        won += own * (2 * below + rest)
        below += rest
        of_class += own
    return Fraction(won, 2 * below * of_class) if below and of_class else None
