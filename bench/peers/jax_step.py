"""JAX, one compiled call for each step, as most training loops are written."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import jax.numpy as jnp

sys.path.insert(0, str(Path(__file__).parent))  # the worker loads this file by its path

from jax_parts import OnJax


class Candidate(OnJax):
    def __init__(self, task):
        super().__init__(task)
        self.step = jax.jit(self.one_step, donate_argnums=(0, 1, 2))
        self.order = jax.jit(jax.random.permutation, static_argnums=1)

    def one_step(self, params, state, total, X, y, chosen):
        params, state, loss = self.update(params, state, X[chosen], y[chosen])
        return params, state, total + loss * len(chosen)

    def train(self, epochs, shuffle):
        rows, batch = len(self.X), self.task.batch
        losses = []
        for _ in range(epochs):
            order = self.order(self.next_key(), rows) if shuffle else jnp.arange(rows)
            places = jnp.split(order, list(range(batch, rows, batch)))
            total = jnp.zeros(())
            for chosen in places:
                self.params, self.state, total = self.step(self.params, self.state, total, self.X, self.y, chosen)
            losses.append(float(total) / rows)
        return losses

    def pairs(self, count):
        losses, rows = [], jnp.arange(len(self.X))
        for _ in range(count):
            zero = jnp.zeros(())
            self.params, self.state, total = self.step(self.params, self.state, zero, self.X, self.y, rows)
            losses.append(float(total) / len(rows))
            p = self.predict(self.X)
        return losses, p
