"""What has no kernel runs by the reference, on the same memory: layers and losses without a trace, sparse inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from deepmath.formulas import random
from deepmath.graph.kernels import Opaque, Product
from deepmath.program import head_formula, results_formula
from deepmath_numpy.lowering import FIRST, ROWS, STEP
from deepmath_numpy.section import Section

CHUNK = 1024
"""How many rows are predicted or measured at a time."""
DENSE = 1 << 19
"""Numbers that sparse rows are made dense to at a time."""


def dense_rows(features: int) -> int:
    """How many sparse rows are made dense at a time."""
    return max(1, min(CHUNK, DENSE // features))


class Hooks:
    """Runs the hooks of a section. `inputs` are the rows of a launch where they are sparse."""

    inputs: Any = None

    def __init__(self, section: Section, state: str, training: bool) -> None:
        self._section, self._state, self._training = section, state, training
        self._pullbacks: dict[str, Callable[[Any], Any]] = {}

    def __call__(self, hook: Any, numbers: Any) -> None:
        kernel, n = hook.kernel, int(numbers[ROWS])
        if isinstance(kernel, Product):
            self._sparse(kernel, n)
            return
        assert isinstance(kernel, Opaque)
        inputs = [self._section.view(node, n) for node in kernel.inputs]
        who, direction = kernel.owner
        if who == "head":
            found = self._head(direction, *inputs)
        elif who == "last":
            activation = self._section.recipe.head.activation  # type: ignore[union-attr]
            found = {"y": activation.value(np, inputs[0], *activation.constants)}  # type: ignore[union-attr]
        elif direction == "forward":
            found = self._forward(who, inputs[0], int(numbers[FIRST]), int(numbers[STEP]))
        else:
            found = self._backward(who, inputs[1])
        for name, node in zip(kernel.names, kernel.outputs, strict=True):
            view = self._section.view(node, n)
            view[...] = np.reshape(found[name], view.shape)

    def _part(self, who: str) -> Any:
        return self._section.recipe.parts[int(who.removeprefix("part"))]

    def _forward(self, who: str, x: Any, first: int, step: int) -> dict[str, Any]:
        part, memory = self._part(who), self._section.memory

        def own(views: dict[str, Any]) -> dict[str, Any]:
            start = f"{part.number}."
            return {n.removeprefix(start): v for n, v in views.items() if n.startswith(start)}

        def bits(rows: int, units: int) -> Any:
            seed = self._section.recipe.seed
            return random.host_words(seed, random.NOISE, rows, units, step=step, layer=part.number, first=first) >> 8

        params = own(memory.params.views(memory.floats["params"]))
        state = own(memory.states.views(memory.floats[self._state]))
        y, self._pullbacks[who], new = part.layer.apply(np, params, state, x, bits, self._training)
        return {"y": y} | {f"state.{part.number}.{n}": v for n, v in new.items()}

    def _backward(self, who: str, dy: Any) -> dict[str, Any]:
        part = self._part(who)
        dx, grads = self._pullbacks[who](dy)
        return {"dx": dx} | {f"grad.{part.number}.{n}": v for n, v in grads.items()}

    def _head(self, direction: str, z: Any, targets: Any, weight: Any = None) -> dict[str, Any]:
        head = self._section.recipe.head
        assert head is not None
        index = np.arange(head.outputs)[None, :]
        if direction == "backward":
            dz, *results = head_formula(head)(np, z, targets, index, weight, *head.loss.constants)
        else:
            dz, results = 0.0, list(results_formula(head)(np, z, targets, index, *head.loss.constants))
        return {"dz": dz} | {f"result.{i}": np.broadcast_to(r, (len(z), 1)) for i, r in enumerate(results)}

    def _sparse(self, kernel: Product, n: int) -> None:
        """A product with sparse rows: x W, or x^T dy, where only the columns that they touch are computed."""
        out, x = self._section.view(kernel.outputs[0], n), self.inputs
        other = self._section.view(kernel.b.array, n)
        if not kernel.a.turned:
            out[...] = x @ (other.T if kernel.b.turned else other)
            return
        columns, places = np.unique(x.indices, return_inverse=True)
        touched = type(x)((x.data, places, x.indptr), shape=(x.shape[0], len(columns)))
        out[...] = 0.0
        out[columns] = touched.T @ other
