"""Article 3, "Deep learning's mathematics": data, networks, initial weights, gradients through graphs and layers."""

from __future__ import annotations

import numpy as np
import pytest
from networks import PROGRAMS, Case, Probe, whole_batch

from deepmath import Dense, Sequential, datasets, initializers
from deepmath.derivative import pullback
from deepmath.evaluation import evaluate
from deepmath.initializers import Constant, Draws, RandomNormal
from deepmath.optimizers import LBFGS, SGD, Adam
from deepmath.preprocessing import Standardize
from deepmath.trace import trace


@pytest.mark.parametrize(("m", "parts"), [
    (10, (6, 2, 2)), (1000, (600, 200, 200)), (10**4, (6000, 2000, 2000)), (10**4 + 100, (9898, 101, 101)),
    (10**6, (980_000, 10_000, 10_000)), (2 * 10**6, (1_990_000, 5000, 5000)),
])  # fmt: skip
def test_the_split_follows_the_number_of_rows(m, parts):
    assert tuple(datasets.split_sizes(m)) == parts


def test_labels_keep_their_shares_in_each_part():
    y = np.repeat([0, 1, 2], [500, 300, 200])
    X = np.arange(1000.0)[:, None]
    parts = datasets.train_dev_test_split(X, y, seed=1)
    assert sorted(np.concatenate(parts[:3])[:, 0].tolist()) == X[:, 0].tolist()
    for rows, labels, m in zip(parts[:3], parts[3:], (600, 200, 200), strict=True):
        assert np.array_equal(y[rows[:, 0].astype(int)], labels), "rows and labels stay together"
        assert np.all(np.abs(np.bincount(labels) - m * np.array([0.5, 0.3, 0.2])) <= 2)


def houses(targets=1):
    """Standardised houses in training and test parts, all fitted on the training part."""
    X, y = datasets.houses(n=900, seed=2, targets=targets)
    X, X_test, y, y_test = datasets.train_test_split(X, y.reshape(900, -1), test=1 / 3, seed=0, stratify=False)
    inputs, outputs = Standardize().fit(X), Standardize().fit(y)
    return inputs.apply(X), inputs.apply(X_test), outputs.apply(y), outputs.apply(y_test)


def explained(model, X, y, backend):
    """The share of the variance that predictions explain."""
    p = model.predict(X, precision="float64", backend=backend)
    return 1.0 - np.sum((p - y) ** 2) / np.sum((y - y.mean(0)) ** 2)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_one_neuron_prices_houses_as_least_squares_does(backend):
    X, X_test, y, y_test = houses()
    model = Sequential([Dense(1)], seed=1)
    model.compile(SGD(0.2), "mse")
    model.fit(X, y, epochs=400, batch_size="full", verbose=0, precision="float64", backend=backend)
    design = np.column_stack([X, np.ones(len(X))])
    np.testing.assert_allclose(np.concatenate([w.ravel() for w in model.get_weights()]),
                               np.linalg.lstsq(design, y)[0].ravel(), atol=1e-8)  # fmt: skip
    assert 0.7 < explained(model, X_test, y_test, backend) < 0.97


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_network_5_3_3_2_prices_and_lets_houses(backend):
    X, X_test, y, y_test = houses(targets=2)
    model = Sequential([Dense(3, "tanh", input_dim=5), Dense(3, "tanh"), Dense(2)], seed=0)
    rows = [line.split() for line in model.summary().splitlines()]
    assert rows[1:] == [
        ["Dense", "3", "tanh", "18"], ["Dense", "3", "tanh", "12"], ["Dense", "2", "8"], ["total", "38"]
    ]  # fmt: skip
    model.compile(Adam(0.02), "mse")
    model.fit(X, y, epochs=150, verbose=0, backend=backend)
    line = Sequential([Dense(2)])
    line.compile(LBFGS(), "mse")
    line.fit(X, y, epochs=100, verbose=0, precision="float64", backend=backend)
    assert explained(model, X_test, y_test, backend) > explained(line, X_test, y_test, backend) + 0.03


