"""The ways in which the CPU program runs its steps: each equals the reference, with awkward shapes and bad values."""

from __future__ import annotations

import multiprocessing
import threading
from dataclasses import replace

import numpy as np
import pytest
from deepmath_numpy import ways
from networks import Case, compiled, targets

from deepmath import Dense, Sequential
from deepmath.layers import Activation, BatchNormalization, Dropout, GaussianNoise, LayerNormalization, PReLU
from deepmath.optimizers import SGD, Adam
from deepmath.regularizers import L2, MaxNorm

WIDTHS = {"narrow": 7, "wide": 24}
"""Of the hidden layers: what makes a network run this way."""
RULE = SGD(0.05, momentum=0.9)
"""Rules that divide by the gradient's size would make much of the rounding of a zero."""


def network(width: int, loss: str = "sparse_categorical_crossentropy", last: str = "softmax") -> tuple:
    """Every kind of stage once."""
    return (
        Dense(width, "relu", kernel_regularizer=L2(0.01), kernel_constraint=MaxNorm(1.5)),
        Dropout(0.3), BatchNormalization(), Dense(width, use_bias=False), PReLU(), LayerNormalization(),
        Activation("tanh"), Dense(3, last),
    )  # fmt: skip


def case_of(way: str, rows: int = 23, **settings: object) -> Case:
    rng = np.random.default_rng(rows)
    width, features = WIDTHS.get(way, 5), WIDTHS.get(way, 5) - 2
    layers = network(width) if way != "interpreted" else (GaussianNoise(0.1), *network(width))
    X = rng.standard_normal((rows, features))
    y = targets(rng, "sparse_categorical_crossentropy", rows, 3)
    return Case(layers, "sparse_categorical_crossentropy", RULE, X, y, seed=3, **settings)  # type: ignore[arg-type]


@pytest.fixture(params=ways.WAYS)
def way(request):
    return request.param


def both(case: Case, precision: str = "float64"):
    return compiled(case, "reference", precision), compiled(case, "numpy", precision)


def test_the_way_is_told(way):
    _, fused = both(case_of(way, batch_size=8))
    words = {"narrow": "loops over the batch", "wide": "products by BLAS", "interpreted": "steps by Python"}
    assert words[way] in dict(fused.plan())["steps"]


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
    """More parameters than `CACHED`: each stage is updated as soon as its gradient is known."""
    rng = np.random.default_rng(0)
    layers = (Dense(300, "relu", kernel_regularizer=L2(0.01)), Dense(200, "tanh"), Dense(2, "softmax"))
    X, y = rng.standard_normal((40, 50)), rng.integers(0, 2, 40)
    for clip in ({}, {"clipvalue": 1e-3}):
        case = Case(layers, "sparse_categorical_crossentropy", Adam(0.01, **clip), X, y, batch_size=16)
        reference, fused = both(case)
        np.testing.assert_allclose(fused.run(6), reference.run(6), rtol=1e-9, atol=1e-11)
        assert_same(fused, reference)


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
    assert all(np.array_equal(one.state()[n], v) for n, v in many.state().items())


def test_predictions_of_many_rows_and_of_one(way):
    case = case_of(way, rows=2100, batch_size=32)
    reference, fused = both(case)
    X = np.asarray(case.X)
    want = reference.predict(X)
    np.testing.assert_allclose(fused.predict(X), want, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fused.predict(X[5:6]), want[5:6], rtol=1e-9, atol=1e-12)
    assert fused.predict(X[:0]).shape == (0, 3)
    np.testing.assert_allclose(fused.measure(fused.data), reference.measure(reference.data), rtol=1e-9)


def test_data_that_may_not_be_written_to_compile_nothing_new():
    case = case_of("narrow", batch_size=8)
    before = [len(f.signatures) for f in (ways.steps("float64", "narrow").run,)]
    X = np.array(case.X)
    X.flags.writeable = False
    compiled(case, "numpy").run(2)
    compiled(replace(case, X=X), "numpy").run(2)
    after = [len(f.signatures) for f in (ways.steps("float64", "narrow").run,)]
    assert before[0] <= after[0] <= 1


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


def test_a_new_network_of_known_formulas_compiles_nothing(monkeypatch):
    """Widths, depths, batch sizes and hyperparameters are run-time values."""
    X, y = np.random.default_rng(0).standard_normal((50, 4)), np.arange(50) % 2

    def fit(widths: tuple[int, ...], batch: int, rate: float) -> None:
        model = Sequential([Dense(w, "relu") for w in widths] + [Dense(2, "softmax")])
        model.compile(Adam(rate), "sparse_categorical_crossentropy")
        model.fit(X, y, epochs=1, batch_size=batch, verbose=0, backend="numpy")

    fit((5,), 8, 0.01)
    monkeypatch.setattr("deepmath_numpy.cache._stored", lambda *_: pytest.fail("something is compiled"))
    fit((3, 9, 4), 5, 0.1)


def assert_same(fused, reference) -> None:
    want = reference.state()
    for name, value in fused.state().items():
        np.testing.assert_allclose(value, want[name], rtol=1e-8, atol=1e-11, err_msg=name)
