"""What "accuracy" means under each loss, and what a prediction says for yes."""

from __future__ import annotations

import numpy as np
import pytest

from deepmath import Dense, Sequential, losses, metrics
from deepmath.errors import LabelError

LOSSES = sorted({losses.get(name).name for name in losses.names()})
INDEPENDENT = {"binary_crossentropy": 0.5, "focal": 0.5, "hinge": 0.0, "squared_hinge": 0.0}
RNG = np.random.default_rng(5)
X = RNG.standard_normal((40, 4))


def test_each_loss_says_how_its_outputs_are_judged():
    assert {n: losses.get(n).yes_above for n in LOSSES if losses.get(n).yes_above is not None} == INDEPENDENT
    assert losses.get("focal(1.0, 0.5)").yes_above == 0.5


def targets(loss: str, outputs: int) -> np.ndarray:
    if losses.get(loss).targets == "labels":
        return RNG.integers(0, outputs, len(X))
    if loss in INDEPENDENT or outputs == 1:
        return RNG.integers(0, 2, (len(X), outputs)) * 1.0
    return np.eye(outputs)[RNG.integers(0, outputs, len(X))]


def last_of(loss: str, outputs: int) -> str | None:
    """An activation that predicts what the loss takes."""
    if losses.get(loss).yes_above == 0.0:
        return None
    return "sigmoid" if outputs == 1 or loss in INDEPENDENT else "softmax"


FUSED = ("mse", "sparse_categorical_crossentropy", "focal", "hinge")
"""One of each kind: what is fused is the same formula."""


CASES = [
    (backend, loss, outputs)
    for backend, chosen in (("reference", LOSSES), ("numpy", FUSED))
    for loss in chosen
    for outputs in (1, 3)
    if outputs > 1 or losses.get(loss).targets != "labels"  # labels of one class are refused
]


@pytest.mark.parametrize(("backend", "loss", "outputs"), CASES)
def test_accuracy_is_of_the_kind_that_fits(backend, loss, outputs):
    model = Sequential([Dense(outputs, last_of(loss, outputs), input_dim=4)], seed=3)
    model.compile("sgd", loss, ["accuracy"], unusual=outputs == 1)  # one output of a distribution over classes
    y = targets(loss, outputs)
    settings = {"backend": backend, "precision": "float64"}
    p = model.predict(X, **settings)
    limit = INDEPENDENT.get(loss, 0.5)
    if outputs == 1 or loss in INDEPENDENT:
        expected = np.mean((p > limit) == (y == 1.0))
    else:
        expected = np.mean(p.argmax(1) == (y if y.ndim == 1 else y.argmax(1)))
    assert 0.0 < expected < 1.0
    assert model.evaluate(X, y, **settings)["accuracy"] == pytest.approx(expected, abs=1e-12)
    history = model.fit(X, y, batch_size="full", verbose=0, **settings).history
    assert history["accuracy"][0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("backend", "loss"), [("reference", "hinge"), ("reference", "squared_hinge"), ("numpy", "hinge")]
)
@pytest.mark.parametrize("outputs", [1, 3])
def test_margins_take_signs_as_well(backend, outputs, loss):
    yes = RNG.integers(0, 2, (len(X), outputs))
    found = []
    for y in (yes, 2 * yes - 1, (2 * yes - 1).astype(np.int8)):
        model = Sequential([Dense(outputs, input_dim=4)], seed=3)
        model.compile("sgd", loss, ["accuracy", "binary_accuracy"])
        history = model.fit(X, y, epochs=2, verbose=0, backend=backend, validation_data=(X, y)).history
        found.append((history, model.get_weights()[0].tolist()))
    assert found[0] == found[1] == found[2]
    assert found[0][0]["accuracy"] == found[0][0]["binary_accuracy"]


def test_scores_of_margins_say_yes_above_0():
    model = Sequential([Dense(1, input_dim=4)], seed=3)
    matrix = metrics.ConfusionMatrix()
    model.compile("sgd", "hinge", ["f1", matrix, metrics.Precision(yes_above=0.25)])
    y = RNG.choice([-1, 1], len(X))
    p = model.predict(X)[:, 0]
    found = model.evaluate(X, y)
    yes, said = y == 1, p > 0.0
    table = [[np.sum(~yes & ~said), np.sum(~yes & said)], [np.sum(yes & ~said), np.sum(yes & said)]]
    assert found["confusion_matrix"].tolist() == table
    assert found["f1"] == pytest.approx(2 * table[1][1] / (np.sum(said) + np.sum(yes)))
    assert found["precision"] == pytest.approx(np.mean(yes[p > 0.25])), "a number of one's own stays"
    assert matrix.yes_above is None
    assert metrics.F1(yes_above=0.0).of([0.2, -0.2], [1, 0]) == 1.0


@pytest.mark.parametrize(
    ("y", "text"),
    [
        ([[0], [0.5]], "target 0.5 at row 1 is neither 0 nor 1; loss 'hinge' takes 0 and 1, or -1 and 1."),
        ([[0], [-1]], "target 0 at row 0 is neither -1 nor 1; loss 'hinge' takes 0 and 1, or -1 and 1."),
        ([[1], [2]], "target 2 at row 1 is neither 0 nor 1; loss 'hinge' takes 0 and 1, or -1 and 1."),
    ],
)
def test_other_targets_of_margins_are_refused(y, text):
    model = Sequential([Dense(1, input_dim=4)])
    model.compile("sgd", "hinge")
    with pytest.raises(LabelError) as error:
        model.fit(X[:2], np.asarray(y), verbose=0)
    assert str(error.value) == f"{text} Encode the classes so; for regression use loss='mse'."
