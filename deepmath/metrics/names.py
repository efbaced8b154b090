"""Results by name: what they are called, and which of them are better."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from deepmath.errors import ConfigError
from deepmath.metrics.measure import Measure

RESERVED = ("loss", "cost", "weight", "rows", "learning_rate", "epoch")
"""What else a step or an epoch reports."""


def name_of(function: Callable[..., Any]) -> str:
    """What a function of somebody's own is called: "lambda" for one without a name.

    >>> name_of(max), name_of(lambda xp, p, d: p), name_of(functools.partial(max, 1))
    ('max', 'lambda', 'max')
    """
    if isinstance(function, functools.partial):
        return name_of(function.func)
    name = str(getattr(function, "__name__", type(function).__name__))
    return "lambda" if name == "<lambda>" else name


def check_name(name: Any) -> None:
    """Raise ConfigError for what no result of a metric can be called."""
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"a metric's name must be a text such as 'accuracy'; got {name!r}")
    if name in RESERVED or name.startswith("val_"):
        why = "begins as those of validation results do" if name.startswith("val_") else "is that of another result"
        raise ConfigError(f"metric '{name}': this name {why}; call the metric something else, such as 'my_{name}'")


def numbered(measures: Sequence[Measure]) -> tuple[Measure, ...]:
    """The measures, those whose name another has already with a number behind it: "precision", "precision_1".

    Raises ConfigError for the same measure twice.
    """
    taken, done = {m.name for m in measures}, []
    for i, measure in enumerate(measures):
        if measure in measures[:i]:
            raise ConfigError(f"metric '{measure.name}' is given twice; leave one of them out")
        if any(m.name == measure.name for m in measures[:i]):
            numbers = (f"{measure.name}_{k}" for k in range(1, len(measures) + len(taken)))
            measure = _renamed(measure, next(name for name in numbers if name not in taken))
            taken.add(measure.name)
        done.append(measure)
    return tuple(done)


def _renamed(measure: Measure, name: str) -> Measure:
    """The measure by another name. Raises ConfigError for one that can't have another."""
    if dataclasses.is_dataclass(measure) and any(f.init and f.name == "name" for f in dataclasses.fields(measure)):
        return dataclasses.replace(measure, name=name)
    raise ConfigError(f"two metrics are called '{measure.name}': give one of them another name")


def directions(measures: Iterable[Measure], outputs: int = 1) -> dict[str, str | None]:
    """Which is better, "higher" or "lower", for the losses and each result of a model with so many outputs.

    None where nobody said so. Results of validation rows, called "val_" and the same name, go the same way.

    >>> from deepmath import metrics
    >>> directions([metrics.get("accuracy"), metrics.Metric("kappa", lambda xp, p, d, index: p - d)])
    {'loss': 'lower', 'cost': 'lower', 'accuracy': 'higher', 'kappa': None}
    """
    named = {name: m.better for m in measures for name in m.results(outputs)}
    return {"loss": "lower", "cost": "lower"} | named
