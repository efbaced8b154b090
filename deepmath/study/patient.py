"""A model with its rows as the training doctor looks at it: at its first weights, and as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from deepmath.arrays import is_frame, to_numpy
from deepmath.checks import is_sparse, weights_like
from deepmath.data.columns import columns_taken
from deepmath.data.rows import Rows, shape_of, taken
from deepmath.errors import ConfigError
from deepmath.formulas import metrics
from deepmath.formulas.losses import one_hot
from deepmath.formulas.preprocessing import column_moments, column_scale, standardize
from deepmath.layers import Activation
from deepmath.model import Sequential
from deepmath.program import Head, results_formula
from deepmath.recipes import first_values
from deepmath.reference import ReferenceProgram
from deepmath.study.subject import BACKEND, Subject, subject
from deepmath.study.watched import Stage, StageRecorder

ROWS = 1000
"""At most so many rows are looked at; of more, a choice by chance."""

WHOLE = 5_000
"""At most so many rows count for classes and train in trials; of more, a choice by chance."""

FLOOR = 1e-12
"""The smallest chance that a constant prediction gives a class."""


@dataclass(frozen=True)
class Sight:
    """One forward and backward pass at some values: the loss without penalties, the parts, and the gradient."""

    cost: float
    stages: tuple[Stage, ...]
    gradients: dict[str, Any]

    def of(self, *names: str) -> list[Stage]:
        """The stages of these activations, apart from an output's."""
        inner = self.stages[:-1] if isinstance(self.stages[-1].part.layer, Activation) else self.stages
        found = [s for s in inner if isinstance(s.part.layer, Activation)]
        return [s for s in found if s.part.layer.activation.name.partition("(")[0] in names]  # type: ignore[attr-defined]


class Patient:
    """What is looked at: a subject at most `ROWS` rows long, its whole data, and the values it began with."""

    def __init__(
        self, model: Sequential, X: Any, y: Any, weights: Any, start: Sequence[Any] | None, seed: int, stuck: float
    ) -> None:  # fmt: skip
        self.numbers, X, y, weights = fewer_rows(X, y, weights, WHOLE, seed)
        if len(self.numbers) < 2:
            raise ConfigError(
                f"diagnose: X must have two rows at least, to see what differs between them; got {len(self.numbers)}"
            )
        self.whole = subject("diagnose", model, X, y, weights)
        self.chosen = _choice(self.whole.data.rows, ROWS, seed)
        self.present = _at_rows(self.whole, self.chosen)
        self.trained = int(self.whole.values.get("step", 0))
        self._model, self._start, self._stuck = model, start, stuck

    @cached_property
    def first(self) -> dict[str, Any]:
        """The values that training began with, without slots: those given, or drawn again from the seed."""
        model = self._model
        if self._start is None and not self.trained:
            return {n: v for n, v in self.whole.values.items() if n.startswith(("params.", "state."))}
        if self._start is None:
            assert model.input_shape is not None
            return first_values(model.layers, model.input_shape, model.seed)
        return weights_like(self._start, {n: model.values[n] for n in model._names()})

    @property
    def trained_as(self) -> Subject:
        """The whole data with the recipe in the precision that the values were last trained in."""
        single = any(v.dtype == np.float32 for n, v in self._model.values.items() if n.startswith("params."))
        recipe = self.whole.recipe
        return replace(self.whole, recipe=replace(recipe, precision="float32") if single else recipe)

    @cached_property
    def at_start(self) -> Sight:
        """A look at the first weights."""
        return look(replace(self.present, values=self.first))

    @cached_property
    def now(self) -> Sight:
        """A look at the weights as they stand."""
        return look(self.present) if self.trained else self.at_start

    @property
    def head(self) -> Head:
        """The loss and what belongs to it."""
        head = self.whole.recipe.head
        assert head is not None
        return head

    @cached_property
    def classes(self) -> Any:
        """Each row's class [rows], whole numbers; None where targets are no classes."""
        return classes_of(self.head, to_numpy(self.whole.data.targets))

    @cached_property
    def chance(self) -> float:
        """The loss of the best constant prediction: that of each class's share, or of the mean."""
        head, targets = self.head, _targets(self.present)
        p = np.mean(targets, axis=0, keepdims=True)
        name = None if head.activation is None else head.activation.name
        if head.loss.targets == "signs":
            p = np.sign(2.0 * p - 1.0)
        if name is not None:
            p = np.clip(p, FLOOR, 1.0 - FLOOR)
            p = np.log(p / (1.0 - p)) if name == "sigmoid" else np.log(p)
        return loss_at(self.present, np.broadcast_to(p, targets.shape))

    @cached_property
    def equal_chances(self) -> float | None:
        """The loss of scores that are all 0, which is ln C for a cross-entropy; None for other losses."""
        if self.head.activation is None or self.head.activation.name not in ("sigmoid", "softmax"):
            return None
        return loss_at(self.present, np.zeros_like(_targets(self.present)))

    @cached_property
    def inputs(self) -> Any:
        """The chosen rows as they enter the first layer: [rows, numbers]."""
        x = to_numpy(self.present.data.x)
        return np.reshape(x, (x.shape[0], -1))

    @cached_property
    def scaled(self) -> Any:
        """`inputs`, standardised."""
        mean, rest, spread = column_moments(np, self.inputs)
        return standardize(np, self.inputs, mean, rest, column_scale(np, len(self.inputs), mean, spread))

    @property
    def share_of_chance(self) -> float:
        """The present loss in units of chance; above 1 it is worse than a constant."""
        return self.now.cost / self.chance if self.chance > 0.0 else 0.0

    @property
    def is_stuck(self) -> bool:
        """Whether training hasn't come far from chance; no number at all counts as that."""
        return not self.share_of_chance <= self._stuck


