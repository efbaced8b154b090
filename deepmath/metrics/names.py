"""Results by name: what they are called, and which of them are better."""

from __future__ import annotations

from collections.abc import Iterable

from deepmath.metrics.measure import Measure


def directions(measures: Iterable[Measure], outputs: int = 1) -> dict[str, str | None]:
    """Which is better, "higher" or "lower", for the losses and each result of a model with so many outputs.

    None where nobody said so. Results of validation rows, called "val_" and the same name, go the same way.

    >>> from deepmath import metrics
    >>> directions([metrics.get("accuracy"), metrics.Metric("kappa", lambda xp, p, d, index: p - d)])
    {'loss': 'lower', 'cost': 'lower', 'accuracy': 'higher', 'kappa': None}
    """
    named = {name: m.better for m in measures for name in m.results(outputs)}
    return {"loss": "lower", "cost": "lower"} | named
