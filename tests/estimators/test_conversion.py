"""scikit-learn's fitted networks taken over, and ours handed out as models."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.exceptions import NotFittedError

from deepmath import Sequential
from deepmath.errors import ConfigError
from deepmath.estimators import MLPClassifier, MLPRegressor, from_sklearn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
LABELS = make_multilabel_classification(n_samples=50, n_features=4, n_classes=3, random_state=0)
LINES = make_regression(n_samples=50, n_features=4, n_targets=2, random_state=0)
CASES = {
    "softmax": (theirs.MLPClassifier(8), X, Y),
    "sigmoid": (theirs.MLPClassifier((5, 4), "logistic", solver="lbfgs"), X[:100], Y[:100] == 1),
    "labels": (theirs.MLPClassifier(8, "tanh", solver="sgd"), *LABELS),
    "float32 and text": (theirs.MLPClassifier(8, early_stopping=True), X.astype(np.float32), Y.astype(str)),
    "number": (theirs.MLPRegressor("squared_error", 8), X, Y),
    "count": (theirs.MLPRegressor("poisson", 8, "identity"), X, Y),
    "numbers": (theirs.MLPRegressor(hidden_layer_sizes=[8], solver="sgd"), *LINES),
}


@pytest.mark.parametrize("case", CASES)
def test_a_fitted_network_is_taken_over_exactly(case):
    mlp, X, y = CASES[case]
    mlp = clone(mlp).set_params(max_iter=20, random_state=0).fit(X, y)
    ours = from_sklearn(mlp)
    predict = "predict_proba" if hasattr(mlp, "predict_proba") else "predict"
    tolerance = 1e-6 if mlp.coefs_[0].dtype == np.float32 else 1e-13
    np.testing.assert_allclose(getattr(ours, predict)(X), getattr(mlp, predict)(X), rtol=tolerance, atol=tolerance)
    assert (ours.predict(X) == mlp.predict(X)).all() or predict == "predict"
    assert (ours.n_iter_, ours.t_, ours.loss_) == (mlp.n_iter_, mlp.t_, mlp.loss_)
    for a, b in zip(ours.coefs_, mlp.coefs_, strict=True):
        assert np.array_equal(a, b)
        assert a is not b


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_training_goes_on_where_theirs_stood(solver):
    mlp = theirs.MLPClassifier(8, solver=solver, max_iter=10, random_state=0).fit(X, Y)
    ours = from_sklearn(mlp)
    for _ in range(5):
        mlp.partial_fit(X, Y)
        ours.partial_fit(X, Y)
    np.testing.assert_allclose(ours.coefs_[0], mlp.coefs_[0], rtol=1e-9, atol=1e-12)
    assert ours.loss_curve_ == pytest.approx(mlp.loss_curve_)


def test_other_things_are_refused():
    with pytest.raises(NotFittedError):
        from_sklearn(theirs.MLPClassifier())
    with pytest.raises(ConfigError, match=r"must be sklearn's MLPClassifier or MLPRegressor; got MLPRegressor"):
        from_sklearn(MLPRegressor())


def test_the_model_predicts_the_same_and_is_a_copy(tmp_path):
    clf = MLPClassifier((6, 5), ["relu", "gelu"], normalization="batch", dropout=0.1, scale="standard", max_iter=30,
                        solver="adamw", random_state=0).fit(X, Y)  # fmt: skip
    model = clf.to_sequential()
    assert isinstance(model, Sequential)
    before = clf.predict_proba(X)
    np.testing.assert_allclose(model.predict(X, precision="float64"), before, rtol=1e-12)
    model.save(tmp_path / "model.safetensors")
    model.fit(X, Y, epochs=1, verbose=0)
    assert np.array_equal(clf.predict_proba(X), before)
    from deepmath import load_model

    again = load_model(tmp_path / "model.safetensors")
    np.testing.assert_allclose(again.predict(X, precision="float64"), before, rtol=1e-12)


def test_a_regressor_with_a_loss_of_scikit_learns_is_a_model_too():
    reg = MLPRegressor(hidden_layer_sizes=4, max_iter=5, random_state=0).fit(X, Y)
    model = reg.to_sequential()
    np.testing.assert_allclose(model.predict(X, precision="float64")[:, 0], reg.predict(X), rtol=1e-12)
    assert model.evaluate(X, Y, precision="float64")["cost"] == pytest.approx(np.mean((reg.predict(X) - Y) ** 2) / 2)
