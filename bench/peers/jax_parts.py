"""What both candidates on JAX share: the network, the loss, one update, and prediction."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax


class OnJax:
    """Parameters and optimiser state as JAX arrays; a subclass says how an epoch runs."""

    def __init__(self, task):
        jax.config.update("jax_platforms", task.device.partition(":")[0])
        jax.config.update("jax_default_matmul_precision", "highest" if task.precision == "float32" else "tensorfloat32")
        self.task = task
        self.key, self.epoch = jax.random.key(0), 0
        self.optimizer = optax.adam(task.learning_rate, eps=1e-8)
        self.predicted = jax.jit(self.probabilities)

    def scores(self, params, x):
        *hidden, (kernel, bias) = params
        for w, b in hidden:
            x = jax.nn.relu(x @ w + b)
        return x @ kernel + bias

    def loss(self, params, x, y):
        z = self.scores(params, x)
        if self.task.binary:
            return optax.sigmoid_binary_cross_entropy(z[:, 0], y).mean()
        return optax.softmax_cross_entropy_with_integer_labels(z, y).mean()

    def update(self, params, state, x, y):
        loss, gradient = jax.value_and_grad(self.loss)(params, x, y)
        change, state = self.optimizer.update(gradient, state)
        return optax.apply_updates(params, change), state, loss

    def probabilities(self, params, x):
        z = self.scores(params, x)
        return jax.nn.sigmoid(z) if self.task.binary else jax.nn.softmax(z)

    def settings(self, kind):
        return [None]

    def use(self, setting):
        pass

    def load(self, weights):
        # Copies: buffers are donated, and on the CPU JAX may share memory with NumPy.
        values = [jnp.array(w, copy=True) for w in weights]
        self.params = list(zip(values[::2], values[1::2], strict=True))
        self.state = self.optimizer.init(self.params)
        jax.block_until_ready((self.params, self.state))

    def attach(self, X, y):
        self.X = jnp.asarray(X)
        self.y = jnp.asarray(y, dtype=jnp.float32 if self.task.binary else jnp.int32)
        jax.block_until_ready((self.X, self.y))

    def next_key(self):
        self.epoch += 1
        return jax.random.fold_in(self.key, self.epoch)

    def weights(self):
        return [np.asarray(value) for pair in self.params for value in pair]

    def predict(self, X):
        return np.asarray(self.predicted(self.params, X))

    def about(self):
        return {"devices": [str(d) for d in jax.devices()]}