SHAPES = {"sin": np.sin, "step": lambda x: np.where(x > 0.0, 1.0, -1.0)}


@pytest.mark.parametrize("name", SHAPES)
def test_a_hidden_layer_approximates_the_better_the_wider_it_is(name, record_property):
    """The sup error on the compact set, for the step without a gap around its jump; the median of five beginnings."""
    x = np.linspace(-np.pi, np.pi, 201)[:, None]
    x = x if name == "sin" else x[np.abs(x[:, 0]) >= 0.2]
    y = SHAPES[name](x)
    errors = {}
    for width in (1, 4, 16, 64, 256):
        found = []
        for seed in range(5):
            uniform = initializers.RandomUniform(-3.0, 3.0)
            model = Sequential([Dense(width, "relu", bias_initializer=uniform), Dense(1)], seed=seed)
            model.compile(LBFGS(tolerance=1e-9), "mse")
            model.fit(x, y, epochs=300, verbose=0, precision="float64", backend="numpy")
            found.append(float(np.max(np.abs(model.predict(x, precision="float64", backend="numpy") - y))))
        errors[width] = float(np.median(found))
    record_property("errors", str(errors))
    print(name, errors)
    assert errors[1] > 0.8, "one unit is one kink"
    assert max(errors[16], errors[64], errors[256]) < 0.12
    if name == "sin":
        assert errors[1] > 2 * errors[4] > 3 * errors[16] > 3 * errors[64]


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize(("kernel", "equal"), [("zeros", True), (Constant(0.3), True), ("xavier", False)])
def test_equal_weights_keep_units_equal_for_ever(kernel, equal, backend):
    X, y = datasets.circles(n=60, seed=0)
    layers = [Dense(5, "sigmoid", kernel_initializer=kernel), Dense(1, "sigmoid", kernel_initializer=kernel)]
    model = Sequential(layers, seed=1)
    model.compile(SGD(0.5, momentum=0.9), "binary_crossentropy")
    model.fit(X, y, epochs=200, batch_size=16, verbose=0, precision="float64", backend=backend)
    hidden, bias, outer, _ = model.get_weights()
    spread = max(np.ptp(hidden, axis=1).max(), np.ptp(bias), np.ptp(outer))
    assert np.abs(hidden).max() > 1e-3, "they did move"
    assert (spread < 1e-10) == equal
    assert equal or spread > 0.1


@pytest.mark.parametrize(("name", "variance"), [
    ("xavier", lambda n_in, n_out: 1 / n_in), ("glorot_normal", lambda n_in, n_out: 2 / (n_in + n_out)),
    ("he_normal", lambda n_in, n_out: 2 / n_in), ("glorot_uniform", lambda n_in, n_out: 2 / (n_in + n_out)),
    ("he_uniform", lambda n_in, n_out: 2 / n_in), ("lecun_uniform", lambda n_in, n_out: 1 / n_in),
])  # fmt: skip
@pytest.mark.parametrize("shape", [(400, 100), (50, 900)])
def test_variances_of_initial_weights(name, variance, shape):
    w = initializers.get(name).draw(Draws(5, 0, 0), shape)
    wanted, count = variance(*shape), w.size
    assert abs(w.mean()) < 4.5 * np.sqrt(wanted / count)
    assert abs(w.var() / wanted - 1.0) < 4.5 * np.sqrt(2.0 / count)  # a normal sample's; a uniform one's is less
    assert np.any(np.abs(w) > np.sqrt(3.001 * wanted)) == ("uniform" not in name)


