"""One program text on every library: gradients, training, prediction and evaluation agree with NumPy's."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import array_api_compat
import array_api_strict
import jax
import numpy as np
import pytest
import read_only
import torch
from networks import Case, Probe, compiled

from deepmath import Sequential
from deepmath.arrays import to_numpy
from deepmath.backend import ReferenceBackend, load_backend
from deepmath.batches import InMemory
from deepmath.data import validation
from deepmath.errors import ConfigError
from deepmath.layers import Activation, BatchNormalization, Dense, Dropout
from deepmath.optimizers import SGD, Adam
from deepmath.program import Data
from deepmath.regularizers import L2


@contextlib.contextmanager
def strict_flags(**flags):
    before = array_api_strict.get_array_api_strict_flags()
    array_api_strict.set_array_api_strict_flags(**flags)
    try:
        yield
    finally:
        array_api_strict.set_array_api_strict_flags(
            **{n: v for n, v in before.items() if n in ("boolean_indexing", "data_dependent_shapes")}
        )


FEW = {"boolean_indexing": False, "data_dependent_shapes": False}

LIBRARIES = {
    "read-only": lambda: ReferenceBackend("read-only", read_only.Namespace()),
    "strict": lambda: load_backend("array_api_strict"),
    "strict with few features": lambda: load_backend("array_api_strict"),
    "strict on device1": lambda: load_backend("array_api_strict", array_api_strict.Device("device1")),
    "torch": lambda: load_backend("torch"),
    "jax": lambda: load_backend("jax"),
}


@pytest.fixture(params=LIBRARIES)
def library(request):
    """A backend on each library, with float64, while the global flags stand as it needs them."""
    few = strict_flags(**FEW) if "few" in request.param else contextlib.nullcontext()
    x64 = jax.enable_x64(True) if request.param == "jax" else contextlib.nullcontext()
    with few, x64:
        yield LIBRARIES[request.param]()
    assert array_api_strict.get_array_api_strict_flags()["boolean_indexing"]
    assert not jax.config.jax_enable_x64


def case_of(loss: str, optimizer, *layers) -> Case:
    rng = np.random.default_rng(4)
    X = rng.standard_normal((19, 5))
    scores = X @ rng.standard_normal((5, 3))
    y = {"mse": scores, "sse": scores[:, :2], "binary_crossentropy": (scores > 0) * 1.0}.get(loss)
    if y is None:
        y = scores.argmax(1) if loss.startswith("sparse") else np.eye(3)[scores.argmax(1)]
    weights = rng.choice([0.0, 1.0, 2.0], 19)
    measures = ("mae",) if loss in ("mse", "sse") else ("accuracy",)
    return Case(layers, loss, optimizer, X, y, weights, batch_size=4, accumulate=2, seed=9, metrics=measures)


CASES = {
    "everything": case_of(
        "sparse_categorical_crossentropy",
        Adam(0.02, clipnorm=0.3),
        *(Dense(7, "relu", kernel_regularizer=L2(0.1)), Dropout(0.3), Dense(6, use_bias=False)),
        *(BatchNormalization(), Activation("tanh"), Dense(3, "softmax")),
    ),
    "one-hot": case_of("categorical_crossentropy", SGD(0.1), Dense(6, "softmax"), Dense(3, "softmax")),
    "shares": case_of("binary_crossentropy", SGD(0.1, momentum=0.9), Dense(5, "sigmoid"), Dense(3, "sigmoid")),
    "values": case_of("mse", SGD(0.1, 0.9, True, clipvalue=0.1), Dropout(0.2), Dense(5, "linear"), Dense(3, "tanh")),
    "sums": case_of("sse", SGD(0.01), Dense(4, "tanh", use_bias=False), Dense(2)),
}


def agree(found, expected, tolerance=1e-11):
    assert found.keys() == expected.keys()
    for name, want in expected.items():
        got = np.asarray(found[name])
        assert got.shape == want.shape, name
        assert np.max(np.abs(got - want) / np.maximum(1.0, np.abs(want)), initial=0.0) < tolerance, name


@pytest.mark.parametrize("name", CASES)
def test_float64_results_agree_with_numpy(name, library):
    case = CASES[name]
    here, there = compiled(case), compiled(case, library)
    data = Data(case.X, case.y, case.weights)
    micro = InMemory(here.recipe, data).at(0)
    values = here.state()
    agree(Probe(case, library).gradients(values, micro), Probe(case).gradients(values, micro))
    expected = np.asarray(here.run(5))
    agree({"results": there.run(5)}, {"results": expected})
    agree(there.state(), here.state())
    admitted = [
        validation.validated(b, p.recipe, case.X, case.y, case.weights)
        for b, p in ((load_backend("reference"), here), (library, there))
    ]
    agree({"results": there.measure(admitted[1])}, {"results": np.asarray(here.measure(admitted[0]))})
    predicted = there.predict(library.put(case.X, "float64"))
    assert type(predicted) is type(library.put(case.X, "float64"))
    agree({"p": to_numpy(predicted)}, {"p": np.asarray(here.predict(case.X))})


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_initial_weights_are_equal(library, precision):
    case = CASES["everything"]
    here, there = compiled(case, precision=precision).state(), compiled(case, library, precision).state()
    assert {n: (v.dtype, v.tolist()) for n, v in there.items()} == {n: (v.dtype, v.tolist()) for n, v in here.items()}


def test_dropout_masks_are_equal(library):
    """Inputs of one, weights of one and no step: what comes out is the mask, summed over the units in binary."""
    layers = (Dropout(0.4), Dense(1, None, False, "ones"))
    X = np.tile(2.0 ** np.arange(10), (30, 1))
    case = Case(layers, "mse", SGD(0.0), X, np.zeros((30, 1)), batch_size=8, accumulate=2, seed=21)
    here, there = (np.asarray(compiled(case, b).run(4))[:, 0] for b in ("reference", library))
    assert len(set(here)) == 4
    np.testing.assert_allclose(there, here, rtol=1e-14)


def test_the_order_of_rows_is_equal(library):
    """Targets are powers of ten and the prediction is zero: each step's loss says which rows it saw."""
    layers = (Dense(1, None, False, "zeros"),)
    y = 10.0 ** (np.arange(8) / 2.0)[:, None]
    case = Case(layers, "mse", SGD(0.0), np.ones((8, 1)), y, batch_size=3, seed=5)
    here, there = (np.asarray(compiled(case, b).run(9))[:, 0] for b in ("reference", library))
    assert len(set(here)) > 4
    np.testing.assert_allclose(there, here, rtol=1e-14)


