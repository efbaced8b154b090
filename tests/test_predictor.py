"""`Sequential.predictor`: the bits of `predict`, for any data, threads and processes; and programs that are kept."""

from __future__ import annotations

import copy
import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from deepmath import BatchNormalization, Dense, Dropout, Layer, Sequential
from deepmath.errors import ConfigError, DeepmathError, NumericError
from deepmath.preprocessing import Chain, MinMax, PCAWhitening, SmoothClip, Standardize
from deepmath.tables import NumberTarget

PRECISIONS = ("float32", "float64")
PREPROCESSINGS = [
    None, Standardize(), MinMax(-1.0, 3.0), Chain([Standardize(), SmoothClip(2.0), MinMax(0.2, 0.7)]), PCAWhitening(),
]  # fmt: skip


class Opaque(Layer):
    """Its values are seen by Python, so it can't be traced."""

    def init(self, shape, draws):
        return {"scale": np.full(shape[-1:], 1.5)}, {}

    def apply(self, xp, params, state, x, bits, training):
        y = xp.where(x > 0, x, 0.0 * x) if float(xp.max(x)) > -1e9 else x
        return y * params["scale"], lambda dy: (dy, {"scale": xp.sum(dy * x, axis=0)}), {}


def rows(count, features=5, seed=0):
    return np.random.default_rng(seed).standard_normal((count, features)) * 3.0 + 1.0


def network(preprocessing=None, *extra):
    model = Sequential([Dense(16, "relu"), BatchNormalization(), *extra, Dropout(0.5), Dense(3, "softmax")], seed=3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.preprocessing = None if preprocessing is None else preprocessing.fit(rows(50))
    model.build((5,))
    return model


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("preprocessing", PREPROCESSINGS, ids=repr)
def test_it_gives_the_bits_of_predict_for_any_rows(preprocessing, dtype, precision):
    model = network(preprocessing)
    x = rows(3000).astype(dtype)
    predict = model.predictor(precision=precision)
    slowly = model.predict(np.asfortranarray(x)[:, ::-1][:, ::-1], precision=precision)
    again = [model.predict(x, precision=precision) for _ in range(2)]  # the second time in one call
    np.testing.assert_array_equal(predict(x), slowly)
    np.testing.assert_array_equal(again, [slowly, slowly])
    pieces = ((0, 1), (1, 2), (2, 19), (5, 70), (0, 1025))
    for start, stop in () if isinstance(preprocessing, PCAWhitening) else pieces:  # BLAS rounds as its blocks fall
        np.testing.assert_array_equal(predict(x[start:stop]), slowly[start:stop])
    reference = model.predict(x, precision=precision, backend="reference")
    np.testing.assert_allclose(slowly, reference, atol=1e-5 if precision == "float32" else 1e-12)


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS[:4], ids=repr)
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_compiled_preprocessing_has_the_bits_of_apply(preprocessing, dtype):
    model = Sequential([Dense(5, input_dim=5)])
    model.set_weights([np.eye(5), np.zeros(5)])
    model.preprocessing = None if preprocessing is None else preprocessing.fit(rows(50))
    x = np.concatenate([rows(500), 1e-6 * rows(500, seed=1), 1e4 * rows(500, seed=2)]).astype(dtype)
    applied = x if preprocessing is None else model.preprocessing.apply(x)
    np.testing.assert_array_equal(model.predictor(precision=dtype)(x), applied)
    np.testing.assert_array_equal(model.predictor()(x), applied.astype(np.float32))


def test_other_inputs_go_the_way_of_predict():
    pd = pytest.importorskip("pandas")
    model = network()
    predict, x = model.predictor(), rows(7)
    expected = predict(x)
    views = [
        x.tolist(),
        pd.DataFrame(x).to_numpy(),
        np.asfortranarray(x),
        np.repeat(x, 2, axis=0)[::2],
        x.astype(">f8"),
    ]
    for given in views:
        np.testing.assert_array_equal(predict(given), expected)
    whole = np.round(x).astype(np.int64)
    np.testing.assert_array_equal(predict(whole), predict(whole.astype(np.float64)))


