"""How the CPU program runs its steps: each way equals the reference, with awkward shapes and bad values."""

from __future__ import annotations

import multiprocessing
import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from deepmath_numpy import is_fused
from networks import Case, compiled, targets

from deepmath import Dense, Sequential
from deepmath.layers import (
    Activation,
    BatchNormalization,
    Dropout,
    GaussianNoise,
    Layer,
    LayerNormalization,
    PReLU,
)
from deepmath.optimizers import SGD, Adam
from deepmath.regularizers import L2, MaxNorm

pytestmark = pytest.mark.skipif(not is_fused(), reason="needs llvmlite")

WAYS = ("straight line", "rows", "columns", "shared", "with Python")
"""One function for all of a step; a block of rows goes through all layers; products are cut along columns too; threads
share them; Python has a part."""
RULE = SGD(0.05, momentum=0.9)
"""Rules that divide by the gradient's size would make much of the rounding of a zero."""


@dataclass(frozen=True)
class Untraceable(Layer):
    """A layer with parameters and a state, of which no graph can be made."""

    def init(self, shape: Any, draws: Any) -> Any:
        return {"gain": np.ones(shape[-1:])}, {"seen": np.zeros(shape[-1:])}

    def apply(self, xp: Any, params: Any, state: Any, x: Any, bits: Any, training: bool) -> Any:
        sums = xp.cumulative_sum(x, axis=-1)
        y = params["gain"] * sums + state["seen"]

        def pullback(dy: Any) -> Any:
            back = xp.flip(xp.cumulative_sum(xp.flip(dy * params["gain"], axis=-1), axis=-1), axis=-1)
            return back, {"gain": xp.sum(dy * sums, axis=0)}

        new = {"seen": 0.9 * state["seen"] + 0.1 * xp.mean(x, axis=0)} if training else {}
        return y, pullback, new


def network(*more: Layer) -> tuple[Layer, ...]:
    """Every kind of layer once."""
    return (
        GaussianNoise(0.1), Dense(7, "relu", kernel_regularizer=L2(0.01), kernel_constraint=MaxNorm(1.5)),
        Dropout(0.3), BatchNormalization(), *more, Dense(7, use_bias=False), PReLU(), LayerNormalization(),
        Activation("tanh"), Dense(3, "softmax"),
    )  # fmt: skip


def case_of(way: str, rows: int = 23, **settings: object) -> Case:
    rng = np.random.default_rng(rows)
    layers = network(*([Untraceable()] if way == "with Python" else []))
    X, y = rng.standard_normal((rows, 5)), targets(rng, "sparse_categorical_crossentropy", rows, 3)
    return Case(layers, "sparse_categorical_crossentropy", RULE, X, y, seed=3, **settings)  # type: ignore[arg-type]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """A way, forced on networks of any size."""
    if request.param != "straight line":
        monkeypatch.setattr("deepmath_numpy.program.small", lambda *_: (None, "the test says so"))
    if request.param in ("columns", "shared"):
        monkeypatch.setattr("deepmath_numpy.schedule.IN_CACHE", 0)
    if request.param == "shared":
        monkeypatch.setattr("deepmath_numpy.schedule.SHARED", 0)
        monkeypatch.setattr("deepmath_numpy.schedule.WORTH", 0)
        monkeypatch.setattr("deepmath_numpy.threads.available", lambda: 3)
    return request.param


def both(case: Case, precision: str = "float64"):
    return compiled(case, "reference", precision), compiled(case, "numpy", precision)


def test_the_way_is_told(way):
    plan = compiled(case_of(way, batch_size=8), "numpy").plan()
    (title, words), *parts = plan
    assert title == "steps"
    assert ("straight line" in words) == (way == "straight line")
    assert ("by Python" in words) == (way == "with Python")
    told = [how for name, how in parts if name == "Untraceable"]
    assert all(how.startswith("reference on numpy: xp.cumulative_sum") for how in told)
    assert len(told) == (way == "with Python")
    assert {how for name, how in parts if name != "Untraceable"} == {"compiled"}


