"""The fused program: steps over flat buffers, with loops printed from the formulas.

Steps are compiled whole, or run by Python where a part has no kernel (`ways.py`). All work arrays are allocated once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.arrays import is_finite
from deepmath.batches import batches_of
from deepmath.checks import is_sparse
from deepmath.formulas.random import SHUFFLE, sorted_order
from deepmath.pace import Pace
from deepmath.parameters import Layout, aligned
from deepmath.program import Batch, Data, Program, Recipe, Snapshot, finished
from deepmath_numpy import layout, loop, tables, ways
from deepmath_numpy.hooks import Hooks
from deepmath_numpy.kernels import Kernels

MASK = 0xFFFFFFFF
CHUNK_ROWS = 1024
"""How many rows are predicted at a time."""
CACHED = 1 << 16
"""With more parameters than these, each stage's are updated while its gradient is in the processor's cache."""


@dataclass(frozen=True)
class Gradients:
    """Gradients in the program's flat buffer, the layers' new state, and the micro-batches' results."""

    flat: Any
    layout: Layout
    sums: Any

    @property
    def values(self) -> dict[str, Any]:
        """Views by parameter name."""
        return self.layout.views(self.flat)


class FusedProgram(Program):
    """A recipe run in compiled loops on the CPU."""

    def __init__(self, recipe: Recipe, values: Mapping[str, Any], data: Data | None) -> None:
        self.recipe, self.data = recipe, None
        self.pace = Pace(recipe.optimizer)
        self._params, self._states = Layout(_shapes(values, "params.")), Layout(_shapes(values, "state."))
        self._rates = tables.rates_of(recipe)
        self._stages = layout.stages_of(recipe.parts, self._params, self._states)
        rows, self._sparse = CHUNK_ROWS, data is not None and is_sparse(data.x)
        if data is not None:
            rows = self._micro = min(recipe.batch_size, data.rows) if data.rows else recipe.batch_size
        own = self._start(rows)
        self._eager = recipe.accumulate == 1 and recipe.optimizer.clipnorm is None and self._params.size > CACHED
        self._kept_size = own["next_state"]  # in front of it lies all that a state holds
        self._own = {name: self._buffer[start:] for name, start in own.items()}
        self._fill(values)
        if data is not None:
            self.attach(data)

    def _start(self, rows: int) -> dict[str, int]:
        """Lay out the buffer for steps with up to so many rows, choose how they run, and fill the tables."""
        recipe, stages, memory = self.recipe, self._stages, layout.Memory()
        by_reference = next((f"{s.name} runs by the reference" for s in stages if s.kind == "reference"), "")
        missing = tables.untraced(recipe)
        by_python = by_reference or "; ".join(missing.values()) or ("inputs are sparse" if self._sparse else "")
        way, self._why = ways.chosen(stages, recipe.precision, by_python)
        kernels = Kernels(recipe.precision, narrow=way == "narrow")
        common = tables.common_kernels(kernels, recipe, stages, missing)
        common |= kernels.products() if way != "interpreted" else {}
        self._steps = ways.steps(recipe.precision, way)
        own = layout.own_places(recipe, self._params, self._states, memory)
        results = 1 + (len(recipe.head.metrics) if recipe.head is not None else 0)
        item = np.dtype(recipe.precision).itemsize
        sizes = sorted({rows, CHUNK_ROWS})
        places = {n: layout.batch_places(stages, own, results, n, item, memory, self._sparse) for n in sizes}
        self._buffer = aligned(memory.size, recipe.precision)
        self._net, self._predicting = (
            tables.net_of(
                recipe, kernels, stages, self._params, (own, *places[n], common), self._buffer, self._states.size
            )
            for n in (rows, CHUNK_ROWS)
        )
        shares = np.zeros(max(rows * recipe.accumulate, CHUNK_ROWS))
        sums, addresses = np.zeros(1 + results), np.zeros(4 + results + 8, np.int64)
        self._scratch = shares, np.zeros(max(sizes)), sums, addresses, np.zeros(5)
        self._hooks: Any = 0
        if way == "interpreted":
            layouts = self._params, self._states
            place = int(self._net[0][0, self._steps.X])
            self._hooks = Hooks(recipe, stages, layouts, own, self._buffer, self._steps, place)
        return own

    def attach(self, data: Data) -> None:
        self.data, self._batches = data, batches_of(self.recipe, data, _epoch_orders)
        self._data = self._data_of(data)

    def run(self, k: int) -> Any:
        results = np.empty((k, len(self.recipe.columns)))
        done = 0
        while done < k:
            rows, bounds = self._batches.stretch(self.step, k - done)
            n = len(bounds) - 1
            self._steps.run(
                self._net, self._scratch, self._data, rows, bounds, self._micro, self.recipe.seed, self.step,
                self._eager, self._coefficients(n), results[done : done + n], self._hooks,
            )  # fmt: skip
            self.step += n
            done += n
        return results

    def gradients(self, batch: Batch, previous: Gradients | None = None) -> Gradients:
        rows, weights = np.ascontiguousarray(batch.rows, np.int64), np.array(batch.weights, np.float64)
        self._steps.gradients(
            self._net, self._scratch, self._data, rows, weights, self.recipe.seed, self.step, batch.first,
            previous is not None, self._coefficients(1)[0], self._hooks,
        )  # fmt: skip
        return Gradients(self._own["grads"], self._params, self._scratch[2].copy())

    def apply(self, gradients: Gradients) -> None:
        self._steps.settle(self._net, self._scratch, self._coefficients(1)[0], self._hooks)
        self._own["state"][: self._states.size] = self._own["next_state"][: self._states.size]
        self.step += 1

    def predict(self, x: Any) -> Any:
        last = self.recipe.parts[-1]
        shape = last.layer.output_shape(last.shape)
        out = np.empty((x.shape[0], math.prod(shape)), self.recipe.precision)
        self._steps.predict(self._predicting, self._scratch, _rows(x), out, self._hooks)
        return out.reshape(x.shape[0], *shape)

    def measure(self, data: Data) -> Any:
        head = self.recipe.head
        assert head is not None
        self._steps.measure(self._predicting, self._scratch, self._data_of(data), self._hooks)
        weight, count = data.counted
        sums = self._scratch[2].copy()
        sums[1] /= 1.0 if head.loss.summed else weight or 1.0
        return finished(sums, weight, count)

    def snapshot(self) -> Snapshot:
        kept = [(prefix, names, flat.copy()) for prefix, names, flat in self._kept()]
        rest = {"step": np.asarray(self.step), "rate": self.pace.value}
        return lambda: {f"{prefix}.{n}": v for prefix, names, flat in kept for n, v in names.views(flat).items()} | rest

    def weights(self) -> dict[str, Any]:
        own = self._kept()[:2]
        return {f"{prefix}.{n}": v.copy() for prefix, names, flat in own for n, v in names.views(flat).items()}

    def state(self) -> dict[str, Any]:
        return self.snapshot()()

    def is_finite(self) -> bool:
        return is_finite(self._buffer[: self._kept_size])

    def load(self, state: Mapping[str, Any]) -> None:
        for _, _, flat in self._kept():
            flat[...] = 0.0  # between parameters there may be what a bad step left
        self._fill(state)

    def _fill(self, state: Mapping[str, Any]) -> None:
        """Take over a state where all else is zero; memory that stays so is never touched."""
        for prefix, names, flat in self._kept():
            for name, view in names.views(flat).items():
                if f"{prefix}.{name}" in state:
                    view[...] = state[f"{prefix}.{name}"]
        self.step = int(state.get("step", 0))
        self.pace.value = state.get("rate", 1.0)

    def plan(self) -> list[tuple[str, str]]:
        return [("steps", self._why), *((stage.name, stage.how) for stage in self._stages)]

    def _kept(self) -> list[tuple[str, Layout, Any]]:
        """What a state holds: for each prefix of names, the flat buffer with its layout."""
        size = self._params.size
        found = [("params", self._params, self._own["params"][:size])]
        found.append(("state", self._states, self._own["state"][: self._states.size]))
        for i, slot in enumerate(self.recipe.optimizer.slots):
            found.append((slot, self._params, self._own["slots"][i * size : (i + 1) * size]))
        return found

    def _coefficients(self, steps: int) -> Any:
        """What the optimiser takes in the next steps, for each rate: float64 [steps, rates, numbers]."""
        return self.pace.table(self.step, steps, self._rates)

    def _data_of(self, data: Data) -> Any:
        labelled = self.recipe.head is not None and self.recipe.head.labelled
        targets = _rows(np.zeros((0, 1), self.recipe.precision) if labelled else data.targets)
        labels = _read_only(data.targets if labelled else np.zeros(0, np.int64))
        weights = _read_only(np.zeros(0) if data.weights is None else np.asarray(data.weights, np.float64))
        return _rows(data.x), targets, labels, weights


def _epoch_orders(seed: int, first: int, epochs: int, rows: int) -> Any:
    """`epoch_orders`, the random words from a compiled loop."""
    words = np.empty((epochs, -(-rows // 4) * 4), np.int64)
    loop.call(_words(), [words], [first, 0, 0, seed & MASK, SHUFFLE], epochs, words.shape[1] // 4)
    return sorted_order(words[:, :rows])


@functools.cache
def _words() -> int:
    return Kernels("float64").words()


def _rows(x: Any) -> Any:
    """A matrix [rows, numbers] that is only read; sparse rows as they are."""
    if is_sparse(x):
        return x
    return _read_only(x.reshape(len(x), math.prod(x.shape[1:])))


def _read_only(x: Any) -> Any:
    """A view, so that compiled code meets one type, whether the array may be written to or not."""
    view = np.ascontiguousarray(x).view()
    view.flags.writeable = False
    return view


def _shapes(values: Mapping[str, Any], prefix: str) -> dict[str, tuple[int, ...]]:
    return {n.removeprefix(prefix): np.shape(v) for n, v in values.items() if n.startswith(prefix)}
