"""What has no kernel runs by the reference, on the same buffers: layers, losses and optimisers without a trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from deepmath.formulas import random
from deepmath.parameters import Layout
from deepmath.program import Recipe, head_formula, results_formula
from deepmath_numpy.layout import Stage


class Hooks:
    """What steps that Python runs call for parts without kernels; arguments are those of `text/interpreted.py`.

    `inputs` are those of the first layer, which may be sparse rows; `place` is the address where a batch of dense ones
    is put.
    """

    inputs: Any = None

    def __init__(
        self, recipe: Recipe, stages: Sequence[Stage], layouts: tuple[Layout, Layout], places: Mapping[str, int],
        buffer: Any, steps: Any, place: int,
    ) -> None:  # fmt: skip
        self._recipe, self._stages, self._steps = recipe, stages, steps
        self._params, self._states = layouts
        self._places, self._buffer, self.place = places, buffer, place
        self._pullbacks: dict[int, Callable[[Any], Any]] = {}
        head = recipe.head
        if head is not None:
            self._head, self._results = head_formula(head), results_formula(head)
            self._index = np.arange(head.outputs)[None, :]

    def forward(self, net: Any, i: int, n: int, seed: int, step: int, first: int, training: bool) -> None:
        """y = layer(x); a later call of `backward` goes back through it."""
        part, at, steps = self._stages[i].part, net[0][i], self._steps

        def bits(rows: int, units: int) -> Any:
            layer = part.number
            return random.host_words(seed, random.NOISE, rows, units, step=step, layer=layer, first=first) >> 8

        x = self._rows(at[steps.X], n, part.shape)
        params = self._own(self._params, "params", i)
        state = self._own(self._states, "next_state" if training else "state", i)
        y, pullback, new = part.layer.apply(np, params, state, x, bits, training)
        self._rows(at[steps.Y], n, part.layer.output_shape(part.shape))[...] = y
        if training:
            self._pullbacks[i] = pullback
        for name, value in new.items():
            state[name][...] = value

    def backward(self, net: Any, i: int, n: int) -> None:
        """dx from dy, and the gradients of the layer's parameters."""
        part, at, steps = self._stages[i].part, net[0][i], self._steps
        dx, gradients = self._pullbacks[i](self._rows(at[steps.DY], n, part.layer.output_shape(part.shape)))
        self._rows(at[steps.DX], n, part.shape)[...] = dx
        own = self._own(self._params, "grads", i)
        for name, gradient in gradients.items():  # a layer's parameters are its first part's: an activation has none
            own[name][...] = gradient

    def sparse_product(self, dy: Any, dw: Any) -> None:
        """dw = x^T dy for sparse inputs: only the columns that they touch are computed, all others are zero."""
        x = self.inputs
        columns, places = np.unique(x.indices, return_inverse=True)
        touched = type(x)((x.data, places, x.indptr), shape=(x.shape[0], len(columns)))
        dw[...] = 0.0
        dw[columns] = touched.T @ dy

    def judge(self, info: Any, n: int, results: int, training: bool) -> None:
        """Loss and metrics of each row, in training also the gradient by the scores."""
        steps, head = self._steps, self._recipe.head
        assert head is not None
        z = self._rows(info[steps.SCORES], n, (head.outputs,))
        targets = self._rows(info[steps.TARGETS], n, (head.outputs,))
        if head.labelled:
            targets = steps.whole(info[steps.LABELS], n)[:, None]
        constants = head.loss.constants
        if training:
            weight = steps.vector(info[steps.WEIGHT], n)[:, None]
            dz, *found = self._head(np, z, targets, self._index, weight, *constants)
            self._rows(info[steps.SCORES_BACK], n, (head.outputs,))[...] = dz
        else:
            found = list(self._results(np, z, targets, self._index, *constants))
        rows = steps.table(info[steps.RESULTS], results, info[steps.CAPACITY])
        for i, values in enumerate(found):
            rows[i, :n] = values.reshape(n)

    def conclude(self, info: Any, n: int) -> None:
        """Predictions from scores, in place."""
        head = self._recipe.head
        if head is not None and head.activation is not None:
            z = self._rows(info[self._steps.SCORES], n, (head.outputs,))
            z[...] = head.activation.value(np, z, *head.activation.constants)

    def update(self, at: Any, coefficients: Any) -> None:
        """One step of the optimiser for the parameters of one row of a table."""
        steps, optimizer = self._steps, self._recipe.optimizer
        arrays = [steps.vector(at[steps.OWN + i], at[steps.SIZE]) for i in range(2 + len(optimizer.slots))]
        w, g, *slots = arrays
        for old, value in zip((w, *slots), optimizer.update(np, w, g, *slots, *coefficients), strict=True):
            old[...] = value

    def _rows(self, address: int, n: int, shape: tuple[int, ...]) -> Any:
        """The matrix [n, *shape] that lies there."""
        return self._steps.table(address, n, math.prod(shape)).reshape(n, *shape)

    def _own(self, layout: Layout, place: str, i: int) -> dict[str, Any]:
        """Views of the layer's own, by their own names."""
        start = f"{self._stages[i].part.number}."
        flat = self._buffer[self._places[place] :]
        return {n.removeprefix(start): layout.view(flat, n) for n in layout.shapes if n.startswith(start)}
