"""What fit refuses before the first step, each with its text."""

from __future__ import annotations

import numpy as np
import pytest

from deepmath import Dense, Sequential, load_backend
from deepmath.errors import ConfigError, DeepmathError, LabelError, NumericError

X = np.arange(12.0).reshape(6, 2)
Y = {
    "sparse_categorical_crossentropy": np.array([0, 1, 2, 0, 1, 2]),
    "categorical_crossentropy": np.eye(3)[[0, 1, 2, 0, 1, 2]],
    "binary_crossentropy": np.zeros((6, 3)),
    "mse": np.ones((6, 3)),
}
SPARSE, HOT, BINARY, MSE = Y


def model_of(loss: str | None) -> Sequential:
    model = Sequential([Dense(3, "sigmoid" if loss == BINARY else "softmax" if loss != MSE else None, input_dim=2)])
    if loss is not None:
        model.compile("sgd", loss)
    return model


def refusal(kind: type[DeepmathError], loss: str, X: object = X, y: object = None, **settings: object) -> str:
    """The text of the error; the model is as it was."""
    model = model_of(loss)
    before = model.get_weights()
    y = Y[loss] if y is None else y
    with pytest.raises(kind) as error:
        model.fit(X, y, **({"verbose": 0, "backend": "reference"} | settings))
    assert isinstance(error.value, ValueError)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    return str(error.value)


def changed(array: np.ndarray, place: object, value: float) -> np.ndarray:
    new = array.astype(float)
    new[place] = value
    return new


LABELS = {
    "label 3 at row 4 is outside 0..2. The model has 3 outputs: fix the labels or give the last layer 4 units.": 3,
    'label -1 at row 4 is negative; class labels must be 0..2. If -1 means "ignore", pass ignore_label=-1.': -1,
    "labels must be whole numbers; row 4 is 0.5. For regression use loss='mse'.": 0.5,
    "label nan at row 4 is not a number. Drop the row or give it a label.": np.nan,
    "label inf at row 4 is not a number. Drop the row or give it a label.": np.inf,
}


@pytest.mark.parametrize("text", LABELS)
def test_labels_are_checked(text):
    assert refusal(LabelError, SPARSE, y=changed(Y[SPARSE], 4, LABELS[text])) == text


@pytest.mark.parametrize("library", ["array_api_strict", "torch", "jax"])
def test_labels_of_other_libraries_are_checked(library):
    y = load_backend(library).put(np.array([0, 1, 2, 0, 7, 2], np.int32), "int32")
    text = "label 7 at row 4 is outside 0..2. The model has 3 outputs: fix the labels or give the last layer 8 units."
    assert refusal(LabelError, SPARSE, y=y) == text


def test_one_hot_rows_are_no_labels():
    assert refusal(LabelError, SPARSE, y=Y[HOT]) == (
        "loss 'sparse_categorical_crossentropy' takes one whole-number label for each row; y has shape (6, 3). "
        "For one-hot rows use loss='categorical_crossentropy'."
    )


@pytest.mark.parametrize("loss", [BINARY, HOT])
def test_shares_are_between_0_and_1(loss):
    end = f"is outside 0..1; loss '{loss}' can't take it. Encode the classes as 0 and 1; for regression use loss='mse'."
    assert refusal(LabelError, loss, y=changed(Y[loss], (2, 1), 1.5)) == f"target 1.5 at row 2 {end}"
    assert refusal(LabelError, loss, y=changed(Y[loss], (0, 2), -1)) == f"target -1 at row 0 {end}"


@pytest.mark.parametrize(
    ("y", "shape"), [(np.ones((6, 2)), "(6, 2)"), (np.ones(6), "(6, 1)"), (np.ones((6, 3, 1)), "(6, 3, 1)")]
)
def test_targets_have_one_column_for_each_output(y, shape):
    assert refusal(ConfigError, MSE, y=y) == f"y has shape {shape}, but the model has 3 outputs."


@pytest.mark.parametrize("loss", [HOT, f"{HOT}(0.1)"])
def test_labels_for_a_loss_of_one_hot_rows_are_told_of_the_other_loss(loss):
    end = "For whole-number labels use loss='sparse_categorical_crossentropy'."
    assert refusal(ConfigError, loss, y=Y[SPARSE]) == f"y has shape (6, 1), but the model has 3 outputs. {end}"


def test_targets_are_finite():
    text = "Input y contains NaN (first at row 1, column 2; 1 value). Impute or drop it."
    assert refusal(NumericError, MSE, y=changed(Y[MSE], (1, 2), np.nan)) == text
    assert refusal(NumericError, MSE, y=changed(Y[MSE], (1, 2), np.inf)).startswith("Input y contains infinity")


def test_inputs_are_finite():
    text = "Input X contains NaN (first at row 3, column 1; 1 value). Impute or drop it."
    assert refusal(NumericError, MSE, X=changed(X, (3, 1), np.nan)) == text
    text = "Input X contains NaN (first at row 3, column 0; 6 values). Impute or drop it."
    assert refusal(NumericError, MSE, X=changed(X, slice(3, None), np.nan)) == text
    text = "Input X contains infinity or a value too large for dtype('{}') (first at row 0, column 0; 1 value). {}"
    found = refusal(NumericError, MSE, X=changed(X, (0, 0), 1e39))
    assert found == text.format("float32", "Scale the data or use precision='float64'.")
    found = refusal(NumericError, MSE, X=changed(X, (0, 0), -np.inf), precision="float64")
    assert found == text.format("float64", "Clip or drop it.")
    model_of(MSE).fit(changed(X, (0, 0), 1e39), Y[MSE], verbose=0, epochs=0, precision="float64", backend="reference")


