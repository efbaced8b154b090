"""Article 5, "How a neural network works": its step of backpropagation, and the one that it follows."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from networks import PROGRAMS

from deepmath import Dense, Sequential
from deepmath.optimizers import SGD
from deepmath.regularizers import L2


@dataclass(frozen=True)
class Step:
    """A network 2-2-2 of sigmoids before its step, and the digits printed for it."""

    inputs: tuple[float, float]
    targets: tuple[float, float]
    weights: tuple[list[list[float]], float, list[list[float]], float]
    rate: float
    loss: str
    outputs: tuple[str, ...]
    after1: tuple[str, ...]
    after2: tuple[str, ...]


ARTICLE = Step(
    (0.10, 0.20),
    (0.85, 0.30),
    ([[0.05, 0.10], [0.15, 0.20]], 0.35, [[0.25, 0.30], [0.35, 0.40]], 0.50),
    1.0,
    "0.096867268",
    ("0.702307507", "0.714634132"),
    ("0.049574763409", "0.099447028176", "0.149149526818", "0.198894056352"),
    ("0.268375021542", "0.249681802892", "0.368486467138", "0.349376620041"),
)
MAZUR = Step(
    (0.05, 0.10),
    (0.01, 0.99),
    ([[0.15, 0.25], [0.20, 0.30]], 0.35, [[0.40, 0.50], [0.45, 0.55]], 0.60),
    0.5,
    "0.298371109",
    ("0.75136507",),
    ("0.149780716",),
    ("0.35891648",),
)
STEPS = {"article": ARTICLE, "Mazur": MAZUR}


def agrees(found: float, printed: str) -> bool:
    """Whether a number has the printed digits, be they rounded or cut, of which at least eight are compared."""
    digits = min(len(printed.partition(".")[2]), 9)
    assert digits >= 8
    return abs(found - float(printed)) < 10.0**-digits


def model_of(step: Step) -> Sequential:
    model = Sequential([Dense(2, "sigmoid", input_dim=2), Dense(2, "sigmoid")])
    w1, b1, w2, b2 = step.weights
    model.set_weights([w1, [b1, b1], w2, [b2, b2]])
    model.compile(SGD(step.rate), "mse")
    return model


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("name", STEPS)
def test_the_step_has_the_printed_digits(name, backend):
    step = STEPS[name]
    model = model_of(step)
    X, y = np.array([step.inputs]), np.array([step.targets])
    settings = {"precision": "float64", "backend": backend}
    for found, printed in zip(model.predict(X, **settings)[0], step.outputs, strict=False):
        assert agrees(found, printed), printed
    loss = model.fit(X, y, verbose=0, **settings).history["loss"][0]
    assert agrees(loss, step.loss)
    kernel1, _, kernel2, _ = model.get_weights()
    for kernel, digits in ((kernel1, step.after1), (kernel2, step.after2)):
        assert digits
        for found, printed in zip(kernel.reshape(-1), digits, strict=False):
            assert agrees(found, printed), printed


def test_the_article_s_intermediate_numbers():
    hidden = Sequential([Dense(2, "sigmoid", input_dim=2)])
    w1, b1, _, _ = ARTICLE.weights
    hidden.set_weights([w1, [b1, b1]])
    h = hidden.predict(np.array([ARTICLE.inputs]), precision="float64", backend="reference")[0]
    assert agrees(h[0], "0.595078474")
    assert agrees(h[1], "0.598687660")
    model = model_of(ARTICLE)
    before = model.get_weights()
    model.fit(
        np.array([ARTICLE.inputs]), np.array([ARTICLE.targets]), verbose=0, precision="float64", backend="reference"
    )
    delta = before[3] - model.get_weights()[3]  # the rate is 1, and a bias's gradient is its unit's delta
    assert agrees(delta[0], "-0.030878316641")
    assert agrees(delta[1], "0.084557246343")


@pytest.mark.parametrize("name", STEPS)
def test_the_printed_digits_are_right(name):
    """The numbers by plain arithmetic: the oracle of the tables above."""
    step = STEPS[name]
    (w1, b1, w2, b2), x, d = step.weights, step.inputs, step.targets
    h = [1 / (1 + math.exp(-(x[0] * w1[0][j] + x[1] * w1[1][j] + b1))) for j in (0, 1)]
    o = [1 / (1 + math.exp(-(h[0] * w2[0][k] + h[1] * w2[1][k] + b2))) for k in (0, 1)]
    assert agrees(((o[0] - d[0]) ** 2 + (o[1] - d[1]) ** 2) / 2, step.loss)
    delta = [(o[k] - d[k]) * o[k] * (1 - o[k]) for k in (0, 1)]
    back = [(w2[j][0] * delta[0] + w2[j][1] * delta[1]) * h[j] * (1 - h[j]) for j in (0, 1)]
    after1 = [w1[i][j] - step.rate * x[i] * back[j] for i in (0, 1) for j in (0, 1)]
    after2 = [w2[j][k] - step.rate * h[j] * delta[k] for j in (0, 1) for k in (0, 1)]
    assert all(agrees(found, printed) for found, printed in zip(after1, step.after1, strict=False))
    assert all(agrees(found, printed) for found, printed in zip(after2, step.after2, strict=False))


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize(("rate", "kind"), [(0.01, "slow"), (0.4, "fast"), (1.0, "oscillates"), (1.1, "diverges")])
def test_rates_of_descent_on_a_parabola(rate, kind, backend):
    """A weight without bias, input 1 and target 0 under mse is x^2, and each step is x (1 - 2 rate)."""
    model = Sequential([Dense(1, use_bias=False, input_dim=1)])
    model.set_weights([[[1.0]]])
    model.compile(SGD(rate), "mse")
    path = [1.0]
    for _ in range(20):
        model.fit(np.ones((1, 1)), np.zeros((1, 1)), verbose=0, precision="float64", backend=backend)
        path.append(float(model.get_weights()[0][0, 0]))
    np.testing.assert_allclose(path, (1.0 - 2.0 * rate) ** np.arange(21), rtol=1e-9)
    size = np.abs(path)
    assert {
        "slow": 0.6 < size[-1] < 0.7,
        "fast": size[-1] < 1e-13,
        "oscillates": np.allclose(size, 1.0) and path[1] < 0 < path[2],
        "diverges": size[-1] > 30.0,
    }[kind]


@pytest.mark.parametrize("backend", PROGRAMS)
def test_loss_is_the_objective_and_cost_leaves_the_penalty_out(backend):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
    model = Sequential([Dense(2, kernel_regularizer=L2(0.5), input_dim=3)], seed=1)
    model.compile(SGD(0.0), "mse")
    kernel, bias = model.get_weights()
    history = model.fit(X, y, verbose=0, batch_size=5, precision="float64", backend=backend).history
    cost = np.mean([np.mean((x @ kernel + bias - d) ** 2) for x, d in zip(X, y, strict=True)])
    assert history["cost"][0] == pytest.approx(cost, rel=1e-12)
    assert history["loss"][0] == pytest.approx(cost + 0.25 * np.sum(kernel**2), rel=1e-12)
