"""`scale` scales a regressor's targets too, and predictions come back in their unit."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone

from deepmath import load_model
from deepmath.estimators import MLPRegressor
from deepmath.losses import Loss
from deepmath.preprocessing import MinMax, PCAWhitening, Standardize

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).standard_normal((300, 4))
LARGE = 2e5 + 2e4 * X[:, 0]
TWO = np.stack([LARGE, 1e-3 * X[:, 1] - 7.0], axis=1)


def regressor(**settings):
    return MLPRegressor(**{"scale": "standard", "random_state": 0, "backend": "reference"} | settings)


def own(xp, p, d):
    return xp.mean((p - d) ** 2, axis=-1, keepdims=True)


@pytest.mark.parametrize("y", [LARGE, TWO, LARGE[:, None]], ids=["one", "two", "a column"])
@pytest.mark.parametrize("scale", ["standard", "minmax", MinMax(), Standardize(), PCAWhitening(components=4),
                                   Standardize().fit(X)], ids=str)  # fmt: skip
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_far_targets_are_learnt(scale, y):
    reg = regressor(scale=scale, max_iter=400, learning_rate_init=0.01).fit(X, y)
    assert reg.score(X, y) > 0.9
    assert reg.predict(X).shape == np.squeeze(y).shape
    assert reg.loss_ < 0.5  # of the scaled targets


def test_with_the_defaults_far_targets_are_learnt():
    assert MLPRegressor(scale="standard", random_state=0).fit(X, LARGE).score(X, LARGE) > 0.9


def test_the_loss_and_the_weights_are_those_of_scaled_targets_by_hand():
    reg = regressor(max_iter=5).fit(X, TWO, eval_set=(X[:50], TWO[:50]))
    x, y = (X - X.mean(0)) / X.std(0), (TWO - TWO.mean(0)) / TWO.std(0)
    by_hand = regressor(scale=None, max_iter=5).fit(x, y, eval_set=(x[:50], y[:50]))
    np.testing.assert_allclose(reg.coefs_[0], by_hand.coefs_[0], rtol=1e-6)
    assert reg.loss_curve_ == pytest.approx(by_hand.loss_curve_)
    assert reg.validation_loss_curve_ == pytest.approx(by_hand.validation_loss_curve_)
    np.testing.assert_allclose(reg.predict(X), by_hand.predict(x) * TWO.std(0) + TWO.mean(0), rtol=1e-6)


def test_the_score_that_stops_is_in_the_targets_unit():
    reg = regressor(early_stopping=True, max_iter=30, learning_rate_init=0.01).fit(X, TWO, eval_set=(X[:60], TWO[:60]))
    assert reg.best_validation_score_ == pytest.approx(reg.score(X[:60], TWO[:60]), rel=1e-9)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_it_stays_through_pickles_clones_warm_starts_and_partial_fits(solver):
    reg = regressor(max_iter=20, solver=solver, warm_start=True).fit(X, LARGE)
    again = pickle.loads(pickle.dumps(reg))
    assert np.array_equal(again.predict(X), reg.predict(X))
    assert np.array_equal(clone(reg).fit(X, LARGE).predict(X), reg.predict(X))
    before = reg.score(X, LARGE)
    assert reg.fit(X, LARGE).score(X, LARGE) > before
    if solver == "adam":
        parts = regressor(learning_rate_init=0.01)
        for _ in range(100):
            parts.partial_fit(X[:150], LARGE[:150]).partial_fit(X[150:], LARGE[150:])
        assert parts.score(X, LARGE) > 0.9


@pytest.mark.parametrize("y", [LARGE, TWO], ids=["one", "two"])
def test_the_model_predicts_in_the_targets_unit_and_so_does_its_file(y, tmp_path):
    reg = regressor(max_iter=20, loss="mse").fit(X, y)
    model = reg.to_sequential()
    expected = reg.predict(X).reshape(len(X), -1)
    np.testing.assert_allclose(model.predict(X, precision="float64"), expected, rtol=1e-12)
    assert model.evaluate(X, y, precision="float64")["cost"] == pytest.approx(reg.loss_, rel=0.2)
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_allclose(load_model(tmp_path / "m.safetensors").predict(X, precision="float64"), expected)


@pytest.mark.parametrize(("settings", "scaled"), [
    ({"loss": "huber(0.5)"}, True), ({"loss": "quantile(0.9)"}, True), ({"loss": "absolute_error"}, True),
    ({"out_activation": "leaky_relu"}, True),
    ({"loss": Loss("ours", own, predictions="numbers")}, True),
    ({"loss": own}, False), ({"loss": "poisson"}, False), ({"out_activation": "softplus"}, False),
    ({"scale": None}, False),
], ids=["huber", "quantile", "absolute", "leaky", "own numbers", "own", "poisson", "softplus", "none"])  # fmt: skip
def test_targets_are_scaled_where_the_loss_keeps_its_meaning(settings, scaled):
    y = np.abs(X[:, 0]) + 3.0
    reg = regressor(**{"max_iter": 2} | settings).fit(X, y)
    assert (reg._network.target is not None) == scaled
    assert reg.to_sequential().target == reg._network.target


def test_a_quantile_keeps_its_share_of_rows_below():
    reg = regressor(loss="quantile(0.9)", max_iter=300, learning_rate_init=0.01, hidden_layer_sizes=(8,))
    noisy = LARGE + 1e4 * np.random.default_rng(1).standard_normal(300)
    assert np.mean(noisy < reg.fit(X, noisy).predict(X)) == pytest.approx(0.9, abs=0.04)


def test_counts_are_predicted_above_zero_with_scaled_inputs():
    counts = np.floor(np.exp(2.0 + X[:, 0]))
    reg = regressor(loss="poisson", max_iter=200).fit(100.0 * X + 1e4, counts)
    assert (reg.predict(100.0 * X + 1e4) > 0).all()
    assert reg.score(100.0 * X + 1e4, counts) > 0.8


def test_a_constant_target_is_predicted():
    for scale in ("standard", "minmax"):
        reg = regressor(scale=scale, max_iter=100).fit(X, np.full(300, 5e6))
        np.testing.assert_allclose(reg.predict(X), 5e6, rtol=1e-6)
