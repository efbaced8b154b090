"""`train_on_batch`: the updates that `fit` would make, one at a time, by a program that is kept."""

import copy

import numpy as np
import pytest
from counted import Counted
from networks import PROGRAMS

from deepmath import Activation, BatchNormalization, Dense, Dropout, Sequential, load_model
from deepmath.errors import ConfigError, NonFiniteError, NumericError
from deepmath.optimizers import LBFGS, SGD, Adam
from deepmath.preprocessing import Standardize
from deepmath.regularizers import L2
from deepmath.schedules import ExponentialDecay

BATCH, ROWS = 8, 40
SETTINGS = {"batch_size": BATCH, "shuffle": False, "verbose": 0}


def made(optimizer=None, loss: str = "sparse_categorical_crossentropy") -> Sequential:
    layers = [
        Dense(6, input_dim=4, kernel_regularizer=L2(0.01)), BatchNormalization(), Activation("relu"), Dropout(0.3),
        Dense(3, "softmax"),
    ]  # fmt: skip
    model = Sequential(layers, seed=3)
    model.compile(optimizer or Adam(ExponentialDecay(0.02, 0.9, 5), clipnorm=1.0), loss, ["accuracy"])
    return model


def data() -> tuple:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((ROWS, 4))
    return X, np.argmax(X[:, :3], axis=1), rng.uniform(0.5, 2.0, ROWS)


def pieces(*arrays) -> list[tuple]:
    return [tuple(a[i : i + BATCH] for a in arrays) for i in range(0, ROWS, BATCH)]


def assert_same(a: Sequential, b: Sequential) -> None:
    assert a.values.keys() == b.values.keys()
    for name, value in a.values.items():
        assert value.tobytes() == b.values[name].tobytes(), name


@pytest.mark.parametrize("backend", PROGRAMS)
def test_the_updates_are_those_of_fit_to_the_bit(backend):
    X, y, w = data()
    whole, single = made(), made()
    history = whole.fit(X, y, sample_weight=w, epochs=2, backend=backend, **SETTINGS)
    logs = [single.train_on_batch(*piece, backend=backend) for _ in range(2) for piece in pieces(X, y, w)]
    assert_same(whole, single)
    assert set(logs[0]) == set(history.history) - {"learning_rate"} == {"loss", "cost", "accuracy"}
    shares = [np.sum(piece[2]) for piece in pieces(X, y, w)]
    assert np.average([log["loss"] for log in logs[:5]], weights=shares) == pytest.approx(history.history["loss"][0])


@pytest.mark.parametrize("backend", PROGRAMS)
def test_fit_and_single_batches_take_turns(backend):
    X, y, _ = data()
    whole, mixed = made(), made()
    whole.fit(X, y, epochs=3, backend=backend, **SETTINGS)
    for piece in pieces(X, y):
        mixed.train_on_batch(*piece, backend=backend)
    mixed.fit(X, y, epochs=1, backend=backend, **SETTINGS)
    for piece in pieces(X, y):
        mixed.train_on_batch(*piece, backend=backend)
    assert_same(whole, mixed)


def test_the_program_is_kept_and_made_anew_for_more_rows_only():
    X, y, _ = data()
    model, backend, plain = made(), Counted(), made()
    for rows, compiled in [(8, 1), (8, 1), (3, 1), (8, 1), (20, 2), (8, 2), (20, 2)]:
        model.train_on_batch(X[:rows], y[:rows], backend=backend)
        plain.train_on_batch(X[:rows], y[:rows], backend="numpy")
        plain = copy.deepcopy(plain)  # a fresh program each time
        assert backend.count == compiled
    assert_same(model, plain)
    assert int(model.values["step"]) == 7


@pytest.mark.parametrize("backend", PROGRAMS)
def test_everything_sees_the_new_weights(backend, tmp_path):
    X, y, _ = data()
    model = made()
    before, first = model.get_weights(), model.predict(X, backend=backend)
    for piece in pieces(X, y):
        model.train_on_batch(*piece, backend=backend)
    assert not np.array_equal(model.get_weights()[0], before[0])
    second = model.predict(X, backend=backend)
    assert not np.array_equal(first, second)
    model.save(tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.predict(X, backend=backend), second)
    for one in (model, loaded):
        one.train_on_batch(X, y, backend=backend)
    assert_same(model, loaded)
    model.set_weights(before)
    np.testing.assert_array_equal(model.predict(X, backend=backend), first)


