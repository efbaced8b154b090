"""Metrics for classes refuse other targets before the first step."""
# ruff: noqa: E501 - a message stands in one line, to be found by its text

from __future__ import annotations

import numpy as np
import pytest

from deepmath import Dense, Sequential, metrics
from deepmath.data.sources import ArraySource
from deepmath.errors import LabelError
from deepmath.metrics import F1, ConfusionMatrix

RNG = np.random.default_rng(1)
X = RNG.standard_normal((40, 4))
YES = (X[:, 0] > 0).astype(int)
SEVERAL = (X[:, :3] > 0).astype(int)
SEVERAL[:2] = [[1, 1, 0], [1, 0, 0]]
ONE = np.eye(3)[RNG.integers(0, 3, 40)]
NUMBERS = 2e5 + 2e4 * X[:, 0]


def fit(targets, measures, outputs=1, loss="mse", last=None, data=None, **settings):
    model = Sequential([Dense(outputs, last)])
    model.compile("sgd", loss, measures)
    data = (X, targets) if data is None else data
    try:
        return model.fit(*data, backend="reference", verbose=0, **settings).history
    finally:
        model.steps = int(model.values.get("step", 0))
        fit.model = model


OF_CLASSES = ["accuracy", "binary_accuracy", "precision", "recall", "f1", "auc", F1(None), ConfusionMatrix()]
NUMBER = "is for classes; target {:g} at row 0 is no class. For numbers use metric 'mae' or 'r2'; encode two classes as"
ROW = (
    "needs one class for each row; the targets of row 0 are [1, 1, 0]. For several labels a row use loss='binary_cross"
)


@pytest.mark.parametrize("measure", OF_CLASSES, ids=str)
def test_numbers_are_no_classes(measure):
    name = metrics.get(measure).name
    with pytest.raises(LabelError) as error:
        fit(NUMBERS, [measure])
    assert str(error.value).startswith(f"metric '{name}' {NUMBER.format(NUMBERS[0])}")
    assert fit.model.steps == 0


CASES = [
    (2 * YES, 1, "mse", None, "accuracy", "is for classes; target 2 at row"),
    (2 * YES - 1, 1, "mse", "tanh", "accuracy", "is for classes; target -1 at row"),
    (NUMBERS, 1, "mse", None, "log_loss", f"is for classes; target {NUMBERS[0]:g} at row 0 is no share of a class, 0 to 1"),
    (0.8 * YES + 0.1, 1, "mse", "sigmoid", "accuracy", "is for classes; target 0."),
    (0.8 * YES + 0.1, 1, "binary_crossentropy", "sigmoid", "f1", "is for classes; target 0."),
    (X[:, :3], 3, "mse", None, "categorical_accuracy", "is for classes; target"),
    (SEVERAL, 3, "mse", None, "accuracy", ROW),
    (SEVERAL, 3, "mse", None, "f1", ROW),
    (SEVERAL, 3, "mse", None, "log_loss", ROW),
    (SEVERAL, 3, "binary_crossentropy", "sigmoid", "categorical_accuracy", ROW),
    (SEVERAL, 3, "binary_crossentropy", "sigmoid", "top_k_accuracy", ROW),
    (SEVERAL, 3, "categorical_crossentropy", "softmax", "accuracy", ROW),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[2]} {c[4]}")
def test_targets_that_a_metric_can_not_be_measured_on(case):
    targets, outputs, loss, last, measure, text = case
    with pytest.raises(LabelError) as error:
        fit(targets, [measure], outputs, loss, last)
    assert str(error.value).startswith(f"metric '{metrics.get(measure).name}' {text}")


SOUND = [
    (YES, 1, "mse", None, ["accuracy", "f1", "auc", "log_loss"]),
    (YES.astype(bool), 1, "mse", "sigmoid", ["accuracy"]),
    (ONE, 3, "mse", "softmax", ["accuracy", "f1", "auc", "log_loss", "top_k_accuracy"]),
    (2 * YES - 1, 1, "hinge", None, ["accuracy", "f1", "auc"]),
    (0.8 * YES + 0.1, 1, "binary_crossentropy", "sigmoid", ["accuracy", "log_loss"]),
    (0.7 * ONE + 0.1, 3, "categorical_crossentropy", "softmax", ["accuracy", "log_loss", "top_k_accuracy"]),
    (SEVERAL, 3, "binary_crossentropy", "sigmoid", ["accuracy", "f1", "auc", "log_loss"]),
    (SEVERAL, 3, "mse", "sigmoid", [F1(yes_above=0.5), "auc", "binary_accuracy", "r2"]),
    (ONE.argmax(1), 3, "sparse_categorical_crossentropy", "softmax", ["accuracy", "f1", "auc", "top_k_accuracy"]),
    (NUMBERS, 1, "mse", None, ["mae", "r2", "mse"]),
]


@pytest.mark.parametrize("case", SOUND, ids=lambda c: f"{c[2]} {len(c[4])}")
def test_sound_targets_stay_sound(case):
    targets, outputs, loss, last, measures = case
    history = fit(targets, measures, outputs, loss, last, validation_data=(X, targets))
    assert len(history) == 5 + len(measures) + sum(isinstance(metrics.get(m), metrics.Metric) for m in measures)


def test_rows_without_weight_do_not_matter_and_pieces_are_checked_too():
    odd = np.where(np.arange(40) == 7, 0.25, YES)
    fit(odd, ["accuracy"], sample_weight=(np.arange(40) != 7) * 1.0)
    with pytest.raises(LabelError, match=r"target 0\.25 at row 7 is no class"):
        fit(odd, ["accuracy"])
    with pytest.raises(LabelError, match=r"target 0\.25 at row 7 is no class"):
        fit(None, ["accuracy"], data=(ArraySource(X, odd),), batch_size=5, shuffle=False)
    fit(YES, ["accuracy"])
    with pytest.raises(LabelError, match=r"target 0\.25 at row 7 is no class"):
        fit.model.evaluate(X, odd, backend="reference")
