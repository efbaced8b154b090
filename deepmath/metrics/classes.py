"""Metrics from counts: which class was predicted how often for rows of which class."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

import numpy as np

from deepmath.descriptions import check_number, described, set_field
from deepmath.errors import ConfigError
from deepmath.metrics.exact import ExactSums, ratio
from deepmath.metrics.inputs import admit, answers, labels, predicted
from deepmath.metrics.measure import Accumulator, Score

C = TypeVar("C", bound="Counted")

AVERAGES = ("auto", "binary", "macro", "micro", "weighted", "each")


class Count(NamedTuple):
    """Weights of rows: those of a class that were said to be, all said to be of it, and all that are."""

    hits: Fraction
    said: Fraction
    are: Fraction


class Counted(Score):
    """A measure of which class was predicted how often for rows of which class.

    One output says yes above `yes_above`; None is what the model's loss says, and 0.5 without one. With it, several
    outputs are questions of their own too, each of which says yes or no to its label: rows may have several labels.
    Without it, the largest of several outputs is a row's class.
    """

    yes_above: float | None

    @property
    def targets(self) -> str:  # type: ignore[override]
        return "classes" if self.yes_above is None else "answers"

    def __post_init__(self) -> None:
        if self.yes_above is not None:
            check_number(type(self).__name__, "yes_above", self.yes_above)

    def begin(self) -> ClassCounts:
        return ClassCounts(self)

    def fitting(self: C, outputs: int, yes_above: float | None) -> C:
        chosen = self if self.yes_above is not None else replace(self, yes_above=yes_above)  # type: ignore[type-var]
        chosen.check(outputs)
        return chosen

    def asks_each(self, outputs: int) -> bool:
        """Whether so many outputs are questions of their own, so that a row may have several labels."""
        return outputs > 1 and self.yes_above is not None

    def check(self, outputs: int) -> None:
        """Raise ConfigError if it can't be measured on so many outputs."""

    @abc.abstractmethod
    def of_tables(self, outputs: int, tables: Sequence[Sequence[Sequence[Fraction]]]) -> Any:
        """The measure from the weights of the rows by class (down) and by predicted class (across).

        One table of all classes; or one for each label, of no and yes, where outputs are questions of their own.
        """


class Share(Counted):
    """A share of counts: one number for each class or label, and an average of them.

    "binary" is that of class 1 of two; "macro" the plain mean, "weighted" the mean weighted by the classes' rows,
    both over the classes that occur in targets or predictions, or over all labels where a row may have several;
    "micro" takes the counts of all classes together; "auto" is "binary" for one output and "macro" for several.
    "each", or None, is no average: one result for each class, called "f1_label_0", "f1_label_1", ... A share of
    nothing, 0 / 0, is 0.
    """

    average: str | None
    name: str
    better = "higher"

    def __post_init__(self) -> None:
        super().__post_init__()
        kind = type(self).__name__.lower()
        if self.average is None:
            set_field(self, "average", "each")
        if self.average not in AVERAGES:
            raise ConfigError(
                f"{type(self).__name__}: average must be one of {', '.join(AVERAGES)}; got {self.average!r}"
            )
        ends = {"auto": "", "each": "_label"}
        set_field(self, "name", self.name or kind + ends.get(str(self.average), f"_{self.average}"))

    def results(self, outputs: int) -> tuple[str, ...]:
        return labelled(self.name, max(2, outputs)) if self.average == "each" else (self.name,)

    def check(self, outputs: int) -> None:
        if self.average == "binary" and (outputs > 2 or self.asks_each(outputs)):
            raise ConfigError(
                f"{self.name}: average='binary' tells two classes apart; predictions have {outputs} outputs. "
                "Use average='macro', 'micro', 'weighted' or 'each'."
            )

    def of_tables(self, outputs: int, tables: Sequence[Sequence[Sequence[Fraction]]]) -> Any:
        if not any(map(any, tables[0])):
            return (float("nan"),) * max(2, outputs) if self.average == "each" else float("nan")
        several = self.asks_each(outputs)
        counts = [_count(table, 1) for table in tables] if several else _counts(tables[0])
        average = ("binary" if outputs == 1 else "macro") if self.average == "auto" else self.average
        if average == "each":
            return tuple(float(self.share([c])) for c in counts)
        if average == "binary":
            return float(self.share(counts[1:2]))
        if average == "micro":
            return float(self.share(counts))
        found = [(c, Fraction(1) if average == "macro" else c.are) for c in counts if several or c.said or c.are]
        total = sum((w for _, w in found), Fraction(0))
        return ratio(sum((self.share([c]) * w for c, w in found), Fraction(0)), total) if total else 0.0

    @abc.abstractmethod
    def parts(self, count: Count) -> tuple[Fraction, Fraction]:
        """(part, whole) of the share."""

    def share(self, counts: Sequence[Count]) -> Fraction:
        """The share of the classes' counts together."""
        part, whole = self.parts(Count(*(sum(c, Fraction(0)) for c in zip(*counts, strict=True))))
        return part / whole if whole else Fraction(0)


