"""Weights of classes: one rule for the loss that trains, for rows that evaluate and for the score that stops."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.datasets import load_iris, make_classification, make_multilabel_classification

from deepmath.errors import ConfigError
from deepmath.estimators import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

STILL = {"learning_rate_init": 1e-9, "alpha": 0.0, "max_iter": 2, "random_state": 0, "backend": "reference"}
"""A network that hardly moves, so that the loss of an epoch is that of its end; no penalty."""


def test_classes_have_weights():
    few, y = make_classification(n_samples=300, weights=[0.9], flip_y=0.2, random_state=0)
    found = {w: MLPClassifier(8, max_iter=60, random_state=0, class_weight=w).fit(few, y).predict(few).mean()
             for w in (None, "balanced")}  # fmt: skip
    assert found["balanced"] > found[None] + 0.05
    by_hand = {0: len(y) / (2 * np.sum(y == 0)), 1: len(y) / (2 * np.sum(y == 1))}
    a = MLPClassifier(8, max_iter=5, random_state=0, class_weight="balanced").fit(few, y)
    b = MLPClassifier(8, max_iter=5, random_state=0, class_weight=by_hand).fit(few, y)
    c = MLPClassifier(8, max_iter=5, random_state=0).fit(few, y, np.where(y == 0, by_hand[0], by_hand[1]))
    assert np.array_equal(a.coefs_[0], b.coefs_[0])
    np.testing.assert_allclose(a.coefs_[0], c.coefs_[0], rtol=1e-12)


def test_classes_of_several_labels_have_weights_too():
    many, Y2 = make_multilabel_classification(n_samples=60, n_classes=2, random_state=0)
    weights = [{0: 1.0, 1: 3.0}, {0: 1.0, 1: 1.0}]
    clf = MLPClassifier(8, max_iter=5, random_state=0, class_weight=weights).fit(many, Y2)
    same = MLPClassifier(8, max_iter=5, random_state=0).fit(many, Y2, np.where(Y2[:, 0] == 1, 3.0, 1.0))
    assert np.array_equal(clf.coefs_[0], same.coefs_[0])


@pytest.mark.parametrize("weights", ["balanced", {0: 0.5, 1: 4.0}, None], ids=str)
@pytest.mark.parametrize("early", [False, True])
def test_rows_that_evaluate_have_the_class_weights_of_those_that_train(weights, early):
    few, y = make_classification(n_samples=100, weights=[0.9], flip_y=0.2, random_state=0)
    settings = {"learning_rate_init": 1e-9, "batch_size": 100, "max_iter": 3, "alpha": 0.0, "early_stopping": early}
    clf = MLPClassifier(8, class_weight=weights, backend="reference", precision="float64", random_state=0, **settings)
    clf.fit(few, y, eval_set=(few, y))
    np.testing.assert_allclose(clf.validation_loss_curve_, clf.loss_curve_, rtol=1e-6)
    part = np.flatnonzero(y == 1)[:4].tolist() + np.flatnonzero(y == 0)[:9].tolist()
    clf.fit(few, y, eval_set=(few[part], y[part]))
    own = {"balanced": len(y) / (2 * np.bincount(y)), "None": np.ones(2)}.get(str(weights), np.asarray([0.5, 4.0]))
    p = clf.predict_proba(few[part])
    expected = np.average(-np.log(p[range(len(part)), y[part]]), weights=own[y[part]])
    np.testing.assert_allclose(clf.validation_loss_curve_, expected, rtol=1e-6)
    if early:
        hits = p.argmax(1) == y[part]
        np.testing.assert_allclose(clf.validation_scores_, np.average(hits, weights=own[y[part]]), rtol=1e-12)


def test_labels_that_evaluate_have_the_balance_of_those_that_train():
    many, Y2 = make_multilabel_classification(n_samples=60, n_classes=2, random_state=0)
    clf = MLPClassifier(8, max_iter=2, learning_rate_init=1e-9, batch_size=60, alpha=0.0, class_weight="balanced",
                        backend="reference", precision="float64", random_state=0)  # fmt: skip
    clf.fit(many, Y2, eval_set=(many[:7], Y2[:7]))
    share = 60 / (2 * np.stack([60 - Y2.sum(0), Y2.sum(0)]))
    w = np.prod([share[Y2[:7, c], c] for c in range(2)], axis=0)
    p = clf.predict_proba(many[:7])
    losses_ = -np.log(np.where(Y2[:7] == 1, p, 1 - p))
    assert any(clf.validation_loss_curve_[0] == pytest.approx(np.average(reduced, weights=w), rel=1e-6)
               for reduced in (losses_.mean(1), losses_.sum(1)))  # fmt: skip


def test_a_balance_of_classes_needs_all_rows():
    with pytest.raises(ConfigError, match=r"class_weight='balanced' counts the classes of all rows"):
        MLPClassifier(8, class_weight="balanced").partial_fit(*load_iris(return_X_y=True), classes=[0, 1, 2])


def test_the_score_that_stops_is_that_of_score_with_the_weights():
    few, y = make_classification(n_samples=200, weights=[0.8], flip_y=0.2, random_state=0)
    weights, own = np.random.default_rng(0).uniform(0, 2, 200), {0: 0.5, 1: 3.0}
    clf = MLPClassifier(8, class_weight=own, early_stopping=True, **STILL)
    clf.fit(few, y, weights, eval_set=(few, y, weights))
    told = clf.score(few, y, sample_weight=weights * np.where(y == 1, 3.0, 0.5))
    assert clf.validation_scores_[-1] == pytest.approx(told, rel=1e-12)
    assert clf.score(few, y) != told


def test_a_split_of_its_own_is_weighted_by_the_rows_that_train(monkeypatch):
    few, y = make_classification(n_samples=100, weights=[0.8], random_state=0)
    kept, held = np.arange(20, 100), np.arange(20)
    monkeypatch.setattr("deepmath.estimators.inputs.split", lambda *_: (kept, held))
    split = MLPClassifier(8, class_weight="balanced", early_stopping=True, **STILL).fit(few, y)
    shown = MLPClassifier(8, class_weight="balanced", early_stopping=True, **STILL)
    shown.fit(few[kept], y[kept], eval_set=(few[held], y[held]))
    assert split.validation_loss_curve_ == pytest.approx(shown.validation_loss_curve_, rel=1e-6)
    assert split.validation_scores_ == pytest.approx(shown.validation_scores_)
    assert split.loss_curve_ == pytest.approx(shown.loss_curve_, rel=1e-6)


def test_what_early_stopping_goes_by_is_printed(capsys):
    few, y = make_classification(n_samples=100, random_state=0)
    for settings, told in (({}, "(accuracy)"), ({"class_weight": "balanced"}, "(weighted accuracy)")):
        MLPClassifier(8, early_stopping=True, verbose=True, **settings | STILL).fit(few, y)
        first = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Validation score: "))
        assert first.endswith(f" {told}")


@pytest.mark.parametrize(("weights", "told"), [
    ({0: 1.0, 1: 2.0, 7: 3.0}, r"class_weight has a weight for class 7; the classes are \[0, 1, 2\]"),
    ({"0": 1.0}, r"class_weight has a weight for class '0'; the classes are \[0, 1, 2\]"),
    ({0: -1.0}, "class_weight must be finite and >= 0; got -1.0 for class 0"),
    ({0: np.nan}, "class_weight must be finite and >= 0; got nan for class 0"),
    ("balance", "class_weight must be None, 'balanced', or a dictionary such as .*; got 'balance'"),
    ([1.0, 2.0], r"class_weight must be None, 'balanced', or a dictionary .*; got \[1.0, 2.0\]"),
    ([{0: 1.0}], "class_weight is a list of 1, and y has one label a row; give a dictionary"),
])  # fmt: skip
def test_weights_that_mean_nothing_are_refused(weights, told):
    with pytest.raises(ConfigError, match=told):
        MLPClassifier(8, class_weight=weights, **STILL).fit(*load_iris(return_X_y=True))


def test_a_dictionary_for_several_labels_is_refused():
    many, y = make_multilabel_classification(n_samples=60, n_classes=2, random_state=0)
    with pytest.raises(ConfigError, match=r"y has several labels: a list of 2 dictionaries, by 0 and 1, weights them"):
        MLPClassifier(8, class_weight={7: 1.0}, **STILL).fit(many, y)


def test_rows_of_a_class_that_no_row_trains_have_no_balanced_weight(monkeypatch):
    few, y = load_iris(return_X_y=True)
    monkeypatch.setattr("deepmath.estimators.inputs.split", lambda *_: (np.flatnonzero(y < 2), np.flatnonzero(y == 2)))
    clf = MLPClassifier(8, class_weight="balanced", early_stopping=True, **STILL)
    with pytest.raises(
        ConfigError, match="class_weight='balanced' has no weight for class 2, which no row that trains"
    ):
        clf.fit(few, y)
    clf.set_params(class_weight={2: 5.0}).fit(few, y)


def test_a_dictionary_needs_no_row_of_each_class():
    few, y = load_iris(return_X_y=True)
    some = y != 1
    clf = MLPClassifier(8, class_weight={0: 1.0, 1: 5.0}, **STILL).fit(few, y, eval_set=(few[some], y[some]))
    clf.partial_fit(few[some], y[some])
    assert clf.loss_ == pytest.approx(clf.validation_loss_curve_[0], rel=1e-6)
