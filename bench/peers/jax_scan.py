"""JAX, a whole epoch in one compiled call: permutation, gather, `lax.scan` over the steps, and the mean loss."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp

sys.path.insert(0, str(Path(__file__).parent))  # the worker loads this file by its path

from jax_parts import OnJax


class Candidate(OnJax):
    def __init__(self, task):
        super().__init__(task)
        self.run = jax.jit(self.whole_epoch, static_argnames="shuffle", donate_argnums=(0, 1))

    def whole_epoch(self, params, state, X, y, key, *, shuffle):
        rows, batch = len(X), self.task.batch
        order = jax.random.permutation(key, rows) if shuffle else jnp.arange(rows)
        whole = rows - rows % batch

        def step(carry, chosen):
            *carry, loss = self.update(*carry, X[chosen], y[chosen])
            return tuple(carry), loss

        carry, losses = jax.lax.scan(step, (params, state), order[:whole].reshape(-1, batch))
        total = losses.sum() * batch
        if whole < rows:
            carry, loss = step(carry, order[whole:])
            total += loss * (rows - whole)
        return *carry, total / rows

    def train(self, epochs, shuffle):
        # Losses stay where they are computed until the last epoch is on its way.
        run, losses = functools.partial(self.run, shuffle=shuffle), []
        for _ in range(epochs):
            self.params, self.state, loss = run(self.params, self.state, self.X, self.y, self.next_key())
            losses.append(loss)
        return [float(loss) for loss in losses]