def look(chosen: Subject) -> Sight:
    """One pass in training mode."""
    recorder = StageRecorder(chosen.recipe)
    program = ReferenceProgram(chosen.recipe, chosen.values, np, None, chosen.data, recorder)
    with np.errstate(all="ignore"):
        gradients = program.gradients(chosen.batch)
    return Sight(float(gradients.sums[1]), tuple(recorder.stages), gradients.values)


def row_errors(chosen: Subject) -> Any:
    """Each row's error [rows]: 1 or 0 for classes, the squared error in units of the targets' variance for numbers."""
    program = BACKEND.compile(chosen.recipe, chosen.values, chosen.data)
    with np.errstate(all="ignore"):
        p = np.asarray(program.predict(chosen.data.x))
    d = _targets(chosen)
    head = chosen.recipe.head
    assert head is not None
    if head.loss.yes_above is not None:
        return 1.0 - metrics.binary_accuracy(np, p, d, head.loss.yes_above)[:, 0]
    if classes_of(head, to_numpy(chosen.data.targets)) is not None:
        return 1.0 - metrics.categorical_accuracy(np, p, d, np.arange(d.shape[1], dtype=d.dtype)[None, :])[:, 0]
    return squared_errors(p, d)


def squared_errors(p: Any, d: Any) -> Any:
    """Each row's squared error in units of the targets' variance; constant targets have a variance of 1 here."""
    variance = np.var(d, axis=0)
    return np.mean((p - d) ** 2 / np.where(variance > 0.0, variance, 1.0), axis=1)


def loss_at(chosen: Subject, scores: Any) -> float:
    """The loss, without penalties, of given scores for the subject's rows."""
    head = chosen.recipe.head
    assert head is not None
    raw = to_numpy(chosen.data.targets)
    index = np.arange(head.outputs)[None, :]
    rows = results_formula(head)(
        np, scores, np.reshape(raw, (-1, 1)) if head.labelled else raw, index, *head.loss.constants
    )[0]
    return float(np.sum(np.asarray(chosen.batch.weights) * rows[:, 0]))


def classes_of(head: Head, targets: Any) -> Any:
    """Whole-number classes [rows] of targets that name one class each; None for any others."""
    if head.labelled:
        return np.reshape(targets, -1)
    hard = bool(np.all((targets == 0.0) | (targets == 1.0)))
    judged = head.loss.targets in ("shares", "signs") or (head.loss.yes_above is not None)
    if not (hard and judged):
        return None
    if targets.shape[1] == 1:
        return targets[:, 0].astype(np.int64)
    return np.argmax(targets, axis=1) if bool(np.all(np.sum(targets, axis=1) == 1.0)) else None


def _targets(chosen: Subject) -> Any:
    """Targets as numbers [rows, outputs]; labels as one-hot rows."""
    head, raw = chosen.recipe.head, to_numpy(chosen.data.targets)
    assert head is not None
    if not head.labelled:
        return raw
    index = np.arange(head.outputs)[None, :]
    return one_hot(np, np.reshape(raw, (-1, 1)), index, np.zeros((len(raw), head.outputs)))


def fewer_rows(X: Any, y: Any, weights: Any, most: int, seed: int) -> tuple[Any, Any, Any, Any]:
    """The numbers of at most so many rows, and these rows; data of two lengths are left for the door to refuse."""
    given = columns_taken(Rows(X, y, weights), "diagnose")
    rows = shape_of(given.X)[0]
    numbers = _choice(rows, most, seed)
    if len(numbers) == rows or np.shape(given.y)[:1] != (rows,):
        return numbers, *given
    return numbers, *given.each(lambda a: taken(a if is_frame(a) or is_sparse(a) else to_numpy(a), numbers))


def _choice(rows: int, most: int, seed: int) -> Any:
    if rows <= most:
        return np.arange(rows, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])


def _at_rows(whole: Subject, rows: Any) -> Subject:
    """The same subject with these rows only."""
    if len(rows) == whole.data.rows:
        return whole
    data, weights = whole.data, whole.batch.weights[rows]
    summed = whole.recipe.head is not None and whole.recipe.head.loss.summed
    chosen = replace(data, x=data.x[rows], targets=data.targets[rows], weights=_some(data.weights, rows))
    weights = weights if summed else weights / np.sum(weights)
    numbers = np.arange(len(rows), dtype=np.int64)
    batch = replace(whole.batch, rows=numbers, weights=weights)
    return replace(whole, recipe=replace(whole.recipe, batch_size=len(rows)), data=chosen, batch=batch)


def _some(weights: Any, rows: Any) -> Any:
    return None if weights is None else weights[rows]
