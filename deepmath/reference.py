"""The reference program: formulas only, on whatever library holds the arrays. Nothing is mutated.

All other programs are compared with it. It runs on read-only arrays and on JAX.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.arrays import from_numpy, has_int64, to_numpy
from deepmath.batches import Batches, batches_of, run_steps
from deepmath.checks import is_sparse
from deepmath.formulas import random, regularizers
from deepmath.pace import Pace
from deepmath.program import (
    Batch,
    Data,
    Program,
    Recipe,
    finished,
    head_formula,
    results_formula,
    weighted_sums,
)

CHUNK = 1 << 22
"""How many numbers of the widest layer are predicted at a time."""


@dataclass(frozen=True)
class Gradients:
    """Gradients by parameter name, the layers' new state, and the micro-batches' results."""

    values: dict[str, Any]
    state: dict[str, Any]
    sums: Any


class ReferenceProgram(Program):
    """A recipe run step by step through the Array API."""

    def __init__(self, recipe: Recipe, values: Mapping[str, Any], xp: Any, device: Any, data: Data | None) -> None:
        self.recipe, self.xp, self.device, self.data = recipe, xp, device, data
        self._native_bits = has_int64(xp)
        self.pace = Pace(recipe.optimizer)
        self._params: dict[str, Any] = {}
        self._state: dict[str, Any] = {}
        self._slots: dict[str, dict[str, Any]] = {}
        self._index = self._put(np.arange(recipe.head.outputs)[None, :]) if recipe.head else None
        self._batches = batches_of(recipe, data) if data is not None else None
        self._head = head_formula(recipe.head) if recipe.head else None
        self._constants = recipe.head.loss.constants if recipe.head else ()
        self.load(values)

    def attach(self, data: Data) -> None:
        self.data, self._batches = data, batches_of(self.recipe, data)

    def run(self, k: int) -> Any:
        return run_steps(self, self._need_data(), len(self.recipe.columns), k)

    def gradients(self, batch: Batch, previous: Gradients | None = None) -> Gradients:
        assert self.data is not None
        rows = self._put(batch.rows)
        given = self.data.x
        x = self._dense(given[batch.rows]) if is_sparse(given) else self.xp.take(given, rows, axis=0)
        targets = self._targets(self.xp.take(self.data.targets, rows, axis=0))
        state = dict(self._state if previous is None else previous.state)
        pullbacks = []
        for part in self.recipe.parts:
            x, pullback, new_state = self._forward(part, x, state, batch.first, training=True)
            pullbacks.append((part.number, pullback))
            state.update({f"{part.number}.{name}": value for name, value in new_state.items()})
        weight = self._put(np.asarray(batch.weights)[:, None], self.recipe.precision)
        assert self._head is not None
        dx, *results = self._head(self.xp, x, targets, self._index, weight, *self._constants)
        values: dict[str, Any] = {}
        for number, pullback in reversed(pullbacks):
            dx, gradients = pullback(dx)
            values.update({f"{number}.{name}": gradient for name, gradient in gradients.items()})
        shares, weights = np.asarray(batch.weights), self.data.weights_of(batch.rows)
        sums = weighted_sums([to_numpy(r)[:, 0] for r in results], shares, weights)
        if previous is not None:
            values = {name: previous.values[name] + values[name] for name in values}
            return Gradients(values, state, previous.sums + np.concatenate([[0.0], sums]))
        for name, regularizer in self.recipe.penalties.items():
            slope = regularizer.slope(self.xp, self._params[name], *regularizer.strengths)
            values[name] = values[name] + slope
        return Gradients(values, state, np.concatenate([[self._penalty()], sums]))

    def apply(self, gradients: Gradients) -> None:
        optimizer = self.recipe.optimizer
        clipped = self._clipped(gradients.values)
        rates = self.recipe.rates
        coefficients = {rate: self.pace.coefficients(self.step, rate) for rate in {1.0, *rates.values()}}
        params: dict[str, Any] = {}
        slots: dict[str, dict[str, Any]] = {s: {} for s in optimizer.slots}
        for name, w in self._params.items():
            old, rate = [self._slots[s][name] for s in optimizer.slots], rates.get(name, 1.0)
            new = (w, *old)
            if rate:
                new = optimizer.update(self.xp, w, clipped[name], *old, *coefficients[rate])
            params[name] = new[0]
            for slot, value in zip(optimizer.slots, new[1:], strict=True):
                slots[slot][name] = value
        for name, constraint in self.recipe.constraints.items():
            if not rates.get(name, 1.0):
                continue
            units = constraint.project(self.xp, self.xp.matrix_transpose(params[name]), *constraint.limits)
            params[name] = self.xp.matrix_transpose(units)
        self._params, self._slots, self._state = params, slots, gradients.state
        self.step += 1

    def predict(self, x: Any) -> Any:
        pieces = [self._scores(x[start:stop, ...]) for start, stop in self._chunks(int(x.shape[0]))]
        z = pieces[0] if len(pieces) == 1 else self.xp.concat(pieces, axis=0)
        head = self.recipe.head
        return z if head is None or head.activation is None else head.activation.value(self.xp, z)

    def measure(self, data: Data) -> Any:
        head = self.recipe.head
        assert head is not None
        formula = results_formula(head)
        total = np.zeros(1 + len(head.metrics))
        for start, stop in self._chunks(data.rows):
            z = self._scores(data.x[start:stop, ...])
            rows = formula(self.xp, z, self._targets(data.targets[start:stop, ...]), self._index, *self._constants)
            weights = data.weights_of(np.arange(start, stop))
            total += weighted_sums([to_numpy(r)[:, 0] for r in rows], weights, weights)
        weight, count = data.counted
        total[0] /= 1.0 if head.loss.summed else weight or 1.0
        return finished(np.concatenate([[self._penalty()], total]), weight, count)

    def state(self) -> dict[str, Any]:
        named = {f"params.{n}": v for n, v in self._params.items()} | {f"state.{n}": v for n, v in self._state.items()}
        for slot, values in self._slots.items():
            named |= {f"{slot}.{n}": v for n, v in values.items()}
        return {n: np.array(to_numpy(v)) for n, v in named.items()} | {
            "step": np.asarray(self.step),
            "rate": self.pace.value,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        def put(prefix: str, before: Mapping[str, Any]) -> dict[str, Any]:
            start = f"{prefix}."
            found = {
                n.removeprefix(start): self._put(v, self.recipe.precision)
                for n, v in state.items()
                if n.startswith(start)
            }
            return {n: found[n] for n in before if n in found} | found  # a file has another order, and sums have bits

        self._params, self._state = put("params", self._params), put("state", self._state)
        zeros = {n: np.zeros(v.shape) for n, v in self._params.items()}
        self._slots = {
            s: put(s, self._params) or {n: self._put(z, self.recipe.precision) for n, z in zeros.items()}
            for s in self.recipe.optimizer.slots
        }
        self.step = int(state.get("step", 0))
        self.pace.value = state.get("rate", 1.0)

    def plan(self) -> list[tuple[str, str]]:
        name = getattr(self.xp, "__name__", str(self.xp)).removeprefix("array_api_compat.")
        return [(type(p.layer).__name__, f"reference on {name}") for p in self.recipe.parts]

    def _forward(self, part: Any, x: Any, state: Mapping[str, Any], first: int, training: bool) -> Any:
        prefix = f"{part.number}."

        def own(values: Mapping[str, Any]) -> dict[str, Any]:
            return {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}

        def bits(rows: int, units: int) -> Any:
            return self._bits(rows, units, first, part.number)

        return part.layer.apply(self.xp, own(self._params), own(state), x, bits, training)

    def _dense(self, x: Any) -> Any:
        """Inputs as an array, which sparse rows become here."""
        return self._put(x.toarray(), self.recipe.precision) if is_sparse(x) else x

    def _scores(self, x: Any) -> Any:
        x = self._dense(x)
        for part in self.recipe.parts:
            x, _, _ = self._forward(part, x, self._state, 0, training=False)
        return x

    def _chunks(self, rows: int) -> list[tuple[int, int]]:
        size = max(1, CHUNK // max(math.prod(p.shape) for p in self.recipe.parts))
        return [(start, min(start + size, rows)) for start in range(0, rows, size)]

    def _bits(self, rows: int, units: int, first: int, layer: int) -> Any:
        """24 random bits for each row and unit, on the library where it computes in int64, else moved from the host."""
        if not self._native_bits:
            words = random.host_words(
                self.recipe.seed, random.NOISE, rows, units, step=self.step, layer=layer, first=first
            )
            return self._put((words >> 8).astype(np.int32))
        places = self._put(np.arange(first, first + rows)[:, None])
        groups = self._put(np.arange((units + 3) // 4)[None, :])
        words = random.words(self.xp, self.recipe.seed, random.NOISE, places, groups, self.step, layer)
        return words[:, :units] >> 8

    def _clipped(self, gradients: dict[str, Any]) -> dict[str, Any]:
        xp, optimizer = self.xp, self.recipe.optimizer
        if optimizer.clipvalue is not None:
            limit = optimizer.clipvalue
            gradients = {n: regularizers.clip_by_value(xp, g, limit) for n, g in gradients.items()}
        moving = {n: w for n, w in self._params.items() if self.recipe.rates.get(n, 1.0)}
        if optimizer.clipnorm is None or not moving:
            return gradients
        flat, _ = regularizers.clip_by_norm(
            xp, xp.concat([xp.reshape(gradients[n], (-1,)) for n in moving]), optimizer.clipnorm
        )
        clipped, start = {}, 0
        for name, w in moving.items():
            size = math.prod(w.shape)
            clipped[name] = xp.reshape(flat[start : start + size], w.shape)
            start += size
        return clipped

    def _penalty(self) -> float:
        total = 0.0
        for name, regularizer in self.recipe.penalties.items():
            w = self.xp.reshape(self._params[name], (1, -1))
            total += self._total(regularizer.penalty(self.xp, w, *regularizer.strengths))
        return total

    def _targets(self, targets: Any) -> Any:
        labelled = self.recipe.head is not None and self.recipe.head.labelled
        return self.xp.reshape(targets, (-1, 1)) if labelled else targets

    def _total(self, x: Any) -> float:
        return float(np.sum(to_numpy(x), dtype=np.float64))

    def _put(self, x: Any, dtype: str | None = None) -> Any:
        return from_numpy(self.xp, x, dtype, self.device)

    def _need_data(self) -> Batches:
        assert self._batches is not None, "this program was compiled without data"
        return self._batches
