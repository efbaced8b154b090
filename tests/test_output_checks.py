"""A loss, the last layer, its outputs and the targets must go together."""

from __future__ import annotations

import numpy as np
import pytest

from deepmath import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    GaussianNoise,
    LayerNormalization,
    PReLU,
    Sequential,
    load_model,
    losses,
)
from deepmath.errors import ConfigError, LabelError
from deepmath.losses import Loss
from deepmath.output_checks import fault

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 4))
YES = (X[:, 0] > 2 * X[:, 1]).astype(int)
LABELS = np.argmax(X[:, :3], axis=1)
FAST = {"backend": "reference", "verbose": 0}


def compiled(*layers, loss="binary_crossentropy", **settings):
    model = Sequential(layers)
    model.compile("sgd", loss, **settings)
    return model


FINE_ENDS = [
    (Dense(1), BatchNormalization(), Activation("sigmoid")),
    (Dense(1, "sigmoid"), Dropout(0.0)),
    (Dense(1, "sigmoid"), GaussianNoise(0.0)),
    (Dense(1, "sigmoid"), Activation("linear")),
    (Dense(4, "relu"), LayerNormalization(), Dense(1, "sigmoid")),
    (Dense(1, lambda xp, z: 1.0 / (1.0 + xp.exp(-z))),),
    (Dense(1), Activation("sigmoid")),
]


@pytest.mark.parametrize("layers", FINE_ENDS)
def test_layers_that_end_in_chances(layers):
    compiled(*layers)


BAD_ENDS = [
    ((Dense(1), BatchNormalization()), "BatchNormalization gives any number: put it in front of the last Dense layer"),
    ((Dense(1, "sigmoid"), Dropout(0.5)), "Dropout gives numbers from 0 to 2: put it in front of the last Dense layer"),
    ((Dense(1, "sigmoid"), GaussianNoise(0.1)), "GaussianNoise gives any number: put it in front of"),
    ((Dense(1), PReLU()), "PReLU gives any number"),
    (
        (Dense(1), LayerNormalization()),
        "LayerNormalization of one output is always its beta, whatever comes in: leave it",
    ),
    (
        (Dense(1), Activation("softmax")),
        "activation 'softmax' of one output is always 1, whatever comes in: use activat",
    ),
    (
        (Dense(1, "softmax"), Dense(2, "sigmoid")),
        r"activation 'softmax' of one unit \(layer 1\) is always 1.*more units",
    ),
    ((Dense(1, "softmax"), Dropout(0.5)), "'softmax' of one unit"),
    (
        (Dense(1, "relu"), Activation("sigmoid")),
        "'sigmoid' gives none but numbers from 0.5 to 1: leave out the activati",
    ),
    (
        (Dense(1, "sigmoid"), Activation("sigmoid")),
        "gives none but numbers from 0.5 to 0.731: leave out the activation",
    ),
]


@pytest.mark.parametrize(("layers", "message"), BAD_ENDS)
def test_layers_that_end_otherwise(layers, message):
    with pytest.raises(ConfigError, match=message):
        compiled(*layers)


def test_softmax_twice():
    with pytest.raises(
        ConfigError, match=r"'softmax' gives none but numbers from 0.269 to 0.731: leave out the activati"
    ):
        compiled(Dense(3, "softmax"), Activation("softmax"), loss="categorical_crossentropy")


def test_nothing_is_concluded_from_functions_of_ones_own():
    def own(xp, p, d):
        return xp.mean((p - d) ** 2, axis=-1, keepdims=True)

    def bent(xp, z):
        return z * z

    compiled(Dense(1, bent), loss="poisson")
    compiled(Dense(3, bent), loss="categorical_crossentropy")
    compiled(Dense(1, "sigmoid"), loss=own)
    with pytest.raises(ConfigError, match="'softmax' of one output is always 1"):
        compiled(Dense(1, "softmax"), loss=own)
    with pytest.raises(ConfigError, match="over two outputs or more; the last layer has 1: use activation='softmax'"):
        compiled(Dense(1, bent), loss="categorical_crossentropy")


