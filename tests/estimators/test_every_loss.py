"""Every loss either learns what the score measures, or is refused before the first step with one that fits."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from deepmath import losses
from deepmath.errors import ConfigError, LabelError
from deepmath.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).standard_normal((200, 4))
TWO = (X[:, 0] - 2 * X[:, 1] > 0).astype(int)
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
LABELS = (X[:, :3] > [0.0, 0.5, 1.0]).astype(int)
FAST = {"hidden_layer_sizes": 8, "max_iter": 60, "learning_rate_init": 0.02, "random_state": 0, "backend": "reference"}

NUMBERS = {"mse", "mean_squared_error", "sse", "mae", "mean_absolute_error", "huber", "log_cosh", "quantile", "poisson"}
ONE_OF = {"categorical_crossentropy", "sparse_categorical_crossentropy", "kl_divergence"}
EACH = {"binary_crossentropy", "focal"}
FITTING = {"two": NUMBERS | EACH, "three": NUMBERS | ONE_OF, "labels": NUMBERS | EACH}


@pytest.mark.parametrize("loss", ["log_loss", *losses.names()])
@pytest.mark.parametrize(
    ("case", "y"), [("two", TWO), ("three", THREE), ("labels", LABELS)], ids=["two", "three", "labels"]
)
def test_a_classifier_learns_or_tells(loss, case, y):
    clf = MLPClassifier(loss=loss, **FAST)
    if loss in {"log_loss", *FITTING[case]}:
        assert clf.fit(X, y).score(X, y) > (0.7 if case == "labels" else 0.9)
        return
    with pytest.raises(ConfigError, match=rf"^MLPClassifier: loss '{loss}' needs .*: use loss='log_loss'\."):
        clf.fit(X, y)
    assert not hasattr(clf, "coefs_")


OUT = {None: (NUMBERS, X[:, 0]), "softplus": (NUMBERS, np.abs(X[:, 0])),
       "sigmoid": (NUMBERS | EACH, (X[:, 0] > 0) * 1.0),
       "tanh": (NUMBERS - {"poisson"}, np.tanh(X[:, 0]))}  # fmt: skip


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", *losses.names()])
@pytest.mark.parametrize("out", OUT, ids=str)
def test_a_regressor_learns_or_tells(loss, out):
    fitting, y = OUT[out]
    y = np.abs(y) if loss == "poisson" else y
    reg = MLPRegressor(loss, out_activation=out, **FAST)
    if loss in {"squared_error", "absolute_error", *fitting}:
        assert reg.fit(X, np.minimum(y, 1.0) if (loss, out) == ("poisson", "sigmoid") else y).score(X, y) > 0.3
        return
    told = rf"^MLPRegressor: loss '{loss}' needs .*: use out_activation=.*|loss '{loss}' takes 0 and 1, or -1 and 1"
    with pytest.raises((ConfigError, LabelError), match=told):
        reg.fit(X, y)


def test_what_is_odd_but_sound_is_possible_with_a_word():
    clf = MLPClassifier(loss="binary_crossentropy", unusual=True, **FAST)
    assert clf.fit(X, THREE).score(X, THREE) > 0.9
    with pytest.raises(ConfigError, match=r"the last layer has 1: use loss='log_loss'\.$"):
        MLPClassifier(loss="sparse_categorical_crossentropy", unusual=True, **FAST).fit(X, TWO)
    with pytest.raises(ConfigError, match=r"softmax' of one output is always 1.*use out_activation='sigmoid'"):
        MLPRegressor(out_activation="softmax", **FAST).fit(X, TWO)
