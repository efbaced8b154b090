"""The program on a CUDA device: recorded steps, launched one behind the other without waiting.

What changes from step to step lies on a tape in the device's memory: the numbers of the rows, their weights, the
optimiser's coefficients. The host writes the tape for many steps, launches the recorded step as often, and then waits
once, for the results. All values live in flat buffers on the device.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.batches import batches_of
from deepmath.pace import Pace
from deepmath.parameters import Layout
from deepmath.program import Batch, Data, Program, Recipe, finished
from deepmath_cupy import memory
from deepmath_cupy.nodes import Node
from deepmath_cupy.plan import Plan
from deepmath_cupy.runtime import Runtime, element_type
from deepmath_cupy.session import Session
from deepmath_cupy.staging import Kept, Staging
from deepmath_cupy.tape import Tape, length

STRETCH = 64
"""Steps that are written to the tape before they are launched."""

KEPT_LISTS = 64
"""Lists of nodes that are kept, for the numbers of rows that were asked for."""


@dataclass(frozen=True)
class Gradients:
    """Gradients in the program's flat buffer on the device, and the micro-batches' results."""

    flat: Any
    layout: Layout
    sums: Any

    @property
    def values(self) -> dict[str, Any]:
        """Views by parameter name, in the device's library."""
        return self.layout.views(self.flat)