def saturated(kernel, layers=5):
    """The share of the last of several tanh layers that lies beyond 0.99, and the mean slope there."""
    X = np.random.default_rng(0).standard_normal((200, 100))
    model = Sequential([Dense(100, "tanh", kernel_initializer=kernel) for _ in range(layers)], seed=3)
    h = model.predict(X, precision="float64", backend="reference")
    return float(np.mean(np.abs(h) > 0.99)), float(np.mean(1 - h**2)), float(np.std(h))


def test_too_much_noise_saturates_and_too_little_vanishes():
    share, slope, _ = saturated(RandomNormal(stddev=3.0))
    assert share > 0.8
    assert slope < 0.1
    share, slope, size = saturated("xavier")
    assert share < 0.01
    assert slope > 0.5
    assert size > 0.1
    assert saturated(RandomNormal(stddev=0.01))[2] < 1e-4


def test_the_computational_graph():
    """f = (x + y) z at (-2, 5, -4)."""

    def f(xp, x, y, z):
        return (x + y) * z

    kinds, point = ["element"] * 3, [np.array([[v]]) for v in (-2.0, 5.0, -4.0)]
    traced = trace(f, kinds)
    assert [n.op for n in traced.needed()] == ["argument", "argument", "argument", "+", "*"]
    values = {a.number: v for a, v in zip(traced.arguments, point, strict=True)}
    q, total = evaluate(np, [traced.outputs[0].args[0], traced.outputs[0]], values)
    assert (q.item(), total.item()) == (3.0, -12.0)
    gradient = pullback(f, kinds, (0, 1, 2))(np, *point, np.ones((1, 1)))
    assert [g.item() for g in gradient] == [-4.0, -4.0, 3.0]


DEPTH = 20
INPUT = np.array([[0.5, -1.0, 0.25], [2.0, 0.125, -0.5]])


def chain(factor):
    """A linear network of that many layers; all but the last are multiples of the identity."""
    layers = tuple(Dense(3, use_bias=False) for _ in range(DEPTH))
    kernels = [factor * np.eye(3)] * (DEPTH - 1) + [np.eye(3)]
    return layers, kernels


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("factor", [1.5, 0.5])
def test_outputs_and_gradients_explode_or_vanish_with_depth(factor, backend):
    """Exactly: the powers and the numbers chosen fit into float64."""
    layers, kernels = chain(factor)
    case = Case(layers, "sse", SGD(0.0), INPUT, INPUT, batch_size=2, shuffle=False)
    model = Sequential(layers)
    model.compile("sgd", "sse")
    model.predict(INPUT)
    model.set_weights(kernels)
    outputs = model.predict(INPUT, precision="float64", backend=backend)
    assert np.array_equal(outputs, factor ** (DEPTH - 1) * INPUT)
    dy = 2.0 * (factor ** (DEPTH - 1) - 1.0) * INPUT  # of the sum of squares, the targets being the inputs
    values = {f"params.{i}.kernel": k for i, k in enumerate(kernels)}
    gradients = Probe(case, backend).gradients(values, whole_batch(case))
    for i in range(DEPTH - 1):
        np.testing.assert_allclose(gradients[f"{i}.kernel"], factor ** (DEPTH - 2) * INPUT.T @ dy, rtol=1e-14)
    np.testing.assert_allclose(gradients[f"{DEPTH - 1}.kernel"], factor ** (DEPTH - 1) * INPUT.T @ dy, rtol=1e-14)


@pytest.mark.parametrize("factor", [1.5, 0.5])
def test_the_gradient_by_the_inputs_explodes_or_vanishes_with_depth(factor):
    layers, kernels = chain(factor)
    x, pullbacks = INPUT, []
    for layer, kernel in zip(layers, kernels, strict=True):
        x, back, _ = layer.apply(np, {"kernel": kernel}, {}, x, None, True)
        pullbacks.append(back)
    dx = np.ones((2, 3))
    for back in reversed(pullbacks):
        dx, _ = back(dx)
    assert np.array_equal(dx, np.full((2, 3), factor ** (DEPTH - 1)))
