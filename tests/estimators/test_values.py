"""The values that an estimator shows are those that predict; programs are kept from call to call."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.datasets import load_iris

from deepmath.backend import load_backend
from deepmath.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)


def by_hand(clf, x):
    hidden = np.maximum(x @ clf.coefs_[0] + clf.intercepts_[0], 0.0)
    z = hidden @ clf.coefs_[1] + clf.intercepts_[1]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_weights_that_are_set_or_changed_in_place_predict():
    clf = MLPClassifier(6, max_iter=5, random_state=0).fit(X, Y)
    np.testing.assert_allclose(clf.predict_proba(X), by_hand(clf, X), rtol=1e-12)
    clf.coefs_[0][:, :3] = 0.0
    np.testing.assert_allclose(clf.predict_proba(X), by_hand(clf, X), rtol=1e-12)
    clf.coefs_[1] = clf.coefs_[1] * 2.0
    clf.intercepts_ = [b + 0.1 for b in clf.intercepts_]
    np.testing.assert_allclose(clf.predict_proba(X), by_hand(clf, X), rtol=1e-12)
    set_by_hand = by_hand(clf, X)
    clf.set_params(learning_rate_init=1e-12).partial_fit(X, Y)
    np.testing.assert_allclose(clf.predict_proba(X), set_by_hand, rtol=1e-6)


class CountedBackend:
    """The CPU's backend, which counts how often it compiles."""

    def __init__(self):
        from deepmath.backend import Backend

        real = load_backend("numpy")

        class Counted(Backend):
            name, precisions, compiled = "counted", real.precisions, 0

            def put(self, x, dtype):
                return real.put(x, dtype)

            def compile(self, recipe, values, data=None):
                type(self).compiled += 1
                return real.compile(recipe, values, data)

        self.backend = Counted()


def test_a_stream_of_batches_is_trained_by_one_program():
    counted = CountedBackend().backend
    clf = MLPClassifier(6, random_state=0, backend=counted)
    for _ in range(5):
        clf.partial_fit(X, Y, classes=[0, 1, 2])
    assert counted.compiled == 1
    for _ in range(5):
        clf.partial_fit(X[:100], Y[:100])
    assert counted.compiled <= 3  # another size of batch is another strength of the penalty


def test_predictions_are_those_of_the_program_that_trained():
    counted = CountedBackend().backend
    reg = MLPRegressor(hidden_layer_sizes=6, max_iter=2, random_state=0, backend=counted).fit(X, Y)
    before = counted.compiled
    for rows in (1, 10, 150):
        reg.predict(X[:rows])
    assert counted.compiled == before


def test_a_stream_in_batches_weighs_rows_as_one_fit_does():
    weights = np.where(Y == 0, 0.0, 1.0)
    reg = MLPRegressor(hidden_layer_sizes=6, batch_size=50, shuffle=False, random_state=0)
    reg.partial_fit(X, Y, sample_weight=weights)
    fitted = MLPRegressor(hidden_layer_sizes=6, batch_size=50, shuffle=False, random_state=0, alpha=0.0, max_iter=1)
    fitted.fit(X[50:], Y[50:])
    plain = MLPRegressor(hidden_layer_sizes=6, batch_size=50, shuffle=False, random_state=0, alpha=0.0)
    plain.partial_fit(X, Y, sample_weight=weights)
    np.testing.assert_allclose(plain.coefs_[0], fitted.coefs_[0], rtol=1e-12)
    assert plain.loss_ == pytest.approx(fitted.loss_)
    assert reg.loss_ > plain.loss_


def test_one_class_is_predicted():
    clf = MLPClassifier(4, max_iter=3, random_state=0).fit(X, np.full(150, "only"))
    assert set(clf.predict(X)) == {"only"}
    assert np.array_equal(clf.predict_proba(X), np.ones((150, 1)))


def test_probabilities_of_two_classes_sum_to_one_and_logarithms_are_theirs():
    clf = MLPClassifier(4, max_iter=5, random_state=0).fit(X, Y == 1)
    p = clf.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(clf.predict_log_proba(X), np.log(p))
    assert clf.classes_.dtype == bool
    assert clf.predict(X).dtype == bool
