"""What has no kernel runs by the reference on the same buffers, between kernels: layers, losses, optimisers, penalties.

It takes and gives full precision, in 16 bits too. A step with such a part can't be recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from deepmath.layers.base import Shape
from deepmath.optimizers import Optimizer
from deepmath.program import Head, Part, head_formula, results_formula
from deepmath.regularizers import Constraint, Regularizer
from deepmath_cupy.more_stages import random_bits
from deepmath_cupy.nodes import Place, Ref
from deepmath_cupy.stages import Delta, Stage
from deepmath_cupy.writing import Writer

BY_REFERENCE = "reference on cupy: "
"""How `plan()` begins to tell of a part without kernels; the reason follows."""


class ReferenceStage(Stage):
    """Any layer, by its own `apply`. `why` says why it has no kernels; `owns`: what has its number is its own."""

    def __init__(self, part: Part, index: int, seed: int, why: str, *, owns: bool) -> None:
        outputs = part.layer.output_shape(part.shape)
        super().__init__(part.number, index, math.prod(outputs), index == 0)
        self.outputs, self._part, self._owns = outputs, part, owns
        self.name, self.how, self.why = type(part.layer).__name__, BY_REFERENCE + why, why
        self._seed = seed & 0xFFFFFFFF
        self._pullback: Any = None

    def forward(self, plan: Writer, x: Ref) -> Ref:
        layer, number, shape = self._part
        training, first = plan.training, plan.first
        params, states = self._own(plan.layout.shapes), self._own(plan.states.shapes)

        def work(xp: Any, step: Any, x: Any, y: Any, *own: Any) -> None:
            def bits(rows: int, units: int) -> Any:
                unit, row = xp.arange(units)[None, :], xp.arange(rows)[:, None]
                return random_bits(xp, unit, row, first, step, number, self._seed)

            values = dict(zip(params, own, strict=False))
            state = dict(zip(states, own[len(params) :], strict=True))
            y[...], pullback, new = layer.apply(xp, values, state, x, bits, training)
            self._pullback = pullback if training else None
            for name, value in new.items():
                state[name][...] = value

        wide = plan.buffer(f"{self.index}.wide", plan.rows * self.units)
        plan.work(
            work,
            Place(plan.buffer("step", 1, "int64"), (1, 1)),
            Place(plan.widened(x, f"{self.index}.x", math.prod(shape)), (plan.rows, *shape)),
            Place(wide, (plan.rows, *self.outputs)),
            *(Place(plan.parameter(self.own(name)), size) for name, size in params.items()),
            *(Place(plan.state(self.own(name)), size) for name, size in states.items()),
        )
        return plan.shortened(wide, f"{self.index}.y", self.units)

    def backward(self, plan: Writer, delta: Delta) -> Delta:
        names, features = self._own(plan.layout.shapes), math.prod(self._part.shape)

        def work(xp: Any, dy: Any, dx: Any, *gradients: Any) -> None:
            dx[...], found = self._pullback(dy)
            self._pullback = None
            for name, place in zip(names, gradients, strict=True):
                place[...] = found[name]

        wide = plan.buffer(f"{self.index}.wide.dx", plan.rows * features)
        plan.work(
            work,
            Place(plan.widened(delta.place, f"{self.index}.wide.dy", self.units), (plan.rows, *self.outputs)),
            Place(wide, (plan.rows, *self._part.shape)),
            *(Place(plan.gradient(self.own(name)), size) for name, size in names.items()),
        )
        return Delta(plan.shortened(wide, f"{self.index}.dx", features))

    def _own(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """The shapes of this layer's own parameters or states, by their own names."""
        start = self.own("")
        return {n.removeprefix(start): s for n, s in shapes.items() if self._owns and n.startswith(start)}


def judge(
    plan: Writer, head: Head, z: Ref, targets: Ref, share: Ref | None, dz: Ref | None, rows: Sequence[Ref]
) -> None:
    """Loss and metrics of each row to `rows`; with shares also the gradient by the scores."""
    formula = results_formula(head) if share is None else head_formula(head)

    def work(xp: Any, z: Any, targets: Any, *rest: Any) -> None:
        index = xp.arange(head.outputs)[None, :]
        weight = () if share is None else (rest[0],)
        for place, value in zip(
            rest[len(weight) :], _all(formula(xp, z, targets, index, *weight, *head.loss.constants)), strict=True
        ):
            place[...] = value

    n, outputs = plan.rows, head.outputs
    gradient = [] if share is None else [Place(share, (n, 1)), Place(plan.buffer("wide.dz", n * outputs), (n, outputs))]
    plan.work(
        work,
        Place(plan.widened(z, "wide.z", outputs), (n, outputs)),
        Place(targets, (n, 1 if head.labelled else outputs)),
        *gradient,
        *(Place(row, (n, 1)) for row in rows),
    )
    if dz is not None:
        plan.shorten(dz, Ref("wide.dz"), outputs)


def update(plan: Writer, optimizer: Optimizer, names: Sequence[str], coefficients: Ref, count: int) -> None:
    """One step of the optimiser for these parameters, each in its own shape."""
    each = 2 + len(optimizer.slots)

    def work(xp: Any, coefficients: Any, *arrays: Any) -> None:
        for i in range(0, len(arrays), each):
            w, g, *slots = arrays[i : i + each]
            found = optimizer.update(xp, w, g, *slots, *coefficients.astype(w.dtype))
            for place, value in zip((w, *slots), found, strict=True):
                place[...] = value

    flats = [plan.flat("theta"), plan.flat("g"), *(plan.flat(f"slot.{s}") for s in optimizer.slots)]
    places = [Place(f.at(plan.layout.offsets[n]), plan.layout.shapes[n]) for n in names for f in flats]
    plan.work(work, Place(coefficients, (count,)), *places)


def penalize(plan: Writer, regularizer: Regularizer, name: str, value: Ref) -> None:
    """The penalty of a parameter, to `value`."""

    def work(xp: Any, w: Any, value: Any) -> None:
        value[...] = regularizer.penalty(xp, w, *regularizer.strengths)

    shape = plan.layout.shapes[name]
    plan.work(work, Place(plan.parameter(name), (1, math.prod(shape))), Place(value, (1, 1)))


def add_slope(plan: Writer, regularizer: Regularizer, name: str) -> None:
    """The penalty's slope, added to the gradient."""

    def work(xp: Any, w: Any, g: Any) -> None:
        g[...] = g + regularizer.slope(xp, w, *regularizer.strengths)

    shape = plan.layout.shapes[name]
    plan.work(work, Place(plan.parameter(name), shape), Place(plan.gradient(name), shape))


def constrain(plan: Writer, constraint: Constraint, name: str) -> None:
    """Weights [features, units], put back unit by unit."""

    def work(xp: Any, w: Any) -> None:
        w[...] = xp.matrix_transpose(constraint.project(xp, xp.matrix_transpose(w), *constraint.limits))

    plan.work(work, Place(plan.parameter(name), plan.layout.shapes[name]))


def _all(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)
