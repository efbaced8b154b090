"""scikit-learn's MLPClassifier: one call of `fit` for all epochs, in float32."""

from __future__ import annotations

import os
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

warnings.simplefilter("ignore", ConvergenceWarning)


class Candidate:
    def __init__(self, task):
        self.task = task
        self.model = MLPClassifier(
            task.widths[1:-1],
            batch_size=task.batch,
            learning_rate_init=task.learning_rate,
            alpha=0.0,
            tol=0.0,
            n_iter_no_change=np.inf,
            epsilon=1e-8,
            random_state=0,
            warm_start=True,  # begin with the weights at hand
        )

    def settings(self, kind):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return sorted({1, cores})

    def use(self, setting):
        threadpool_limits(limits=setting)

    def attach(self, X, y):
        self.X, self.y = X, y.astype(np.int64)
        self.classes = np.arange(2 if self.task.binary else self.task.widths[-1])

    def load(self, weights):
        self.start = weights

    def train(self, epochs, shuffle):
        self.begin()
        self.model.set_params(max_iter=epochs, shuffle=shuffle)
        if len(np.unique(self.y)) == len(self.classes):
            self.model.fit(self.X, self.y)
        else:  # `fit` takes only data that show every class
            for _ in range(epochs):
                self.model.partial_fit(self.X, self.y)
        return [float(loss) for loss in self.model.loss_curve_[-epochs:]]

    def begin(self):
        if self.start is not None:
            self.place(self.start)
            self.start = None

    def place(self, weights):
        """Begin with these weights: arrays exist once a row of each class was seen."""
        if not hasattr(self.model, "coefs_"):
            rows = np.zeros((len(self.classes), self.task.widths[0]), np.float32)
            self.model.partial_fit(rows, self.classes, classes=self.classes)
        vars(self.model).pop("_optimizer", None)
        for ours, theirs in zip(self.model.coefs_ + self.model.intercepts_, weights[::2] + weights[1::2], strict=True):
            ours[...] = theirs
        self.model.loss_curve_.clear()

    def weights(self):
        pairs = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        return [value.copy() for pair in pairs for value in pair]

    def predict(self, X):
        self.begin()
        p = self.model.predict_proba(X)
        return p[:, 1:] if self.task.binary else p

    def about(self):
        return {"solver": self.model.solver}
