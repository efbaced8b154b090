"""Weights mean one thing: the same rows give the same loss and the same metrics wherever they are measured."""
# ruff: noqa: E501 - a message stands in one line, to be found by its text

from __future__ import annotations

import numpy as np
import pytest
from networks import PROGRAMS
from sklearn import metrics as judge

from deepmath import Dense, Sequential
from deepmath.data.sources import ArraySource
from deepmath.errors import ConfigError
from deepmath.optimizers import LBFGS, SGD
from deepmath.training.history import summarize

RNG = np.random.default_rng(4)
ROWS = 53
X = RNG.standard_normal((ROWS, 4))
Y = (X[:, 0] - X[:, 1] > 0.3).astype(int)
W = RNG.choice([0.0, 0.3, 1.0, 4.0], ROWS)
BY_CLASS = {0: 0.5, 1: 3.0}
STILL = SGD(1e-30)
"""Moves nothing, so that all epochs measure the same network."""


def model_of(optimizer=STILL, loss="binary_crossentropy", measures=("accuracy", "mae", "precision")):
    model = Sequential([Dense(5, "tanh", input_dim=4), Dense(1, "sigmoid")], seed=5)
    model.compile(optimizer, loss, measures)
    return model


def close(found, expected):
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name


def expected_of(model, weights):
    p = model.predict(X, backend="reference", precision="float64")[:, 0]
    return {
        "accuracy": judge.accuracy_score(Y, p > 0.5, sample_weight=weights),
        "mae": judge.mean_absolute_error(Y, p, sample_weight=weights),
        "precision": judge.precision_score(Y, p > 0.5, sample_weight=weights),
        "cost": judge.log_loss(Y, p, sample_weight=weights),
    }


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize(
    "settings", [{}, {"batch_size": 7}, {"batch_size": 5, "accumulate": 3, "shuffle": False}], ids=str
)
def test_all_metrics_have_the_weights_of_the_loss(backend, settings):
    given = {"backend": backend, "precision": "float64"}
    model = model_of()
    expected = expected_of(model, W * (1 + 5 * Y))
    weights = {"sample_weight": W, "class_weight": {0: 1.0, 1: 6.0}}
    history = model.fit(X, Y, validation_data=(X, Y, W), verbose=0, **weights, **settings, **given).history
    in_steps = {n: v for n, v in expected.items() if n != "precision"}
    close({n: v[0] for n, v in history.items()}, in_steps | {f"val_{n}": v for n, v in expected.items()})
    close(model.evaluate(X, Y, **weights, **given), expected)
    close(model.train_on_batch(X, Y, W * (1 + 5 * Y), **given), in_steps)


def test_evaluate_has_the_weighted_numbers_of_scikit_learn():
    model = model_of(measures=("accuracy", "precision"))
    found = model.evaluate(X, Y, sample_weight=1 + 9 * Y, backend="reference", precision="float64")
    expected = expected_of(model, 1 + 9 * Y)
    close(found, {n: expected[n] for n in found if n != "loss"})


def test_lbfgs_and_sums_and_pieces_have_them_too():
    given = {"backend": "reference", "precision": "float64", "sample_weight": W}
    history = model_of(LBFGS(max_iter=1)).fit(X, Y, verbose=0, **given).history
    trained = model_of(LBFGS(max_iter=1))
    trained.fit(X, Y, verbose=0, **given)
    close({"accuracy": history["accuracy"][0]}, {"accuracy": expected_of(trained, W)["accuracy"]})
    model = model_of(loss="sse")
    expected = expected_of(model, W)
    del expected["cost"]
    found = model.fit(X, Y, batch_size=10, verbose=0, **given).history
    close({n: v[0] for n, v in found.items()}, {n: v for n, v in expected.items() if n != "precision"})
    source = ArraySource(X, Y, W)
    settings = {"backend": "reference", "precision": "float64"}
    close(model.evaluate(source, **settings), expected)
    pieces = [(X[:20], Y[:20], W[:20]), (X[20:], Y[20:], W[20:])]
    close(model.evaluate(pieces, **settings), expected)


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("weights", [None, RNG.uniform(0.1, 3.0, ROWS)], ids=["alike", "weighted"])
def test_a_network_that_is_always_right_has_accuracy_one(backend, weights):
    model = model_of(measures=["accuracy"])
    model.set_weights([np.zeros((4, 5)), np.zeros(5), np.zeros((5, 1)), [-9.0]])
    given = {"sample_weight": weights, "backend": backend}
    zeros = np.zeros(ROWS)
    history = model.fit(X, zeros, batch_size=7, validation_data=(X, zeros), verbose=0, **given).history
    assert history["accuracy"] == history["val_accuracy"] == [1.0]
    assert model.evaluate(X, zeros, **given)["accuracy"] == 1.0


def test_without_weights_a_mean_over_rows_is_exact():
    model = model_of(measures=["accuracy"])
    hits = np.sum((model.predict(X, backend="reference")[:, 0] > 0.5) == Y)
    assert model.evaluate(X, Y, backend="reference")["accuracy"] == hits / ROWS


def test_an_epoch_is_the_mean_of_its_steps_by_weight():
    columns = ("loss", "cost", "weight", "rows", "accuracy")
    steps = [[1.0, 0.5, 3.0, 2, 1.0], [2.0, 1.5, 1.0, 6, 0.0], [9.0, 9.0, 0.0, 0, 0.0]]
    assert summarize(columns, steps) == {"loss": 1.25, "cost": 0.75, "accuracy": 0.75}
    nothing = [[1.0, 0.5, 0.0, 0, 0.0], [2.0, 1.5, 0.0, 0, 0.0]]
    assert summarize(columns, nothing) == {"loss": 1.5, "cost": 1.0, "accuracy": 0.0}


