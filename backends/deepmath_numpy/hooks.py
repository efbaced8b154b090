"""What has no kernel runs by the reference, on the same memory: layers and losses without a trace, sparse inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath import step_evaluation
from deepmath.formulas import random
from deepmath.graph.kernels import Opaque, Product
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
        self._section, recipe, memory = section, section.recipe, section.memory
        arguments = {f"params.{n}": v for n, v in memory.params.views(memory.floats["params"]).items()}
        arguments |= {f"state.{n}": v for n, v in memory.states.views(memory.floats[state]).items()}
        index = np.arange(recipe.head.outputs)[None, :] if recipe.head is not None else None
        self._opaque = step_evaluation.Opaque(recipe, training, np, index, arguments, self._bits)

    def __call__(self, hook: Any, numbers: Any) -> None:
        kernel, self._numbers = hook.kernel, numbers
        n = int(numbers[ROWS])
        if isinstance(kernel, Product):
            self._sparse(kernel, n)
            return
        assert isinstance(kernel, Opaque)
        found = self._opaque.run(*kernel.owner, [self._section.view(node, n) for node in kernel.inputs])
        for name, node in zip(kernel.names, kernel.outputs, strict=True):
            self._section.view(node, n)[...] = found[name]

    def _bits(self, times: int, units: int, layer: int) -> Any:
        """24 random bits, as `reference.py` draws them."""
        n, first, step = (int(self._numbers[place]) for place in (ROWS, FIRST, STEP))
        seed = self._section.recipe.seed
        words = random.host_words(seed, random.NOISE, n * times, units, step=step, layer=layer, first=first * times)
        return words >> 8

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
