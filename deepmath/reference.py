"""The reference program: the graph of a step, evaluated on whatever library holds the arrays. Nothing is mutated.

All other programs are compared with it. It runs on read-only arrays and on JAX.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

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
    weighted_sums,
)
from deepmath.step_evaluation import Observer, StepEvaluation
from deepmath.step_graph import StepGraph, measuring_graph, prediction_graph, training_graph

CHUNK = 1 << 22
"""How many numbers of the widest layer are predicted at a time."""

Put: TypeAlias = Callable[[str, Any, str | None], Any]
"""(name, NumPy array, dtype) -> an array of the library."""


@dataclass(frozen=True)
class Gradients:
    """Gradients by parameter name, the layers' new state, and the micro-batches' results."""

    values: dict[str, Any]
    state: dict[str, Any]
    sums: Any


class ReferenceProgram(Program):
    """A recipe run step by step through the Array API, one operation after the other.

    An observer sees every value of its training steps and predictions. `put` brings what comes from the host to the
    library, by default as it is: values by their names in `state`, and what a step takes: "rows", "weight", "index",
    "bits.0" of a layer.
    """

    def __init__(
        self, recipe: Recipe, values: Mapping[str, Any], xp: Any, device: Any, data: Data | None,
        observer: Observer | None = None, put: Put | None = None,
    ) -> None:  # fmt: skip
        self.recipe, self.xp, self.device, self.data, self.observer = recipe, xp, device, data, observer
        self._put = put or (lambda _, x, dtype: from_numpy(xp, x, dtype, device))
        self._native_bits = put is None and has_int64(xp)
        self.pace = Pace(recipe.optimizer)
        self._params: dict[str, Any] = {}
        self._state: dict[str, Any] = {}
        self._slots: dict[str, dict[str, Any]] = {}
        self._index = self._put("index", np.arange(recipe.head.outputs)[None, :], None) if recipe.head else None
        self._batches = batches_of(recipe, data) if data is not None else None
        self.load(values)

    def attach(self, data: Data) -> None:
        self.data, self._batches = data, batches_of(self.recipe, data)

    def run(self, k: int) -> Any:
        return run_steps(self, self._need_data(), len(self.recipe.columns), k)

    def gradients(self, batch: Batch, previous: Gradients | None = None) -> Gradients:
        assert self.data is not None
        rows = self._put("rows", batch.rows, None)
        given = self.data.x
        x = self._dense(given[batch.rows]) if is_sparse(given) else self.xp.take(given, rows, axis=0)
        targets = self.xp.take(self.data.targets, rows, axis=0)
        weight = self._put("weight", np.asarray(batch.weights)[:, None], self.recipe.precision)
        state = self._state if previous is None else previous.state
        arguments = self._arguments(x, targets, state) | {"weight": weight}
        found = self._training.run(arguments, functools.partial(self._bits, self.step, batch.first, int(x.shape[0])))
        values = {n: found[f"grad.{n}"] for n in self._params if f"grad.{n}" in found}
        state = {n: found.get(f"state.{n}", v) for n, v in state.items()}
        shares, weights = np.asarray(batch.weights), self.data.weights_of(batch.rows)
        sums = weighted_sums(_results(found), shares, weights)
        if previous is not None:
            values = {name: previous.values[name] + values[name] for name in values}
            return Gradients(values, state, previous.sums + np.concatenate([[0.0], sums]))
        penalty = self._penalty(self._see)
        for name, regularizer in self.recipe.penalties.items():
            slope = regularizer.slope(self.xp, self._params[name], *regularizer.strengths)
            values[name] = values[name] + slope
        return Gradients(values, state, np.concatenate([[penalty], sums]))

    def apply(self, gradients: Gradients) -> None:
        optimizer = self.recipe.optimizer
        for name, value in gradients.values.items():
            self._see(f"gradient.{name}", "update", value)
        clipped = self._clipped(gradients.values)
        for name, value in clipped.items() if clipped is not gradients.values else ():
            self._see(f"clipped.{name}", "update", value)
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
        for name, value in params.items():
            for slot in optimizer.slots:
                self._see(f"{slot}.{name}", "update", slots[slot][name])
            self._see(f"params.{name}", "update", value)
        self._params, self._slots, self._state = params, slots, gradients.state
        self.step += 1

    def predict(self, x: Any) -> Any:
        pieces = []
        for start, stop in self._chunks(int(x.shape[0])):
            arguments = self._arguments(self._dense(x[start:stop, ...]), None, self._state)
            bits = functools.partial(self._bits, 0, 0, stop - start)
            pieces.append(self._predicting.run(arguments, bits)["predictions"])
        return pieces[0] if len(pieces) == 1 else self.xp.concat(pieces, axis=0)

    def measure(self, data: Data) -> Any:
        head = self.recipe.head
        assert head is not None
        total = np.zeros(1 + len(head.metrics))
        for start, stop in self._chunks(data.rows):
            arguments = self._arguments(
                self._dense(data.x[start:stop, ...]), data.targets[start:stop, ...], self._state
            )
            found = self._measuring.run(arguments, functools.partial(self._bits, 0, 0, stop - start))
            weights = data.weights_of(np.arange(start, stop))
            total += weighted_sums(_results(found), weights, weights)
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
                n.removeprefix(start): self._put(n, v, self.recipe.precision)
                for n, v in state.items()
                if n.startswith(start)
            }
            return {n: found[n] for n in before if n in found} | found  # a file has another order, and sums have bits

        self._params, self._state = put("params", self._params), put("state", self._state)
        zeros = {n: np.zeros(v.shape) for n, v in self._params.items()}
        self._slots = {
            s: put(s, self._params) or {n: self._put(f"{s}.{n}", z, self.recipe.precision) for n, z in zeros.items()}
            for s in self.recipe.optimizer.slots
        }
        self.step = int(state.get("step", 0))
        self.pace.value = state.get("rate", 1.0)

    def plan(self) -> list[tuple[str, str]]:
        name = getattr(self.xp, "__name__", str(self.xp)).removeprefix("array_api_compat.")
        return [(type(p.layer).__name__, f"reference on {name}") for p in self.recipe.parts]

    @functools.cached_property
    def _training(self) -> StepEvaluation:
        return self._evaluation(training_graph, self.observer)

    @functools.cached_property
    def _measuring(self) -> StepEvaluation:
        return self._evaluation(measuring_graph)

    @functools.cached_property
    def _predicting(self) -> StepEvaluation:
        return self._evaluation(prediction_graph, self.observer)

    def _evaluation(self, graph: Callable[..., StepGraph], observer: Observer | None = None) -> StepEvaluation:
        shapes = [{n: tuple(v.shape) for n, v in values.items()} for values in (self._params, self._state)]
        return StepEvaluation(self.recipe, graph(self.recipe, *shapes), self.xp, self._index, observer)

    def _arguments(self, x: Any, targets: Any, state: Mapping[str, Any]) -> dict[str, Any]:
        """What a graph takes, by name."""
        named = {f"params.{n}": v for n, v in self._params.items()} | {f"state.{n}": v for n, v in state.items()}
        if targets is None:
            return named | {"x": x}
        labelled = self.recipe.head is not None and self.recipe.head.labelled
        told = {"labels": self.xp.reshape(targets, (-1, 1))} if labelled else {"targets": targets}
        return named | {"x": x} | told

    def _see(self, name: str, direction: str, value: Any) -> None:
        if self.observer is not None:
            self.observer.saw(name, None, direction, value)

    def _dense(self, x: Any) -> Any:
        """Inputs as an array, which sparse rows become here."""
        return self._put("x", x.toarray(), self.recipe.precision) if is_sparse(x) else x

    def _chunks(self, rows: int) -> list[tuple[int, int]]:
        size = max(1, CHUNK // max(math.prod(p.shape) for p in self.recipe.parts))
        return [(start, min(start + size, rows)) for start in range(0, rows, size)]

    def _bits(self, step: int, first: int, batch: int, times: int, units: int, layer: int) -> Any:
        """24 random bits [times batch, units], on the library where it computes in int64, else moved from the host."""
        seed, name, rows, first = self.recipe.seed, f"bits.{layer}", times * batch, times * first
        if not self._native_bits:
            words = random.host_words(seed, random.NOISE, rows, units, step=step, layer=layer, first=first)
            return self._put(name, (words >> 8).astype(np.int32), None)
        places = self._put("places", np.arange(first, first + rows)[:, None], None)
        groups = self._put("groups", np.arange((units + 3) // 4)[None, :], None)
        words = random.words(self.xp, seed, random.NOISE, places, groups, step, layer)
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

    def _penalty(self, see: Callable[[str, str, Any], None] | None = None) -> float:
        """The sum of all penalties; `see` is told each."""
        total = 0.0
        for name, regularizer in self.recipe.penalties.items():
            w = self.xp.reshape(self._params[name], (1, -1))
            value = regularizer.penalty(self.xp, w, *regularizer.strengths)
            if see is not None:
                see(f"penalty.{name}", "forward", value)
            total += float(np.sum(to_numpy(value), dtype=np.float64))
        if see is not None:
            see("penalty", "forward", np.asarray(total))
        return total

    def _need_data(self) -> Batches:
        assert self._batches is not None, "this program was compiled without data"
        return self._batches


def _results(found: Mapping[str, Any]) -> list[Any]:
    """The rows' losses and metrics [rows] on the host."""
    return [to_numpy(v)[:, 0] for n, v in found.items() if n.startswith("result.")]
