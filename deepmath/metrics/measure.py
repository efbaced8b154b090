"""What every metric is: a name, and an accumulator that takes a data set in batches of any size."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from deepmath.errors import ConfigError

A = TypeVar("A", bound="Accumulator")


class Accumulator(abc.ABC):
    """What a measure has seen so far. The result depends on the rows alone, to the last bit, not on the batches."""

    measure: Measure
    outputs: int | None = None
    """The number of outputs of the predictions seen, or None where none were."""

    @abc.abstractmethod
    def update(self, p: Any, d: Any, weight: Any = None) -> None:
        """Take predictions p and targets d of some rows, and the rows' weights [rows], which are 1 where not given.

        p is [rows, outputs], or [rows] for one output. d is [rows, outputs] or [rows]; whole-number labels [rows]
        are taken for classes where there are several outputs. Arrays of any library; the work is done on the host.
        Raises ConfigError, LabelError or NumericError, and then has taken nothing.
        """

    @abc.abstractmethod
    def joined(self: A, other: A) -> None:
        """`merge` once the two are known to fit."""

    @abc.abstractmethod
    def result(self) -> Any:
        """The measure of all rows seen; NaN where they don't determine it."""

    def named(self) -> dict[str, Any]:
        """The result by its name, or those of each label by theirs."""
        result = self.result()
        if not isinstance(result, tuple):
            return {self.measure.name: result}
        return dict(zip(self.measure.results(self.outputs or 1), result, strict=False))

    def merge(self: A, other: A) -> None:
        """Take what another accumulator of the same measure has seen."""
        if type(other) is not type(self) or other.measure != self.measure:
            raise ConfigError(
                f"{self.measure.name}: merge takes an accumulator of the same metric; "
                f"got {getattr(getattr(other, 'measure', None), 'name', type(other).__name__)}"
            )
        if other.outputs is None:
            return
        if self.outputs not in (None, other.outputs):
            raise ConfigError(
                f"{self.measure.name}: merge of predictions of {self.outputs} and {other.outputs} outputs"
            )
        self.joined(other)
        self.outputs = other.outputs


class Measure(abc.ABC):
    """A metric: `begin` gives an empty accumulator.

    `better` says which results are better, "higher" or "lower"; None where nobody said so. `targets` says what it can
    be measured on: "values", any numbers; "shares", numbers from 0 to 1; "answers", 0 or 1 for each output; or
    "classes", one class for each row, as a label or a row of 0s with a single 1.
    """

    name: str
    better: str | None = None
    targets: str = "values"

    @abc.abstractmethod
    def begin(self) -> Accumulator:
        """An accumulator that has seen nothing."""

    def fitting(self, outputs: int, yes_above: float | None) -> Measure:
        """This measure of the predictions of a model with so many outputs; `yes_above` is its loss's."""
        return self

    def results(self, outputs: int) -> tuple[str, ...]:
        """The names of its results for predictions of so many outputs: one, but for a measure of each label."""
        return (self.name,)

    def of(self, p: Any, d: Any, weight: Any = None) -> Any:
        """The measure of one data set that is at hand as a whole; arguments as `Accumulator.update` takes them."""
        accumulator = self.begin()
        accumulator.update(p, d, weight)
        return accumulator.result()


class Score(Measure):
    """A metric that is no mean over rows: it needs all predictions, or counts of them."""


def measured(measures: Sequence[Measure], batches: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    """Results by name over batches (p, d) or (p, d, weight).

    >>> from deepmath import metrics
    >>> batches = [([0.9, 0.2], [1, 0]), ([0.4], [1])]
    >>> measured([metrics.get("precision"), metrics.get("recall")], batches)
    {'precision': 1.0, 'recall': 0.5}
    """
    accumulators = [m.begin() for m in measures]
    for batch in batches:
        for a in accumulators:
            a.update(*batch)
    return {name: value for a in accumulators for name, value in a.named().items()}