def test_told_before_the_first_step_where_layers_come_later():
    model = compiled(loss="binary_crossentropy")
    model.add(Dense(1))
    for call in (model.fit, model.train_on_batch, model.evaluate):
        with pytest.raises(
            ConfigError, match="'binary_crossentropy' needs probabilities, each between 0 and 1; a layer wi"
        ):
            call(X, YES, backend="reference")
    assert "step" not in model.values
    model.compile("sgd", "mse")
    model.fit(X, YES, **FAST)


def test_a_refused_compile_leaves_the_model_as_it_was():
    model = compiled(Dense(1, "sigmoid"))
    with pytest.raises(ConfigError, match="hinge"):
        model.compile("sgd", "hinge")
    assert model.loss.name == "binary_crossentropy"
    assert not model.unusual
    with pytest.raises(ConfigError, match="compile: unusual must be True or False; got 'yes'"):
        model.compile("sgd", "hinge", unusual="yes")


def test_the_cure_fits_what_is_there():
    def cure(loss, name, outputs=3):
        return fault(losses.get(loss), [Dense(outputs, name)]).cure

    assert cure("categorical_crossentropy", "sigmoid", 1).endswith("for each class, or loss='binary_crossentropy'")
    assert cure("sparse_categorical_crossentropy", "sigmoid").endswith(", or loss='binary_crossentropy'")
    assert cure("binary_crossentropy", None) == "use activation='sigmoid' in the last layer, or loss='mse'"
    assert "or loss='categorical_crossentropy' ('sparse_" in cure("binary_crossentropy", "softmax")
    assert cure("hinge", "sigmoid") == "use no activation in the last layer, or loss='binary_crossentropy'"
    assert cure("poisson", "relu") == "use activation='softplus' in the last layer, or loss='mse'"
    assert cure("mse", "softmax", 1).startswith(
        "use activation='sigmoid' with loss='binary_crossentropy' for two class"
    )


def fit(outputs, name, loss, y, unusual=False, **settings):
    model = compiled(Dense(4, "tanh"), Dense(outputs, name), loss=loss, unusual=unusual)
    return model.fit(X, y, **FAST, **settings)


FAR = X[:, 0] * 1.0
FAR[7] = 2e5
BEYOND = [
    (
        "sigmoid",
        "mse",
        np.where(FAR == 2e5, FAR, 0.5),
        r"target 200000 at row 7 lies beyond what activation 'sigmoid' gi",
    ),
    (
        "tanh",
        "mae",
        np.where(FAR == 2e5, -2.0, 0.5),
        r"target -2 at row 7 lies beyond .* 'tanh' gives, numbers from -1 t",
    ),
    (
        "relu",
        "huber",
        np.where(FAR == 2e5, -3.0, 0.5),
        r"target -3 at row 7 .* 'relu' gives, numbers >= 0: use no activ",
    ),
    ("softplus", "mse", np.where(FAR == 2e5, -3.0, 0.5), r"target -3 at row 7 .* 'softplus' gives, numbers > 0"),
    (
        "sigmoid",
        "poisson",
        np.where(FAR == 2e5, 3.0, 0.5),
        r"target 3 at row 7 .* 'sigmoid' gives, numbers from 0 to 1",
    ),
]


@pytest.mark.parametrize(("name", "loss", "y", "message"), BEYOND)
def test_targets_that_the_last_layer_never_reaches(name, loss, y, message):
    with pytest.raises(LabelError, match=message + r".*If that is meant: unusual=True in compile"):
        fit(1, name, loss, y)
    fit(1, name, loss, y, unusual=True)
    fit(1, name, loss, np.clip(y, 0.0, 1.0))
    fit(1, name, loss, np.where(y == y[7], 0.5, y), validation_data=(X, y))  # what is only measured may lie beyond


def test_the_ends_of_a_range_are_reached_but_for_the_rounding():
    fit(1, "sigmoid", "mse", np.float32([1.0 + 1e-7, -1e-8] * 20))
    fit(1, "tanh", "mse", np.tile([1.0, -1.0], 20))


