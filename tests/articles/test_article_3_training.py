"""Article 3, "Deep learning's mathematics": descent and its batches, momentum, decay, penalties, dropout, stopping."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from networks import PROGRAMS
from sklearn.neural_network import MLPClassifier

from deepmath import Dense, Dropout, Sequential
from deepmath.callbacks import Callback, EarlyStopping
from deepmath.optimizers import SGD
from deepmath.preprocessing import Standardize
from deepmath.regularizers import L1, L2
from deepmath.schedules import ExponentialDecay, InverseTimeDecay, SqrtDecay

RNG = np.random.default_rng(7)
X = RNG.standard_normal((64, 3))
Y = X @ np.array([[1.0], [-2.0], [0.5]]) + 0.1 * RNG.standard_normal((64, 1))


class Path(Callback):
    """Keeps the kernel after every step."""

    every = 1

    def __init__(self):
        self.kernels = []

    def on_steps_end(self, run):
        self.kernels.append(run.program.state()["params.0.kernel"])


def line(optimizer, kernel=None, **settings):
    model = Sequential([Dense(1, use_bias=False, input_dim=3, **settings)], seed=1)
    if kernel is not None:
        model.set_weights([kernel])
    model.compile(optimizer, "mse")
    return model


def fit(model, X, y, epochs, backend, *callbacks, **settings):
    given = {"verbose": 0, "precision": "float64", "backend": backend, "batch_size": "full", "callbacks": callbacks}
    return model.fit(X, y, epochs=epochs, **given | settings).history


def steps_to(inputs, y, share, backend):
    """Steps of descent at the best safe rate, 1 / the largest curvature, until so little of the excess loss is left."""
    design = 2.0 * inputs.T @ inputs / len(inputs)
    model = line(SGD(1.0 / np.linalg.eigvalsh(design)[-1]), np.zeros((3, 1)))
    losses = np.array(fit(model, inputs, y, 3000, backend)["loss"])
    least = np.mean((y - inputs @ np.linalg.lstsq(inputs, y)[0]) ** 2)
    reached = np.flatnonzero(losses - least <= share * (losses[0] - least))
    return int(reached[0]) if len(reached) else 3000


@pytest.mark.parametrize("backend", PROGRAMS)
def test_standardised_inputs_need_fewer_steps(backend):
    raw = X * [1.0, 10.0, 0.2]
    y = (X - X.mean(0)) / X.std(0) @ np.ones((3, 1))
    before, after = (steps_to(inputs, y, 1e-3, backend) for inputs in (raw, Standardize().fit(raw).apply(raw)))
    print(f"{backend}: {before} steps before, {after} after")
    assert after < 20
    assert before > 20 * after


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize(("batch_size", "steps"), [("full", 1), (64, 1), (16, 4), (1, 64)])
def test_the_batch_size_makes_the_kind_of_descent(batch_size, steps, backend):
    """All rows: every step lowers the loss. One row: many steps, and some raise it."""
    path, model = Path(), line(SGD(0.05), np.zeros((3, 1)))
    fit(model, X, Y, 3, backend, path, batch_size=batch_size)
    assert len(path.kernels) == 3 * steps
    losses = [np.mean((X @ w - Y) ** 2) for w in path.kernels]
    assert losses[-1] < 0.9 * np.mean(Y**2)
    assert np.all(np.diff(losses) < 0) == (batch_size != 1)
    if steps == 1:
        w = np.zeros((3, 1))
        for found in path.kernels:
            w = w - 0.05 * 2.0 * X.T @ (X @ w - Y) / 64
            np.testing.assert_allclose(found, w, rtol=1e-12)


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize(
    "rule", [SGD.averaged(0.1, 0.9), SGD(0.1 * (1.0 - 0.9), momentum=0.9)], ids=["averaged", "sgd"]
)
def test_the_article_s_momentum_is_sgd_at_another_rate(rule, backend):
    path = Path()
    fit(line(rule, np.zeros((3, 1))), X, Y, 60, backend, path)
    w, v = np.zeros((3, 1)), np.zeros((3, 1))
    for found in path.kernels:
        v = 0.9 * v + 0.1 * 2.0 * X.T @ (X @ w - Y) / 64
        w = w - 0.1 * v
        np.testing.assert_allclose(found, w, rtol=1e-11)


@pytest.mark.parametrize(("law", "wanted"), [
    (InverseTimeDecay(0.2, decay=0.5, steps=4), lambda epoch: 0.2 / (1 + 0.5 * epoch)),
    (ExponentialDecay(0.2, factor=0.95, steps=4), lambda epoch: 0.2 * 0.95**epoch),
    (ExponentialDecay(0.2, factor=0.5, steps=12, staircase=True), lambda epoch: 0.2 * 0.5 ** (epoch // 3)),
    (SqrtDecay(0.2, k=0.8, steps=4, staircase=True), lambda epoch: 0.2 * 0.8 / math.sqrt(epoch + 1)),
], ids=["inverse time", "exponential", "staircase", "root"])  # fmt: skip
@pytest.mark.parametrize("backend", PROGRAMS)
def test_decay_laws_by_the_epoch(law, wanted, backend):
    """A bias of its own gradient 1 shows the rates: the mean of p at inputs 0 under a loss with slope 1."""
    assert [law(4 * epoch) for epoch in range(10)] == pytest.approx([wanted(epoch) for epoch in range(10)], rel=1e-13)
    model = Sequential([Dense(1)], seed=0)
    model.compile(SGD(law), lambda xp, p, d: xp.sum(p, axis=-1, keepdims=True))
    model.predict(np.zeros((16, 1)))
    path = Biases()
    fit(model, np.zeros((16, 1)), np.zeros((16, 1)), 10, backend, path, batch_size=4)
    rates = -np.diff([0.0, *path.biases])
    assert rates[::4] == pytest.approx([wanted(epoch) for epoch in range(10)], rel=1e-10)
    if law.staircase:
        assert rates.reshape(10, 4) == pytest.approx(np.repeat(rates[::4], 4).reshape(10, 4), rel=1e-10)


class Biases(Callback):
    every = 1

    def __init__(self):
        self.biases = []

    def on_steps_end(self, run):
        self.biases.append(float(run.program.state()["params.0.bias"][0]))


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_articles_and_keras_s_penalties(backend):
    """lambda / (2 m) times the sum of squares, and Keras's k times it; the same of absolute values."""
    lam, k, m = 3.0, 0.07, len(X)
    kernel = np.array([[0.5], [-1.5], [2.0]])
    squares, sizes = np.sum(kernel**2), np.sum(np.abs(kernel))
    penalties = {L2(lam / m): lam / (2 * m) * squares, L2(2 * k): k * squares, L1(lam / (2 * m)): lam / (2 * m) * sizes,
                 L1(k): k * sizes}  # fmt: skip
    for rule, wanted in penalties.items():
        path = Path()
        history = fit(line(SGD(0.1), kernel, kernel_regularizer=rule), X, Y, 1, backend, path)
        assert history["loss"][0] - history["cost"][0] == pytest.approx(wanted, rel=1e-12)
        slope = {L1: np.sign(kernel) * wanted / sizes, L2: 2 * kernel * wanted / squares}[type(rule)]
        step = 2.0 * X.T @ (X @ kernel - Y) / m + slope
        np.testing.assert_allclose(path.kernels[0], kernel - 0.1 * step, rtol=1e-12)


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("alpha", [0.0, 5.0])
def test_scikit_learns_alpha(alpha, backend):
    """Its penalty is alpha / (2 n) times the sum of squares: L2(alpha / n) for batches of n rows."""
    labels = (Y[:, 0] > 0).astype(int)
    theirs = MLPClassifier((4,), "tanh", solver="sgd", alpha=alpha, batch_size=64, learning_rate_init=0.3, momentum=0.0,
                           shuffle=False, random_state=0, nesterovs_momentum=False)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.partial_fit(X, labels, classes=[0, 1])
        start = [a.copy() for pair in zip(theirs.coefs_, theirs.intercepts_, strict=True) for a in pair]
        for _ in range(30):
            theirs.partial_fit(X, labels)
    penalty = L2(alpha / 64)
    layers = [
        Dense(4, "tanh", kernel_regularizer=penalty, input_dim=3),
        Dense(1, "sigmoid", kernel_regularizer=penalty),
    ]
    model = Sequential(layers)
    model.set_weights(start)
    model.compile(SGD(0.3), "binary_crossentropy")
    fit(model, X, labels, 30, backend)
    for ours, other in zip(model.get_weights()[::2], theirs.coefs_, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-9, atol=1e-12)
        assert not np.allclose(ours, start[0 if ours.shape == (3, 4) else 2], rtol=1e-2)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_dropout_keeps_with_chance_p_and_divides_by_it(backend):
    """The article's p is the chance to keep. The first epoch's loss shows the mask; prediction drops nothing."""
    p = 0.8
    model = Sequential([Dropout(1.0 - p), Dense(1, use_bias=False)], seed=3)
    ones = np.ones((4000, 1))
    model.predict(ones)
    model.set_weights([[[1.0]]])
    model.compile(SGD(0.0), "sse")
    loss = fit(model, ones, np.zeros((4000, 1)), 1, backend)["loss"][0]
    kept = loss * p**2  # each kept one adds (1 / p)^2
    assert kept == pytest.approx(round(kept), abs=1e-6)
    assert abs(kept - 4000 * p) < 4.5 * np.sqrt(4000 * p * (1 - p))
    assert np.array_equal(model.predict(ones, precision="float64", backend=backend), ones)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_early_stopping_ends_where_the_costs_part(backend):
    rng = np.random.default_rng(3)
    x, x_dev = rng.uniform(-3, 3, (16, 1)), rng.uniform(-3, 3, (200, 1))
    y, y_dev = np.sin(x) + 0.4 * rng.standard_normal(x.shape), np.sin(x_dev) + 0.4 * rng.standard_normal(x_dev.shape)

    def run(*callbacks):
        model = Sequential([Dense(40, "tanh", kernel_initializer="he_normal"), Dense(1)], seed=2)
        model.compile(SGD(0.1, momentum=0.9), "mse")
        return model, fit(model, x, y, 1500, backend, *callbacks, validation_data=(x_dev, y_dev))

    _, whole = run()
    best = int(np.argmin(whole["val_loss"]))
    assert 0 < best < 1400
    assert whole["loss"][-1] < 0.7 * whole["loss"][best], "J of the training part goes on falling"
    assert whole["val_loss"][-1] > 1.1 * whole["val_loss"][best], "J of the dev part rises"
    model, stopped = run(EarlyStopping(patience=200))
    assert len(stopped["loss"]) < 1500
    found = model.evaluate(x_dev, y_dev, precision="float64", backend=backend)["loss"]
    assert found == pytest.approx(min(stopped["val_loss"]), rel=1e-12)
    assert found < whole["val_loss"][-1]
