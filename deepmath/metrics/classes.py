"""Metrics from counts: which class was predicted how often for rows of which class."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from deepmath.descriptions import described
from deepmath.errors import ConfigError
from deepmath.metrics.exact import ExactSums, ratio
from deepmath.metrics.inputs import admit, labels, predicted
from deepmath.metrics.measure import Accumulator, Score

C = TypeVar("C", bound="Counted")

AVERAGES = ("auto", "binary", "macro", "micro", "weighted")


class Counted(Score):
    """A measure of which class was predicted how often for rows of which class.

    One output says yes above `yes_above`; None is what the model's loss says, and 0.5 without one.
    """

    yes_above: float | None
    targets = "classes"

    def begin(self) -> ClassCounts:
        return ClassCounts(self)

    def fitting(self: C, outputs: int, yes_above: float | None) -> C:
        own = self.yes_above is not None
        return self if own else replace(self, yes_above=yes_above)  # type: ignore[type-var]

    @abc.abstractmethod
    def of_table(self, outputs: int, table: Sequence[Sequence[Fraction]]) -> Any:
        """The measure from the weights of the rows by class (down) and by predicted class (across)."""


class Share(Counted):
    """A share of counts: one number for each class, and an average of them.

    "binary" is that of class 1 of two; "macro" the plain mean, "weighted" the mean weighted by the classes' rows,
    both over the classes that occur in targets or predictions; "micro" takes the counts of all classes together;
    "auto" is "binary" for one output and "macro" for several. A share of nothing, 0 / 0, is 0.
    """

    average: str
    better = "higher"

    @property
    def kind(self) -> str:
        """The metric's name without its average."""
        return type(self).__name__.lower()

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.kind if self.average == "auto" else f"{self.kind}_{self.average}"

    def __post_init__(self) -> None:
        if self.average not in AVERAGES:
            raise ConfigError(
                f"{type(self).__name__}: average must be one of {', '.join(AVERAGES)}; got {self.average!r}"
            )

    def of_table(self, outputs: int, table: Sequence[Sequence[Fraction]]) -> float:
        return _average(self, outputs, table)

    @abc.abstractmethod
    def parts(self, hits: Fraction, said: Fraction, are: Fraction) -> tuple[Fraction, Fraction]:
        """(part, whole) from the rows of a class rightly found, the rows said to be of it, and those that are."""

    def share(self, counts: Sequence[tuple[Fraction, Fraction, Fraction]]) -> Fraction:
        """The share of the classes' counts together."""
        part, whole = self.parts(*(sum(c, Fraction(0)) for c in zip(*counts, strict=True)))
        return part / whole if whole else Fraction(0)


@described
@dataclass(frozen=True)
class Precision(Share):
    """Of the rows said to be of a class, the share that are: TP / (TP + FP).

    >>> Precision().of([0.9, 0.8, 0.1], [1, 0, 1])
    0.5
    """

    average: str = "auto"
    yes_above: float | None = None

    def parts(self, hits: Fraction, said: Fraction, are: Fraction) -> tuple[Fraction, Fraction]:
        return hits, said


@described
@dataclass(frozen=True)
class Recall(Share):
    """Of the rows of a class, the share that was found: TP / (TP + FN).

    >>> Recall("macro").of([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], [0, 1, 1])
    0.75
    """

    average: str = "auto"
    yes_above: float | None = None

    def parts(self, hits: Fraction, said: Fraction, are: Fraction) -> tuple[Fraction, Fraction]:
        return hits, are


@described
@dataclass(frozen=True)
class F1(Share):
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN).

    >>> F1().of([0.9, 0.8, 0.1, 0.7], [1, 0, 1, 1])
    0.6666666666666666
    """

    average: str = "auto"
    yes_above: float | None = None

    def parts(self, hits: Fraction, said: Fraction, are: Fraction) -> tuple[Fraction, Fraction]:
        return 2 * hits, said + are


@described
@dataclass(frozen=True)
class ConfusionMatrix(Counted):
    """The weights of the rows by class (down) and by predicted class (across): float64 [classes, classes].

    >>> ConfusionMatrix().of([0.9, 0.8, 0.1], [1, 0, 1]).tolist()
    [[0.0, 1.0], [1.0, 1.0]]
    """

    name = "confusion_matrix"
    yes_above: float | None = None

    def of_table(self, outputs: int, table: Sequence[Sequence[Fraction]]) -> Any:
        return np.asarray([[float(c) for c in row] for row in table])


class ClassCounts(Accumulator):
    """The weight of the rows of class i that were predicted as j, exactly: cell i classes + j of `counts`."""

    def __init__(self, measure: Counted) -> None:
        self.measure: Counted = measure
        self.counts = ExactSums()

    @property
    def classes(self) -> int:
        """The number of classes, 2 for one output."""
        return max(2, self.outputs or 1)

    def update(self, p: Any, d: Any, weight: Any = None) -> None:
        name = self.measure.name
        batch = admit(name, p, d, weight, self.outputs)
        if isinstance(self.measure, Share) and self.measure.average == "binary" and batch.p.shape[1] > 2:
            raise ConfigError(
                f"{name}: average='binary' tells two classes apart; predictions have {batch.p.shape[1]} outputs. "
                "Use average='macro', 'micro' or 'weighted'."
            )
        true = labels(name, batch)
        self.outputs = batch.p.shape[1]
        limit = 0.5 if self.measure.yes_above is None else self.measure.yes_above
        self.counts.add(batch.weight, true * self.classes + predicted(batch.p, limit))

    def joined(self, other: ClassCounts) -> None:
        self.counts.merge(other.counts)

    def result(self) -> Any:
        n = self.classes
        table = [[self.counts[i * n + j] for j in range(n)] for i in range(n)]
        return self.measure.of_table(self.outputs or 1, table)


def _average(measure: Share, outputs: int, table: Sequence[Sequence[Fraction]]) -> float:
    """A measure's average over the classes of a confusion matrix."""
    average = measure.average
    if average == "auto":
        average = "binary" if outputs == 1 else "macro"
    said = [sum(column, Fraction(0)) for column in zip(*table, strict=True)]
    are = [sum(row, Fraction(0)) for row in table]
    counts = [(table[c][c], said[c], are[c]) for c in range(len(table))]
    if not any(are):
        return float("nan")
    if average == "binary":
        return float(measure.share(counts[1:2]))
    if average == "micro":
        return float(measure.share(counts))
    found = [(c, Fraction(1) if average == "macro" else c[2]) for c in counts if c[1] or c[2]]
    return ratio(sum((measure.share([c]) * w for c, w in found), Fraction(0)), sum((w for _, w in found), Fraction(0)))
