"""NumPy by hand: forward, backward and Adam as one writes them, with arrays that are kept from step to step."""

from __future__ import annotations

import numpy as np


class Candidate:
    def __init__(self, task):
        self.task, self.rng = task, np.random.default_rng(0)
        self.shift = self.scale = None
        if task.sample is not None:
            sample = task.sample.astype(np.float64)
            self.shift, self.scale = sample.mean(0), sample.std(0)

    def settings(self, kind):
        return [None]

    def use(self, setting):
        pass

    def load(self, weights):
        self.params = [w.copy() for w in weights]
        self.moments = [np.zeros_like(w) for w in weights]
        self.squares = [np.zeros_like(w) for w in weights]
        self.steps = 0

    def attach(self, X, y):
        self.X = self.standardised(X)
        self.y = y[:, None] if self.task.binary else np.eye(self.task.widths[-1], dtype=np.float32)[y]

    def standardised(self, X):
        return X if self.shift is None else ((X - self.shift) / self.scale).astype(np.float32)

    def forward(self, x):
        """The inputs of every layer, and the scores."""
        inputs = []
        for kernel, bias in zip(self.params[::2], self.params[1::2], strict=True):
            inputs.append(x)
            x = x @ kernel + bias
            if len(inputs) < len(self.params) // 2:
                np.maximum(x, 0, out=x)
        return inputs, x

    def probabilities(self, z):
        if self.task.binary:
            return 1 / (1 + np.exp(-z))
        e = np.exp(z - z.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def step(self, x, y):
        """One update; the loss before it."""
        inputs, z = self.forward(x)
        p = self.probabilities(z)
        if self.task.binary:
            loss = np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))))
        else:
            loss = -np.mean(np.log(np.maximum((p * y).sum(1), 1e-30)))
        dz, gradients = (p - y) / np.float32(len(x)), []
        for place in reversed(range(len(inputs))):
            gradients[:0] = [inputs[place].T @ dz, dz.sum(0)]
            if place:
                dz = (dz @ self.params[2 * place].T) * (inputs[place] > 0)
        self.adam(gradients)
        return float(loss)

    def adam(self, gradients):
        self.steps += 1
        rate = self.task.learning_rate / (1 - 0.9**self.steps)
        root = (1 - 0.999**self.steps) ** 0.5
        for w, g, m, s in zip(self.params, gradients, self.moments, self.squares, strict=True):
            m += np.float32(0.1) * (g - m)
            s += np.float32(0.001) * (g * g - s)
            w -= np.float32(rate) * m / (np.sqrt(s) / np.float32(root) + np.float32(1e-8))

    def train(self, epochs, shuffle):
        rows, batch, losses = len(self.X), self.task.batch, []
        for _ in range(epochs):
            order, total = self.rng.permutation(rows) if shuffle else np.arange(rows), 0.0
            for first in range(0, rows, batch):
                chosen = order[first : first + batch]
                total += self.step(self.X[chosen], self.y[chosen]) * len(chosen)
            losses.append(total / rows)
        return losses

    def pairs(self, count):
        losses, p = [], None
        for _ in range(count):
            losses.append(self.step(self.X, self.y))
            p = self.probabilities(self.forward(self.X)[1])
        return losses, p

    def weights(self):
        return [w.copy() for w in self.params]

    def predict(self, X):
        return self.probabilities(self.forward(self.standardised(X))[1])

    def about(self):
        return {"numpy": np.__version__}
