"""Ours gives scikit-learn's numbers: here all rows make one batch; `test_same_order.py` has the others."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn import neural_network as theirs
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression

from deepmath import estimators as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS = load_iris(return_X_y=True)
TWO = IRIS[0][:100], np.asarray(["no"] * 50 + ["yes"] * 50)
LABELS = make_multilabel_classification(n_samples=60, n_features=5, n_classes=3, random_state=0)
LINE = make_regression(n_samples=90, n_features=6, random_state=0)
TWO_LINES = make_regression(n_samples=90, n_features=6, n_targets=2, random_state=1)
COUNTS = LINE[0] / 4, np.floor(np.exp(LINE[1] / 200))
SETTINGS = {
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
    "momentum": {"solver": "sgd", "learning_rate_init": 0.01, "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.01},
    "plain": {"solver": "sgd", "momentum": 0.0},
    "alpha": {"solver": "adam", "alpha": 10.0},
    "logistic": {"activation": "logistic", "hidden_layer_sizes": (5, 4)},
    "identity": {"activation": "identity", "alpha": 0.0},
    "lbfgs": {"solver": "lbfgs", "max_iter": 12},
}
CASES = {
    "three classes": ("MLPClassifier", IRIS, {}),
    "two classes": ("MLPClassifier", TWO, {}),
    "labels": ("MLPClassifier", LABELS, {}),
    "one number": ("MLPRegressor", LINE, {"scaled": True}),
    "two numbers": ("MLPRegressor", TWO_LINES, {"scaled": True}),
    "counts": ("MLPRegressor", COUNTS, {"loss": "poisson"}),
}


def both(kind, X, y, sample_weight=None, **settings):
    settings = {"hidden_layer_sizes": (8,), "max_iter": 30, "random_state": 3, **settings}
    made = [getattr(module, kind)(**settings) for module in (ours, theirs)]
    return [m.fit(X, y, sample_weight=sample_weight) for m in made]


def data_of(case):
    kind, (X, y), settings = CASES[case]
    settings = dict(settings)
    return kind, X, y / 100 if settings.pop("scaled", False) else y, settings


def assert_same(mine, their, tolerance=1e-10):
    for a, b in zip((*mine.coefs_, *mine.intercepts_), (*their.coefs_, *their.intercepts_), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    assert mine.n_iter_ == their.n_iter_


PAIRS = [(c, s) for c in CASES for s in SETTINGS if (c, s) != ("two numbers", "lbfgs")]
"""In the pair that is left out theirs searches along a gradient that is not that of its loss: see the sum below."""


@pytest.mark.parametrize(("case", "settings"), PAIRS)
def test_weights_are_scikit_learns(case, settings):
    kind, X, y, own = data_of(case)
    mine, their = both(kind, X, y, **own, **SETTINGS[settings])
    assert_same(mine, their, 1e-6 if settings == "lbfgs" else 1e-10)
    if case not in ("two numbers", "counts"):
        np.testing.assert_allclose(mine.loss_, their.loss_, rtol=1e-6)


@pytest.mark.parametrize("case", ["three classes", "one number"])
def test_sample_weights_mean_the_same(case):
    kind, X, y, own = data_of(case)
    weight = np.random.default_rng(0).uniform(0, 2, len(y))
    mine, their = both(kind, X, y, weight, alpha=1.0, **own)
    assert_same(mine, their)


def test_the_loss_of_several_outputs_is_the_sum_that_the_gradient_is_of():
    """scikit-learn reports the mean over outputs, and trains on the sum."""
    kind, X, y, own = data_of("two numbers")
    mine, their = both(kind, X, y, alpha=0.0, **own)
    np.testing.assert_allclose(mine.loss_, 2 * their.loss_, rtol=1e-9)


def test_the_loss_of_counts_leaves_out_what_no_prediction_changes():
    kind, X, y, own = data_of("counts")
    mine, their = both(kind, X, y, alpha=0.0, **own)
    constant = np.mean(np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0)), 0.0) - y)
    np.testing.assert_allclose(mine.loss_ + constant, their.loss_, rtol=1e-9)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_the_same_rows_are_held_out(kind):
    X, y = TWO[0], np.arange(100) // 50
    mine, their = both(kind, X, y, early_stopping=True, validation_fraction=0.2)
    np.testing.assert_allclose(mine.validation_scores_, their.validation_scores_, rtol=1e-9)
    np.testing.assert_allclose(mine.loss_curve_, their.loss_curve_, rtol=1e-9)
    assert_same(mine, their)


def test_batches_in_their_own_order_are_the_same_too():
    X, y = IRIS
    mine, their = both("MLPClassifier", X, y, batch_size=30, shuffle=False, alpha=0.5)
    assert_same(mine, their)


def test_partial_fit_is_the_same():
    X, y = IRIS
    for solver in ("adam", "sgd"):
        made = [m.MLPClassifier(8, solver=solver, random_state=0) for m in (ours, theirs)]
        for _ in range(5):
            for m in made:
                m.partial_fit(X, y, classes=[0, 1, 2])
        assert_same(*made)
        np.testing.assert_allclose(made[0].loss_curve_, made[1].loss_curve_, rtol=1e-10)
        assert made[0].t_ == made[1].t_ == 5 * len(y)


def test_in_float32_the_weights_are_float32():
    X, y = IRIS[0].astype(np.float32), IRIS[1]
    mine, their = both("MLPClassifier", X, y)
    assert {w.dtype for w in (*mine.coefs_, *mine.intercepts_)} == {np.dtype(np.float32)}
    assert mine.predict_proba(X).dtype == np.float32
    np.testing.assert_allclose(mine.predict_proba(X), their.predict_proba(X), atol=1e-4)
