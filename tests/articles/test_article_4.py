"""Article 4, "Build a deep neural network from zero": its class, written out, against the same network here."""

import numpy as np
import pytest
from networks import PROGRAMS

from deepmath import Dense, Sequential
from deepmath.callbacks import Callback
from deepmath.initializers import RandomUniform
from deepmath.optimizers import SGD

X = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
Y = np.array([[0.0], [1.0], [1.0], [0.0]])
ITERATIONS = 1500


def sigmoid(t):
    return 1 / (1 + np.exp(-t))


def sigmoid_derivative(p):
    return p * (1 - p)


class NeuralNetwork:
    """The article's class; the weights it starts from are given."""

    def __init__(self, x, y, weights1, weights2):
        self.input = x
        self.y = y
        self.weights1 = weights1.copy()
        self.weights2 = weights2.copy()

    def feedforward(self):
        self.layer1 = sigmoid(np.dot(self.input, self.weights1))
        self.output = sigmoid(np.dot(self.layer1, self.weights2))

    def backprop(self):
        error = 2 * (self.y - self.output) * sigmoid_derivative(self.output)
        d_weights2 = np.dot(self.layer1.T, error)
        d_weights1 = np.dot(self.input.T, np.dot(error, self.weights2.T) * sigmoid_derivative(self.layer1))
        self.weights1 += d_weights1
        self.weights2 += d_weights2


class Weights(Callback):
    """Keeps the kernels after every iteration."""

    every = 1

    def __init__(self):
        self.kept = []

    def on_steps_end(self, run):
        state = run.program.state()
        self.kept.append((state["params.0.kernel"], state["params.1.kernel"]))


def model_of(seed: int) -> Sequential:
    uniform = RandomUniform(0.0, 1.0)
    model = Sequential(seed=seed)
    model.add(Dense(4, "sigmoid", input_dim=3, use_bias=False, kernel_initializer=uniform))
    model.add(Dense(1, "sigmoid", use_bias=False, kernel_initializer=uniform))
    model.compile(SGD(1.0), "sse")
    return model


def fit(model: Sequential, backend: str, *callbacks: Callback) -> list[float]:
    """The sum of squares before each iteration."""
    settings = {"epochs": ITERATIONS, "batch_size": "full", "shuffle": False, "precision": "float64", "verbose": 0}
    return model.fit(X, Y, backend=backend, callbacks=callbacks, **settings).history["loss"]


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("seed", range(3))
def test_the_article_s_class_has_the_same_weights_after_every_iteration(seed, backend):
    model, seen = model_of(seed), Weights()
    article = NeuralNetwork(X, Y, *model.get_weights())
    fit(model, backend, seen)
    assert len(seen.kept) == ITERATIONS
    worst = 0.0
    for weights1, weights2 in seen.kept:
        article.feedforward()
        article.backprop()
        pairs = (weights1, article.weights1), (weights2, article.weights2)
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in pairs))
    assert worst < 1e-10


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_loss_falls_at_every_iteration_and_nine_of_ten_seeds_learn_the_labels(backend):
    learnt = 0
    for seed in range(10):
        model = model_of(seed)
        first = model.predict(X, precision="float64", backend=backend)
        losses = fit(model, backend)
        assert losses[0] == pytest.approx(np.sum((first - Y) ** 2), rel=1e-12), "the loss is the sum over rows"
        assert np.all(np.diff(losses) < 0), seed
        learnt += bool(np.all(np.abs(model.predict(X, precision="float64", backend=backend) - Y) < 0.05))
    assert learnt >= 9


def test_the_initial_weights_are_uniform_between_0_and_1():
    weights = np.concatenate([w.reshape(-1) for seed in range(100) for w in model_of(seed).get_weights()])
    assert weights.shape == (1600,)
    assert weights.min() >= 0.0
    assert weights.max() < 1.0
    counts = np.histogram(weights, bins=10, range=(0.0, 1.0))[0]
    assert np.all(np.abs(counts - 160) < 4.5 * np.sqrt(144))  # within 4.5 standard deviations
