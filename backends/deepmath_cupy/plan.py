"""The plan of a program, as data: what a step launches, from the recipe and the numbers of rows alone.

A step is `begin`, then for each micro-batch gather, forward, head, backward and penalties, then clipping, update and
constraints, then `end`. `begin` and `end` read and write a tape of several steps, so that one recorded step serves
all: nothing in it depends on the step's number but through the device's memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from deepmath.parameters import Layout
from deepmath.program import Recipe
from deepmath_cupy import geometry
from deepmath_cupy.chain import chain
from deepmath_cupy.heading import Heading
from deepmath_cupy.hooks import BY_REFERENCE, ReferenceStage
from deepmath_cupy.nodes import Node, Product, Ref
from deepmath_cupy.updating import Updating
from deepmath_cupy.writing import PAGE, Writer

Accepts = Callable[[Product], bool]


class Plan:
    """Writes the nodes of a recipe. `writer` has the buffers and kernels of all that was written so far.

    No step has more than `line` rows.
    """

    def __init__(
        self, recipe: Recipe, params: Layout, states: Layout, line: int, accepts: Accepts = lambda _: True
    ) -> None:
        self.recipe, self.line = recipe, line
        self.writer = Writer(recipe.precision, params, states, accepts)
        self.stages = chain(recipe)
        self._heading, self._updating = Heading(self.writer, recipe), Updating(self.writer, recipe)
        self.rates, self.numbers = self._updating.rates, self._updating.numbers
        self.columns = self._heading.columns
        self._state("state")

    def how(self) -> list[tuple[str, str]]:
        """(which part, how it runs and why), the steps last."""
        whys = {stage.name: stage.why for stage in self.stages if isinstance(stage, ReferenceStage)}
        whys |= self.writer.reasons
        others = [(name, BY_REFERENCE + why) for name, why in self.writer.reasons.items()]
        steps = f"issued node by node: {', '.join(whys)}" if whys else "recorded as a CUDA graph, launched whole"
        return [*((stage.name, stage.how) for stage in self.stages), *others, ("steps", steps)]

    def step(self, micro: Sequence[int]) -> list[Node]:
        """A whole update on micro-batches of so many rows."""
        first, nodes = 0, self.begin(sum(micro))
        for i, rows in enumerate(micro):
            nodes += self.gradients(rows, first, place=first, more=i > 0)
            first += rows
        return nodes + self.apply() + self.end()

    def begin(self, rows: int) -> list[Node]:
        """Take the step's line from the tape."""
        plan = self.writer
        plan.begin(rows, training=True)
        tape = (
            plan.buffer("cursor", 1, "int64"), plan.buffer("tape.rows", rows, "int64"),
            plan.buffer("tape.weights", rows, "float64"), plan.buffer("tape.own_weights", rows, "float64"),
            plan.buffer("tape.coefficients", self.numbers, "float64"), plan.buffer("tape.step", 1, "int64"),
        )  # fmt: skip
        now = (
            plan.buffer("rows", rows, "int64"), plan.buffer("weights", rows, "float64"),
            plan.buffer("own_weights", rows, "float64"), plan.buffer("shares", rows),
            self._updating.coefficients, plan.buffer("step", 1, "int64"), self._updating.scale,
        )  # fmt: skip
        grid = geometry.elements(1, max(rows, self.numbers))
        plan.fixed("begin_step", (*tape, *now, rows, self.line, self.numbers), grid)
        return plan.nodes

    def end(self) -> list[Node]:
        """Write the step's sums to the tape, and move on."""
        plan = self.writer
        plan.begin(1, training=True)
        results = plan.buffer("tape.results", self.columns, "float64")
        given = (plan.buffer("cursor", 1, "int64"), self._heading.sums, results, self.columns)
        plan.fixed("end_step", given, geometry.rows(1, min(self.columns, geometry.THREADS)))
        return plan.nodes

    def steps_on_tape(self, steps: int) -> None:
        """Make room for so many steps on the tape."""
        buffer = self.writer.buffer
        buffer("tape.rows", steps * self.line, "int64")
        buffer("tape.weights", steps * self.line, "float64")
        buffer("tape.own_weights", steps * self.line, "float64")
        buffer("tape.coefficients", steps * self.numbers, "float64")
        buffer("tape.step", steps, "int64")
        buffer("tape.results", steps * self.columns, "float64")

    def gradients(self, rows: int, first: int, *, place: int = 0, more: bool = False) -> list[Node]:
        """The gradient of one micro-batch, whose first row is number `first` of the logical batch.

        Its rows stand at `place` of the step's. With `more` it is added to the gradient before it.
        """
        plan = self.writer
        plan.begin(rows, first, training=True, gradients="h" if more else "g")
        if not more:
            self._copy_states("next_state", "state")
        delta = self._heading.backward(self._forward(place), place, keep=more)
        for stage in reversed(self.stages):
            delta = stage.backward(plan, delta)
        if self.recipe.precision == "float16":
            self._updating.unscale(plan.flat(plan.gradients))
        if more:
            plan.elementwise("add", _add, [plan.flat("g"), plan.flat("h")], plan.flat_size // PAGE, PAGE)
        else:
            self._heading.penalties(slopes=True)
        return plan.nodes

    def apply(self) -> list[Node]:
        """The update, and the layers' new state."""
        self.writer.begin(1, training=True)
        self._updating.write()
        self._copy_states("state", "next_state")
        return self.writer.nodes

    def largest(self) -> list[Node]:
        """The largest magnitude of each page of the gradient, NaN where there is one, to the buffer "largest"."""
        self.writer.begin(1, training=True)
        self._updating.largest()
        return self.writer.nodes

    def predict(self, rows: int) -> list[Node]:
        """The values of the last layer for so many rows, in full precision, to the buffer "scores"."""
        plan = self.writer
        plan.begin(rows, training=False)
        y, units = self._forward(0), self.stages[-1].units
        plan.widen(plan.buffer("scores", rows * units), y, units)
        return plan.nodes

    def measure(self, rows: int) -> list[Node]:
        """Loss and metrics of so many rows, added to the sums."""
        self.writer.begin(rows, training=False)
        self._heading.results(self._forward(0))
        return self.writer.nodes

    def penalties(self) -> list[Node]:
        """The penalty of the parameters as they stand, to the first of the sums."""
        self.writer.begin(1, training=False)
        self._heading.penalties(slopes=False)
        return self.writer.nodes

    def _forward(self, place: int) -> Ref:
        plan, features = self.writer, math.prod(self.recipe.parts[0].shape)
        if plan.half:
            half = plan.buffer("half", plan.flat_size, "S")
            plan.shorten(half, plan.flat("theta"), PAGE, plan.flat_size // PAGE)
        x, rows = plan.activations("x", features), plan.buffer("rows", plan.rows, "int64").at(place)
        plan.fixed("gather", (plan.sources, rows, x, plan.rows, features), geometry.elements(plan.rows, features))
        for stage in self.stages:
            x = stage.forward(plan, x)
        return x

    def _copy_states(self, to: str, source: str) -> None:
        size = self.writer.states.size
        if size:
            self.writer.copy(self._state(to), self._state(source), size)

    def _state(self, name: str) -> Ref:
        return self.writer.buffer(name, self.writer.states.size)


def _add(xp: Any, a: Any, b: Any) -> Any:
    return a + b
