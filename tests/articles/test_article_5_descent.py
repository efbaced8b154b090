"""Article 5, "How a neural network works": surfaces that descent walks on, what is minimised, and prepared data."""

from __future__ import annotations

import numpy as np
import pytest
from networks import PROGRAMS

from deepmath import Dense, Sequential, datasets, losses
from deepmath.callbacks import Callback
from deepmath.optimizers import SGD
from deepmath.preprocessing import MinMax, PCAWhitening, Standardize, ZCAWhitening


class Path(Callback):
    """Keeps the kernel after every step."""

    every = 1

    def __init__(self):
        self.points = []

    def on_steps_end(self, run):
        self.points.append(run.program.state()["params.0.kernel"].ravel())


def walk(start, loss, optimizer, steps, backend):
    """Points [steps, dimensions]: the weights of one unit without bias, one row of inputs for each weight."""
    n = len(start)
    model = Sequential([Dense(1, use_bias=False, input_dim=n)])
    model.set_weights([np.reshape(start, (n, 1))])
    model.compile(optimizer, loss)
    path, zeros = Path(), np.zeros((n, 1))
    settings = {"batch_size": "full", "verbose": 0, "precision": "float64", "backend": backend}
    model.fit(np.eye(n), zeros, epochs=steps, callbacks=[path], **settings)
    return np.array(path.points)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_descent_on_the_bowl(backend):
    """z = x^2 + y^2: every step goes straight to the middle, by the same share."""
    path = walk([3.0, -2.0], "sse", SGD(0.1), 40, backend)
    np.testing.assert_allclose(path, np.outer(0.8 ** np.arange(1, 41), [3.0, -2.0]), rtol=1e-12)
    heights = np.sum(path**2, axis=1)
    assert np.all(np.diff(heights) < 0)
    assert heights[-1] < 1e-6


def hill(xp, p, d):
    """Two basins, (p^2 - 1)^2 + 0.3 p: the right one is not the deepest."""
    return xp.sum((p * p - 1.0) * (p * p - 1.0) + 0.3 * p, axis=-1, keepdims=True)


def height(x):
    return (x * x - 1.0) ** 2 + 0.3 * x


BASINS = sorted(r.real for r in np.roots([4.0, 0.0, -4.0, 0.3]) if abs(r.real) > 0.5)


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize(("start", "momentum", "basin"), [
    (1.6, 0.0, 1), (0.3, 0.0, 1), (-1.6, 0.0, 0), (-0.3, 0.0, 0), (1.6, 0.9, 0),
])  # fmt: skip
def test_a_hill_with_two_basins_traps_plain_descent(start, momentum, basin, backend):
    assert height(BASINS[0]) < height(BASINS[1]) - 0.5
    path = walk([start], hill, SGD(0.02, momentum=momentum), 600, backend)[:, 0]
    assert path[-1] == pytest.approx(BASINS[basin], abs=1e-6)
    if not momentum:
        assert np.all(np.diff(height(path)) <= 1e-15), "it never climbs"


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_cost_is_the_mean_of_the_samples_losses(backend):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
    model = Sequential([Dense(2, kernel_regularizer="l2", input_dim=3)], seed=1)
    model.compile(SGD(0.0), "mse")
    kernel, bias = model.get_weights()
    samples = losses.get("mse").value(np, X @ kernel + bias, y)
    assert samples.shape == (12, 1)
    found = model.evaluate(X, y, precision="float64", backend=backend)
    assert found["cost"] == pytest.approx(samples.mean(), rel=1e-12)
    assert found["loss"] == pytest.approx(samples.mean() + 0.005 * np.sum(kernel**2), rel=1e-12)
    assert found["loss"] > found["cost"] > samples.min()


def parts():
    """House data and a part that measures; one test house lies outside of all that was seen in training."""
    X, y = datasets.houses(n=300, seed=4)
    X, X_test, _, _ = datasets.train_test_split(X, y, test=0.3, seed=1, stratify=False)
    X_test[0] = X.max(0) + 100.0
    return X, X_test


def test_standardising_by_the_training_part():
    X, X_test = parts()
    fitted = Standardize().fit(X)
    mean, std = X.mean(0), X.std(0)
    np.testing.assert_allclose(fitted.apply(X), (X - mean) / std, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(fitted.apply(X_test), (X_test - mean) / std, rtol=1e-11, atol=1e-12)
    assert np.abs(fitted.apply(X_test).mean(0)).max() > 0.01, "the test part's own mean plays no part"


def test_min_max_by_the_training_part():
    X, X_test = parts()
    fitted = MinMax().fit(X)
    found = fitted.apply(X)
    assert np.array_equal(found.min(0), np.zeros(5))
    assert np.array_equal(found.max(0), np.ones(5))
    np.testing.assert_allclose(fitted.apply(X_test), (X_test - X.min(0)) / np.ptp(X, axis=0), rtol=1e-12, atol=1e-14)
    assert fitted.apply(X_test).max() > 1.0


@pytest.mark.parametrize("kind", [PCAWhitening, ZCAWhitening])
def test_whitening_by_the_training_part(kind):
    X, X_test = parts()
    fitted = kind().fit(X)
    found = fitted.apply(X)
    np.testing.assert_allclose(found.T @ found / len(X), np.eye(5), atol=1e-10)
    np.testing.assert_allclose(found.mean(0), 0.0, atol=1e-10)
    map_, *_ = np.linalg.lstsq(X - X.mean(0), found)
    np.testing.assert_allclose(fitted.apply(X_test), (X_test - X.mean(0)) @ map_, rtol=1e-8, atol=1e-8)
