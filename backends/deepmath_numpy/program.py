"""The fused program: matrix products by NumPy's BLAS, everything else in loops compiled from the formulas.

All work arrays are allocated once. What has no fused stage runs by the reference beside the fused stages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.arrays import namespace_of
from deepmath.errors import TraceError
from deepmath.formulas import regularizers
from deepmath.layers import Activation, BatchNormalization, Dense, Dropout, LayerNormalization, PReLU
from deepmath.parameters import Layout
from deepmath.program import (
    Batch,
    Batches,
    Data,
    Head,
    Pace,
    Part,
    Program,
    Recipe,
    finished,
    head_formula,
    head_kinds,
    results_formula,
    weighted_sums,
)  # fmt: skip
from deepmath_numpy import stages
from deepmath_numpy.kernels import Kernels, traceable
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
        self._xp = namespace_of(np.empty(0))
        self._params = Layout(_shapes(values, "params."))
        self._states = Layout(_shapes(values, "state."))
        zeros = self._params.zeros
        self._theta, self._g, self._scratch = zeros(recipe.precision), zeros(recipe.precision), None
        self._slots = {name: zeros(recipe.precision) for name in recipe.optimizer.slots}
        self._state, self._next_state = (self._states.zeros(recipe.precision) for _ in range(2))
        self._moment = Moment(recipe.seed)
        self._update = self._optimizer()
        self._clip = self._kernels.compiled("clip", regularizers.clip_by_norm, ["element", "scalar"], ["g", "norm"])
        self._norm = np.empty(1, recipe.precision)
        self._constraints = {n: self._kernels.constraint(c) for n, c in recipe.constraints.items()}
        self._batches = Batches(recipe, data) if data is not None else None
        self._inference = self._stages(CHUNK_ROWS, self._state)
        self._head = _Head(self._kernels, self._xp, recipe.head, CHUNK_ROWS) if recipe.head else None
        if self._batches is not None and data is not None and recipe.head is not None:
            rows = self._batches.micro
            self._training = self._stages(rows, self._next_state)
            self._training_head = _Head(self._kernels, self._xp, recipe.head, rows)
            self._x = np.empty((rows, *data.x.shape[1:]), recipe.precision)
            self._targets = np.empty((rows, *data.targets.shape[1:]), data.targets.dtype)
            self._penalties = {n: self._kernels.regularizer(r) for n, r in recipe.penalties.items()}
        self.load(values)

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
            self._clip(g[None, :], optimizer.clipnorm, self._norm)
        self._update(self.step, g)
        for name, loop in self._constraints.items():
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
        weight = float(data.rows if data.weights is None else math.fsum(data.weights))
        total[0] /= 1.0 if head.loss.summed else weight or 1.0
        return finished(np.concatenate([[self._penalty()], total]), weight, data.rows)

    def state(self) -> dict[str, Any]:
        named = {f"params.{n}": v.copy() for n, v in self._params.views(self._theta).items()}
        named |= {f"state.{n}": v.copy() for n, v in self._states.views(self._state).items()}
        for slot, flat in self._slots.items():
            named |= {f"{slot}.{n}": v.copy() for n, v in self._params.views(flat).items()}
        return named | {"step": np.asarray(self.step), "rate": np.asarray(self.pace.factor)}

    def load(self, state: Mapping[str, Any]) -> None:
        def fill(layout: Layout, flat: Any, prefix: str) -> None:
            for name, view in layout.views(flat).items():
                view[...] = state.get(f"{prefix}.{name}", 0.0)

        fill(self._params, self._theta, "params")
        fill(self._states, self._state, "state")
        for slot, flat in self._slots.items():
            fill(self._params, flat, slot)
        self.step = int(state.get("step", 0))
        self.pace.factor = float(state.get("rate", 1.0))

    def plan(self) -> list[tuple[str, str]]:
        return [(name, stage.how) for name, stage in zip(self._names, self._inference, strict=True)]

    def _stages(self, rows: int, state: Any) -> list[Stage]:
        """The chain as stages; an activation joins the dense layer in front of it."""
        parts, built, names = self.recipe.parts, [], []
        i = 0
        while i < len(parts):
            joined = _joined(parts, i)
            built.append(self._stage(parts[i], joined, rows, state, first=i == 0))
            names.append(type(parts[i].layer).__name__)
            i += 2 if joined is not None else 1
        self._names = names
        return built

    def _stage(self, part: Part, joined: Any, rows: int, state: Any, first: bool) -> Stage:
        layer, number, shape = part
        params, grads = (_own(self._params.views(flat), number) for flat in (self._theta, self._g))
        own_state = _own(self._states.views(state), number)
        why = "no fused stage for this layer" if len(shape) == 1 else "inputs of more than one axis"
        if len(shape) == 1:
            if type(layer) is Dense:
                return stages.AffineStage(self._kernels, params, grads, joined, rows, first)
            if type(layer) is Activation:
                why = traceable(layer.activation) or ""
                if not why:
                    return stages.ActivationStage(self._kernels, layer.activation, shape[0], rows)
            if type(layer) is Dropout:
                return stages.DropoutStage(self._kernels, layer, number, shape[0], rows, self._moment)
            if type(layer) is LayerNormalization:
                return stages.LayerNormalizationStage(self._kernels, layer, params, grads, rows)
            if type(layer) is PReLU:
                return stages.PReLUStage(self._kernels, params, grads, rows)
            if type(layer) is BatchNormalization:
                return stages.BatchNormalizationStage(self._kernels, layer, params, grads, own_state, rows)
        return stages.ReferenceStage(self._xp, layer, number, params, grads, own_state, self._moment, why)

    def _optimizer(self) -> Any:
        """A function (step, g) that updates parameters and slots; the reference where the formula can't be traced."""
        optimizer = self.recipe.optimizer
        flats = [self._theta[None, :], *(s[None, :] for s in self._slots.values())]
        try:
            loop = self._kernels.optimizer(optimizer)
        except TraceError:

            def by_reference(step: int, g: Any) -> None:
                new = optimizer.update(self._xp, flats[0], g[None, :], *flats[1:], *self.pace.coefficients(step))
                for flat, value in zip(flats, new, strict=True):
                    flat[...] = value

            return by_reference
        return lambda step, g: loop(flats[0], g[None, :], *flats[1:], *self.pace.coefficients(step))

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