@pytest.mark.parametrize(
    ("optimizer", "reset", "steps"), [("adam", False, 2), ("adam", True, 1), ("rmsprop", False, 1)]
)
def test_compile_keeps_the_memory_of_an_optimiser_of_the_same_kind(optimizer, reset, steps):
    X, y, _ = data()
    model = made()
    model.train_on_batch(X, y)
    model.compile(optimizer, "sparse_categorical_crossentropy", reset_optimizer=reset)
    assert ("step" in model.values) is (steps == 2)
    model.train_on_batch(X, y)
    assert int(model.values["step"]) == steps


@pytest.mark.parametrize("backend", PROGRAMS)
def test_a_loss_that_is_no_number_changes_nothing(backend):
    model = Sequential([Dense(1, input_dim=1, kernel_initializer="ones")])
    model.compile(SGD(0.1), "mse")
    model.train_on_batch([[1.0]], [0.0], backend=backend)
    before = model.get_weights()
    with pytest.raises(NonFiniteError) as error:
        model.train_on_batch([[3e38]], [0.0], backend=backend)
    assert str(error.value) == (
        "loss became inf at step 1; the weights are those before this batch. "
        "The inputs reach 3e+38 (column 0). Scale them, for example by preprocessing=Standardize()."
    )
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    model.train_on_batch([[1.0]], [0.0], backend=backend)
    assert int(model.values["step"]) == 2


def test_what_one_batch_can_t_do_is_refused():
    X, y, _ = data()
    with pytest.raises(ConfigError, match="train_on_batch: LBFGS needs all rows at each step; call fit"):
        made(LBFGS()).train_on_batch(X, y)
    model = made()
    model.preprocessing = Standardize()
    with pytest.raises(ConfigError, match="is not fitted, and one batch is too little for that; call fit first"):
        model.train_on_batch(X, y)
    with pytest.raises(ConfigError, match="has no precision 'float8'"):
        made().train_on_batch(X, y, precision="float8")
    with pytest.raises(NumericError, match="Input X contains NaN"):
        made().train_on_batch(np.full((2, 4), np.nan), [0, 1])
    with pytest.raises(ConfigError, match="sample_weight must have shape"):
        made().train_on_batch(X, y, [1.0])


@pytest.mark.parametrize("train", ["fit", "train_on_batch"])
def test_weights_keep_their_order_when_the_model_trains(train):
    model = made()
    shapes = [w.shape for w in model.get_weights()]
    getattr(model, train)(*data()[:2], **({"verbose": 0} if train == "fit" else {}))
    assert [w.shape for w in model.get_weights()] == shapes
    model.set_weights(model.get_weights())


def test_another_optimizer_makes_one_new_program():
    X, y, _ = data()
    model, backend = made(), Counted()
    for optimizer, rows in [(None, 8), (SGD(0.1), 3), (SGD(0.1), 3), (SGD(0.1), 8), (SGD(0.1), 3)]:
        if optimizer is not None and model.optimizer != optimizer:
            model.compile(optimizer, "sparse_categorical_crossentropy")
        model.train_on_batch(X[:rows], y[:rows], backend=backend)
    assert backend.count == 3  # for Adam, for three rows, and for eight


def test_the_program_of_a_fit_serves_single_batches_and_theirs_serves_a_fit():
    X, y, _ = data()
    model, backend = made(), Counted()
    model.fit(X, y, batch_size=32, verbose=0, backend=backend)
    model.train_on_batch(X[:8], y[:8], backend=backend)
    assert backend.count == 1
    model.fit(X, y, batch_size=32, verbose=0, backend=backend)
    assert backend.count == 1
    alone = made()
    alone.fit(X, y, batch_size=32, verbose=0)
    alone = copy.deepcopy(alone)
    alone.train_on_batch(X[:8], y[:8])
    alone = copy.deepcopy(alone)
    alone.fit(X, y, batch_size=32, verbose=0)
    assert_same(model, alone)


def test_weights_that_are_set_between_batches_are_those_of_the_next():
    X, y, _ = data()
    model, backend = made(), Counted()
    model.train_on_batch(X[:8], y[:8], backend=backend)
    model.set_weights([0.5 * w for w in model.get_weights()])
    fresh = copy.deepcopy(model)
    model.train_on_batch(X[:8], y[:8], backend=backend)
    fresh.train_on_batch(X[:8], y[:8])
    assert_same(model, fresh)
    assert backend.count == 1
