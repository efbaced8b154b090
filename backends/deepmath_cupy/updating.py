"""The nodes of an update: clipping, the optimiser over flat segments, constraints, and scaling for 16 bits."""

from __future__ import annotations

from typing import Any

from deepmath.errors import TraceError
from deepmath.formulas import regularizers
from deepmath.parameters import segments
from deepmath.program import Recipe
from deepmath_cupy import geometry, hooks
from deepmath_cupy.kernels import Printed, scalars, works_along_rows
from deepmath_cupy.nodes import Ref
from deepmath_cupy.stages import ELEMENT
from deepmath_cupy.writing import PAGE, Writer


class Updating:
    """Writes these nodes for a recipe. `rates` are those of the segments that move, in the order of the tape."""

    def __init__(self, writer: Writer, recipe: Recipe) -> None:
        self.writer, self.recipe = writer, recipe
        found = segments(writer.layout, recipe.rates)
        self._moving = [where for where, rate in found if rate]
        self._frozen = [where for where, rate in found if not rate]
        self.rates = [rate for _, rate in found if rate]
        self._each = len(recipe.optimizer.coefficients(0))
        self.numbers = max(1, len(self._moving) * self._each)
        for name in ("theta", *(f"slot.{s}" for s in recipe.optimizer.slots)):
            writer.flat(name)
        writer.buffer("scale", 2, "float64")
        if why := self._reason():
            writer.reasons["optimizer"] = why

    @property
    def coefficients(self) -> Ref:
        """Where the optimiser's coefficients of the step at hand are, for each moving segment."""
        return self.writer.buffer("coefficients", self.numbers, "float64")

    @property
    def scale(self) -> Ref:
        """What the loss is multiplied by, and its inverse."""
        return self.writer.buffer("scale", 2, "float64")

    def unscale(self, g: Ref) -> None:
        """Divide a gradient by the scale."""
        plan = self.writer
        kinds, names = [ELEMENT, "scalar"], ["g", "inverse"]
        printed = plan.kernels.get("unscale", lambda: _times, kinds, ["g"], names, key=True, resident={"inverse"})
        plan.call(printed, [g, self.scale.at(1)], plan.flat_size // PAGE, PAGE)

    def largest(self) -> None:
        """The largest magnitude of each page of the gradient, NaN where there is one, to the buffer "largest"."""
        plan = self.writer
        printed = plan.kernels.get("largest", lambda: _largest, [ELEMENT], ["largest"], ["g"], key=True)
        pages = plan.flat_size // PAGE
        plan.call(printed, [plan.flat("g"), plan.buffer("largest", pages)], pages, PAGE)

    def write(self) -> None:
        """Clip, update what moves, put back what is constrained."""
        plan, optimizer, g = self.writer, self.recipe.optimizer, self.writer.flat("g")
        pages = plan.flat_size // PAGE
        if optimizer.clipvalue is not None:
            plan.elementwise("clip_by_value", regularizers.clip_by_value, [g, float(optimizer.clipvalue)], pages, PAGE)
        if optimizer.clipnorm is not None and self._moving:
            for where in self._frozen:  # what doesn't move doesn't count
                size = where.stop - where.start
                plan.fixed("clear", (g.at(where.start), size), geometry.elements(1, size))
            self._clip_by_norm(g, pages, float(optimizer.clipnorm))
        self._update()
        for name, constraint in self.recipe.constraints.items():
            if self.recipe.rates.get(name, 1.0):
                self._constrain(name, constraint)

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
        plan, slots = self.writer, self.recipe.optimizer.slots
        flats = [plan.flat("theta"), plan.flat("g"), *(plan.flat(f"slot.{s}") for s in slots)]
        for i, where in enumerate(self._moving):
            if "optimizer" in plan.reasons:
                names = [n for n, start in plan.layout.offsets.items() if where.start <= start < where.stop]
                own = self.coefficients.at(i * self._each)
                hooks.update(plan, self.recipe.optimizer, names, own, self._each)
                continue
            numbers = [self.coefficients.at(i * self._each + j) for j in range(self._each)]
            given = [*(f.at(where.start) for f in flats), *numbers]
            plan.call(self._printed(), given, 1, where.stop - where.start)

    def _printed(self) -> Printed:
        optimizer = self.recipe.optimizer
        slots, numbers = [f"slot{i}" for i in range(len(optimizer.slots))], scalars(self._each)
        kinds = [*[ELEMENT] * (2 + len(slots)), *["scalar"] * len(numbers)]
        return self.writer.kernels.get(
            "update", lambda: optimizer.update, kinds, ["w", *slots], ["w", "g", *slots, *numbers], key=True,
            resident=numbers,
        )  # fmt: skip

    def _reason(self) -> str:
        optimizer = self.recipe.optimizer
        kinds = [*[ELEMENT] * (2 + len(optimizer.slots)), *["scalar"] * self._each]
        name = type(optimizer).__name__
        try:
            if works_along_rows(optimizer.update, kinds):  # segments hold several parameters, and parts of none
                return f"{name} looks at more than one element at a time"
            self._printed()
        except TraceError as error:
            return f"{name} can't be compiled: {error}"
        return ""

    def _constrain(self, name: str, constraint: Any) -> None:
        """Weights [features, units] are put back unit by unit: a unit is a column of memory."""
        plan, limits = self.writer, [float(x) for x in constraint.limits]
        kinds, names = [ELEMENT, *["scalar"] * len(limits)], ["w", *scalars(len(limits))]
        try:
            printed = plan.kernels.get(
                "constraint", lambda: constraint.project, kinds, ["w"], names, key=name, transposed=True
            )
        except TraceError as error:
            plan.reasons[f"constraint of {name}"] = str(error)
            return hooks.constrain(plan, constraint, name)
        features, units = plan.layout.shapes[name]
        return plan.call(printed, [plan.parameter(name), *limits], units, features)


def _times(xp: Any, g: Any, inverse: Any) -> Any:
    return g * inverse


def _largest(xp: Any, g: Any) -> Any:
    return xp.max(xp.abs(g), axis=-1, keepdims=True)
