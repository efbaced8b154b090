"""The nodes behind the last layer: loss, its gradient, metrics, penalties, and the sums that a step reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from deepmath.program import Recipe, head_formula, head_kinds, results_formula
from deepmath.regularizers import L1, L1L2, L2, Regularizer
from deepmath.trace import Formula
from deepmath_cupy import geometry
from deepmath_cupy.kernels import scalars
from deepmath_cupy.nodes import Ref
from deepmath_cupy.stages import ELEMENT, Delta
from deepmath_cupy.writing import Writer

ADDITIVE = (L1, L2, L1L2)
"""Penalties that are the same taken row by row and added up."""

ALL, COUNTED, WEIGHTED = 0, 1, 2
"""What the kernel `add_rows` adds up: every number, those of rows that count, or these times their weights."""


class Heading:
    """Writes these nodes for a recipe. A step's sums are [penalty, cost, one for each metric]."""

    def __init__(self, writer: Writer, recipe: Recipe) -> None:
        self.writer, self.recipe = writer, recipe
        self.columns = 2 + (len(recipe.head.metrics) if recipe.head else 0)

    @property
    def sums(self) -> Ref:
        """Where the sums are."""
        return self.writer.buffer("sums", self.columns, "float64")

    def backward(self, z: Ref, place: int, *, keep: bool) -> Delta:
        """Loss, its gradient and metrics in one kernel; then their sums, added to those before it with `keep`."""
        plan, head = self.writer, self.recipe.head
        assert head is not None
        metrics = [f"m{i}" for i in range(len(head.metrics))]
        constants = [float(c) for c in head.loss.constants]
        kinds = [*head_kinds(head), *["scalar"] * len(constants)]
        names = ["z", "targets", "index", "weight", *scalars(len(constants))]
        printed = plan.kernels.get(
            "head", lambda: head_formula(head), kinds, ["dz", "loss", *metrics], names, stored={"z", "dz"}
        )
        dz, rows = plan.activations("delta.a", head.outputs), self._rows()
        share = plan.buffer("shares", plan.rows).at(place)
        plan.call(printed, [z, self._targets(place), share, *constants, dz, *rows], plan.rows, head.outputs)
        self._add_up(rows, place, keep=keep)
        return Delta(dz)

    def results(self, z: Ref) -> None:
        """Loss and metrics alone, added to the sums."""
        plan, head = self.writer, self.recipe.head
        assert head is not None
        constants = [float(c) for c in head.loss.constants]
        kinds = [*head_kinds(head)[:-1], *["scalar"] * len(constants)]
        names = ["z", "targets", "index", *scalars(len(constants))]
        outputs = ["loss", *(f"m{i}" for i in range(len(head.metrics)))]
        printed = plan.kernels.get("results", lambda: results_formula(head), kinds, outputs, names, stored={"z"})
        rows = self._rows()
        plan.call(printed, [z, self._targets(0), *constants, *rows], plan.rows, head.outputs)
        self._add_up(rows, 0, keep=True)

    def penalties(self, *, slopes: bool) -> None:
        """The sum of the penalties; with `slopes`, their slopes are added to the gradient."""
        plan = self.writer
        for i, (name, regularizer) in enumerate(self.recipe.penalties.items()):
            strengths = [float(s) for s in regularizer.strengths]
            names, kinds = ["w", *scalars(len(strengths))], [ELEMENT, *["scalar"] * len(strengths)]
            w, shape = plan.parameter(name), plan.layout.shapes[name]
            rows = shape[0] if type(regularizer) in ADDITIVE else 1
            printed = plan.kernels.get("penalty", _penalty(regularizer), kinds, ["penalty"], names)
            values = plan.buffer("penalty", rows)
            plan.call(printed, [w, *strengths, values], rows, math.prod(shape) // rows)
            weights = plan.buffer("weights", 1, "float64")
            grid = geometry.rows(1, min(rows, geometry.THREADS))
            plan.fixed("add_rows", (values, weights, self.sums, ALL, int(i > 0), rows), grid)
            if slopes:
                formula = _slope(regularizer)
                printed = plan.kernels.get("penalty_slope", formula, [ELEMENT, *kinds], ["g"], ["g", *names])
                plan.call(printed, [plan.gradient(name), w, *strengths], 1, math.prod(shape))

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

    def _add_up(self, rows: Sequence[Ref], place: int, *, keep: bool) -> None:
        plan, sums = self.writer, self.sums
        weights = plan.buffer("weights", plan.rows, "float64").at(place)
        for i, row in enumerate(rows):
            given = (row, weights, sums.at(1 + i), WEIGHTED if i == 0 else COUNTED, int(keep), plan.rows)
            plan.fixed("add_rows", given, geometry.rows(1, min(plan.rows, geometry.THREADS)))


def _penalty(regularizer: Regularizer) -> Callable[[], Formula]:
    return lambda: regularizer.penalty


def _slope(regularizer: Regularizer) -> Callable[[], Formula]:
    def formula(xp: Any, g: Any, w: Any, *strengths: Any) -> Any:
        return g + regularizer.slope(xp, w, *strengths)

    return lambda: formula
