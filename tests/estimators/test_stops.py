"""When a fit ends, what it says then, and what it leaves behind."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from deepmath.callbacks import Lambda
from deepmath.errors import ConfigError, LabelError, NumericError
from deepmath.estimators import MLPClassifier, MLPRegressor

X, Y = load_iris(return_X_y=True)
NOT_CONVERGED = r"came to max_iter=3 after 3 iterations, and the optimization hasn't converged yet"


def short(kind=MLPClassifier, **settings):
    return kind(**{"hidden_layer_sizes": 4, "max_iter": 3, "random_state": 0} | settings)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_limit_that_is_reached_is_told(solver):
    with pytest.warns(ConvergenceWarning, match=NOT_CONVERGED) as told:
        short(solver=solver).fit(X, Y)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = short(solver=solver, max_iter=2000, tol=0.1).fit(X, Y)
    assert clf.n_iter_ < 2000


def test_evaluations_are_limited_too():
    with pytest.warns(ConvergenceWarning, match=r"came to max_fun=5 evaluations"):
        clf = short(solver="lbfgs", max_iter=100, max_fun=5).fit(X, Y)
    assert clf.n_iter_ <= 5


def test_a_callback_that_stops_is_no_failure():
    def stop(run, logs):
        run.stop = run.epoch == 2

    for solver in ("adam", "lbfgs"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert short(solver=solver, max_iter=50, callbacks=[Lambda(on_epoch_end=stop)]).fit(X, Y).n_iter_ == 2


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_rate_falls_as_the_law_says():
    clf = short(solver="sgd", learning_rate="invscaling", power_t=0.25, learning_rate_init=0.1).fit(X, Y)
    assert clf.learning_rate_ == pytest.approx(0.1 / (3 * 150 + 1) ** 0.25)
    clf.partial_fit(X, Y)
    assert clf.learning_rate_ == pytest.approx(0.1 / (4 * 150 + 1) ** 0.25)
    assert float(clf._network.values["rate"]) == pytest.approx((3 * 150 + 1) ** -0.25)  # of the pass just made
    adaptive = short(solver="sgd", learning_rate="adaptive", tol=1.0, max_iter=3000, n_iter_no_change=2).fit(X, Y)
    assert adaptive.learning_rate_ <= 1e-6
    assert adaptive.n_iter_ < 100
    plain = short(solver="adam", learning_rate="adaptive", tol=1.0, max_iter=3000, n_iter_no_change=2).fit(X, Y)
    assert plain.n_iter_ == 4  # scikit-learn's "adam" has no such law


def test_ctrl_c_keeps_what_was_learnt():
    def press(run, logs):
        if run.epoch == 4:
            raise KeyboardInterrupt

    clf = short(max_iter=50, callbacks=[Lambda(on_epoch_end=press)])
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        clf.fit(X, Y)
    assert clf.n_iter_ == 4
    assert clf.predict(X).shape == (150,)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_that_are_no_numbers_are_told():
    huge = X * 1e200
    with pytest.raises(NumericError, match=r"Solver produced non-finite parameter weights.*need to be preprocessed"):
        short(MLPRegressor, solver="sgd").fit(huge, Y)
    with pytest.raises(NumericError, match=r"Solver produced non-finite parameter weights"):
        short(MLPRegressor, solver="sgd").partial_fit(huge, Y)
    with pytest.warns(ConvergenceWarning, match="Training diverged in iteration"):
        reg = short(MLPRegressor, solver="sgd", activation="identity", learning_rate_init=1.0, max_iter=300,
                    hidden_layer_sizes=50, early_stopping=True, n_iter_no_change=1000).fit(X, Y)  # fmt: skip
    assert np.isfinite(reg.predict(X)).all()
    assert np.isnan(reg.loss_)
    assert reg.n_iter_ == len(reg.loss_curve_) == len(reg.validation_scores_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_best_values_are_put_back():
    clf = short(early_stopping=True, max_iter=80, learning_rate_init=0.05).fit(X, Y)
    again = short(early_stopping=True, max_iter=1 + int(np.argmax(clf.validation_scores_)), learning_rate_init=0.05)
    assert np.array_equal(again.fit(X, Y).coefs_[0], clf.coefs_[0])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_goes_on():
    warm, cold = short(warm_start=True, max_iter=20).fit(X, Y), short(max_iter=20).fit(X, Y)
    before = warm.loss_
    warm.fit(X, Y)
    assert warm.loss_curve_[20] <= before
    assert warm.n_iter_ == 20
    assert len(warm.loss_curve_) == 40
    assert np.array_equal(cold.fit(X, Y).loss_curve_, cold.loss_curve_)
    with pytest.raises(ConfigError, match=r"kernels of shapes .* but the settings now mean"):
        warm.set_params(hidden_layer_sizes=7).fit(X, Y)
    with pytest.raises(LabelError, match="warm_start can only be used where `y` has the same classes"):
        warm.set_params(hidden_layer_sizes=4).fit(X, Y % 2)


def test_verbose_prints_each_iteration(capsys):
    short(verbose=True, tol=10.0, n_iter_no_change=1, early_stopping=True).fit(X, Y)
    out = capsys.readouterr().out
    assert "Iteration 1, loss = " in out
    assert "Validation score: " in out
    assert "Validation score did not improve more than tol=10.000000 for 1 consecutive epochs. Stopping." in out
    short(tol=10.0, n_iter_no_change=1).fit(X, Y)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"alpha": -1}, r"MLPClassifier: alpha must be a number >= 0; got -1"),
        ({"learning_rate_init": 0}, r"learning_rate_init must be a number > 0; got 0"),
        ({"max_iter": 2.5}, r"max_iter must be a whole number >= 1; got 2.5"),
        ({"hidden_layer_sizes": (4, 0)}, r"hidden_layer_sizes must be whole numbers > 0; got \(4, 0\)"),
        ({"batch_size": 0}, r"batch_size must be 'auto' or a whole number >= 1; got 0"),
        ({"learning_rate": "cosine"}, r"learning_rate must be one of constant, invscaling, adaptive, or a schedule"),
        ({"validation_fraction": 1.0}, r"validation_fraction must be a number in \[0, 1\); got 1.0"),
        ({"activation": "rleu"}, r"unknown activation 'rleu' \(did you mean 'relu'\?\)"),
        ({"loss": "squared_error"}, r"unknown loss 'squared_error'"),
        ({"momentum": 1.5, "solver": "sgd"}, r"momentum must be a number >= 0 and < 1; got 1.5"),
        ({"precision": "float8"}, r"backend 'numpy' has no precision 'float8'"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings, told):
    with pytest.raises(ConfigError, match=told):
        short(**settings).fit(X, Y)


def test_a_fit_that_failed_leaves_nothing_fitted():
    clf = short(activation="rleu")
    with pytest.raises(ConfigError):
        clf.fit(X, Y)
    with pytest.raises(NotFittedError):
        clf.predict(X)


def test_what_partial_fit_cannot_do():
    with pytest.raises(ConfigError, match="partial_fit does not support early_stopping=True"):
        short(early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ConfigError, match="classes must be passed on the first call to partial_fit"):
        short().partial_fit(X, Y)
    assert not hasattr(short(solver="lbfgs"), "partial_fit")
    with pytest.warns(UserWarning, match="batch_size=500 is larger than the number of samples, 150"):
        short(batch_size=500).partial_fit(X, Y, classes=[0, 1, 2])
