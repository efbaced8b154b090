"""What a run will report, known before its first step."""

from __future__ import annotations

from collections.abc import Sequence

from deepmath.metrics import Measure, directions
from deepmath.optimizers import LBFGS
from deepmath.program import Recipe
from deepmath.training.history import RATE


def reported(recipe: Recipe, metrics: Sequence[Measure], validated: bool) -> dict[str, str | None]:
    """The names of an epoch's results, and whether "higher" or "lower" is better, or None where nobody said so.

    Scores of whole data sets, such as "auc", are results of validation alone.
    """
    assert recipe.head is not None
    known = directions(metrics, recipe.head.outputs)
    found = {name: known[name] for name in recipe.columns if name in known}
    if validated:
        found |= {f"val_{name}": better for name, better in (found | known).items()}
    return found if isinstance(recipe.optimizer, LBFGS) else found | {RATE: None}
