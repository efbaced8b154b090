"""scikit-learn as the judge of every metric, with ties, weights and classes that are missing."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmath import metrics
from deepmath.metrics import F1, ConfusionMatrix, Precision, Recall, TopKAccuracy

judge = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the judge")

SHARES = {"precision": Precision, "recall": Recall, "f1": F1}
CASES = settings(max_examples=60, deadline=None)
DRAWS = {"seed": st.integers(0, 2**32 - 1), "rows": st.integers(2, 40), "weighted": st.booleans()}


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def drawn(seed, rows, weighted, classes):
    rng = np.random.default_rng(seed)
    p = rng.choice(np.asarray([0.1, 0.2, 0.5, 0.7, rng.uniform(0.01, 0.99)]), (rows, classes))
    d = rng.choice(rng.choice(max(2, classes), rng.integers(1, max(2, classes) + 1), replace=False), rows)
    return p, d, rng.choice([0.1, 1.0, 2.5, rng.random()], rows) if weighted else None


@CASES
@given(**DRAWS)
def test_two_classes(seed, rows, weighted):
    p, d, w = drawn(seed, rows, weighted, 1)
    said = (p[:, 0] > 0.5).astype(int)
    for name, measure in SHARES.items():
        call = getattr(judge, f"{name}_score")
        close(measure().of(p, d, w), call(d, said, sample_weight=w, zero_division=0))
        for average in ("macro", "micro", "weighted"):
            expected = call(d, said, sample_weight=w, zero_division=0, average=average)
            close(measure(average).of(p, d, w), expected)
    close(ConfusionMatrix().of(p, d, w), judge.confusion_matrix(d, said, labels=[0, 1], sample_weight=w))
    close(metrics.get("binary_accuracy").of(p, d, w), judge.accuracy_score(d, said, sample_weight=w))
    close(metrics.get("log_loss").of(p, d, w), judge.log_loss(d, p[:, 0], labels=[0, 1], sample_weight=w))
    close(metrics.get("binary_crossentropy").of(p, d, w), metrics.get("log_loss").of(p, d, w))
    if len(set(d)) == 2:
        close(metrics.get("auc").of(p, d, w), judge.roc_auc_score(d, p[:, 0], sample_weight=w))
    else:
        assert np.isnan(metrics.get("auc").of(p, d, w))


@CASES
@given(classes=st.integers(2, 5), one_hot=st.booleans(), **DRAWS)
def test_several_classes(seed, rows, weighted, classes, one_hot):
    p, d, w = drawn(seed, rows, weighted, classes)
    p = p / p.sum(axis=1, keepdims=True)
    said = np.argmax(p, axis=1)
    y = np.eye(classes)[d] if one_hot else d
    for name, measure in SHARES.items():
        for average in ("macro", "micro", "weighted"):
            call = getattr(judge, f"{name}_score")
            close(measure(average).of(p, y, w), call(d, said, sample_weight=w, zero_division=0, average=average))
        assert measure().of(p, y, w) == measure("macro").of(p, y, w)
    labels = list(range(classes))
    close(ConfusionMatrix().of(p, y, w), judge.confusion_matrix(d, said, labels=labels, sample_weight=w))
    close(metrics.get("categorical_accuracy").of(p, y, w), judge.accuracy_score(d, said, sample_weight=w))
    close(metrics.get("log_loss").of(p, y, w), judge.log_loss(d, p, labels=labels, sample_weight=w))
    close(metrics.get("categorical_crossentropy").of(p, y, w), metrics.get("log_loss").of(p, y, w))
    areas = [judge.roc_auc_score(d == c, p[:, c], sample_weight=w) for c in set(d)] if len(set(d)) > 1 else [np.nan]
    close(metrics.get("auc").of(p, y, w), np.mean(areas))
    if classes > 2 and len(set(d)) == classes and not weighted:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            close(metrics.get("auc").of(p, y), judge.roc_auc_score(d, p, multi_class="ovr", average="macro"))
    for k in range(1, classes):
        # of equal scores the last is first there
        mirrored = (
            judge.top_k_accuracy_score(
                classes - 1 - d, p[:, ::-1] if classes > 2 else p[:, 0], k=k, labels=labels, sample_weight=w
            )
            if classes > 2
            else None
        )
        if mirrored is not None:
            close(TopKAccuracy(k).of(p, y, w), mirrored)
    assert TopKAccuracy(1).of(p, y, w) == metrics.get("categorical_accuracy").of(p, y, w)
    assert TopKAccuracy(classes).of(p, y, w) == 1.0


@CASES
@given(outputs=st.integers(1, 3), offset=st.sampled_from([0.0, 1e3]), **DRAWS)
def test_numbers(seed, rows, weighted, outputs, offset):
    rng = np.random.default_rng(seed)
    d = offset + rng.standard_normal((rows, outputs))
    p = d + rng.standard_normal((rows, outputs)) * rng.choice([0.0, 0.1, 10.0])
    w = rng.uniform(0.1, 2.0, rows) if weighted else None
    close(metrics.get("mse").of(p, d, w), judge.mean_squared_error(d, p, sample_weight=w))
    close(metrics.get("mae").of(p, d, w), judge.mean_absolute_error(d, p, sample_weight=w))
    np.testing.assert_allclose(metrics.get("r2").of(p, d, w), judge.r2_score(d, p, sample_weight=w), rtol=1e-8)


@pytest.mark.parametrize(("d", "p"), [([2.0, 2.0], [2.0, 2.0]), ([2.0, 2.0], [2.0, 3.0]), ([0.1] * 7, [0.1] * 7)])
def test_constant_targets(d, p):
    assert metrics.get("r2").of(p, d) == judge.r2_score(d, p)
