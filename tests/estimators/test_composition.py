"""Inside scikit-learn's searches, pipelines, ensembles and routers; in processes and threads."""

import pickle
import threading

import joblib
import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepmath import optimizers
from deepmath.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS = load_digits().data[:400] / 16.0, load_digits().target[:400]
DIABETES = load_diabetes(return_X_y=True)


def classifier(**settings):
    return MLPClassifier(**{"hidden_layer_sizes": 24, "max_iter": 40, "learning_rate_init": 0.01, "random_state": 0}
                         | settings)  # fmt: skip


def regressor(**settings):
    return MLPRegressor(**{"hidden_layer_sizes": 8, "solver": "lbfgs", "alpha": 1.0, "max_iter": 60, "random_state": 0,
                           "scale": "standard"} | settings)  # fmt: skip


def test_a_grid_is_searched_by_two_processes():
    grid = {"alpha": [1e-4, 1e-2], "dropout": [0.0, 0.2]}
    two = GridSearchCV(classifier(), grid, cv=2, n_jobs=2).fit(*DIGITS)
    one = GridSearchCV(classifier(), grid, cv=2).fit(*DIGITS)
    assert two.best_score_ > 0.8
    np.testing.assert_allclose(two.cv_results_["mean_test_score"], one.cv_results_["mean_test_score"], atol=0.02)


def test_a_pipeline_and_its_cross_validation():
    pipe = make_pipeline(StandardScaler(), regressor(scale=None))
    assert cross_val_score(pipe, *DIABETES, cv=3).mean() > 0.3
    both = make_pipeline(
        StandardScaler(), TransformedTargetRegressor(regressor(scale=None), transformer=StandardScaler())
    )
    scores = cross_val_score(both, *DIABETES, cv=3)
    assert scores.mean() > 0.3
    assert cross_val_score(regressor(), *DIABETES, cv=3) == pytest.approx(scores, abs=1e-3)
    pipe.fit(*DIABETES)
    assert pipe[-1].n_features_in_ == 10


def test_probabilities_are_calibrated():
    calibrated = CalibratedClassifierCV(classifier(), cv=2, method="isotonic").fit(*DIGITS)
    assert calibrated.score(*DIGITS) > 0.9


def test_ensembles_vote():
    votes = [("net", classifier()), ("line", LogisticRegression(max_iter=500))]
    assert VotingClassifier(votes, voting="soft").fit(*DIGITS).score(*DIGITS) > 0.9
    assert VotingRegressor([("net", regressor()), ("line", Ridge())]).fit(*DIABETES).score(*DIABETES) > 0.3


def test_a_clone_has_the_arguments_and_nothing_learnt():
    solver = optimizers.AdamW(0.01)
    fitted = classifier(solver=solver, activation=["gelu"]).fit(*DIGITS)
    copy = clone(fitted)
    assert not hasattr(copy, "coefs_")
    assert copy.get_params()["solver"] == solver
    assert np.array_equal(copy.fit(*DIGITS).coefs_[0], fitted.coefs_[0])


def test_weights_are_routed():
    X, y = DIABETES
    weight = np.where(np.arange(len(y)) < 200, 0.0, 1.0)
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = make_pipeline(scaler, regressor(scale=None).set_fit_request(sample_weight=True))
        routed.fit(X, y, sample_weight=weight)
        scored = cross_validate(
            regressor().set_fit_request(sample_weight=True),
            X, y, cv=2, params={"sample_weight": weight},
            scoring=get_scorer("r2").set_score_request(sample_weight=True),
        )  # fmt: skip
    direct = regressor(scale=None).fit(StandardScaler().fit(X).transform(X), y, sample_weight=weight)
    np.testing.assert_allclose(routed[-1].coefs_[0], direct.coefs_[0], rtol=1e-12)
    assert np.isfinite(scored["test_score"]).all()


@pytest.mark.parametrize("make", [classifier, regressor])
def test_a_pickle_predicts_and_goes_on_with_the_same_bits(make, tmp_path):
    data = DIGITS if make is classifier else DIABETES
    fitted = make(solver="adam", normalization="batch", dropout=0.1, max_iter=5).fit(*data)
    joblib.dump(fitted, tmp_path / "net")
    for again in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "net", mmap_mode="r")):
        assert np.array_equal(again.predict(data[0]), fitted.predict(data[0]))
        first = pickle.loads(pickle.dumps(fitted)).partial_fit(*data)
        assert np.array_equal(again.partial_fit(*data).coefs_[0], first.coefs_[0])


def test_a_pickle_warm_starts_with_the_same_bits():
    warm = classifier(warm_start=True, batch_size=50, dropout=0.2, max_iter=3).fit(*DIGITS)
    again = pickle.loads(pickle.dumps(warm))
    assert np.array_equal(again.fit(*DIGITS).coefs_[0], warm.fit(*DIGITS).coefs_[0])


def test_many_threads_ask_one_network():
    clf = classifier(max_iter=5).fit(*DIGITS)
    parts = np.array_split(DIGITS[0], 8)
    alone = [clf.predict_proba(X) for X in parts]
    for _ in range(20):
        together = joblib.Parallel(n_jobs=4, backend="threading")(joblib.delayed(clf.predict_proba)(X) for X in parts)
        assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_two_threads_train_two_networks():
    alone = [classifier(random_state=seed).fit(*DIGITS) for seed in (1, 2)]
    together = [classifier(random_state=seed) for seed in (1, 2)]
    threads = [threading.Thread(target=net.fit, args=DIGITS) for net in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(alone, together, strict=True):
        assert np.array_equal(a.coefs_[0], b.coefs_[0])
