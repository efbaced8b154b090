"""The matrix products of a network and nothing else: the least that any training on NumPy's BLAS or cuBLAS pays.

The worker loads this file. `train` runs each step's products in sequence at their own shapes; `predict` runs the
largest square product, whose rate is taken for the machine's peak.
"""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import numpy as np


class Candidate:
    """NumPy on the CPU, CuPy on CUDA."""

    def __init__(self, task: Any) -> None:
        self.task = task
        self.xp: Any = np if task.device == "cpu" else importlib.import_module("cupy")
        self.updates, sizes = 1, task.options["squares"]
        draw = np.random.default_rng(0)

        def random(*shape: int) -> Any:
            return self.xp.asarray(draw.standard_normal(shape, dtype=np.float32))

        widths, batch = task.widths, task.batch
        self.values = [random(batch, w) for w in widths]
        self.errors = [random(batch, w) for w in widths]
        self.kernels = [random(a, b) for a, b in itertools.pairwise(widths)]
        self.gradients = [self.xp.empty_like(k) for k in self.kernels]
        self.squares = {n: (random(n, n), random(n, n), random(n, n)) for n in sizes}
        self.square = max(sizes)

    def settings(self, kind: str) -> list[Any]:
        """Sizes of squares, of which the fastest operation counts."""
        return [None] if kind == "train" else sorted(self.squares)

    def use(self, setting: Any) -> None:
        """The size of the square."""
        self.square = setting

    def load(self, weights: list[Any]) -> None:
        """The numbers don't matter."""

    def attach(self, X: Any, y: Any) -> None:  # noqa: ARG002 - only their number counts
        """An epoch has as many steps as these rows make, of whole batches."""
        self.updates = -(-len(X) // self.task.batch)

    def train(self, epochs: int, shuffle: bool) -> list[float]:  # noqa: ARG002 - there is no order
        """The products of so many epochs."""
        for _ in range(epochs * self.updates):
            self._step()
        return [float(self.gradients[0][0, 0])] * epochs

    def _step(self) -> None:
        matmul = self.xp.matmul
        for i, kernel in enumerate(self.kernels):
            matmul(self.values[i], kernel, out=self.errors[i + 1])
        for i in reversed(range(len(self.kernels))):
            matmul(self.values[i].T, self.values[i + 1], out=self.gradients[i])
            if i:
                matmul(self.values[i + 1], self.kernels[i].T, out=self.errors[i])

    def weights(self) -> list[Any]:
        """None were trained."""
        return []

    def predict(self, X: Any) -> Any:  # noqa: ARG002 - the contract's argument
        """One square product."""
        a, b, out = self.squares[self.square]
        for _ in range(self._times()):
            self.xp.matmul(a, b, out=out)
        return out

    def _times(self) -> int:
        """Squares of every size make the same number of operations, so that their times compare."""
        return int((max(self.squares) // self.square) ** 3)

    def about(self) -> dict[str, Any]:
        """The library of products, with its core and threads where threadpoolctl is there to tell."""
        largest = max(self.squares)
        facts: dict[str, Any] = {"square_flops": 2 * largest**3}
        try:
            pools = importlib.import_module("threadpoolctl").threadpool_info()
        except ImportError:
            return facts
        kept = ("internal_api", "version", "architecture", "num_threads")
        blas = [{name: p[name] for name in kept if name in p} for p in pools if p["user_api"] == "blas"]
        return facts | {"blas": blas}
