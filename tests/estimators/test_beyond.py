"""What scikit-learn's MLP leaves out: each thing does what it says."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.datasets import load_diabetes, load_iris

from deepmath import layers, losses, optimizers, schedules
from deepmath.callbacks import Lambda
from deepmath.errors import ConfigError, LabelError
from deepmath.estimators import MLPClassifier, MLPRegressor
from deepmath.preprocessing import PCAWhitening

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
LINE = load_diabetes().data[:200] * 10, load_diabetes().target[:200] / 100


FAST = {"hidden_layer_sizes": (12, 8), "max_iter": 60, "learning_rate_init": 0.01, "random_state": 0}


def classifier(**settings):
    return MLPClassifier(**FAST | {"scale": "standard"} | settings)


def regressor(loss, **settings):
    return MLPRegressor(loss, **{"hidden_layer_sizes": 12, "max_iter": 150, "random_state": 0} | settings)


def kinds(estimator):
    return [type(layer).__name__ for layer in estimator.to_sequential().layers]


def test_each_hidden_layer_has_its_activation_and_dropout():
    clf = classifier(activation=["tanh", lambda xp, z: z / (1.0 + xp.exp(-z))], dropout=[0.0, 0.25]).fit(X, Y)
    model = clf.to_sequential()
    assert model.layers[0].activation.name == "tanh"
    assert kinds(clf) == ["Dense", "Dense", "Dropout", "Dense"]
    assert model.layers[2].rate == 0.25
    assert clf.score(X, Y) > 0.9
    with pytest.raises(ConfigError, match=r"activation must be one for all hidden layers, or a list of 2.*; got 3"):
        classifier(activation=["relu"] * 3).fit(X, Y)


@pytest.mark.parametrize(("name", "kind"), [("batch", layers.BatchNormalization), ("layer", layers.LayerNormalization)])
def test_normalisation_stands_in_front_of_the_activation(name, kind):
    clf = classifier(normalization=name, dropout=0.1).fit(X, Y)
    one = ["Dense", kind.__name__, "Activation", "Dropout"]
    assert kinds(clf) == [*one, *one, "Dense"]
    assert clf.score(X, Y) > 0.9
    with pytest.raises(ConfigError, match="normalization must be None or one of 'batch', 'layer'; got 'group'"):
        classifier(normalization="group").fit(X, Y)


def test_dropout_changes_training_and_not_prediction():
    with_it, without = classifier(dropout=0.5).fit(X, Y), classifier().fit(X, Y)
    assert with_it.loss_ > without.loss_
    assert np.array_equal(with_it.predict_proba(X), with_it.predict_proba(X))


@pytest.mark.parametrize("loss", ["absolute_error", "huber(0.5)", "mae", "log_cosh", "huber", losses.get("mse")])
def test_regression_by_other_losses(loss):
    assert regressor(loss, solver="lbfgs" if loss != "mae" else "adam", max_iter=300).fit(*LINE).score(*LINE) > 0.4


def test_a_quantile_has_its_share_of_rows_below():
    for q in (0.1, 0.9):
        reg = regressor(f"quantile({q})", learning_rate_init=0.01, max_iter=400, alpha=0.0).fit(*LINE)
        assert np.mean(LINE[1] < reg.predict(LINE[0])) == pytest.approx(q, abs=0.05)


def test_a_loss_of_ones_own():
    def fourth(xp, p, d):
        return xp.mean((p - d) ** 2 * (p - d) ** 2, axis=-1, keepdims=True)

    reg = regressor(fourth, learning_rate_init=0.01).fit(*LINE)
    assert reg.loss_ == pytest.approx(np.mean((reg.predict(LINE[0]) - LINE[1]) ** 4), rel=0.2)

    def certain(xp, p, d):
        return xp.sum((p - d) ** 2, axis=-1, keepdims=True)

    assert classifier(loss=certain).fit(X, Y).score(X, Y) > 0.9
    assert classifier(loss="focal").fit(X, Y == 1).score(X, Y == 1) > 0.7
    with pytest.raises(
        ConfigError, match=r"^MLPClassifier: loss 'sparse_.*the last layer has 1: use loss='log_loss'\."
    ):
        classifier(loss="sparse_categorical_crossentropy").fit(X, Y == 1)


def test_the_last_activation_bounds_predictions():
    reg = regressor("squared_error", out_activation="softplus").fit(*LINE)
    assert reg.out_activation_ == "softplus"
    assert (reg.predict(LINE[0] * 100) >= 0).all()


def test_rows_of_ones_own_are_measured_and_stop():
    train, held = slice(0, None, 2), slice(1, None, 2)
    clf = classifier().fit(X[train], Y[train], eval_set=(X[held], Y[held]))
    assert len(clf.validation_loss_curve_) == clf.n_iter_
    expected = clf.to_sequential().evaluate(X[held], Y[held], precision="float64")["cost"]
    assert clf.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-2)
    assert clf.validation_scores_ is None
    stopped = classifier(early_stopping=True, max_iter=300).fit(X[train], Y[train], eval_set=(X[held], Y[held]))
    assert stopped.t_ == len(X[train]) * stopped.n_iter_
    assert stopped.best_validation_score_ == max(stopped.validation_scores_)
    assert stopped.score(X[held], Y[held]) == pytest.approx(stopped.best_validation_score_)
    with pytest.raises(ConfigError, match=r"eval_set must be \(X, y\) or \(X, y, sample_weight\); got ndarray"):
        classifier().fit(X, Y, eval_set=X)
    with pytest.raises(LabelError, match=r"`y` has classes not in `self.classes_`"):
        classifier().fit(X, Y, eval_set=(X, Y + 1))


def test_early_stopping_shows_the_loss_of_the_rows_that_it_held_out():
    clf = classifier(early_stopping=True).fit(X, Y)
    assert len(clf.validation_loss_curve_) == len(clf.validation_scores_) == clf.n_iter_


def test_callbacks_see_every_epoch_and_stop():
    seen = []

    def epoch(run, logs):
        seen.append(logs["loss"])
        run.stop = len(seen) == 7

    clf = classifier(callbacks=[Lambda(on_epoch_end=epoch)]).fit(X, Y)
    assert clf.n_iter_ == 7
    assert clf.loss_curve_ == seen


def test_rate_laws_and_solvers():
    law = schedules.ExponentialDecay(0.1, factor=0.5, steps=10)
    clf = classifier(solver="sgd", learning_rate=law, max_iter=10).fit(X, Y)
    assert clf.learning_rate_ == pytest.approx(law(10))
    for solver in ("rmsprop", "lion", optimizers.AdamW(0.01, weight_decay=0.1, clipnorm=1.0)):
        assert classifier(solver=solver, max_iter=100).fit(X, Y).score(X, Y) > 0.8
    with pytest.raises(ConfigError, match="unknown optimizer 'adm'"):
        classifier(solver="adm").fit(X, Y)


def test_scaling_is_learnt_from_the_rows_that_train():
    far = X * 1000.0 + 1e6
    assert classifier().fit(far, Y).score(far, Y) > 0.9
    clf = classifier(early_stopping=True, scale="standard").fit(X, Y)
    assert clf.to_sequential().preprocessing.moments.rows == 135
    narrow = classifier(scale=PCAWhitening(components=2)).fit(X, Y)
    assert narrow.coefs_[0].shape == (2, 12)
    assert narrow.predict(X).shape == (150,)
    with pytest.raises(ConfigError, match=r"scale must be None, 'standard', 'minmax', or one of"):
        classifier(scale="robust").fit(X, Y)


@pytest.mark.parametrize("backend", ["torch", "array_api_strict", "reference"])
def test_any_library_computes(backend):
    host = classifier(max_iter=3).fit(X, Y)
    there = classifier(max_iter=3, backend=backend).fit(X, Y)
    np.testing.assert_allclose(there.coefs_[0], host.coefs_[0], rtol=1e-9)
    assert isinstance(there.predict_proba(X), np.ndarray)


def test_the_precision_is_that_of_x_unless_another_is_chosen():
    assert classifier(max_iter=2).fit(X, Y).coefs_[0].dtype == np.float64
    assert classifier(max_iter=2).fit(X.astype(np.float32), Y).coefs_[0].dtype == np.float32
    assert classifier(max_iter=2, precision="float32").fit(X, Y).coefs_[0].dtype == np.float32
