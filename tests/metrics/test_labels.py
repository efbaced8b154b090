"""Rows that may have several labels: precision, recall, F1, AUC and accuracy are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as judge

from deepmath import Dense, Sequential, metrics
from deepmath.errors import LabelError
from deepmath.metrics import AUC, F1, ConfusionMatrix, Precision, Recall

RNG = np.random.default_rng(6)
ROWS = 80
P = RNG.random((ROWS, 5)).round(2)
D = (RNG.random((ROWS, 5)) < [0.5, 0.2, 0.05, 0.0, 1.0]).astype(int)  # the last two labels have one side only
P[:, 2] = P[:, 2] / 3  # nobody says yes
W = RNG.choice([0.0, 0.5, 1.0, 3.0], ROWS)
KINDS = {Precision: judge.precision_score, Recall: judge.recall_score, F1: judge.f1_score}


@pytest.mark.parametrize("weights", [None, W], ids=["alike", "weighted"])
@pytest.mark.parametrize("average", ["auto", "macro", "micro", "weighted", "each", None])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [0.5, 0.2])
def test_shares_of_several_labels(kind, average, weights, limit):
    expected = KINDS[kind](
        D, limit < P, average={"auto": "macro", "each": None}.get(average, average), zero_division=0,
        sample_weight=weights,
    )  # fmt: skip
    found = kind(average, yes_above=limit).of(P, D, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("weights", [None, W], ids=["alike", "weighted"])
def test_tables_and_areas_of_several_labels(weights):
    expected = judge.multilabel_confusion_matrix(D, P > 0.5, sample_weight=weights)
    np.testing.assert_allclose(ConfusionMatrix(0.5).of(P, D, weights), expected)
    each = judge.roc_auc_score(D[:, :3], P[:, :3], average=None, sample_weight=weights)
    found = AUC("each").of(P, D, weights)
    np.testing.assert_allclose(found[:3], each, rtol=1e-14)
    assert np.isnan(found[3:]).all()
    assert AUC().of(P, D, weights) == pytest.approx(np.mean(each), rel=1e-14)


def test_labels_of_one_class_a_row_may_be_asked_each_too():
    classes = RNG.integers(0, 5, ROWS)
    one_hot = np.eye(5, dtype=int)[classes]
    for measure in (F1("each", yes_above=0.4), F1("micro", yes_above=0.4), AUC("each")):
        assert measure.of(P, classes) == measure.of(P, one_hot)
    expected = judge.f1_score(classes, P.argmax(1), average=None, labels=range(5), zero_division=0)
    np.testing.assert_allclose(F1("each").of(P, classes), expected, rtol=1e-14)
    assert len(F1("each").of(P[:, 0], D[:, 0])) == 2


def test_no_rows_and_no_label_at_all():
    assert all(np.isnan(F1("each", yes_above=0.5).of(np.zeros((0, 3)), np.zeros((0, 3)))))
    assert F1("weighted", yes_above=0.5).of(P, 0 * D) == 0.0
    assert np.isnan(AUC().of(P, 0 * D))


@pytest.mark.parametrize("split", [1, 30])
def test_batches_give_the_bits_of_the_whole(split):
    for measure in (F1(None, yes_above=0.5), F1("weighted", yes_above=0.5), ConfusionMatrix(0.5), AUC("each")):
        accumulator, other = measure.begin(), measure.begin()
        accumulator.update(P[:split], D[:split], W[:split])
        other.update(P[split:], D[split:], W[split:])
        accumulator.merge(other)
        assert np.array_equal(accumulator.result(), measure.of(P, D, W), equal_nan=True)


def test_a_model_of_several_labels_is_measured_in_fit():
    X, labels = RNG.standard_normal((ROWS, 3)), D[:, :3]
    model = Sequential([Dense(3, "sigmoid")])
    given = ["accuracy", "f1", "precision_micro", F1("weighted"), Recall("each"), "auc"]
    model.compile("adam", "binary_crossentropy", given)
    history = model.fit(X, labels, epochs=2, validation_data=(X, labels, W), backend="reference", verbose=0).history
    p = model.predict(X, backend="reference")
    said = p > 0.5
    settings = {"zero_division": 0, "sample_weight": W}
    expected = {
        "accuracy": np.average((said == labels).mean(1), weights=W),
        "f1": judge.f1_score(labels, said, average="macro", **settings),
        "precision_micro": judge.precision_score(labels, said, average="micro", **settings),
        "f1_weighted": judge.f1_score(labels, said, average="weighted", **settings),
        "auc": judge.roc_auc_score(labels, p, sample_weight=W),
    } | {f"recall_label_{i}": judge.recall_score(labels[:, i], said[:, i], **settings) for i in range(3)}
    for name, value in expected.items():
        assert history[f"val_{name}"][-1] == pytest.approx(value, rel=1e-6), name


def test_several_labels_where_one_class_is_needed():
    with pytest.raises(
        LabelError, match=r"^f1: each row needs one class.*; row 1 is \[.*use F1, .* with yes_above=0.5$"
    ):
        F1().of(P, D)
    with pytest.raises(LabelError, match=r"^f1: targets must be 0 or 1 for each output; row 0 has 2$"):
        F1(yes_above=0.5).of(P[:1, :2], [[2, 0]])
    with pytest.raises(LabelError, match=r"^metric 'accuracy' needs one class for each row; the targets of row 1 are"):
        metrics.get("accuracy").of(P, D)
    with pytest.raises(LabelError, match=r"^metric 'accuracy' is for classes; target 3 at row 1 is no share"):
        metrics.get("accuracy").of(P[:2, 0], [0, 3])
    assert metrics.get("binary_accuracy").of(P, D) == pytest.approx(np.mean((P > 0.5) == D))
