"""What a step does to the parameters, as calls: penalties, clipping, the optimiser's update, constraints."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np

from deepmath.errors import TraceError
from deepmath.formulas import regularizers
from deepmath.parameters import segments
from deepmath_numpy import compiled
from deepmath_numpy.lowering import LAUNCH, ROW, Call, words_of
from deepmath_numpy.memory import Arena
from deepmath_numpy.schedule import ALL, FLAT, Group, Phase
from deepmath_numpy.section import Hook, Section


class Updates:
    """Makes these calls for a section; `count` is the number of a row's results.

    `why` says why the optimiser's formula can't be compiled, if it can't.
    """

    def __init__(self, section: Section, rates: Sequence[float], count: int) -> None:
        self.section, self.recipe, self.memory, self.rates, self.count = (
            section, section.recipe, section.memory, rates, count
        )  # fmt: skip
        self._item = np.dtype(self.recipe.precision).itemsize
        self._coefficients = len(self.recipe.optimizer.coefficients(0))
        self._kept: list[Arena] = []
        self._penalties = self._arena_of(max(1, len(self.recipe.penalties)) * 64 // self._item)
        self.why = self.why_not()

    def why_not(self) -> str:
        """Why the optimiser's formula can't be compiled, or nothing."""
        try:
            self.update_call(0, 1.0, 1, 1)
        except TraceError as error:
            self.section.step.reasons["update"] = str(error)
            return str(error)
        return ""

    def _formula(
        self, formula: Any, kinds: Sequence[str], outputs: Sequence[int | str], arrays: Sequence[tuple[int, int]],
        numbers: Sequence[int], rows: int, columns: int, whole: bool = False,
    ) -> Call:  # fmt: skip
        """A call of a formula's loop on arrays (address, row stride), in place where an output is a number."""
        names = [f"a{o}" if isinstance(o, int) else o for o in outputs]
        address, entries = compiled.loop(formula, kinds, names, self.recipe.precision, columns)
        words: list[int] = []
        given = len([k for k in kinds if not k.startswith("scalar")])
        new = [n for n in names if not n.startswith("a")]
        for entry in entries:
            if entry.kind == "scalar":
                words.append(numbers[int(entry.name[1:])])
            elif entry.name.startswith("out_"):
                words += arrays[given + new.index(entry.name.removeprefix("out_"))]
            else:
                words += arrays[int(entry.name[1:])]
        return Call("map", address, words_of(words), False, rows, columns, whole, work=4.0 * rows * columns)

    def _flat(self, part: str, start: int = 0) -> int:
        return int(self.memory.floats[part].ctypes.data) + start * self._item

    def phase(self, call: Call) -> Phase:
        block = ALL if call.whole else FLAT
        return Phase([Group([call], call.rows, ALL if call.whole else 1, call.columns, block)], work=call.work)

    def copy(self, source: str, out: str, size: int) -> Phase:
        call = self._formula(
            lambda xp, a: a, ["element"], ["o"], [(self._flat(source), size), (self._flat(out), size)], [], 1, size
        )
        return self.phase(call)

    def add(self) -> Phase:
        size = self.memory.params.size
        arrays = [(self._flat("total"), size), (self._flat("grads"), size)]
        return self.phase(self._formula(lambda xp, a, b: a + b, ["element", "element"], [1], arrays, [], 1, size))

    def penalize(self) -> list[Phase]:
        """Regularisers: their slopes are added to the gradient, their values to the sums."""
        calls = []
        for i, (name, regularizer) in enumerate(self.recipe.penalties.items()):
            size = math.prod(self.memory.params.shapes[name])
            start = self.memory.params.offsets[name]
            strengths = [self.section.number(f"penalty.{i}.{k}", s) for k, s in enumerate(regularizer.strengths)]

            def formula(xp: Any, w: Any, g: Any, *strengths: Any, regularizer: Any = regularizer) -> Any:
                return g + regularizer.slope(xp, w, *strengths), regularizer.penalty(xp, w, *strengths)

            arrays = [
                (self._flat("params", start), size),
                (self._flat("grads", start), size),
                (self._penalties + 64 * i, 1),
            ]
            kinds = ["element", "element", *["scalar"] * len(strengths)]
            calls.append(self._formula(formula, kinds, [1, "o"], arrays, strengths, 1, size, whole=True))
        if not calls:
            return []
        words = [self.section.placeholder("sums"), ROW, 1 + self.count, len(calls), self._penalties, 64 // self._item]
        total = Call("penalties", compiled.move(self.recipe.precision, "penalties"), words_of(words), False, 1, 1, True)
        return [Phase([Group([c], 1, ALL) for c in calls]), Phase([Group([total], 1, ALL)])]

    def _left(self, done: Set[str]) -> list[tuple[slice, float]]:
        """Stretches of the parameters that are still to be updated, each with its share of the rate."""
        rates = {n: 0.0 if n in done else self.recipe.rates.get(n, 1.0) for n in self.memory.params.shapes}
        return [(where, rate) for where, rate in segments(self.memory.params, rates) if rate]

    def clip_value(self, start: int, rows: int, columns: int) -> list[Call]:
        """Clipping by value of the gradient of one parameter, or of a stretch of them."""
        optimizer = self.recipe.optimizer
        if optimizer.clipvalue is None:
            return []
        limit = [self.section.number("clipvalue", optimizer.clipvalue)]
        grads = [(self._flat("grads", start), columns)]
        return [self._formula(regularizers.clip_by_value, ["element", "scalar"], [0], grads, limit, rows, columns)]

    def clip(self, done: Set[str]) -> list[Phase]:
        optimizer, size = self.recipe.optimizer, self.memory.params.size
        left = self._left(done)
        phases = [self.phase(c) for where, _ in left for c in self.clip_value(where.start, 1, where.stop - where.start)]
        if optimizer.clipnorm is None:
            return phases
        for where in (where for where, rate in segments(self.memory.params, self.recipe.rates) if not rate):
            still = [(self._flat("grads", where.start), where.stop - where.start)]
            call = self._formula(
                lambda xp, g: 0.0 * xp.sign(xp.where(xp.isfinite(g), g, 0.0)),
                ["element"],
                [0],
                still,
                [],
                1,
                still[0][1],
            )
            phases.append(self.phase(call))
        limit = [self.section.number("clipnorm", optimizer.clipnorm)]
        call = self._formula(
            lambda xp, g, limit: regularizers.clip_by_norm(xp, g, limit)[0], ["element", "scalar"], [0],
            [(self._flat("grads"), size)], limit, 1, size, whole=True,
        )  # fmt: skip
        return [*phases, self.phase(call)]

    def update_call(self, start: int, rate: float, rows: int, columns: int) -> Call:
        """The optimiser's update of parameters [rows, columns] that begin there."""
        optimizer, size = self.recipe.optimizer, self.memory.params.size
        starts = [self._flat("params", start), self._flat("grads", start)]
        starts += [self._flat("slots", i * size + start) for i in range(len(optimizer.slots))]
        count = len(starts)
        kinds = ["element"] * count + ["scalar"] * self._coefficients
        first = LAUNCH + self.rates.index(rate) * self._coefficients
        numbers = list(range(first, first + self._coefficients))
        outputs = [0, *range(2, count)]
        call = self._formula(optimizer.update, kinds, outputs, [(s, columns) for s in starts], numbers, rows, columns)
        return replace(call, work=10.0 * rows * columns)

    def update(self, done: Set[str]) -> list[Phase]:
        if self.why:
            return [Phase(hook=Hook("update", (), ()))]
        calls = [self.update_call(where.start, rate, 1, where.stop - where.start) for where, rate in self._left(done)]
        groups = [Group([call], 1, 1, call.columns, FLAT) for call in calls]
        return [Phase(groups, work=sum(c.work for c in calls))] if groups else []

    def constrain(self) -> list[Phase]:
        """Constraints on kernels, whose columns lead into a unit each: turned round, put back, turned again."""
        phases = []
        for i, (name, constraint) in enumerate(self.recipe.constraints.items()):
            if not self.recipe.rates.get(name, 1.0):
                continue
            features, units = self.memory.params.shapes[name]
            place = self._arena_of(features * units)
            w = self._flat("params", self.memory.params.offsets[name])
            limits = [self.section.number(f"constraint.{i}.{k}", s) for k, s in enumerate(constraint.limits)]
            kinds = ["element", *["scalar"] * len(limits)]
            call = self._formula(
                constraint.project, kinds, [0], [(place, features)], limits, units, features, whole=True
            )
            turn, back = self._turn(w, place, features, units), self._turn(place, w, units, features)
            phases += [Phase([Group([c], c.rows, ALL)]) for c in (turn, call, back)]
        return phases

    def _turn(self, source: int, out: int, rows: int, columns: int) -> Call:
        """out [columns, rows] = the transpose of source [rows, columns]."""
        words = [out, 0, 0, source, 0, 0, 1, 1, columns, rows, 0, 0, rows, 1, 0, 0, 1, columns]
        address = compiled.move(self.recipe.precision, f"copy{8 * self._item}")
        return Call("copy", address, words_of(words), False, 1, 1, True)

    def _arena_of(self, numbers: int) -> int:
        """Memory for so many numbers, which lives as long as this."""
        self._kept.append(Arena())
        at = self._kept[-1].take(numbers * self._item)
        return self._kept[-1].address(at)