def model_of(case: Case) -> Sequential:
    model = Sequential(case.layers, seed=case.seed)
    model.compile(case.optimizer, case.loss, case.metrics, unusual=True)
    return model


ARRAYS = {
    "numpy": np.asarray,
    "strict": array_api_strict.asarray,
    "strict on device1": lambda x: array_api_strict.asarray(x, device=array_api_strict.Device("device1")),
    "torch": torch.asarray,
    "jax": jax.numpy.asarray,
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_predictions_come_back_in_the_library_that_the_inputs_came_in(kind):
    case = CASES["everything"]
    model = model_of(case)
    X, y = ARRAYS[kind](case.X.astype(np.float32)), ARRAYS[kind](case.y.astype(np.int32))
    history = model.fit(X, y, epochs=2, batch_size=4, verbose=0)
    predicted = model.predict(X)
    assert type(predicted) is type(X)
    assert predicted.shape == (19, 3)
    assert "float32" in str(predicted.dtype)
    assert array_api_compat.device(predicted) == array_api_compat.device(X)
    reference = model_of(case)
    expected = reference.fit(case.X, case.y, epochs=2, batch_size=4, verbose=0, backend="reference")
    np.testing.assert_allclose(history.history["loss"], expected.history["loss"], rtol=1e-3)
    measured = model.evaluate(X, y)
    assert measured.keys() == {"loss", "cost", *case.metrics}
    assert measured["cost"] == pytest.approx(reference.evaluate(case.X, case.y)["cost"], rel=1e-2)


def test_the_flag_moves_numpy_arrays_to_another_library_and_back():
    case = CASES["values"]
    model, expected = model_of(case), model_of(case)
    settings = {"epochs": 3, "batch_size": 4, "verbose": 0, "precision": "float64"}
    model.fit(case.X, case.y, backend="torch", **settings)
    expected.fit(case.X, case.y, backend="reference", **settings)
    for found, want in zip(model.get_weights(), expected.get_weights(), strict=True):
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, want, rtol=1e-11, atol=1e-13)
    assert isinstance(model.predict(case.X, backend="torch"), np.ndarray)


def test_jax_without_x64_trains_in_float32_and_refuses_float64():
    case = CASES["everything"]
    program = compiled(case, "jax", "float32")
    found = np.asarray(program.run(5))
    np.testing.assert_allclose(found[0], np.asarray(compiled(case, precision="float32").run(1))[0], rtol=1e-5)
    assert {str(v.dtype) for n, v in program.state().items() if n not in ("step", "rate")} == {"float32"}
    with pytest.raises(ConfigError, match="jax_enable_x64"):
        compiled(case, "jax", "float64")


def test_jax_without_x64_draws_the_same_masks():
    case = replace(CASES["values"], layers=(Dropout(0.4), Dense(3, None, False, "ones")), optimizer=SGD(0.0))
    found, expected = (np.asarray(compiled(case, b, "float32").run(4))[:, 0] for b in ("jax", "reference"))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_write_to_a_read_only_array_raises():
    x = read_only.frozen(np.ones(3))
    with pytest.raises(TypeError, match="read-only"):
        x += 1.0
    with pytest.raises(TypeError, match="read-only"):
        x[0] = 2.0
    with pytest.raises(TypeError, match="read-only"):
        np.add(1.0, 2.0, out=x)
    with pytest.raises(TypeError, match="read-only"):
        (x + 1.0)[0] = 2.0
    assert isinstance(read_only.Namespace().matmul(x, x), read_only.ReadOnly)