def test_inputs_have_the_model_s_features():
    text = "X has 3 features, but the model is expecting 2 features as input."
    assert refusal(ConfigError, MSE, X=np.ones((6, 3))) == text
    text = "X has rows of shape (2, 2); the model expects (2,)"
    assert refusal(ConfigError, MSE, X=np.ones((6, 2, 2))) == text
    hint = "Reshape your data using X.reshape(-1, 1) (one feature) or X.reshape(1, -1) (one sample)."
    text = f"Expected 2D array, got 1D array instead: X has shape=(6,). {hint}"
    assert refusal(ConfigError, MSE, X=np.ones(6)) == text
    assert refusal(ConfigError, MSE, X=5.0).startswith("Expected 2D array, got 0D array instead")
    text = "Found array with 0 sample(s) (shape=(0, 2)) while a minimum of 1 is required."
    assert refusal(ConfigError, MSE, X=np.ones((0, 2)), y=np.ones((0, 3))) == text


def test_inputs_and_targets_have_as_many_rows():
    text = "Found input variables with inconsistent numbers of samples: [6, 5]"
    assert refusal(ConfigError, MSE, y=np.ones((5, 3))) == text
    assert refusal(ConfigError, SPARSE, y=np.zeros(5, int)) == text


@pytest.mark.parametrize("bad", [[["a", "b"]] * 6, [[1.0, "b"]] * 6])
def test_text_is_refused(bad):
    assert refusal(ConfigError, MSE, X=bad).startswith("X has dtype <U")
    text, column = ("a", 0) if bad[0][0] == "a" else ("b", 1)
    assert refusal(ConfigError, MSE, X=np.array(bad, object)) == (
        f"X has dtype object; expected real numbers; it holds text ({text!r}) at row 0, column {column}. "
        "Encode text as numbers, or give a data frame."
    )


def test_objects_are_refused():
    text = "X has dtype object; expected real numbers; it holds None at row 0, column 0. Impute or drop it."
    assert refusal(ConfigError, MSE, X=np.array([[None, 1.0]] * 6, object)) == text


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (np.ones(5), "sample_weight must have shape (6,), one number for each row; got (5,)"),
        (np.ones((6, 1)), "sample_weight must have shape (6,), one number for each row; got (6, 1)"),
        ([1, 1, -2, 1, 1, 1], "sample_weight must be finite and >= 0; got -2.0 at row 2"),
        ([1, 1, 1, 1, np.nan, 1], "sample_weight must be finite and >= 0; got nan at row 4"),
        (np.zeros(6), "sample_weight is zero for every row; at least one row must count"),
    ],
)
def test_weights_are_checked(weights, text):
    assert refusal(ConfigError, MSE, sample_weight=weights) == text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"class_weight": {0: 1.0, 1: 2.0}}, "class_weight has no weight for class 2; it has [0, 1]"),
        ({"epochs": -1}, "fit: epochs must be a whole number >= 0; got -1"),
        ({"epochs": 1.5}, "fit: epochs must be a whole number >= 0; got 1.5"),
        ({"batch_size": 0}, "fit: batch_size must be a whole number >= 1; got 0"),
        ({"batch_size": "all"}, "fit: batch_size must be a whole number >= 1; got 'all'"),
        ({"accumulate": 0}, "fit: accumulate must be a whole number >= 1; got 0"),
        ({"drop_last": True, "batch_size": 7}, "fit: drop_last leaves no batch: 6 rows, batches of 7"),
        ({"validation_split": 1.0}, "fit: validation_split must be a number >= 0 and < 1; got 1.0"),
        ({"validation_split": 0.01}, "fit: validation_split=0.01 of 6 rows leaves no rows on one side"),
        (
            {"validation_data": X},
            "fit: validation_data must be (X, y) or (X, y, sample_weight), a source or a list of batches",
        ),
        (
            {"validation_data": (X, Y[SPARSE]), "validation_split": 0.5},
            "fit: give validation_data or validation_split, not both",
        ),
        (
            {"validation_data": (np.ones((6, 3)), Y[SPARSE])},
            "validation X has 3 features, but the model is expecting 2 features as input.",
        ),
        (
            {"precision": "float16"},
            "backend 'reference' has no precision 'float16'; it has float32, float64; "
            "on a CUDA device, backend='cupy' has it",
        ),
    ],
)
def test_settings_are_checked(settings, text):
    assert refusal(ConfigError, SPARSE, **settings) == text


def test_a_model_without_loss_or_layers_says_what_to_do():
    with pytest.raises(ConfigError, match=r"^no loss chosen: call model.compile\(loss=...\) first"):
        model_of(None).fit(X, Y[MSE], verbose=0, backend="reference")
    empty = Sequential()
    empty.compile("sgd", "mse")
    unbuilt = Sequential([Dense(1)])
    unbuilt.compile("sgd", "mse")
    with pytest.raises(ConfigError, match=r"^Expected 2D array, got 1D array instead: X has shape=\(6,\)\."):
        unbuilt.fit(np.ones(6), np.ones(6), verbose=0, backend="reference")
    with pytest.raises(ConfigError, match=r"^the model has no layers; add some, for example model.add\(Dense\(1\)\)$"):
        empty.fit(X, Y[MSE], verbose=0, backend="reference")
