"""Rows are visited in scikit-learn's order: from the same `random_state` ours learn what its networks learn."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn import neural_network as theirs
from sklearn.datasets import load_iris, make_regression

from deepmath import estimators as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS = load_iris(return_X_y=True)
X, y = make_regression(n_samples=96, n_features=6, random_state=0)
LINE = X, y / 100


def fitted(module, kind, data, **settings):
    settings = {"hidden_layer_sizes": (7,), "max_iter": 12, "random_state": 3, "alpha": 0.0, **settings}
    return getattr(module, kind)(**settings).fit(*data)


def assert_same(mine, their, tolerance=1e-9):
    for a, b in zip((*mine.coefs_, *mine.intercepts_), (*their.coefs_, *their.intercepts_), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(mine.loss_curve_, their.loss_curve_, rtol=1e-6)


@pytest.mark.parametrize(("kind", "data"), [("MLPClassifier", IRIS), ("MLPRegressor", LINE)])
@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 20},
        {"batch_size": 32, "solver": "sgd", "learning_rate_init": 0.01},
        {"batch_size": 16, "early_stopping": True, "validation_fraction": 0.2},
        {"batch_size": 25, "shuffle": False},
    ],
)
def test_mini_batches_give_scikit_learns_weights(kind, data, settings):
    mine, their = (fitted(module, kind, data, **settings) for module in (ours, theirs))
    assert_same(mine, their)


def test_the_penalty_is_the_same_where_all_batches_are_as_large():
    mine, their = (fitted(module, "MLPRegressor", LINE, batch_size=24, alpha=1.0) for module in (ours, theirs))
    assert_same(mine, their)


def test_networks_that_share_a_generator_draw_one_after_the_other():
    ends = []
    for module in (ours, theirs):
        rng = np.random.RandomState(5)
        nets = [fitted(module, "MLPRegressor", LINE, batch_size=30, random_state=rng) for _ in range(3)]
        ends.append((nets[-1], rng.randint(10**6)))
    (mine, after), (their, after_theirs) = ends
    assert after == after_theirs
    assert_same(mine, their)


def test_a_warm_start_begins_the_orders_again():
    pair = []
    for module in (ours, theirs):
        net = fitted(module, "MLPClassifier", IRIS, batch_size=25, warm_start=True, solver="sgd")
        pair.append(net.fit(*IRIS))
    assert_same(*pair)