@described
@dataclass(frozen=True)
class Precision(Share):
    """Of the rows said to be of a class, the share that are: TP / (TP + FP).

    >>> Precision().of([0.9, 0.8, 0.1], [1, 0, 1])
    0.5
    """

    average: str | None = "auto"
    yes_above: float | None = None
    name: str = field(default="", kw_only=True)

    def parts(self, count: Count) -> tuple[Fraction, Fraction]:
        return count.hits, count.said


@described
@dataclass(frozen=True)
class Recall(Share):
    """Of the rows of a class, the share that was found: TP / (TP + FN).

    >>> Recall("macro").of([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], [0, 1, 1])
    0.75
    """

    average: str | None = "auto"
    yes_above: float | None = None
    name: str = field(default="", kw_only=True)

    def parts(self, count: Count) -> tuple[Fraction, Fraction]:
        return count.hits, count.are


@described
@dataclass(frozen=True)
class F1(Share):
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN).

    >>> F1().of([0.9, 0.8, 0.1, 0.7], [1, 0, 1, 1])
    0.6666666666666666

    Rows with several labels, one number for each label:

    >>> F1("each", yes_above=0.5).of([[0.9, 0.8], [0.8, 0.1]], [[1, 0], [1, 1]])
    (1.0, 0.0)
    """

    average: str | None = "auto"
    yes_above: float | None = None
    name: str = field(default="", kw_only=True)

    def parts(self, count: Count) -> tuple[Fraction, Fraction]:
        return 2 * count.hits, count.said + count.are


@described
@dataclass(frozen=True)
class ConfusionMatrix(Counted):
    """The weights of the rows by class (down) and by predicted class (across): float64 [classes, classes].

    [labels, 2, 2] where outputs are questions of their own: no and yes of each label.

    >>> ConfusionMatrix().of([0.9, 0.8, 0.1], [1, 0, 1]).tolist()
    [[0.0, 1.0], [1.0, 1.0]]
    """

    yes_above: float | None = None
    name: str = field(default="confusion_matrix", kw_only=True)

    def of_tables(self, outputs: int, tables: Sequence[Sequence[Sequence[Fraction]]]) -> Any:
        found = np.asarray([[[float(c) for c in row] for row in table] for table in tables])
        return found if self.asks_each(outputs) else found[0]


class ClassCounts(Accumulator):
    """The weight of the rows of class i that were predicted as j, exactly: cell i classes + j of `counts`.

    Where outputs are questions of their own, four cells for each label, of no and yes.
    """

    def __init__(self, measure: Counted) -> None:
        self.measure: Counted = measure
        self.counts = ExactSums()

    def update(self, p: Any, d: Any, weight: Any = None) -> None:
        measure, name = self.measure, self.measure.name
        batch = admit(name, p, d, weight, self.outputs)
        outputs = batch.p.shape[1]
        measure.check(outputs)
        limit = 0.5 if measure.yes_above is None else measure.yes_above
        if measure.asks_each(outputs):
            true, said = answers(name, batch), batch.p > limit
            self.counts.add(batch.weight[:, None], 4 * np.arange(outputs) + 2 * true + said)
        else:
            self.counts.add(batch.weight, labels(name, batch) * max(2, outputs) + predicted(batch.p, limit))
        self.outputs = outputs

    def joined(self, other: ClassCounts) -> None:
        self.counts.merge(other.counts)

    def result(self) -> Any:
        outputs = self.outputs or 1
        tables, n = (outputs, 2) if self.measure.asks_each(outputs) else (1, max(2, outputs))
        cells = [[[self.counts[(t * n + i) * n + j] for j in range(n)] for i in range(n)] for t in range(tables)]
        return self.measure.of_tables(outputs, cells)


def labelled(name: str, outputs: int) -> tuple[str, ...]:
    """The names of a measure's results for each label: a number behind its own.

    >>> labelled("f1_label", 2)
    ('f1_label_0', 'f1_label_1')
    """
    return tuple(f"{name}_{i}" for i in range(outputs))


def _count(table: Sequence[Sequence[Fraction]], c: int) -> Count:
    """The count of one class of a table."""
    return Count(table[c][c], sum((row[c] for row in table), Fraction(0)), sum(table[c], Fraction(0)))


def _counts(table: Sequence[Sequence[Fraction]]) -> list[Count]:
    return [_count(table, c) for c in range(len(table))]
