"""R2: how much of the targets' variance the predictions explain."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from deepmath.descriptions import described
from deepmath.metrics.exact import ExactSums, products, ratio
from deepmath.metrics.inputs import admit, rows_of_targets
from deepmath.metrics.measure import Accumulator, Score


@described
@dataclass(frozen=True)
class R2(Score):
    """1 - sum((p - d)^2) / sum((d - mean(d))^2), the mean over the outputs.

    1 for targets that are constant and met exactly, 0 for constant ones that are missed, NaN for fewer than two rows.

    >>> R2().of([1.0, 2.0, 4.0], [1.0, 2.0, 3.0])
    0.5
    """

    better = "higher"
    name: str = field(default="r2", kw_only=True)

    def begin(self) -> Residuals:
        return Residuals(self)


class Residuals(Accumulator):
    """Exact sums over the rows: of weights (cell 0); for output j of w d, w d^2, w (p - d)^2 (cells 3j + 1, 2, 3).

    Squares are summed with all their digits, so that targets far from zero lose none.
    """

    def __init__(self, measure: R2) -> None:
        self.measure: R2 = measure
        self.sums = ExactSums()
        self.rows = 0

    def update(self, p: Any, d: Any, weight: Any = None) -> None:
        name = self.measure.name
        batch = admit(name, p, d, weight, self.outputs)
        targets = rows_of_targets(name, batch)
        self.sums.add(batch.weight, 0)
        for j in range(batch.p.shape[1]):
            t, w = targets[:, j], batch.weight
            for cell, factors in ((1, (w, t)), (2, (w, t, t)), (3, (w, batch.p[:, j] - t, batch.p[:, j] - t))):
                for part in products(*factors):
                    self.sums.add(part, 3 * j + cell)
        self.outputs = batch.p.shape[1]
        self.rows += len(batch.p)

    def joined(self, other: Residuals) -> None:
        self.rows += other.rows
        self.sums.merge(other.sums)

    def result(self) -> float:
        if self.rows < 2 or self.outputs is None:
            return math.nan
        scores = [self._score(*(self.sums[3 * j + i] for i in (1, 2, 3))) for j in range(self.outputs)]
        return ratio(sum(scores, Fraction(0)), Fraction(self.outputs))

    def _score(self, total: Fraction, squares: Fraction, missed: Fraction) -> Fraction:
        spread = squares - total * total / self.sums[0]
        if spread <= 0:
            return Fraction(int(missed == 0))
        return 1 - missed / spread