@pytest.mark.parametrize("preprocessing", [None, Standardize(), SmoothClip(2.0)], ids=repr)
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_it_refuses_what_predict_refuses_with_the_same_words(preprocessing, dtype):
    model = network(preprocessing)
    predict = model.predictor()
    good = rows(200).astype(dtype)
    bad = [good[:, :4], good[0], good[:0], good[None], good.astype(str), good.astype(complex), np.float32(1.0)]
    for value in (np.nan, np.inf, -np.inf):
        for place in ((0, 0), (199, 4), (77, 2)):
            given = good.copy()
            given[place] = value
            bad += [given, given[place[0] : place[0] + 1]]
    for given in bad:
        with pytest.raises(DeepmathError) as ours:
            predict(given)
        with pytest.raises(DeepmathError) as theirs:
            model.predict(given)
        assert (type(ours.value), str(ours.value)) == (type(theirs.value), str(theirs.value))
    np.testing.assert_array_equal(predict(good), model.predict(good))


def test_a_number_too_large_for_the_precision_is_refused():
    model = network()
    x = rows(3)
    x[1, 2] = 1e300
    with pytest.raises(NumericError, match=r"too large for dtype\('float32'\)"):
        model.predictor()(x)
    assert np.isfinite(model.predictor(precision="float64")(x)).all()


def test_it_keeps_its_weights_when_the_model_trains():
    model = network()
    x, y = rows(64), np.arange(64) % 3
    predict = model.predictor()
    before = predict(x)
    model.fit(x, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(predict(x), before)
    assert not np.array_equal(model.predict(x), before)
    np.testing.assert_array_equal(model.predictor()(x), model.predict(x))
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    np.testing.assert_array_equal(predict(x), before)


def test_predict_follows_every_change_of_the_model():
    model = network(Standardize())
    x, y = rows(64).astype(np.float32), np.arange(64) % 3

    def check():
        fresh = copy.deepcopy(model).predict(x)
        for _ in range(3):
            np.testing.assert_array_equal(model.predict(x), fresh)
        return fresh

    seen = [check()]
    for change in (
        lambda: model.train_on_batch(x, y),
        lambda: model.fit(x, y, epochs=1, verbose=0),
        lambda: model.set_weights([w * 0.5 for w in model.get_weights()]),
        lambda: model.train_on_batch(x, y),
        lambda: setattr(model, "preprocessing", MinMax().fit(x)),
        lambda: model.compile("sgd", "mse"),
        lambda: model.add(Dense(2)),
    ):
        change()
        seen.append(check())
    different = [not np.array_equal(a, b) for a, b in itertools.pairwise(seen)]
    assert different == [True, True, True, True, True, False, True]


def test_steps_and_predictions_in_turns_compile_nothing_and_change_nothing(monkeypatch):
    from deepmath_numpy import NumpyBackend

    compiled = []
    original = NumpyBackend.compile
    monkeypatch.setattr(NumpyBackend, "compile", lambda *args: compiled.append(1) or original(*args))
    x, y = rows(32).astype(np.float32), np.arange(32) % 3
    alone, turns = network(), network()
    for _ in range(4):
        alone.train_on_batch(x, y)
    assert len(compiled) == 1
    for _ in range(4):
        turns.train_on_batch(x, y)
        turns.predict(x)
        turns.evaluate(x, y)
    assert len(compiled) == 2
    np.testing.assert_array_equal(turns.predict(x), alone.predict(x))


@pytest.mark.parametrize("extra", [(), (Opaque(),)], ids=["compiled", "opaque"])
def test_threads_get_the_same_bits(extra):
    model = network(Standardize(), *extra)
    predict = model.predictor()
    sizes = [1, 3, 64, 500, 4000, 30_000]
    data = [rows(n, seed=n).astype(np.float32) for n in sizes]
    expected = [predict(x) for x in data]
    with ThreadPoolExecutor(4) as pool:
        for call in (predict, model.predict):
            found = list(pool.map(lambda i, call=call: (i % 6, call(data[i % 6])), range(60)))
            for i, p in found:
                np.testing.assert_array_equal(p, expected[i])


def test_bits_do_not_depend_on_the_number_of_threads():
    model = Sequential([Dense(64, "relu", input_dim=64), Dense(10, "softmax")], seed=1)
    predict, x = model.predictor(), rows(20_001, 64).astype(np.float32)
    whole = predict._quick
    found = []
    for threads in (1, 2, 5):
        whole._choice = type("Fixed", (), {"threads": threads, "record": lambda *_: None})()
        found.append(predict(x))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[0][7777:7778], predict(x[7777:7778]))
    x[20_000, 3] = np.nan
    with pytest.raises(NumericError, match="row 20000, column 3"):
        predict(x)


