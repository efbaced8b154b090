"""The fused program: matrix products by NumPy's BLAS, everything else in loops compiled from the formulas.

All work arrays are allocated once. What has no fused stage runs by the reference beside the fused stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.arrays import all_finite
from deepmath.batches import batches_of
from deepmath.errors import TraceError
from deepmath.formulas import regularizers
from deepmath.pace import Pace
from deepmath.parameters import Layout, segments
from deepmath.program import (
    Batch,
    Data,
    Program,
    Recipe,
    Snapshot,
    finished,
)
from deepmath_numpy.chain import Own, chain
from deepmath_numpy.head import FusedHead
from deepmath_numpy.kernels import Kernels
from deepmath_numpy.stages import Moment, Stage

CHUNK_ROWS = 1024
"""How many rows are predicted at a time."""


@dataclass(frozen=True)
class Gradients:
    """Gradients in the program's flat buffer, the layers' new state, and the micro-batches' results."""

    flat: Any
    layout: Layout
    state: Any
    sums: Any

    @property
    def values(self) -> dict[str, Any]:
        """Views by parameter name."""
        return self.layout.views(self.flat)


class FusedProgram(Program):
    """A recipe run in compiled loops on the CPU."""

    def __init__(self, recipe: Recipe, values: Mapping[str, Any], data: Data | None) -> None:
        self.recipe, self.data = recipe, data
        self._kernels = Kernels(recipe.precision)
        self.pace = Pace(recipe.optimizer)
        self._xp = np
        self._params = Layout(_shapes(values, "params."))
        self._states = Layout(_shapes(values, "state."))
        zeros = self._params.zeros
        self._theta, self._g, self._scratch = zeros(recipe.precision), zeros(recipe.precision), None
        self._slots = {name: zeros(recipe.precision) for name in recipe.optimizer.slots}
        self._state, self._next_state = (self._states.zeros(recipe.precision) for _ in range(2))
        self._moment = Moment(recipe.seed)
        self._segments = segments(self._params, recipe.rates)
        self._update = self._optimizer()
        self._clip = self._kernels.compiled("clip", regularizers.clip_by_norm, ["element", "scalar"], ["g", "norm"])
        self._norm = np.empty(1, recipe.precision)
        self._constraints = {n: self._kernels.constraint(c) for n, c in recipe.constraints.items()}
        self._batches = batches_of(recipe, data) if data is not None else None
        self._inference = self._chain(CHUNK_ROWS, self._state)
        self._head = FusedHead(self._kernels, self._xp, recipe.head, CHUNK_ROWS) if recipe.head else None
        if self._batches is not None and data is not None and recipe.head is not None:
            rows = self._batches.micro
            self._training = self._chain(rows, self._next_state)
            self._training_head = FusedHead(self._kernels, self._xp, recipe.head, rows)
            self._x = np.empty((rows, *data.x.shape[1:]), recipe.precision)
            self._targets = np.empty((rows, *data.targets.shape[1:]), data.targets.dtype)
            self._penalties = {n: self._kernels.regularizer(r) for n, r in recipe.penalties.items()}
        self.load(values)

    def attach(self, data: Data) -> None:
        self.data, self._batches = data, batches_of(self.recipe, data)

    def run(self, k: int) -> Any:
        assert self._batches is not None
        results = np.empty((k, len(self.recipe.columns)))
        for i in range(k):
            gradients = None
            for batch in self._batches.at(self.step):
                gradients = self.gradients(batch, gradients)
            assert gradients is not None
            results[i] = finished(gradients.sums, *self._batches.weight_of(self.step))
            self.apply(gradients)
        return results

    def gradients(self, batch: Batch, previous: Gradients | None = None) -> Gradients:
        assert self.data is not None
        if previous is None:
            self._next_state[:] = self._state
        elif self._scratch is None:
            self._scratch = previous.flat.copy()
        else:
            self._scratch[:] = previous.flat
        self._moment.step, self._moment.first = self.step, batch.first
        n = len(batch.rows)
        x, targets = self._x[:n], self._targets[:n]
        np.take(self.data.x, batch.rows, axis=0, out=x, mode="clip")
        np.take(self.data.targets, batch.rows, axis=0, out=targets, mode="clip")
        for stage in self._training:
            x = stage.forward(x, training=True)
        dy, sums = self._training_head.backward(x, targets, batch.weights)
        for stage in reversed(self._training):
            dy = stage.backward(dy)
        if previous is not None:
            self._g += self._scratch
            return Gradients(self._g, self._params, self._next_state, previous.sums + np.concatenate([[0.0], sums]))
        penalty = 0.0
        for name, loop in self._penalties.items():
            w, g = (self._params.view(flat, name).reshape(1, -1) for flat in (self._theta, self._g))
            loop(w, g, *self.recipe.penalties[name].strengths, self._norm)
            penalty += float(self._norm[0])
        return Gradients(self._g, self._params, self._next_state, np.concatenate([[penalty], sums]))

    def apply(self, gradients: Gradients) -> None:
        optimizer, g = self.recipe.optimizer, gradients.flat
        if optimizer.clipvalue is not None:
            np.clip(g, -optimizer.clipvalue, optimizer.clipvalue, out=g)
        if optimizer.clipnorm is not None:
            for frozen, rate in self._segments:
                if not rate:
                    g[frozen] = 0.0
            self._clip(g[None, :], optimizer.clipnorm, self._norm)
        self._update(self.step, g)
        for name, loop in self._constraints.items():
            if self.recipe.rates.get(name, 1.0):
                loop(self._params.view(self._theta, name).T, *self.recipe.constraints[name].limits)
        self._state[:] = gradients.state
        self.step += 1

    def predict(self, x: Any) -> Any:
        pieces = [self._scores(x[i : i + CHUNK_ROWS]).copy() for i in range(0, len(x), CHUNK_ROWS)]
        z = np.concatenate(pieces)
        head = self.recipe.head
        return z if head is None or head.activation is None else head.activation.value(self._xp, z)

    def measure(self, data: Data) -> Any:
        head = self.recipe.head
        assert head is not None
        assert self._head is not None
        total = np.zeros(len(self.recipe.columns) - 3)
        for i in range(0, data.rows, CHUNK_ROWS):
            rows = slice(i, i + CHUNK_ROWS)
            weights = np.ones(len(data.x[rows])) if data.weights is None else data.weights[rows]
            total += self._head.sums(self._scores(data.x[rows]), data.targets[rows], weights)
        weight, count = data.counted
        total[0] /= 1.0 if head.loss.summed else weight or 1.0
        return finished(np.concatenate([[self._penalty()], total]), weight, count)

    def snapshot(self) -> Snapshot:
        kept = [(prefix, layout, flat.copy()) for prefix, layout, flat in self._kept()]
        rest = {"step": np.asarray(self.step), "rate": np.asarray(self.pace.factor)}
        return lambda: {f"{prefix}.{n}": v for prefix, names, flat in kept for n, v in names.views(flat).items()} | rest

    def state(self) -> dict[str, Any]:
        return self.snapshot()()

    def is_finite(self) -> bool:
        return all_finite(flat for _, _, flat in self._kept())

    def load(self, state: Mapping[str, Any]) -> None:
        for prefix, names, flat in self._kept():
            for name, view in names.views(flat).items():
                view[...] = state.get(f"{prefix}.{name}", 0.0)
        self.step = int(state.get("step", 0))
        self.pace.factor = float(state.get("rate", 1.0))

    def _kept(self) -> list[tuple[str, Layout, Any]]:
        """What a state holds: for each prefix of names, the flat buffer with its layout."""
        slots = [(slot, self._params, flat) for slot, flat in self._slots.items()]
        return [("params", self._params, self._theta), ("state", self._states, self._state), *slots]

    def plan(self) -> list[tuple[str, str]]:
        return [(stage.name, stage.how) for stage in self._inference]

    def _chain(self, rows: int, state: Any) -> list[Stage]:
        own = Own(self._params.views(self._theta), self._params.views(self._g), self._states.views(state))
        return chain(self._kernels, self.recipe.parts, own, rows, self._moment)

    def _optimizer(self) -> Any:
        """A function (step, g) that updates parameters and slots; the reference where the formula can't be traced."""
        optimizer = self.recipe.optimizer
        moving = [(where, rate) for where, rate in self._segments if rate]
        pieces = [[flat[None, where] for flat in (self._theta, *self._slots.values())] for where, _ in moving]
        try:
            loop = self._kernels.optimizer(optimizer)
        except TraceError:

            def loop(w: Any, g: Any, *rest: Any) -> None:
                new = optimizer.update(self._xp, w, g, *rest)
                for old, value in zip((w, *rest), new, strict=False):
                    old[...] = value

        def update(step: int, g: Any) -> None:
            for (where, rate), (w, *slots) in zip(moving, pieces, strict=True):
                loop(w, g[None, where], *slots, *self.pace.coefficients(step, rate))

        return update

    def _scores(self, x: Any) -> Any:
        for stage in self._inference:
            x = stage.forward(x, training=False)
        return x

    def _penalty(self) -> float:
        total = 0.0
        for name, regularizer in self.recipe.penalties.items():
            w = self._params.view(self._theta, name).reshape(1, -1)
            total += float(np.sum(regularizer.penalty(self._xp, w, *regularizer.strengths)))
        return total


def _shapes(values: Mapping[str, Any], prefix: str) -> dict[str, tuple[int, ...]]:
    return {n.removeprefix(prefix): np.shape(v) for n, v in values.items() if n.startswith(prefix)}
