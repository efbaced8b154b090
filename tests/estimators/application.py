"""A small application of a user's, which type checkers look at as strictly as they can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepmath import Sequential
from deepmath.callbacks import TimeLimit
from deepmath.estimators import MLPClassifier, MLPRegressor
from deepmath.losses import Loss
from deepmath.optimizers import AdamW
from deepmath.schedules import CosineDecay

Numbers = NDArray[np.float64]


def data(rows: int) -> tuple[Numbers, Numbers]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 3))
    y: Numbers = X @ np.asarray([1.0, -2.0, 0.5])
    return X, y


def regression(loss: str | Loss = "huber(0.5)") -> float:
    X, y = data(100)
    net = MLPRegressor(loss, (8, 8), ["relu", "tanh"], solver="sgd", learning_rate=CosineDecay(0.05, steps=500),
                       tol=0.0, n_iter_no_change=50, max_iter=50, dropout=[0.0, 0.1], scale="standard", random_state=0,
                       callbacks=[TimeLimit(60.0)])  # fmt: skip
    net.fit(X[:80], y[:80], eval_set=(X[80:], y[80:]))
    net = net.set_params(max_iter=20).partial_fit(X, y)
    curve: list[float] = net.validation_loss_curve_
    print(f"{len(curve)} epochs, {net.n_iter_} more, loss {net.loss_:.3f}")
    return net.score(X, y)


def classification(folder: Path) -> Sequential:
    X, y = data(100)
    clf = MLPClassifier(8, solver=AdamW(0.01, weight_decay=0.1), class_weight={False: 1.0, True: 2.0}, random_state=0,
                        tol=1.0, n_iter_no_change=2)  # fmt: skip
    predicted: Numbers = clf.fit(X, y > 0).predict_proba(X)
    model = clf.to_sequential()
    model.save(folder / "model.safetensors")
    assert predicted.shape == (100, 2)
    return model


if __name__ == "__main__":
    import tempfile
    import warnings

    warnings.simplefilter("ignore")
    print(regression() > 0.0, len(classification(Path(tempfile.mkdtemp())).layers))
