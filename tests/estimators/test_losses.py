"""A loss that isn't one of what an estimator's network gives is refused, in the words of its arguments."""

from __future__ import annotations

import numpy as np
import pytest

from deepmath.errors import ConfigError, LabelError
from deepmath.estimators import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 3))
TWO, THREE, SEVERAL = (X[:, 0] > 0).astype(int), np.digitize(X[:, 1], [-0.4, 0.4]), (X > 0.2).astype(int)
SETTINGS = {"hidden_layer_sizes": 4, "max_iter": 2, "random_state": 0, "backend": "reference", "tol": 0.0}


def classifier(loss, **settings):
    return MLPClassifier(loss=loss, **SETTINGS | settings)


def regressor(loss, **settings):
    return MLPRegressor(loss, **SETTINGS | settings)


REFUSED = [
    (TWO, "categorical_crossentropy", "sum to 1 over two outputs or more; the last layer has 1"),
    (TWO, "sparse_categorical_crossentropy", "the last layer has 1"),
    (TWO, "kl_divergence", "the last layer has 1"),
    (TWO, "hinge", "scores that say no below -1 and yes above 1; activation 'sigmoid' gives numbers from 0 to 1"),
    (TWO, "squared_hinge", "scores that say no"),
    (THREE, "binary_crossentropy", "each between 0 and 1; activation 'softmax' gives rows that sum to 1"),
    (THREE, "focal", "activation 'softmax' gives rows that sum to 1"),
    (THREE, "hinge", "scores that say no"),
    (
        SEVERAL,
        "categorical_crossentropy",
        "sum to 1 over two outputs or more; activation 'sigmoid' gives numbers from 0",
    ),
    (SEVERAL, "sparse_categorical_crossentropy", "activation 'sigmoid'"),
    (SEVERAL, "kl_divergence", "activation 'sigmoid'"),
]


@pytest.mark.parametrize(("y", "loss", "message"), REFUSED)
def test_a_classifier_names_log_loss(y, loss, message):
    for call in ("fit", "partial_fit"):
        chosen = classifier(loss)
        rest = {} if call == "fit" else {"classes": np.arange(3) if y is SEVERAL else np.unique(y)}
        with pytest.raises(ConfigError, match=rf"^MLPClassifier: loss '{loss}' .*{message}.*: use loss='log_loss'\."):
            getattr(chosen, call)(X, y, **rest)
        assert not hasattr(chosen, "coefs_")


@pytest.mark.filterwarnings("ignore:.*hasn't converged")
@pytest.mark.parametrize(
    ("y", "loss"),
    [
        (TWO, "log_loss"), (TWO, "binary_crossentropy"), (TWO, "focal"), (TWO, "mse"), (TWO, "mae"), (TWO, "poisson"),
        (THREE, "log_loss"), (THREE, "categorical_crossentropy"), (THREE, "sparse_categorical_crossentropy"),
        (THREE, "kl_divergence"), (THREE, "mse"), (SEVERAL, "log_loss"), (SEVERAL, "binary_crossentropy"),
        (SEVERAL, "focal"), (SEVERAL, "mse"),
    ],
)  # fmt: skip
def test_a_classifier_takes_losses_of_probabilities(y, loss):
    assert np.isfinite(classifier(loss).fit(X, y).loss_)


@pytest.mark.filterwarnings("ignore:.*hasn't converged")
def test_what_is_odd_may_be_meant():
    for y, loss in ((TWO, "hinge"), (TWO, "categorical_crossentropy"), (THREE, "binary_crossentropy")):
        chosen = classifier(loss, unusual=True).fit(X, y)
        assert chosen.to_sequential().unusual
    assert regressor("mse", out_activation="relu", unusual=True).fit(X, X[:, 0]).to_sequential().unusual


OF_NUMBERS = [
    (
        "binary_crossentropy",
        None,
        "a layer without activation gives any number: use out_activation='sigmoid', or loss='mse'",
    ),
    ("poisson", "relu", "activation 'relu' gives numbers >= 0: use out_activation='softplus', or loss='mse'"),
    ("poisson", "identity", "use out_activation='softplus'"),
    ("hinge", "sigmoid", "use out_activation=None, or loss='binary_crossentropy'"),
    (
        "categorical_crossentropy",
        "sigmoid",
        "the last layer has 1: use out_activation='softmax', with an output for each",
    ),
    (
        "squared_error",
        "softmax",
        "'softmax' of one output is always 1, whatever comes in: use out_activation='sigmoid'",
    ),
]


@pytest.mark.parametrize(("loss", "function", "message"), OF_NUMBERS)
def test_a_regressor_names_the_last_activation(loss, function, message):
    with pytest.raises(ConfigError, match=f"^MLPRegressor: .*{message}"):
        regressor(loss, out_activation=function).fit(X, np.clip(X[:, 0], 0.1, 0.9))


@pytest.mark.filterwarnings("ignore:.*hasn't converged")
def test_targets_must_lie_where_the_last_activation_comes():
    with pytest.raises(
        LabelError, match=r"target \S+ at row \d+ lies beyond what activation 'sigmoid' gives, .*unusual=Tr"
    ):
        regressor("squared_error", out_activation="sigmoid").fit(X, 2e5 + X[:, 0])
    assert np.isfinite(regressor("poisson").fit(X, np.arange(60) % 5).loss_)
    assert np.isfinite(regressor("squared_error", out_activation="sigmoid").fit(X, TWO.astype(float)).loss_)


def test_a_function_of_ones_own_is_called_once_before_the_first_step():
    for chosen in (classifier(lambda xp, p, d: (p - d) ** 2), regressor(lambda xp, p, d: (p - d) ** 2)):
        with pytest.raises(ConfigError, match=r"loss '<lambda>' must give \[batch, 1\], one number for each row; got"):
            chosen.fit(X, TWO)
