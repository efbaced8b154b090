"""Article 1, "Deep dive into deep networks' math": its program, and what it says about layers."""

import numpy as np
import pytest
from networks import PROGRAMS

from deepmath import Dense, Sequential, datasets
from deepmath.formulas.activations import relu
from deepmath.optimizers import SGD


def circles_accuracy(seed: int, backend: str | None = None) -> float:
    """The article's program with its import lines changed; the seed stands for the run."""
    X, y = datasets.circles(n=1000, noise=0.1, factor=0.2, seed=seed)
    X_train, X_test, y_train, y_test = datasets.train_test_split(X, y, test=0.1, seed=seed)

    model = Sequential(seed=seed)
    model.add(Dense(4, input_dim=2, activation="relu"))
    model.add(Dense(6, activation="relu"))
    model.add(Dense(6, activation="relu"))
    model.add(Dense(4, activation="relu"))
    model.add(Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    history = model.fit(X_train, y_train, epochs=50, verbose=0, backend=backend)
    assert len(history.history["accuracy"]) == 50
    return model.evaluate(X_test, y_test, backend=backend)["accuracy"]


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_median_of_ten_seeds_is_at_least_99_percent(backend, record_property):
    found = [circles_accuracy(seed, backend) for seed in range(10)]
    worst = int(np.argmin(found))
    print(f"{backend}: test accuracy: median {np.median(found):.3f}, worst {found[worst]:.3f} with seed {worst}")
    record_property("accuracies", found)
    assert np.median(found) >= 0.99


def test_without_activations_the_network_is_one_affine_map():
    rng = np.random.default_rng(0)
    model = Sequential([Dense(n, bias_initializer="random_uniform") for n in (7, 5, 6, 3)], seed=2)
    model.compile("sgd", "mse")
    X = rng.standard_normal((50, 4))
    found = model.predict(X, backend="reference", precision="float64")
    kernel, bias = np.eye(4), np.zeros(4)
    for w, b in zip(model.get_weights()[::2], model.get_weights()[1::2], strict=True):
        kernel, bias = kernel @ w, bias @ w + b
    assert np.any(bias)
    np.testing.assert_allclose(found, X @ kernel + bias, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_a_linear_network_reaches_the_least_squares_solution(backend):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((40, 3))
    y = X @ rng.standard_normal((3, 2)) + 0.3 * rng.standard_normal((40, 2)) + 1.0
    model = Sequential([Dense(4), Dense(2)], seed=1)
    model.compile(SGD(0.1), "mse")
    model.fit(X, y, epochs=3000, batch_size="full", verbose=0, precision="float64", backend=backend)
    design = np.column_stack([X, np.ones(40)])
    solution = np.linalg.lstsq(design, y)[0]
    np.testing.assert_allclose(model.predict(X, precision="float64", backend=backend), design @ solution, atol=1e-8)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_vectorised_layer_equals_the_loop_over_samples_and_neurons(backend):
    rng = np.random.default_rng(2)
    model = Sequential([Dense(6, "relu", input_dim=4, bias_initializer="random_uniform")], seed=3)
    model.compile("sgd", "mse")
    kernel, bias = model.get_weights()
    X = rng.standard_normal((9, 4))
    looped = np.empty((9, 6))
    for sample in range(9):
        for neuron in range(6):
            z = bias[neuron]
            for feature in range(4):
                z += X[sample, feature] * kernel[feature, neuron]
            looped[sample, neuron] = max(z, 0.0)
    found = model.predict(X, precision="float64", backend=backend)
    assert (looped > 0).any()
    assert (looped == 0).any()
    np.testing.assert_allclose(found, looped, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(relu(np, X @ kernel + bias), looped, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_backward_chain_of_matrices_trains_the_layers(backend):
    """dZ, dW and db as the article writes them (here rows are samples), for one step of the article's network."""
    X, y = datasets.circles(n=32, seed=1)
    y = y[:, None].astype(float)
    model = Sequential([Dense(4, "relu", input_dim=2), Dense(3, "relu"), Dense(1, "sigmoid")], seed=5)
    model.compile(SGD(1.0), "binary_crossentropy")
    w = model.get_weights()
    Z1 = X @ w[0] + w[1]
    A1 = np.maximum(Z1, 0)
    Z2 = A1 @ w[2] + w[3]
    A2 = np.maximum(Z2, 0)
    A3 = 1 / (1 + np.exp(-(A2 @ w[4] + w[5])))
    dA3 = -(y / A3 - (1 - y) / (1 - A3))
    dZ3 = dA3 * A3 * (1 - A3)
    dZ2 = dZ3 @ w[4].T * (Z2 > 0)
    dZ1 = dZ2 @ w[2].T * (Z1 > 0)
    steps = [X.T @ dZ1, dZ1.sum(0), A1.T @ dZ2, dZ2.sum(0), A2.T @ dZ3, dZ3.sum(0)]
    model.fit(X, y, batch_size="full", verbose=0, precision="float64", backend=backend)
    for before, after, step in zip(w, model.get_weights(), steps, strict=True):
        np.testing.assert_allclose(after, before - step / 32, rtol=1e-12, atol=1e-14)