class _Head:
    """Loss, its gradient and metrics in one fused loop; by the reference where a formula can't be traced."""

    def __init__(self, kernels: Kernels, xp: Any, head: Head, rows: int) -> None:
        dtype = kernels.precision
        names = [f"m{i}" for i in range(len(head.metrics))]
        self._labelled = head.labelled
        self._dz = np.empty((rows, head.outputs), dtype)
        self._rows = [np.empty(rows, dtype) for _ in range(1 + len(names))]
        self._weight = np.empty(rows, dtype)
        kinds = head_kinds(head)
        constants = ["scalar"] * len(head.loss.constants)
        self._constants = head.loss.constants
        try:
            both = kernels.compiled("head", head_formula(head), [*kinds, *constants], ["dz", "loss", *names])
            results = kernels.compiled("results", results_formula(head), [*kinds[:-1], *constants], ["loss", *names])
        except TraceError:
            both, results = _by_reference(xp, head)
        self._both, self._results = both, results

    def backward(self, z: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
        """(dz, [weighted loss, *metric sums]) for a micro-batch whose weights are shares of the loss."""
        n = len(z)
        weight = self._weight[:n]
        weight[:] = weights
        dz, rows = self._dz[:n], [r[:n] for r in self._rows]
        self._both(z, targets, weight, *self._constants, dz, *rows)
        return dz, weighted_sums(rows, weights)

    def sums(self, z: Any, targets: Any, weights: Any) -> Any:
        """[sum of weights times loss, *metric sums]."""
        rows = [r[: len(z)] for r in self._rows]
        self._results(z, targets, *self._constants, *rows)
        return weighted_sums(rows, weights)


def _by_reference(xp: Any, head: Head) -> tuple[Any, Any]:
    formula, results = head_formula(head), results_formula(head)
    index, count = np.arange(head.outputs)[None, :], len(head.loss.constants)

    def store(values: Sequence[Any], arrays: Sequence[Any]) -> None:
        for array, value in zip(arrays, values, strict=True):
            array[...] = value.reshape(array.shape)

    def targets_of(targets: Any) -> Any:
        return targets[:, None] if head.labelled else targets

    return (
        lambda z, t, w, *rest: store(formula(xp, z, targets_of(t), index, w[:, None], *rest[:count]), rest[count:]),
        lambda z, t, *rest: store(results(xp, z, targets_of(t), index, *rest[:count]), rest[count:]),
    )


def _joined(parts: Sequence[Part], i: int) -> Any:
    """The activation that the dense layer at place i takes over, if the next part is one that can be compiled."""
    if type(parts[i].layer) is Dense and len(parts[i].shape) == 1 and i + 1 < len(parts):
        following = parts[i + 1].layer
        if type(following) is Activation and traceable(following.activation) is None:
            return following.activation
    return None


def _shapes(values: Mapping[str, Any], prefix: str) -> dict[str, tuple[int, ...]]:
    return {n.removeprefix(prefix): np.shape(v) for n, v in values.items() if n.startswith(prefix)}


def _own(views: Mapping[str, Any], number: int) -> dict[str, Any]:
    start = f"{number}."
    return {n.removeprefix(start): v for n, v in views.items() if n.startswith(start)}
