"""What a run will report, known before its first step."""

from __future__ import annotations

from deepmath.metrics import directions
from deepmath.optimizers import LBFGS
from deepmath.program import Recipe
from deepmath.training.history import RATE


def reported(recipe: Recipe, validated: bool) -> dict[str, str | None]:
    """The names of an epoch's results, and whether "higher" or "lower" is better, or None where nobody said so.

    Scores of whole data sets, such as "auc", are results of validation alone.
    """
    head = recipe.head
    assert head is not None
    found = directions(head.metrics, head.outputs)
    if validated:
        known = directions((*head.metrics, *head.scores), head.outputs)
        found |= {f"val_{name}": better for name, better in known.items()}
    return found if isinstance(recipe.optimizer, LBFGS) else found | {RATE: None}
