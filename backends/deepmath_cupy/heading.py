"""The nodes behind the last layer: loss, its gradient, metrics, penalties, and the sums that a step reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from deepmath.errors import TraceError
from deepmath.program import Head, Recipe, head_formula, head_kinds, results_formula
from deepmath.regularizers import L1, L1L2, L2, Regularizer
from deepmath.trace import Formula
from deepmath_cupy import geometry, hooks
from deepmath_cupy.kernels import Printed, scalars
from deepmath_cupy.nodes import Ref
from deepmath_cupy.stages import ELEMENT, Delta
from deepmath_cupy.writing import Writer

ADDITIVE = (L1, L2, L1L2)
"""Penalties that are the same taken row by row and added up."""

ALL, WEIGHTED = 0, 1
"""What the kernel `add_rows` adds up: every number, or those of rows that count, times their weights."""


class Heading:
    """Writes these nodes for a recipe. A step's sums are [penalty, cost, one for each metric]."""

    def __init__(self, writer: Writer, recipe: Recipe) -> None:
        self.writer, self.recipe = writer, recipe
        self.columns = 2 + (len(recipe.head.metrics) if recipe.head else 0)
        if recipe.head is not None:
            try:
                self._results(recipe.head)
                self._backward(recipe.head)
            except TraceError as error:
                writer.reasons["loss"] = f"'{recipe.head.loss.name}' or a metric can't be compiled: {error}"

    @property
    def sums(self) -> Ref:
        """Where the sums are."""
        return self.writer.buffer("sums", self.columns, "float64")

    def backward(self, z: Ref, place: int, *, keep: bool) -> Delta:
        """Loss, its gradient and metrics in one kernel; then their sums, added to those before it with `keep`."""
        plan, head = self.writer, self.recipe.head
        assert head is not None
        dz, rows = plan.activations("delta.a", head.outputs), self._rows()
        share, targets = plan.buffer("shares", plan.rows).at(place), self._targets(place)
        if "loss" in plan.reasons:
            hooks.judge(plan, head, z, targets, share, dz, rows)
        else:
            given: list[Ref | int | float] = [z, targets, share, *self._constants(head), dz, *rows]
            plan.call(self._backward(head), given, plan.rows, head.outputs)
        self._add_up(rows, place, "own_weights", keep=keep)
        return Delta(dz)

    def results(self, z: Ref) -> None:
        """Loss and metrics alone, added to the sums."""
        plan, head = self.writer, self.recipe.head
        assert head is not None
        rows, targets = self._rows(), self._targets(0)
        if "loss" in plan.reasons:
            hooks.judge(plan, head, z, targets, None, None, rows)
        else:
            plan.call(self._results(head), [z, targets, *self._constants(head), *rows], plan.rows, head.outputs)
        self._add_up(rows, 0, "weights", keep=True)

    def _backward(self, head: Head) -> Printed:
        metrics, constants = [f"m{i}" for i in range(len(head.metrics))], self._constants(head)
        kinds = [*head_kinds(head), *["scalar"] * len(constants)]
        names = ["z", "targets", "index", "weight", *scalars(len(constants))]
        outputs = ["dz", "loss", *metrics]
        return self.writer.kernels.get(
            "head", lambda: head_formula(head), kinds, outputs, names, key=True, stored={"z", "dz"}
        )

    def _results(self, head: Head) -> Printed:
        metrics, constants = [f"m{i}" for i in range(len(head.metrics))], self._constants(head)
        kinds = [*head_kinds(head)[:-1], *["scalar"] * len(constants)]
        names = ["z", "targets", "index", *scalars(len(constants))]
        return self.writer.kernels.get(
            "results", lambda: results_formula(head), kinds, ["loss", *metrics], names, key=True, stored={"z"}
        )

    def _constants(self, head: Head) -> list[float]:
        return [float(c) for c in head.loss.constants]

    def penalties(self, *, slopes: bool) -> None:
        """The sum of the penalties; with `slopes`, their slopes are added to the gradient."""
        plan = self.writer
        for i, (name, regularizer) in enumerate(self.recipe.penalties.items()):
            rows = self._penalize(name, regularizer)
            weights, values = plan.buffer("weights", 1, "float64"), plan.buffer("penalty", rows)
            grid = geometry.rows(1, min(rows, geometry.THREADS))
            plan.fixed("add_rows", (values, weights, self.sums, ALL, int(i > 0), rows), grid)
            if slopes:
                self._add_slope(name, regularizer)

    def _penalize(self, name: str, regularizer: Regularizer) -> int:
        """Parts of a parameter's penalty go to the buffer "penalty"; gives their number."""
        plan, shape, strengths = self.writer, self.writer.layout.shapes[name], _strengths(regularizer)
        rows = shape[0] if type(regularizer) in ADDITIVE else 1
        names, kinds = ["w", *scalars(len(strengths))], [ELEMENT, *["scalar"] * len(strengths)]
        values = plan.buffer("penalty", rows)
        try:
            printed = plan.kernels.get(
                "penalty", lambda: regularizer.penalty, kinds, ["penalty"], names, key=(name, rows)
            )
        except TraceError as error:
            plan.reasons[f"penalty of {name}"] = str(error)
            hooks.penalize(plan, regularizer, name, values)
            return 1
        plan.call(printed, [plan.parameter(name), *strengths, values], rows, math.prod(shape) // rows)
        return rows

    def _add_slope(self, name: str, regularizer: Regularizer) -> None:
        plan, shape, strengths = self.writer, self.writer.layout.shapes[name], _strengths(regularizer)
        names, kinds = ["g", "w", *scalars(len(strengths))], [ELEMENT, ELEMENT, *["scalar"] * len(strengths)]
        try:
            printed = plan.kernels.get("penalty_slope", _slope(regularizer), kinds, ["g"], names, key=name)
        except TraceError:
            return hooks.add_slope(plan, regularizer, name)
        return plan.call(printed, [plan.gradient(name), plan.parameter(name), *strengths], 1, math.prod(shape))

    def _targets(self, place: int) -> Ref:
        plan, head = self.writer, self.recipe.head
        assert head is not None
        source, rows = plan.sources.at(1), plan.buffer("rows", plan.rows, "int64").at(place)
        if head.labelled:
            to = plan.buffer("targets", plan.rows, "int64")
            plan.fixed("gather_labels", (source, rows, to, plan.rows), geometry.elements(1, plan.rows))
            return to
        to = plan.buffer("targets", plan.rows * head.outputs)
        grid = geometry.elements(plan.rows, head.outputs)
        plan.fixed("gather_numbers", (source, rows, to, plan.rows, head.outputs), grid)
        return to

    def _rows(self) -> list[Ref]:
        """Where the loss and the metrics of each row go."""
        return [self.writer.buffer(f"results.{i}", self.writer.rows) for i in range(self.columns - 1)]

    def _add_up(self, rows: Sequence[Ref], place: int, own: str, *, keep: bool) -> None:
        """Add up the loss by the weights that it has, and the metrics by those in the buffer `own`."""
        plan, sums = self.writer, self.sums
        for i, row in enumerate(rows):
            weights = plan.buffer(own if i else "weights", plan.rows, "float64").at(place)
            given = (row, weights, sums.at(1 + i), WEIGHTED, int(keep), plan.rows)
            plan.fixed("add_rows", given, geometry.rows(1, min(plan.rows, geometry.THREADS)))


def _strengths(regularizer: Regularizer) -> list[float]:
    return [float(s) for s in regularizer.strengths]


def _slope(regularizer: Regularizer) -> Callable[[], Formula]:
    def formula(xp: Any, g: Any, w: Any, *strengths: Any) -> Any:
        return g + regularizer.slope(xp, w, *strengths)

    return lambda: formula
