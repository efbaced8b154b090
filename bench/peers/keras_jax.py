"""Keras on JAX: `model.fit` with `jit_compile`, and the number of steps in one call that turns out fastest."""

from __future__ import annotations

import jax
import keras
import numpy as np

STEPS_PER_EXECUTION = (1, 8)


class Candidate:
    def __init__(self, task):
        jax.config.update("jax_platforms", task.device.partition(":")[0])
        jax.config.update("jax_default_matmul_precision", "highest" if task.precision == "float32" else "tensorfloat32")
        self.task = task
        units = task.widths[1:]
        dense = [keras.layers.Dense(n, activation="relu") for n in units[:-1]]
        self.model = keras.Sequential([keras.Input((task.widths[0],)), *dense, keras.layers.Dense(units[-1])])
        last = keras.layers.Activation("sigmoid" if task.binary else "softmax")
        self.probabilities = keras.Sequential([self.model, last])
        self.setting = None
        self.use(STEPS_PER_EXECUTION[0])

    def settings(self, kind):
        return list(STEPS_PER_EXECUTION) if kind == "train" else [STEPS_PER_EXECUTION[0]]

    def use(self, setting):
        if setting == self.setting:
            return
        self.setting = setting
        losses = keras.losses
        loss = losses.BinaryCrossentropy if self.task.binary else losses.SparseCategoricalCrossentropy
        self.model.compile(
            optimizer=keras.optimizers.Adam(self.task.learning_rate, epsilon=1e-8),
            loss=loss(from_logits=True),
            jit_compile=True,
            steps_per_execution=setting,
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.fresh = [np.asarray(v) for v in self.model.optimizer.variables]

    def load(self, weights):
        self.model.set_weights(weights)
        for variable, value in zip(self.model.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)

    def attach(self, X, y):
        self.X, self.y = X, y[:, None] if self.task.binary else y.astype(np.int32)

    def train(self, epochs, shuffle):
        history = self.model.fit(self.X, self.y, batch_size=self.task.batch, epochs=epochs, shuffle=shuffle, verbose=0)
        return [float(loss) for loss in history.history["loss"]]

    def weights(self):
        return self.model.get_weights()

    def predict(self, X):
        return np.asarray(self.probabilities.predict_on_batch(X))

    def about(self):
        return {"backend": keras.backend.backend()}
