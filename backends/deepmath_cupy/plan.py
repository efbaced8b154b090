"""The plan of a program, as data: what a step launches, from the recipe and the numbers of rows alone.

A step is `begin`, then for each micro-batch gather, forward, head, backward and penalties, then clipping, update and
constraints, then `end`. `begin` and `end` read and write a tape of several steps, so that one recorded step serves
all: nothing in it depends on the step's number but through the device's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deepmath.errors import TraceError
from deepmath.formulas import regularizers
from deepmath.parameters import Layout, segments
from deepmath.program import Recipe, head_formula, head_kinds, results_formula
from deepmath.regularizers import L1, L1L2, L2
from deepmath_cupy import geometry
from deepmath_cupy.chain import Unfused, chain
from deepmath_cupy.epilogues import HALVES
from deepmath_cupy.kernels import scalars
from deepmath_cupy.nodes import Node, Product, Ref
from deepmath_cupy.stages import ELEMENT, Delta
from deepmath_cupy.writing import PAGE, Writer

ADDITIVE = (L1, L2, L1L2)
"""Penalties that are the same taken row by row and added up."""


class Plan:
    """Writes the nodes of a recipe. `writer` has the buffers and kernels of all that was written so far.

    No step has more than `line` rows.

    Raises Unfused where a part of the recipe can't be made of kernels.
    """

    def __init__(
        self, recipe: Recipe, params: Layout, states: Layout, line: int, accepts: Callable[[Product], bool] = lambda _: True
    ) -> None:
        self.recipe, self.line = recipe, line
        self.writer = Writer(recipe.precision, params, states, accepts)
        self.stages = chain(recipe)
        self._moving = [(where, rate) for where, rate in segments(params, recipe.rates) if rate]
        self._frozen = [where for where, rate in segments(params, recipe.rates) if not rate]
        self._per_segment = len(recipe.optimizer.coefficients(0))
        for name in ("theta", *(f"slot.{s}" for s in recipe.optimizer.slots)):
            self.writer.flat(name)
        self._state("state")

    @property
    def rates(self) -> list[float]:
        """The rates of the moving segments, in the order of their coefficients on the tape."""
        return [rate for _, rate in self._moving]

    @property
    def numbers(self) -> int:
        """How many coefficients a step has."""
        return max(1, len(self._moving) * self._per_segment)

    @property
    def columns(self) -> int:
        """How many sums a step gives: penalty, cost, and one for each metric."""
        head = self.recipe.head
        return 2 + (len(head.metrics) if head else 0)

    def step(self, micro: Sequence[int]) -> list[Node]:
        """A whole update on micro-batches of so many rows."""
        first, nodes = 0, self._begin(sum(micro))
        for i, rows in enumerate(micro):
            nodes += self.gradients(rows, first, place=first, more=i > 0)
            first += rows
        return nodes + self.apply() + self._end()

    def steps_on_tape(self, steps: int) -> None:
        """Make room for so many steps on the tape."""
        buffer = self.writer.buffer
        buffer("tape.rows", steps * self.line, "int64")
        buffer("tape.weights", steps * self.line, "float64")
        buffer("tape.coefficients", steps * self.numbers, "float64")
        buffer("tape.step", steps, "int64")
        buffer("tape.results", steps * self.columns, "float64")

    def once(self, rows: int) -> list[Node]:
        """What stands in front of a single micro-batch: its line of the tape."""
        return self._begin(rows)

    def gradients(self, rows: int, first: int, *, place: int = 0, more: bool = False) -> list[Node]:
        """The gradient of one micro-batch, whose first row is number `first` of the logical batch.

        Its rows stand at `place` of the step's. With `more` it is added to the gradient before it.
        """
        plan = self.writer
        plan.begin(rows, first, training=True, gradients="h" if more else "g")
        if not more and plan.states.size:
            plan.elementwise("copy", _copy, [self._state("next_state"), self._state("state")], 1, plan.states.size)
        y = self._forward(place)
        delta = self._head(y, place, keep=more)
        for stage in reversed(self.stages):
            delta = stage.backward(plan, delta)
        if more:
            plan.elementwise("add", _add, [plan.flat("g"), plan.flat("h")], plan.flat_size // PAGE, PAGE)
        else:
            self._penalties(slopes=True)
        return plan.nodes

    def apply(self) -> list[Node]:
        """Clipping, the update of what moves, constraints, and the layers' new state."""
        plan, optimizer = self.writer, self.recipe.optimizer
        plan.begin(1, training=True)
        pages = plan.flat_size // PAGE
        g = plan.flat("g")
        if optimizer.clipvalue is not None:
            plan.elementwise("clip_by_value", regularizers.clip_by_value, [g, float(optimizer.clipvalue)], pages, PAGE)
        if optimizer.clipnorm is not None and self._moving:
            for where in self._frozen:
                size = where.stop - where.start
                plan.fixed("clear", (g.at(where.start), size), geometry.elements(1, size))
            self._clip_by_norm(g, pages, float(optimizer.clipnorm))
        self._update()
        for name, constraint in self.recipe.constraints.items():
            if self.recipe.rates.get(name, 1.0):
                self._constrain(name, constraint)
        if plan.states.size:
            plan.elementwise("copy", _copy, [self._state("state"), self._state("next_state")], 1, plan.states.size)
        return plan.nodes

    def predict(self, rows: int) -> list[Node]:
        """The values of the last layer for so many rows, in full precision, to the buffer "scores"."""
        plan = self.writer
        plan.begin(rows, training=False)
        y, units = self._forward(0), self.stages[-1].units
        kinds, names = [ELEMENT] * 2, ["a", "b"]
        printed = plan.kernels.get("widen", lambda: _second, kinds, ["a"], names, key=True, stored={"b"})
        plan.call(printed, [plan.buffer("scores", rows * units), y], rows, units)
        return plan.nodes

    def measure(self, rows: int) -> list[Node]:
        """Loss and metrics of so many rows, added to the sums."""
        self.writer.begin(rows, training=False)
        self._results(self._forward(0))
        return self.writer.nodes

    def penalties(self) -> list[Node]:
        """The penalty of the parameters as they stand, to the first of the sums."""
        self.writer.begin(1, training=False)
        self._penalties(slopes=False)
        return self.writer.nodes

    def _forward(self, place: int) -> Ref:
        plan = self.writer
        if plan.half:
            size, names = plan.flat_size, ["a", "b"]
            printed = plan.kernels.get("round", lambda: _second, [ELEMENT] * 2, ["a"], names, key=True, stored={"a"})
            plan.call(printed, [plan.buffer("half", size, "S"), plan.flat("theta")], size // PAGE, PAGE)
        x = self._gather(place)
        for stage in self.stages:
            x = stage.forward(plan, x)
        return x

    def _gather(self, place: int) -> Ref:
        plan, features = self.writer, self.recipe.parts[0].shape[0]
        x, sources = plan.activations("x", features), self._sources()
        rows = self._rows("rows", "int64").at(place)
        plan.fixed("gather", (sources, rows, x, plan.rows, features), geometry.elements(plan.rows, features))
        return x

    def _targets(self, place: int) -> Ref:
        plan, head = self.writer, self.recipe.head
        assert head is not None
        source, rows = self._sources().at(1), self._rows("rows", "int64").at(place)
        if head.labelled:
            to = plan.buffer("targets", plan.rows, "int64")
            plan.fixed("gather_labels", (source, rows, to, plan.rows), geometry.elements(1, plan.rows))
            return to
        to = plan.buffer("targets", plan.rows * head.outputs)
        grid = geometry.elements(plan.rows, head.outputs)
        plan.fixed("gather_numbers", (source, rows, to, plan.rows, head.outputs), grid)
        return to

    def _head(self, z: Ref, place: int, *, keep: bool) -> Delta:
        """Loss, its gradient and metrics in one kernel; then their sums."""
        plan, head = self.writer, self.recipe.head
        assert head is not None
        targets = self._targets(place)
        metrics = [f"m{i}" for i in range(len(head.metrics))]
        constants = [float(c) for c in head.loss.constants]
        kinds = [*head_kinds(head), *["scalar"] * len(constants)]
        names = ["z", "targets", "index", "weight", *scalars(len(constants))]
        printed = plan.kernels.get(
            "head", lambda: head_formula(head), kinds, ["dz", "loss", *metrics], names, stored={"z", "dz"}
        )
        dz, rows = plan.activations("delta.a", head.outputs), self._result_rows()
        share = self._rows("shares").at(place)
        plan.call(printed, [z, targets, share, *constants, dz, *rows], plan.rows, head.outputs)
        self._add_up(rows, place, keep=keep)
        return Delta(dz)

    def _results(self, z: Ref) -> None:
        plan, head = self.writer, self.recipe.head
        assert head is not None
        targets = self._targets(0)
        constants = [float(c) for c in head.loss.constants]
        kinds = [*head_kinds(head)[:-1], *["scalar"] * len(constants)]
        names = ["z", "targets", "index", *scalars(len(constants))]
        outputs = ["loss", *(f"m{i}" for i in range(len(head.metrics)))]
        printed = plan.kernels.get("results", lambda: results_formula(head), kinds, outputs, names, stored={"z"})
        rows = self._result_rows()
        plan.call(printed, [z, targets, *constants, *rows], plan.rows, head.outputs)
        self._add_up(rows, 0, keep=True)

    def _result_rows(self) -> list[Ref]:
        return [self.writer.buffer(f"results.{i}", self.writer.rows) for i in range(self.columns - 1)]

    def _add_up(self, rows: Sequence[Ref], place: int, *, keep: bool) -> None:
        plan, sums = self.writer, self._sums()
        weights = self._rows("weights", "float64").at(place)
        for i, row in enumerate(rows):
            given = (row, weights, sums.at(1 + i), int(i == 0), int(keep), plan.rows)
            plan.fixed("add_rows", given, geometry.rows(1, min(plan.rows, geometry.THREADS)))

    def _penalties(self, *, slopes: bool) -> None:
        """Adds slopes to the gradient, and sums up the penalties' values."""
        plan, sums = self.writer, self._sums()
        for i, (name, regularizer) in enumerate(self.recipe.penalties.items()):
            w, shape = plan.parameter(name), plan.layout.shapes[name]
            strengths = [float(s) for s in regularizer.strengths]
            size, names = _size(shape), ["w", *scalars(len(strengths))]
            kinds = [ELEMENT, *["scalar"] * len(strengths)]
            rows = shape[0] if type(regularizer) in ADDITIVE else 1
            penalty = lambda xp, w, *s, r=regularizer: r.penalty(xp, w, *s)  # noqa: E731 - it is a formula
            printed = plan.kernels.get("penalty", lambda p=penalty: p, kinds, ["penalty"], names)  # type: ignore[misc]
            values = plan.buffer("penalty", rows)
            plan.call(printed, [w, *strengths, values], rows, size // rows)
            given = (values, self._rows("weights", "float64"), sums, 0, int(i > 0), rows)
            plan.fixed("add_rows", given, geometry.rows(1, min(rows, geometry.THREADS)))
            if slopes:
                slope = lambda xp, g, w, *s, r=regularizer: g + r.slope(xp, w, *s)  # noqa: E731 - it is a formula
                printed = plan.kernels.get(
                    "penalty_slope", lambda s=slope: s, [ELEMENT, *kinds], ["g"], ["g", *names]  # type: ignore[misc]
                )  # fmt: skip
                plan.call(printed, [plan.gradient(name), w, *strengths], 1, size)

    def _clip_by_norm(self, g: Ref, pages: int, limit: float) -> None:
        """The length of each page, the length of these lengths, and the shortening."""
        plan = self.writer
        printed = plan.kernels.get("length", lambda: regularizers.length, [ELEMENT], ["norm"], ["g"], key=True)
        norms, norm = plan.buffer("norms", pages), plan.buffer("norm", 1)
        plan.call(printed, [g, norms], pages, PAGE)
        plan.call(printed, [norms, norm], 1, pages)
        kinds, names = [ELEMENT, "row", "scalar"], ["g", "norm", "limit"]
        printed = plan.kernels.get("shortened", lambda: regularizers.shortened, kinds, ["g"], names, key=True)
        plan.call(printed, [g, norm, limit], 1, plan.flat_size)

    def _update(self) -> None:
        """The optimiser's formula over each segment of one rate; its coefficients are read from memory."""
        plan, optimizer = self.writer, self.recipe.optimizer
        slots = [f"slot{i}" for i in range(len(optimizer.slots))]
        names = scalars(self._per_segment)
        kinds = [ELEMENT] * (2 + len(slots)) + ["scalar"] * len(names)
        printed = plan.kernels.get(
            "update", lambda: optimizer.update, kinds, ["w", *slots], ["w", "g", *slots, *names], key=True,
            resident=set(names),
        )  # fmt: skip
        coefficients = plan.buffer("coefficients", self.numbers, "float64")
        flats = [plan.flat("theta"), plan.flat("g"), *(plan.flat(f"slot.{s}") for s in optimizer.slots)]
        for i, (where, _) in enumerate(self._moving):
            own = [coefficients.at(i * self._per_segment + j) for j in range(self._per_segment)]
            plan.call(printed, [*(f.at(where.start) for f in flats), *own], 1, where.stop - where.start)

    def _constrain(self, name: str, constraint: Any) -> None:
        """Weights [features, units] are put back unit by unit: a unit is a column of memory."""
        plan, limits = self.writer, [float(x) for x in constraint.limits]
        kinds, names = [ELEMENT, *["scalar"] * len(limits)], ["w", *scalars(len(limits))]
        printed = plan.kernels.get("constraint", lambda: constraint.project, kinds, ["w"], names, transposed=True)
        features, units = plan.layout.shapes[name]
        plan.call(printed, [plan.parameter(name), *limits], units, features)

    def _begin(self, rows: int) -> list[Node]:
        plan = self.writer
        plan.begin(rows, training=True)
        tape = (
            plan.buffer("cursor", 1, "int64"), plan.buffer("tape.rows", rows, "int64"),
            plan.buffer("tape.weights", rows, "float64"), plan.buffer("tape.coefficients", self.numbers, "float64"),
            plan.buffer("tape.step", 1, "int64"),
        )  # fmt: skip
        now = (
            self._rows("rows", "int64"), self._rows("weights", "float64"), self._rows("shares"),
            plan.buffer("coefficients", self.numbers, "float64"), plan.buffer("step", 1, "int64"),
        )  # fmt: skip
        plan.fixed("begin_step", (*tape, *now, rows, self.line, self.numbers), geometry.elements(1, max(rows, self.numbers)))
        return plan.nodes

    def _end(self) -> list[Node]:
        plan = self.writer
        plan.begin(1, training=True)
        results = plan.buffer("tape.results", self.columns, "float64")
        given = (plan.buffer("cursor", 1, "int64"), self._sums(), results, self.columns)
        plan.fixed("end_step", given, geometry.rows(1, min(self.columns, geometry.THREADS)))
        return plan.nodes

    def _rows(self, name: str, dtype: str = "T") -> Ref:
        return self.writer.buffer(name, self.writer.rows, dtype)

    def _sources(self) -> Ref:
        """Where the addresses of inputs and targets stand."""
        return self.writer.buffer("sources" if self.writer.training else "asked", 2, "int64")

    def _sums(self) -> Ref:
        return self.writer.buffer("sums", self.columns, "float64")

    def _state(self, name: str) -> Ref:
        return self.writer.buffer(name, self.writer.states.size)


def plan_of(
    recipe: Recipe, params: Layout, states: Layout, line: int, accepts: Callable[[Product], bool] = lambda _: True
) -> Plan | str:
    """The plan of a recipe, with all its kernels printed; or why it has none."""
    try:
        plan = Plan(recipe, params, states, line, accepts)
        plan.predict(1)
        if recipe.head is not None:
            plan.measure(1)
            plan.gradients(1, 0)
        plan.apply()
    except Unfused as error:
        return str(error)
    except TraceError as error:
        return f"a formula can't be compiled: {error}"
    return plan


def _size(shape: Sequence[int]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def _copy(xp: Any, a: Any, b: Any) -> Any:
    return b


def _second(xp: Any, a: Any, b: Any) -> Any:
    return b


def _add(xp: Any, a: Any, b: Any) -> Any:
    return a + b
