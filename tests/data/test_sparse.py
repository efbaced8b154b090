"""Sparse rows of SciPy give the results of the same rows as an array on every backend; few are dense at a time."""

import numpy as np
import pytest

pytest.importorskip("scipy")
from scipy import sparse as sp

from deepmath import Activation, BatchNormalization, Dense, Dropout, Sequential
from deepmath.backend import Backend, load_backend
from deepmath.callbacks import Checkpoint
from deepmath.errors import ConfigError, NonFiniteError, NumericError
from deepmath.preprocessing import Standardize

X = sp.random_array((200, 30), density=0.1, rng=np.random.default_rng(0), format="csr")
D = X.toarray()
Y = (D.sum(1) > 1.5).astype(int)


def net(*layers, loss="binary_crossentropy", optimizer="adam", **settings):
    model = Sequential(layers or [Dense(6, "tanh", kernel_regularizer="l2"), Dense(1, "sigmoid")], **settings)
    model.compile(optimizer, loss, ["accuracy", "auc"] if loss == "binary_crossentropy" else [])
    return model


class Streaming(Backend):
    """A backend of somebody's that knows nothing of sparse rows."""

    name = "streaming"

    def put(self, x, dtype):
        assert not sp.issparse(x)
        return load_backend("reference").put(x, dtype)

    def compile(self, recipe, values, data=None):
        return load_backend("reference").compile(recipe, values, data)


@pytest.mark.parametrize(
    "backend", ["numpy", "reference", "torch", Streaming()], ids=["numpy", "reference", "torch", "streaming"]
)
@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_array, sp.coo_array, sp.dok_array])
def test_they_are_the_rows(backend, form):
    pytest.importorskip(backend if backend == "torch" else "numpy")
    where = {"backend": backend, "precision": "float64"}
    results = []
    for rows in (D, form(X)):
        model = net()
        settings = {"epochs": 3, "verbose": 0, "sample_weight": 1.0 + Y, "validation_split": 0.25, "accumulate": 2}
        history = model.fit(rows, Y, **settings, **where)
        model.train_on_batch(rows, Y, **where)
        results.append((history.history["val_loss"], model.evaluate(rows, Y, **where), model.predict(rows, **where)))
        results[-1] += (model.predict(D, **where),)
    (losses, measured, p, p_dense), (losses_2, measured_2, p_2, p_dense_2) = results
    assert losses_2 == pytest.approx(losses, rel=1e-12)
    assert measured_2 == pytest.approx(measured, rel=1e-12)
    for a, b in ((p, p_2), (p_dense, p_dense_2)):
        np.testing.assert_allclose(a, b, rtol=1e-12)
        assert isinstance(b, np.ndarray)


@pytest.mark.parametrize("layers", [
    [BatchNormalization(), Dense(1, "sigmoid")], [Dropout(0.2), Dense(1, "sigmoid")], [Activation("tanh"), Dense(1)],
    [Dense(1, "sigmoid", use_bias=False)], [Dense(4, lambda xp, z: xp.where(z > 0, z, 0.1 * z)), Dense(1, "sigmoid")],
], ids=["normalised", "dropped", "activated", "without bias", "own"])  # fmt: skip
@pytest.mark.parametrize(
    "shuffle", [True, False, 60, lambda epoch, rows: np.arange(rows)[::-1]], ids=["all", "none", "window", "function"]
)
def test_whatever_stands_first_and_in_any_order(layers, shuffle):
    loss = "binary_crossentropy" if layers[-1].activation else "mse"
    found = []
    for rows in (D, X):
        model = net(*layers, loss=loss)
        model.fit(rows, Y, epochs=2, shuffle=shuffle, precision="float64", verbose=0)
        found.append(model.predict(rows, precision="float64"))
    np.testing.assert_allclose(*found, rtol=1e-10)


def test_all_rows_at_once():
    found = []
    for rows in (D, X):
        model = net(optimizer="lbfgs")
        model.fit(rows, Y, epochs=5, precision="float64", verbose=0)
        found.append(model.predict(D, precision="float64"))
    np.testing.assert_allclose(*found, rtol=1e-6)


def test_scaled_and_in_batches_they_become_dense():
    found = []
    for rows in (D, X):
        model = net(preprocessing=Standardize())
        model.fit(rows, Y, epochs=2, precision="float64", verbose=0)
        model.fit([(rows[:100], Y[:100]), (rows[100:], Y[100:])], epochs=1, verbose=0, validation_data=(rows, Y))
        found.append(model.predict(rows, precision="float64"))
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_a_model_goes_from_the_one_to_the_other():
    model = net()
    for rows in (X, D, X):
        model.fit(rows, Y, epochs=1, verbose=0, validation_data=(D, Y))
        model.fit(rows, Y, epochs=1, verbose=0, validation_data=(X, Y))
        model.train_on_batch(rows[:7], Y[:7])
        np.testing.assert_allclose(model.predict(X), model.predict(D), rtol=1e-5)


def test_the_plan_and_the_checkpoint_know_them(tmp_path):
    model = net()
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[Checkpoint(tmp_path)], precision="float64")
    again = net()
    again.fit(X, Y, epochs=2, verbose=0, resume=tmp_path, precision="float64")
    assert np.array_equal(again.get_weights()[0], model.get_weights()[0])
    with pytest.raises(ConfigError, match="data"):
        net().fit(2.0 * X, Y, epochs=3, verbose=0, resume=tmp_path, precision="float64")


def test_what_is_wrong_is_told_with_its_place():
    bad = X.copy()
    row, column = 11, int(X.indices[X.indptr[11]])
    bad.data[X.indptr[11]] = np.nan
    with pytest.raises(NumericError, match=rf"Input X contains NaN \(first at row {row}, column {column}; 1 value\)"):
        net().fit(bad, Y)
    with pytest.raises(ConfigError, match=r"X has dtype complex128; expected real numbers\. Give real and imaginary"):
        net().fit(X.astype(complex), Y)
    fitted = net()
    fitted.fit(X, Y, verbose=0)
    with pytest.raises(ConfigError, match="X has 29 features, but the model is expecting 30"):
        fitted.predict(X[:, :29])
    bad.data[X.indptr[11]] = 1e200
    with pytest.raises(NonFiniteError, match=rf"the inputs reach 1e\+200 \(column {column}\). Scale them"):
        net(Dense(1), loss="mse").fit(bad, Y, batch_size="full", precision="float64", verbose=0)


def test_steps_take_them_sparse(monkeypatch):
    hooks = pytest.importorskip("deepmath_numpy.hooks")
    calls, sparse = [], hooks.Hooks._sparse
    monkeypatch.setattr(hooks.Hooks, "_sparse", lambda self, *given: calls.append(given) or sparse(self, *given))
    net().fit(X, Y, batch_size=50, verbose=0)
    assert len(calls) == 2 * 4  # forward and backward of four steps