def test_targets_that_are_no_distribution():
    several = (X[:, :3] > 0.0).astype(int)
    row = int(np.argmax(several.sum(axis=1) != 1))
    message = (
        rf"the targets at row {row} sum to {several[row].sum()}; loss '{{}}' needs rows that sum to 1\. For several"
    )
    for loss in ("categorical_crossentropy", "kl_divergence"):
        with pytest.raises(LabelError, match=message.format(loss)):
            fit(3, "softmax", loss, several)
        with pytest.raises(LabelError, match="use activation='sigmoid' with loss='binary_crossentropy'"):
            compiled(Dense(3, "softmax"), loss=loss).evaluate(X, several, backend="reference")
        fit(3, "softmax", loss, several, unusual=True)
        fit(3, "softmax", loss, several, sample_weight=(several.sum(axis=1) == 1).astype(float))
        fit(3, "softmax", loss, np.full((40, 3), 0.33))
    with pytest.raises(LabelError, match=r"sum to .*; activation 'softmax' gives rows that sum to 1\."):
        fit(3, "softmax", "mse", several)
    fit(3, "softmax", "mse", np.eye(3)[LABELS])
    fit(3, "sigmoid", "binary_crossentropy", several)


TOO_LARGE = [
    (
        "mse",
        1e20,
        "float32",
        r"target 1e\+20 at row 7 is too large: loss 'mse' of it is beyond the numbers of float32\. Sc",
    ),
    ("sse", -1e20, "float32", r"target -1e\+20 at row 7 .*divide them by 1e\+20, or use precision='float64'\.$"),
    ("mse", 1e39, "float32", r"target 1e\+39 at row 7"),
    ("mae", 1e39, "float32", r"target 1e\+39 at row 7"),
    (
        "mse",
        1e200,
        "float64",
        r"beyond the numbers of float64\. Scale the targets, for example divide them by 1e\+200\.$",
    ),
    ("poisson", 1e39, "float32", r"target 1e\+39 at row 7"),
]


@pytest.mark.parametrize(("loss", "size", "precision", "message"), TOO_LARGE)
def test_targets_beyond_the_precision_of_their_loss(loss, size, precision, message):
    y = np.abs(X[:, 0])
    y[7] = size
    name = "softplus" if loss == "poisson" else None
    with pytest.raises(LabelError, match=message):
        fit(1, name, loss, y, precision=precision)


@pytest.mark.parametrize(
    ("loss", "size", "precision"),
    [("mae", 1e20, "float32"), ("huber", 1e20, "float32"), ("mse", 1e18, "float32"), ("mse", 1e20, "float64")],
)
def test_targets_that_are_large_and_not_too_large(loss, size, precision):
    assert np.isfinite(fit(1, None, loss, size * X[:, 0], precision=precision).history["loss"][0])


def test_a_loss_of_ones_own_is_asked_too_how_large_targets_may_be():
    grown = Loss("grown", lambda xp, p, d: xp.mean(xp.exp(d - p), axis=-1, keepdims=True))
    with pytest.raises(LabelError, match="target 100 at row 7 is too large: loss 'grown' of it is beyond"):
        fit(1, None, grown, np.where(FAR == 2e5, 100.0, 0.0))
    rootless = Loss("rootless", lambda xp, p, d: xp.mean((p - d) ** 2 + 0.0 * xp.sqrt(3.0 - d), axis=-1, keepdims=True))
    with pytest.raises(ArithmeticError, match="loss 'rootless' for prediction"):
        fit(1, None, rootless, np.where(FAR == 2e5, 4.0, 0.0))


def test_the_word_survives_the_file(tmp_path):
    model = compiled(Dense(1, "sigmoid", input_dim=4), loss="categorical_crossentropy", unusual=True)
    model.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again.unusual
    again.fit(X, YES, **FAST)


def test_a_file_without_the_word_loads_and_predicts(tmp_path):
    model = compiled(Dense(1, "sigmoid", input_dim=4), loss="categorical_crossentropy", unusual=True)
    model.unusual = False
    model.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again.predict(X, backend="reference").shape == (40, 1)
    with pytest.raises(
        ConfigError, match=r"^fit: loss 'categorical_crossentropy' needs .* If that is meant: unusual=True"
    ):
        again.fit(X, YES, **FAST)