class CupyProgram(Program):
    """A recipe whose every part has kernels; `plan` has been written at its largest, for `micro` rows."""

    _staging: Staging | None = None

    def __init__(
        self, runtime: Runtime, recipe: Recipe, plan: Plan, values: Mapping[str, Any], data: Data | None, micro: int
    ) -> None:
        self.recipe, self._plan, self._runtime = recipe, plan, runtime
        self.pace = Pace(recipe.optimizer)
        self._params, self._states = plan.writer.layout, plan.writer.states
        self._float = element_type("T", recipe.precision)
        steps = length(plan.line, plan.numbers) if data is not None else 1
        self._tape = Tape(runtime, steps, plan.line, plan.numbers)
        self._chunk = memory.chunk(micro, data is not None)
        self._session = Session(runtime, recipe.precision)
        self._lists: dict[Hashable, list[Node]] = {}
        self._prepare()
        self.data: Data | None = None
        self._session.write("scale", np.ones(2))
        self.load(values)
        if data is not None:
            self.attach(data)

    def attach(self, data: Data) -> None:
        self.data, self._batches = data, batches_of(self.recipe, data)
        self._staging = None
        if isinstance(data.x, Kept) or isinstance(data.targets, Kept):
            self._staging = Staging(self._runtime, data, self._plan.line)
            data = self._staging.data
        addresses = [self._runtime.address(a) if a.size else 0 for a in (data.x, data.targets)]
        self._session.write("sources", np.asarray(addresses, np.int64))

    def run(self, k: int) -> Any:
        results = np.empty((k, len(self.recipe.columns)))
        for done in range(0, k, self._tape.steps):
            self._run(results[done : done + self._tape.steps])
        return results

    def gradients(self, batch: Batch, previous: Gradients | None = None) -> Gradients:
        assert self.data is not None
        rows, plan = np.asarray(batch.rows, np.int64), self._plan
        own_weights = self.data.weights_of(rows)
        if self._staging is not None:
            rows = self._staging.stage([rows])[0]
        self._tape.hold(0, rows, batch.weights, own_weights, self._coefficients(self.step), self.step)
        self._tape.send(self._session, range(1))
        n, more = len(rows), previous is not None
        self._issue((n, batch.first, more), lambda: plan.begin(n) + plan.gradients(n, batch.first, more=more))
        flat = self._session.array("g", 0, self._params.size)
        return Gradients(flat, self._params, self._session.read("sums", plan.columns))

    def apply(self, gradients: Gradients) -> None:
        self._session.write("coefficients", np.asarray(self._coefficients(self.step)))
        self._issue("apply", self._plan.apply)
        self.step += 1

    def predict(self, x: Any) -> Any:
        outputs, pieces = self._plan.stages[-1].outputs, []
        for start in range(0, len(x), self._chunk):
            n = self._ask(x, start)
            self._issue(("predict", n), functools.partial(self._plan.predict, n))
            pieces.append(self._session.array("scores", 0, n * math.prod(outputs)).copy().reshape(n, *outputs))
        xp, head = self._runtime.xp, self.recipe.head
        z = pieces[0] if len(pieces) == 1 else xp.concat(pieces, axis=0)
        return z if head is None or head.activation is None else head.activation.value(xp, z)

    def measure(self, data: Data) -> Any:
        head, session = self.recipe.head, self._session
        assert head is not None
        session.write("sums", np.zeros(self._plan.columns))
        self._issue("penalties", self._plan.penalties)
        for start in range(0, data.rows, self._chunk):
            n = self._ask(data.x, start, data.targets, data.weights)
            self._issue(("measure", n), functools.partial(self._plan.measure, n))
        total = session.read("sums", self._plan.columns)
        weight, count = data.counted
        total[1] /= 1.0 if head.loss.summed else weight or 1.0
        return finished(total, weight, count)

    def state(self) -> dict[str, Any]:
        named: dict[str, Any] = {}
        for prefix, (buffer, layout) in self._values().items():
            flat = self._session.read(buffer, layout.size)
            named |= {f"{prefix}.{n}": v.copy() for n, v in layout.views(flat).items()}
        return named | {"step": np.asarray(self.step), "rate": self.pace.value}

    def load(self, state: Mapping[str, Any]) -> None:
        for prefix, (buffer, layout) in self._values().items():
            flat = np.zeros(layout.size)
            for name, view in layout.views(flat).items():
                view[...] = state.get(f"{prefix}.{name}", 0.0)
            with np.errstate(over="ignore"):
                self._session.write(buffer, flat.astype(self._float))
        self.step = int(state.get("step", 0))
        self.pace.value = state.get("rate", 1.0)

    def plan(self) -> list[tuple[str, str]]:
        return self._plan.how()

    def _run(self, results: Any) -> None:
        """Launch so many steps, a stretch at a time, and wait once, for their results [steps, columns]."""
        steps = range(self.step, self.step + len(results))
        for start in range(0, len(steps), STRETCH):  # the host writes a stretch while the device runs the one before
            self._launch(steps, range(start, min(start + STRETCH, len(steps))))
        columns = self._plan.columns
        sums = self._session.read("tape.results", len(results) * columns).reshape(-1, columns)
        for i, step in enumerate(steps):
            results[i] = finished(sums[i], *self._batches.weight_of(step))
        self.step += len(results)

    def _launch(self, steps: range, lines: range) -> None:
        """Write these lines of the tape, for the steps at the same places, and launch the steps."""
        assert self.data is not None
        staging = self._staging
        micro = [self._batches.at(steps[i]) for i in lines]
        rows = [np.concatenate([b.rows for b in each]) for each in micro]
        groups = [range(len(lines))] if staging is None else staging.groups(rows)
        places = rows if staging is None else staging.places(rows, groups)
        for i, each, numbers, place in zip(lines, micro, rows, places, strict=True):
            weights, own_weights = np.concatenate([b.weights for b in each]), self.data.weights_of(numbers)
            self._tape.hold(i, place, weights, own_weights, self._coefficients(steps[i]), steps[i])
        self._tape.send(self._session, lines)
        for group in groups:
            if staging is not None:
                staging.stage([rows[i] for i in group])
            for i in group:
                sizes = tuple(len(b.rows) for b in micro[i])
                self._session.recorded(sizes, functools.partial(self._written, sizes))()
            if staging is not None:
                staging.used()

    def _written(self, micro: tuple[int, ...]) -> list[Node]:
        """The nodes of a step of these micro-batches, with memory for them."""
        nodes = self._plan.step(micro)
        self._prepare()
        return nodes

    def _issue(self, key: Hashable, write: Callable[[], list[Node]]) -> None:
        """Do nodes that are written when they are asked for first."""
        if key not in self._lists:
            if len(self._lists) == KEPT_LISTS:
                self._lists.clear()
            self._lists[key] = write()
            self._prepare()
        self._session.issue(self._lists[key])

    def _prepare(self) -> None:
        self._session.prepare(self._plan.writer.kernels, self._plan.writer.buffers)

    def _coefficients(self, step: int) -> list[float]:
        """The optimiser's coefficients of a step, for each segment that moves."""
        return [c for rate in self._plan.rates for c in self.pace.coefficients(step, rate)]

    def _ask(self, x: Any, start: int, targets: Any = None, weights: Any = None) -> int:
        """Point inference at some rows; gives their number."""
        n = min(self._chunk, len(x) - start)
        pieces = [None if a is None else a[start : start + n] for a in (x, targets)]
        placed = [self._runtime.put(a, str(a.dtype)) if isinstance(a, Kept) else a for a in pieces]
        self._asked = placed  # they must live until the work is done
        addresses = [0 if a is None else self._runtime.address(a) for a in placed]
        self._session.write("asked", np.asarray(addresses, np.int64))
        self._session.write("rows", np.arange(n, dtype=np.int64))
        if targets is not None:
            shares = np.ones(n) if weights is None else np.asarray(weights[start : start + n], np.float64)
            self._session.write("weights", shares)
        return n

    def _values(self) -> dict[str, tuple[str, Layout]]:
        """The buffers of all visible values by the prefix of their names."""
        slots = {slot: (f"slot.{slot}", self._params) for slot in self.recipe.optimizer.slots}
        return {"params": ("theta", self._params), "state": ("state", self._states), **slots}