@pytest.mark.parametrize("rows", [1, 2, 16, 17, 37])
@pytest.mark.parametrize("batch", [1, 7, 16, 64])
def test_any_number_of_rows(way, rows, batch):
    reference, fused = both(case_of(way, rows, batch_size=batch))
    for _ in range(3):
        k = min(3, rows)
        np.testing.assert_allclose(fused.run(k), reference.run(k), rtol=1e-9, atol=1e-11)
    assert_same(fused, reference)


@pytest.mark.parametrize(
    "settings",
    [{"accumulate": 3}, {"drop_last": True}, {"weights": np.arange(23.0) % 4}, {"shuffle": False}],
    ids=["accumulate", "drop_last", "weights", "in order"],
)
def test_settings(way, settings):
    reference, fused = both(case_of(way, batch_size=6, **settings))
    np.testing.assert_allclose(fused.run(5), reference.run(5), rtol=1e-9, atol=1e-11)
    assert_same(fused, reference)


@pytest.mark.parametrize("clip", [{"clipnorm": 0.1}, {"clipvalue": 0.01}, {"clipnorm": 0.1, "clipvalue": 0.02}])
def test_clipping(way, clip):
    case = replace(case_of(way, batch_size=6), optimizer=SGD(0.1, momentum=0.9, **clip))
    reference, fused = both(case)
    np.testing.assert_allclose(fused.run(5), reference.run(5), rtol=1e-9, atol=1e-11)
    assert_same(fused, reference)


def test_a_layer_updated_early_has_the_same_values():
    """A parameter is updated as soon as its gradient is known, while other gradients are still computed."""
    rng = np.random.default_rng(0)
    layers = (Dense(300, "relu", kernel_regularizer=L2(0.01)), Dense(200, "tanh"), Dense(2, "softmax"))
    X, y = rng.standard_normal((40, 50)), rng.integers(0, 2, 40)
    for clip in ({}, {"clipvalue": 1e-3}):
        case = Case(layers, "sparse_categorical_crossentropy", Adam(0.01, **clip), X, y, batch_size=16)
        reference, fused = both(case)
        np.testing.assert_allclose(fused.run(6), reference.run(6), rtol=1e-9, atol=1e-11)
        assert_same(fused, reference)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("batch_size", "width"), [(64, 0), (1, 700)], ids=["matrices", "single rows"])
def test_large_products_agree_with_the_reference(precision, batch_size, width):
    """Weights beyond the cache, so that products are cut along their columns."""
    tolerance = {"float32": 1e-4, "float64": 1e-11}[precision]
    rng, rows = np.random.default_rng(0), 130 if batch_size > 1 else 3
    layers = (Dense(600 + width, "tanh"), Dense(512 + width, "tanh"), Dense(80))
    X, Y = rng.standard_normal((rows, 96)), rng.standard_normal((rows, 80))
    reference, fused = both(Case(layers, "mse", SGD(0.01), X, Y, batch_size=batch_size), precision)
    np.testing.assert_allclose(fused.run(9), reference.run(9), rtol=tolerance, atol=tolerance)
    x = X.astype(precision)
    for some in (x, x[:1]):
        np.testing.assert_allclose(fused.predict(some), reference.predict(some), rtol=tolerance, atol=tolerance)
    for name, value in reference.state().items():
        np.testing.assert_allclose(fused.state()[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
def test_bad_values_pass_as_through_the_reference(way, bad):
    case = case_of(way, batch_size=8)
    reference, fused = both(case, "float32")
    for program in (reference, fused):
        state = program.state()
        name = next(n for n in state if n.endswith("kernel"))
        state[name] = state[name].copy()
        state[name][0, 0] = bad
        program.load(state)
    with np.errstate(all="ignore"):
        assert np.array_equal(np.isfinite(fused.run(2)), np.isfinite(reference.run(2)))
    for name, value in reference.state().items():
        assert np.array_equal(np.isnan(fused.state()[name]), np.isnan(value)), name


def test_chunks_have_the_same_bits(way):
    case = case_of(way, batch_size=4)
    one, many = compiled(case, "numpy"), compiled(case, "numpy")
    whole = many.run(11)
    assert np.array_equal(np.concatenate([one.run(1) for _ in range(11)]), whole)
    assert_equal_state(one, many)


@pytest.mark.parametrize("optimizer", [RULE, Adam(0.01), Adam(0.01, clipnorm=0.1)], ids=["momentum", "adam", "clipped"])
def test_the_bits_are_those_of_one_thread(way, optimizer, monkeypatch):
    case = replace(case_of(way, rows=300, batch_size=150), optimizer=optimizer)
    many = compiled(case, "numpy", "float32")
    monkeypatch.setattr("deepmath_numpy.threads.available", lambda: 1)
    one = compiled(case, "numpy", "float32")
    assert np.array_equal(one.run(60), many.run(60))
    assert_equal_state(one, many)


def test_predictions_of_many_rows_and_of_one(way):
    case = case_of(way, rows=2100, batch_size=32)
    reference, fused = both(case)
    X = np.asarray(case.X)
    want = reference.predict(X)
    np.testing.assert_allclose(fused.predict(X), want, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fused.predict(X[5:6]), want[5:6], rtol=1e-9, atol=1e-12)
    assert fused.predict(X[:0]).shape == (0, 3)
    np.testing.assert_allclose(fused.measure(fused.data), reference.measure(reference.data), rtol=1e-9)


def test_data_may_be_such_that_nobody_may_write_to_them(way):
    case = case_of(way, batch_size=8)
    X = np.array(case.X)
    X.flags.writeable = False
    results = [compiled(c, "numpy").run(2) for c in (case, replace(case, X=X))]
    assert np.array_equal(*results)


def test_two_threads_train_two_models(way):
    cases = [replace(case_of(way, batch_size=8), seed=seed) for seed in (1, 2)]
    alone = [compiled(case, "numpy").run(40) for case in cases]
    programs = [compiled(case, "numpy") for case in cases]
    found: dict[int, object] = {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: programs[i].run(40)})) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[i], alone[i]) for i in (0, 1))