def fitted(y=Y, outputs=1, last="sigmoid", loss="binary_crossentropy", **settings):
    model = Sequential([Dense(outputs, last)])
    model.compile("sgd", loss)
    return model.fit(X, y, backend="reference", verbose=0, **settings).history


SEVERAL = (X[:, :3] > 0).astype(int)
SEVERAL[0] = [1, 1, 0]
SPARSE = {"outputs": 3, "last": "softmax", "loss": "sparse_categorical_crossentropy"}
ONE = "class_weight is for one class a row, as a whole-number label or a one-hot row; y of row {} is {}. Give sample_weight"
TEXTS = [
    ({"y": SEVERAL, "outputs": 3, "class_weight": "balanced"}, ONE.format(0, "[1, 1, 0]")),
    ({"y": SEVERAL, "outputs": 3, "class_weight": {0: 1, 1: 1, 2: 1}}, ONE.format(0, "[1, 1, 0]")),
    ({"y": X[:, 0], "loss": "mse", "class_weight": "balanced"}, ONE.format(0, X[0, 0])),
    ({"y": X[:, 0], "loss": "mse", "class_weight": {0: 1.0}}, ONE.format(0, X[0, 0])),
    ({"class_weight": {0: 1.0}}, "class_weight has no weight for class 1; it has [0]"),
    ({"class_weight": {"0": 1.0, "1": 2.0}}, "class_weight goes by whole-number labels, as they stand in y; got '0'; write 0"),
    ({"class_weight": {"cat": 1.0}}, "class_weight goes by whole-number labels, as they stand in y; got 'cat'"),
    ({"class_weight": {0: 1.0, 0.5: 1.0}}, "class_weight goes by whole-number labels, as they stand in y; got 0.5"),
    ({"class_weight": {0: 1, 1: 2, 11: 3}}, "class_weight has a weight for class 11; the classes of this model are 0..1"),
    ({"class_weight": {0: 1, 1: 2, 3: 3}} | SPARSE, "class_weight has a weight for class 3; the classes of this model are 0..2"),
    ({"class_weight": {0: 1, 1: -1}}, "class_weight must be finite and >= 0; got -1 for class 1"),
    ({"class_weight": {0: 1, 1: np.nan}}, "class_weight must be finite and >= 0; got nan for class 1"),
    ({"class_weight": {0: 1, 1: "2"}}, "class_weight must be finite and >= 0; got '2' for class 1"),
    ({"class_weight": [1, 2]}, "class_weight must be a dictionary such as {0: 1.0, 1: 5.0}, or 'balanced'; got [1, 2]"),
    ({"class_weight": "balanced", "validation_data": (X, Y + 1)} | SPARSE, "class_weight='balanced' has no weight for class 2, which no row that trains has; give the weights as a dictionary"),
    ({"class_weight": {0: 1, 1: 2}, "validation_data": (X, Y + 1)} | SPARSE, "class_weight has no weight for class 2; it has [0, 1]"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_class_weights_that_mean_nothing_are_refused(number):
    settings, text = TEXTS[number]
    with pytest.raises(ConfigError) as error:
        fitted(**settings)
    assert str(error.value).startswith(text)


def test_class_weights_of_labels_in_any_form_are_the_same():
    weights = {0: 0.5, 1: 3.0}
    expected = fitted(class_weight=weights, validation_data=(X, Y))
    for form in (Y.astype(bool), Y.astype(float), Y[:, None], Y.astype(np.int8)):
        assert fitted(form, class_weight=weights, validation_data=(X, form)) == expected
    assert fitted(class_weight={0.0: 0.5, np.int64(1): np.float32(3.0)}, validation_data=(X, Y)) == expected
    classes = fitted(class_weight=weights, **SPARSE)
    assert fitted(class_weight={0: 0.5, 1: 3.0, 2: 9.0}, **SPARSE) == classes, "a class that no row has"
    one_hot = {"outputs": 3, "last": "softmax", "loss": "categorical_crossentropy"}
    assert fitted(np.eye(3)[Y], class_weight=weights, **one_hot)["loss"] == pytest.approx(classes["loss"], rel=1e-6)


def test_balanced_weights_of_validation_are_those_of_the_rows_that_train():
    few = np.flatnonzero(Y)[:5].tolist() + np.flatnonzero(Y == 0).tolist()
    model = model_of(measures=["accuracy", "f1"])
    settings = {"backend": "reference", "precision": "float64"}
    history = model.fit(
        X[few], Y[few], class_weight="balanced", validation_data=(X, Y), verbose=0, batch_size="full", **settings
    ).history
    weights = {0: len(few) / (2 * (len(few) - 5)), 1: len(few) / 10}
    found = model.evaluate(X, Y, class_weight=weights, **settings)
    assert {n: history[f"val_{n}"][0] for n in found} == pytest.approx(found, rel=1e-12)
    assert model.evaluate(X[few], Y[few], class_weight="balanced", **settings)["cost"] == pytest.approx(
        history["cost"][0]
    )
    assert model.evaluate(X, Y, **settings)["accuracy"] != pytest.approx(found["accuracy"])