def test_layers_that_run_by_python_work():
    model = network(Standardize(), Opaque())
    x = rows(1500)
    predict = model.predictor()
    np.testing.assert_allclose(predict(x), model.predict(x, backend="reference"), atol=1e-5)
    np.testing.assert_array_equal(predict(x[:1]), predict(x)[:1])


def test_wide_networks_work():
    model = Sequential([Dense(700, "relu", input_dim=700), Dense(700, "tanh"), Dense(2)], seed=1)
    x = rows(1100, 700).astype(np.float32)
    predict = model.predictor()
    np.testing.assert_array_equal(predict(x), model.predict(x))
    np.testing.assert_array_equal(predict(x[:1]), predict(x)[:1])
    np.testing.assert_allclose(predict(x), model.predict(x, backend="reference"), atol=1e-3)


def test_a_scaled_target_keeps_its_unit():
    model = Sequential([Dense(4, "tanh", input_dim=5), Dense(1)])
    plain = model.predictor()(rows(3))
    model.target = NumberTarget("rent", 100.0, 20.0)
    np.testing.assert_array_equal(model.predictor()(rows(3)), plain * 20.0 + 100.0)
    np.testing.assert_array_equal(model.predict(rows(3)), plain * 20.0 + 100.0)


def test_data_frames_and_text_classes():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"size": [1.0, 2.0, 3.0, 4.0] * 5, "colour": ["red", "blue"] * 10})
    model = Sequential([Dense(4, "relu"), Dense(2, "softmax")], preprocessing=[Standardize()])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(frame, np.asarray(["no", "yes"] * 10), epochs=1, verbose=0)
    predict = model.predictor()
    np.testing.assert_array_equal(predict(frame), model.predict(frame))
    with pytest.raises(ConfigError, match="lacks the columns 'size'"):
        predict(frame[["colour"]])


WRITES = """
import pickle, sys
import numpy as np
from deepmath import Dense, Sequential
from deepmath.preprocessing import Standardize

X = np.random.default_rng(0).standard_normal((64, 5))
model = Sequential([Dense(16, "relu"), Dense(3, "softmax")], preprocessing=Standardize())
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(X, np.arange(64) % 3, epochs=1, verbose=0)
made = [model.predictor(), model.predictor(precision="float64"), model.predictor(backend="reference")]
pickled = pickle.dumps(made)
assert len(pickled) < 12_000, len(pickled)  # neither the optimiser's values nor compiled code
sys.stdout.buffer.write(pickle.dumps((pickled, X, [np.asarray(p(X)) for p in made])))
"""
READS = """
import copy, pickle, sys
import numpy as np

pickled, X, expected = pickle.load(sys.stdin.buffer)
for predict, p in zip(pickle.loads(pickled), expected, strict=True):
    np.testing.assert_array_equal(predict(X), p)
    np.testing.assert_array_equal(copy.deepcopy(predict)(X), p)
"""


def test_it_works_in_another_process():
    written = subprocess.run([sys.executable, "-c", WRITES], capture_output=True, check=True).stdout
    subprocess.run([sys.executable, "-c", READS], input=written, check=True)


@pytest.mark.parametrize("backend", ["reference", "array_api_strict"])
def test_other_backends_have_predictors_too(backend):
    if backend != "reference":
        pytest.importorskip(backend)
    model = network(Standardize())
    predict, x = model.predictor(backend=backend), rows(9)
    np.testing.assert_array_equal(np.asarray(predict(x)), np.asarray(model.predict(x, backend=backend)))


def test_arrays_of_another_library_come_back_in_it():
    torch = pytest.importorskip("torch")
    model = network()
    x = rows(4).astype(np.float32)
    predict = model.predictor()
    found = predict(torch.from_numpy(x))
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found.numpy(), predict(x), atol=1e-6)


def test_a_model_without_weights_has_none():
    with pytest.raises(ConfigError, match="no weights yet"):
        Sequential([Dense(1)]).predictor()
    with pytest.raises(ConfigError, match="precision"):
        network().predictor(precision="float16")
