"""What is an array: frames of any library, sparse matrices and masked arrays are taken, or refused with the cure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from deepmath import Dense, Sequential, metrics
from deepmath.errors import ConfigError, LabelError
from deepmath.preprocessing import Standardize

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 4))
Y = (X[:, 0] > 2 * X[:, 1]).astype(int)
QUIET = {"verbose": 0, "backend": "reference", "precision": "float64"}


def trained(X, y=Y, **settings):
    model = Sequential([Dense(5, "tanh"), Dense(1, "sigmoid")], seed=1)
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    model.fit(X, y, epochs=2, batch_size=16, **QUIET, **settings)
    return model


def same(model, other=None):
    return all(map(np.array_equal, model.get_weights(), (other or trained(X)).get_weights()))


NAMES = list("abcd")
FRAMES = {
    "pandas": lambda: pd.DataFrame(X, columns=NAMES),
    "nullable": lambda: pd.DataFrame(X, columns=NAMES).astype("Float64"),
    "arrow dtypes": lambda: pd.DataFrame(X, columns=NAMES).astype("double[pyarrow]"),
    "numbered": lambda: pd.DataFrame(X),
    "objects": lambda: pd.DataFrame(X, columns=NAMES).astype(object),
    "polars": lambda: pl.DataFrame(X, schema=NAMES),
    "lazy": lambda: pl.DataFrame(X, schema=NAMES).lazy(),
    "pyarrow": lambda: pa.table({n: X[:, i] for i, n in enumerate(NAMES)}),
    "array of objects": lambda: X.astype(object),
    "lists": lambda: X.tolist(),
    "masked nowhere": lambda: np.ma.masked_array(X, np.zeros(X.shape, bool)),
}
SERIES = {
    "pandas": lambda: pd.Series(Y),
    "nullable": lambda: pd.Series(Y, dtype="Int64"),
    "boolean": lambda: pd.Series(Y.astype(bool), dtype="boolean"),
    "polars": lambda: pl.Series("y", Y),
    "pyarrow": lambda: pa.chunked_array([Y[:50], Y[50:]]),
    "one column": lambda: pd.DataFrame({"y": Y}),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_table_of_numbers_trains_as_the_array_does(kind):
    given = FRAMES[kind]()
    model = trained(given)
    assert same(model)
    assert np.array_equal(model.predict(given, backend="reference"), model.predict(X, backend="reference"))
    assert model.evaluate(given, Y, backend="reference") == model.evaluate(X, Y, backend="reference")


@pytest.mark.parametrize("kind", SERIES)
def test_targets_and_weights_may_be_series(kind):
    assert same(trained(X, SERIES[kind]()))
    weights = RNG.random(len(X))
    assert same(trained(X, sample_weight=pd.Series(weights)), trained(X, sample_weight=weights))


def test_booleans_stand_beside_numbers():
    frame = pd.get_dummies(pd.DataFrame({"a": X[:, 0], "kind": np.where(Y, "u", "v")}))
    numbers = frame.to_numpy(np.float64)
    assert same(trained(frame), trained(numbers))
    assert Standardize().fit(frame).apply(frame).tobytes() == Standardize().fit(numbers).apply(numbers).tobytes()
    assert metrics.get("accuracy").of(pd.Series(Y * 1.0, dtype="Float64"), pl.Series(Y)) == 1.0


SPARSE = sp.random(120, 30, 0.2, random_state=0, format="csr")


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "csr_array"])
@pytest.mark.parametrize("shuffle", [True, False, 32])
def test_sparse_rows_train_as_dense_ones_do(form, shuffle):
    given = sp.csr_array(SPARSE) if form == "csr_array" else SPARSE.asformat(form)
    model, dense = trained(given, shuffle=shuffle), trained(SPARSE.toarray(), shuffle=shuffle)
    assert same(model, dense)
    assert np.array_equal(
        model.predict(given, backend="reference"), dense.predict(SPARSE.toarray(), backend="reference")
    )
    assert model.evaluate(given, Y, backend="reference") == dense.evaluate(SPARSE.toarray(), Y, backend="reference")


def test_sparse_rows_are_held_out_validated_and_trained_on_singly():
    model = trained(SPARSE, validation_split=0.25)
    assert same(model, trained(SPARSE.toarray(), validation_split=0.25))
    again = trained(SPARSE, validation_data=(SPARSE, Y))
    assert same(again, trained(SPARSE.toarray(), validation_data=(SPARSE.toarray(), Y)))
    for given in (SPARSE, SPARSE.toarray()):
        (model if given is SPARSE else again).train_on_batch(given, Y, backend="reference")


DATES = np.array([["2020-01-01", "2020-01-02"]] * 120, "M8[D]")
MASKED = np.ma.masked_greater(X, 2.0)
REFUSED = {
    "dates": (
        DATES,
        r"X has dtype datetime64\[D\]; expected real numbers. Give a data frame, or make numbers of dates",
    ),
    "durations": (
        DATES - DATES[:1],
        r"X has dtype timedelta64\[D\]; expected real numbers. Divide durations by a unit",
    ),
    "complex": (X + 1j, "X has dtype complex128; expected real numbers. Give real and imaginary parts as columns"),
    "masked": (MASKED, rf"X has {MASKED.mask.sum()} masked values?, which would count as if they weren't. Fill them"),
    "None": ([[1.0, None]] * 120, "it holds None at row 0, column 1. Impute or drop it"),
    "text": ([["red", "blue"]] * 120, r"it holds text \('red'\). Encode text as numbers, or give a data frame"),
    "ragged": ([[1.0], [1.0, 2.0]] * 60, "X must be an array of numbers whose rows have one length"),
    "a list of things": (np.array([[{}, 1]] * 120, object), r"it holds \{\} at row 0, column 0"),
    "nested": (pl.DataFrame({"a": [[1, 2]] * 120}), "column 'a' holds nested values"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_number_is_refused_with_the_cure(kind):
    given, text = REFUSED[kind]
    with pytest.raises(ConfigError, match=text):
        trained(given)


def test_missing_targets_are_named():
    y = pd.Series(Y, dtype="Int64")
    y[7] = None
    with pytest.raises(ValueError, match=r"Input y contains NaN \(first at row 7"):
        trained(X, y)
    model = Sequential([Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(LabelError, match=r"label nan at row 7 is not a number. Drop the row or give it a label"):
        model.fit(X, y, **QUIET)


def test_dates_and_complex_numbers_are_no_predictions_and_no_weights():
    for wrong in (DATES[:, 0], Y + 1j):
        with pytest.raises(ConfigError, match="expected real numbers"):
            metrics.get("mse").of(wrong, Y)
        with pytest.raises(ConfigError, match=r"sample_weight has dtype .* expected real numbers"):
            trained(X, sample_weight=wrong)