def child(way: str, queue: object) -> None:
    queue.put(compiled(case_of(way, batch_size=8), "numpy").run(5))  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*fork", "ignore::pytest.PytestUnraisableExceptionWarning")  # JAX may be loaded
def test_a_forked_child_trains(way):
    want = compiled(case_of(way, batch_size=8), "numpy").run(5)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(way, queue))
    process.start()
    found = queue.get(timeout=300)
    process.join(timeout=60)
    assert process.exitcode == 0
    assert np.array_equal(found, want)


def fit(widths: tuple[int, ...], batch: int, share: float) -> None:
    """A training whose hyperparameters all come from `share`, and predictions."""
    X, y = np.random.default_rng(0).standard_normal((50, 4)), np.arange(50) % 2
    layers = [
        layer
        for w in widths
        for layer in (Dense(w, "elu", kernel_regularizer=L2(share)), Dropout(share), BatchNormalization(1 - share))
    ]
    model = Sequential([*layers, Dense(2, "softmax")], seed=batch)
    model.compile(Adam(share, clipnorm=share), "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(X, y, epochs=1, batch_size=batch, verbose=0, validation_split=0.2, backend="numpy")
    model.predict(X, backend="numpy")


def test_a_new_network_of_known_formulas_compiles_nothing(monkeypatch):
    """Widths, depths, batch sizes, rates and all other hyperparameters are run-time values."""
    monkeypatch.setattr("deepmath_numpy.program.small", lambda *_: (None, "the test says so"))
    fit((5, 6), 8, 0.1)
    monkeypatch.setattr("deepmath_numpy.compiler._load", lambda *_: pytest.fail("something is compiled"))
    fit((3, 9, 40), 5, 0.25)


def test_other_hyperparameters_of_a_small_network_compile_nothing(monkeypatch):
    """A straight line knows its sizes, and nothing else."""
    fit((5, 6), 8, 0.1)
    monkeypatch.setattr("deepmath_numpy.compiler._load", lambda *_: pytest.fail("something is compiled"))
    fit((5, 6), 8, 0.25)


def assert_same(fused, reference) -> None:
    want = reference.state()
    for name, value in fused.state().items():
        np.testing.assert_allclose(value, want[name], rtol=1e-8, atol=1e-11, err_msg=name)


def assert_equal_state(one, other) -> None:
    want = other.state()
    for name, value in one.state().items():
        assert np.array_equal(value, want[name]), name
