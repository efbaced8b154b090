"""Accuracy and fit time of our estimators beside scikit-learn's MLP and Keras on JAX, at equal settings.

usage: python bench/accuracy.py [--seeds 10] [--data-dir DIR] [--only NAME ...] [--no-keras]

Prints a Markdown table: medians over seeds of the score on held-out rows (accuracy, or R2 for diabetes) and of the
seconds of a fit, with the score's quartiles. For each peer also how far deepmath is ahead of it, the mean over seeds
with twice its standard error: a difference that is no larger is chance. Every seed splits the rows anew and draws the
first weights; all candidates get the same standardised rows, one hidden layer of 100 ReLU, Adam with rate 0.001,
batches of 200 and a fixed number of epochs. The first fit of each candidate, which compiles, is not counted.
`--data-dir` is the folder of MNIST's files: its 10,000 test images are used, of which 8,000 train.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import sklearn
from sklearn import datasets, neural_network
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import deepmath
from deepmath import estimators

OURS = "deepmath"
UNITS, RATE, ALPHA, BATCH = 100, 0.001, 1e-4, 200
Score = Callable[[Any, Any], float]


@dataclass(frozen=True)
class Task:
    """Rows, how long to train on them, and how many are held out."""

    name: str
    X: Any
    y: Any
    epochs: int
    test: float = 0.25

    @property
    def classifies(self) -> bool:
        return self.y.dtype.kind in "iu"

    def parts(self, seed: int) -> tuple[Any, Any, Any, Any]:
        """(X, y, held-out X, held-out y), standardised by the rows that train."""
        rows = self.X, self.y
        X, X_held, y, y_held = train_test_split(
            *rows, test_size=self.test, random_state=seed, stratify=self.y if self.classifies else None
        )
        scaler = StandardScaler().fit(X)
        if not self.classifies:
            y, y_held = (y - y.mean()) / y.std(), (y_held - y.mean()) / y.std()
        return scaler.transform(X), y, scaler.transform(X_held), y_held


def tasks(data_dir: str | None) -> list[Task]:
    """The data sets; MNIST where its files are."""
    found = [
        Task("digits", *datasets.load_digits(return_X_y=True), epochs=50),
        Task("breast cancer", *datasets.load_breast_cancer(return_X_y=True), epochs=100),
        Task("wine", *datasets.load_wine(return_X_y=True), epochs=100),
        Task("diabetes", *datasets.load_diabetes(return_X_y=True), epochs=100),
    ]
    if data_dir is not None:
        X, y = deepmath.datasets.mnist(data_dir, "test")
        found.append(Task("MNIST test images", X, y, epochs=20, test=0.2))
    return found


def estimator(module: Any, task: Task, seed: int) -> Any:
    """An estimator of ours or of scikit-learn's: the arguments are the same."""
    kind = module.MLPClassifier if task.classifies else module.MLPRegressor
    return kind(
        hidden_layer_sizes=(UNITS,), learning_rate_init=RATE, alpha=ALPHA, batch_size="auto", max_iter=task.epochs,
        tol=0.0, n_iter_no_change=task.epochs, random_state=seed,
    )  # fmt: skip


class Keras:
    """The same network in Keras, as an estimator."""

    def __init__(self, task: Task, seed: int) -> None:
        import keras

        keras.utils.set_random_seed(seed)
        outputs = int(task.y.max()) + 1 if task.classifies else 1
        self._binary, self._task = task.classifies and outputs == 2, task
        losses = {True: "binary_crossentropy", False: "sparse_categorical_crossentropy"}
        rows = min(BATCH, round(len(task.y) * (1 - task.test)))
        penalty = keras.regularizers.L2(ALPHA / (2 * rows))
        last = ("sigmoid" if self._binary else "softmax") if task.classifies else None
        dense = keras.layers.Dense
        self._model = keras.Sequential(
            [dense(UNITS, "relu", kernel_regularizer=penalty),
             dense(1 if self._binary else outputs, last, kernel_regularizer=penalty)]
        )  # fmt: skip
        self._model.compile(keras.optimizers.Adam(RATE), losses[self._binary] if task.classifies else "mse")

    def fit(self, X: Any, y: Any) -> None:
        self._model.fit(X, y, epochs=self._task.epochs, batch_size=BATCH, verbose=0)

    def predict(self, X: Any) -> Any:
        p = self._model.predict(X, verbose=0)
        if not self._task.classifies:
            return p[:, 0]
        return (p[:, 0] > 0.5).astype(int) if self._binary else p.argmax(axis=1)


def candidates(keras: bool) -> dict[str, Callable[[Task, int], Any]]:
    """How each makes a network for a task and a seed."""
    made: dict[str, Callable[[Task, int], Any]] = {
        OURS: lambda task, seed: estimator(estimators, task, seed),
        "scikit-learn": lambda task, seed: estimator(neural_network, task, seed),
    }
    if keras and importlib.util.find_spec("keras") and importlib.util.find_spec("jax"):
        made["Keras on JAX"] = Keras
    return made


def measure(make: Callable[[Task, int], Any], task: Task, seed: int) -> tuple[float, float]:
    """(score on held-out rows, seconds of the fit)."""
    X, y, X_held, y_held = task.parts(seed)
    net = make(task, seed)
    start = time.perf_counter()
    net.fit(X, y)
    seconds = time.perf_counter() - start
    score: Score = accuracy_score if task.classifies else r2_score
    return float(score(y_held, net.predict(X_held))), seconds


def row(task: Task, made: dict[str, Callable[[Task, int], Any]], seeds: int) -> str:
    """One line of the table. Candidates take turns, so that what else the machine does hits all alike."""
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for make in made.values():
        measure(make, task, seeds)
    for seed in range(seeds):
        for name, make in made.items():
            results[name].append(measure(make, task, seed))
    cells = [task.name]
    ours = np.asarray(results[OURS])[:, 0]
    for name, measured in results.items():
        scores, seconds = np.transpose(measured)
        low, high = np.quantile(scores, [0.25, 0.75])
        cells += [f"{np.median(scores):.4f} ({low:.4f} to {high:.4f})", f"{np.median(seconds):.2f} s"]
        if name != OURS:
            ahead = ours - scores
            cells.append(f"{np.mean(ahead):+.4f} ± {2 * np.std(ahead) / max(seeds - 1, 1) ** 0.5:.4f}")
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10, help="how many splits and first weights (10)")
    parser.add_argument("--data-dir", help="the folder of MNIST's files")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="data sets")
    parser.add_argument("--no-keras", action="store_true", help="leave Keras out")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    made = candidates(not given.no_keras)
    print(
        f"deepmath {deepmath.__version__}, scikit-learn {sklearn.__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, {given.seeds} seeds. Score: accuracy, R2 for diabetes.\n"
    )
    titles = [
        "data",
        *(title for name in made for title in (name, "fit", "ahead by") if (name, title) != (OURS, "ahead by")),
    ]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for task in tasks(given.data_dir):
        if not given.only or task.name in given.only:
            print(row(task, made, given.seeds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
