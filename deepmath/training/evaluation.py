"""A program measured on a data set: losses and row-wise metrics by its own loops, scores from its predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.metrics import Measure, Score, measured
from deepmath.program import Data, Program, Recipe


def evaluate(program: Program, recipe: Recipe, data: Data, metrics: Sequence[Measure]) -> dict[str, Any]:
    """Loss, cost and metrics by name, in prediction mode. Scores of predictions that are no numbers are NaN."""
    scores = [m for m in metrics if isinstance(m, Score)]
    with np.errstate(all="ignore"):  # an infinite loss is a result, not a warning
        named = dict(zip(recipe.columns, map(float, program.measure(data)), strict=True))
        del named["weight"], named["rows"]
        if not scores:
            return named
        p = to_numpy(program.predict(data.x))
    if not np.all(np.isfinite(p)):
        return named | {score.name: math.nan for score in scores}
    return named | measured(scores, [(p, to_numpy(data.targets), data.weights)])
