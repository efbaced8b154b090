"""Arguments as people have them: numbers of NumPy, one thing in the place of a list, names that are misspelt."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone

from deepmath.callbacks import EarlyStopping, TimeLimit
from deepmath.errors import ConfigError
from deepmath.estimators import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).standard_normal((120, 4))
Y = (X[:, 0] > X[:, 1]).astype(int)


def fitted(X=X, y=Y, eval_set=None, **settings):
    clf = MLPClassifier(
        **{"hidden_layer_sizes": 8, "max_iter": 3, "random_state": 0, "backend": "reference"} | settings
    )
    return clone(clf).fit(X, y, eval_set=eval_set)


@pytest.mark.parametrize(("given", "plain"), [
    ({"batch_size": np.int32(8)}, {"batch_size": 8}),
    ({"learning_rate_init": np.float32(0.125)}, {"learning_rate_init": 0.125}),
    ({"hidden_layer_sizes": np.array([8, 4])}, {"hidden_layer_sizes": (8, 4)}),
    ({"hidden_layer_sizes": np.array(5)}, {"hidden_layer_sizes": 5}),
    ({"hidden_layer_sizes": np.int64(5)}, {"hidden_layer_sizes": [5]}),
    ({"hidden_layer_sizes": (8, 4), "dropout": np.array([0.5, 0.25])},
     {"hidden_layer_sizes": (8, 4), "dropout": [0.5, 0.25]}),
    ({"dropout": np.float32(0.5)}, {"dropout": 0.5}),
    ({"alpha": np.float32(0.5), "tol": np.float16(0.5)}, {"alpha": 0.5, "tol": 0.5}),
    ({"max_iter": np.int64(2), "n_iter_no_change": np.int8(1)}, {"max_iter": 2, "n_iter_no_change": 1}),
    ({"early_stopping": np.True_, "validation_fraction": np.float16(0.25)},
     {"early_stopping": True, "validation_fraction": 0.25}),
    ({"solver": "sgd", "momentum": np.float32(0.5)}, {"solver": "sgd", "momentum": 0.5}),
    ({"solver": "lbfgs", "max_fun": np.int64(9)}, {"solver": "lbfgs", "max_fun": 9}),
    ({"shuffle": np.False_, "batch_size": 30, "random_state": np.int32(3)},
     {"shuffle": False, "batch_size": 30, "random_state": 3}),
    ({"beta_1": np.float32(0.5), "beta_2": np.float32(0.75)}, {"beta_1": 0.5, "beta_2": 0.75}),
], ids=str)  # fmt: skip
def test_numbers_of_numpy_are_numbers(given, plain):
    ours, expected = fitted(**given), fitted(**plain)
    assert all(np.array_equal(a, b) for a, b in zip(ours.coefs_, expected.coefs_, strict=True))


@pytest.mark.parametrize("value", [True, 2.5, np.array([8]), "8", np.float64(8.0)])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ConfigError, match="batch_size must be 'auto' or a whole number >= 1"):
        fitted(batch_size=value)


def test_a_single_callback_is_one():
    for given in (TimeLimit(60.0), (TimeLimit(60.0),), [], None):
        assert fitted(callbacks=given).n_iter_ == 3
    with pytest.raises(ConfigError, match=r"got the class TimeLimit; give an instance, TimeLimit\(\.\.\.\)"):
        fitted(callbacks=TimeLimit)


def test_early_stopping_by_a_name_of_what_is_reported():
    watching = EarlyStopping("val_loss", patience=1, min_delta=10.0)
    assert fitted(callbacks=watching, eval_set=(X, Y), max_iter=50).n_iter_ == 2
    for name, told in (
        ("val_los", r"nothing called 'val_los' to monitor \(did you mean 'val_loss'\?\); each epoch will report loss"),
        ("val_accuracy", "nothing called 'val_accuracy' to monitor; each epoch will report loss, cost, val_loss"),
    ):
        with pytest.raises(ConfigError, match=told):
            fitted(callbacks=EarlyStopping(name), eval_set=(X, Y))
    with pytest.raises(ConfigError, match=r"Give validation_data or validation_split \(of an estimator: eval_set\)"):
        fitted(callbacks=EarlyStopping("val_loss"))


def test_a_second_fit_begins_anew():
    clf = fitted()
    first = [c.copy() for c in clf.coefs_]
    clf.fit(X[:, :2], Y)
    assert clf.n_features_in_ == 2
    assert all(np.array_equal(a, b) for a, b in zip(first, clf.fit(X, Y).coefs_, strict=True))
