"""A program measured on a data set: losses and row-wise metrics by its own loops, scores from its predictions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from deepmath.arrays import namespace_of, to_numpy
from deepmath.errors import ConfigError
from deepmath.program import Data, Program, Recipe


def evaluate(program: Program, recipe: Recipe, pieces: Iterable[Data]) -> dict[str, Any]:
    """Loss, cost and metrics by name, in prediction mode. Scores of predictions that are no numbers are NaN.

    Raises ConfigError where no row of all pieces counts.
    """
    assert recipe.head is not None
    head = recipe.head
    scores = [m.begin() for m in head.scores]
    results, finite = [], True
    for data in pieces:
        with np.errstate(all="ignore"):  # an infinite loss is a result, not a warning
            results.append(np.asarray(program.measure(data), np.float64))
            p = to_numpy(program.predict(data.x)) if scores and finite else None
        finite = finite and (p is None or bool(np.all(np.isfinite(p))))
        if p is not None and finite:
            for score in scores:
                score.update(p, to_numpy(data.targets), data.weights)
    named = dict(zip(recipe.columns, map(float, _together(recipe, results)), strict=True))
    if not named.pop("rows"):
        raise ConfigError("no row counts: each has weight zero, or the label to ignore")
    del named["weight"]
    for score in scores:
        named |= score.named() if finite else dict.fromkeys(score.measure.results(head.outputs), math.nan)
    return named


def predict(program: Program, pieces: Iterable[Data], like: Any) -> Any:
    """Predictions [rows, outputs] of all pieces: in the library of the array `like`, on the host if it is none."""
    parts = [program.predict(data.x) for data in pieces]
    if namespace_of(like) is np:
        parts = [to_numpy(p) for p in parts]
    return parts[0] if len(parts) == 1 else namespace_of(parts[0]).concat(parts, axis=0)


def _together(recipe: Recipe, results: Sequence[Any]) -> Any:
    """The results of all pieces as those of one data set."""
    if len(results) == 1:
        return results[0]
    assert recipe.head is not None
    objective, cost, weight, rows, *means = np.stack(results, axis=1)
    total_weight = max(np.sum(weight), np.finfo(float).tiny)
    with np.errstate(all="ignore"):
        if recipe.head.loss.summed:
            penalty = objective[0] - cost[0]
            total = np.sum(cost)
            losses = [total + penalty if np.isfinite(penalty) else total, total]
        else:
            losses = [np.sum(v * weight) / total_weight for v in (objective, cost)]
        return np.asarray([*losses, np.sum(weight), np.sum(rows), *(np.sum(m * weight) / total_weight for m in means)])
