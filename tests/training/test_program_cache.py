"""The program that trained a model serves the next training, and holds the model's values until somebody asks."""

import copy
import gc
import threading
import weakref
from dataclasses import replace

import numpy as np
import pytest
from counted import Counted
from networks import PROGRAMS

from deepmath import BatchNormalization, Dense, Dropout, Sequential, load_backend, losses
from deepmath.callbacks import Callback
from deepmath.errors import ConfigError, NonFiniteError
from deepmath.optimizers import LBFGS, SGD, Adam
from deepmath.regularizers import L2
from deepmath.schedules import ExponentialDecay
from deepmath.training.program_cache import CachedProgram

DRAW = np.random.default_rng(0)
X = DRAW.standard_normal((70, 5)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(np.int64) + (X[:, 2] > 0)


class Quiet(Callback):
    """A callback that does nothing, with one name in all processes that collect tests."""

    def __repr__(self):
        return "Quiet()"


def made(optimizer=None, width=6, dropout=0.3):
    layers = [
        Dense(width, "tanh", input_dim=5, kernel_regularizer=L2(0.01)), BatchNormalization(), Dropout(dropout),
        Dense(3, "softmax"),
    ]  # fmt: skip
    model = Sequential(layers, seed=3)
    model.compile(optimizer or Adam(ExponentialDecay(0.02, 0.9, 5)), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def fit(model, backend, rows=70, **settings):
    return model.fit(X[:rows], Y[:rows], **{"batch_size": 16, "verbose": 0, "backend": backend} | settings)


def assert_same(a, b):
    assert a.values.keys() == b.values.keys()
    for name, value in a.values.items():
        assert value.tobytes() == b.values[name].tobytes(), name


def again(model):
    model.compile(Adam(ExponentialDecay(0.02, 0.9, 5)), "sparse_categorical_crossentropy", ["accuracy"])


def other_weights(model):
    model.set_weights([0.5 * w for w in model.get_weights()])


def looked_at(model):
    assert model.predict(X).shape == (70, 3)
    assert model.evaluate(X, Y)["loss"] > 0


@pytest.mark.parametrize("width", [6, 24])
@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("between", [lambda model: None, again, other_weights, looked_at], ids=lambda f: f.__name__)
def test_it_goes_on_with_the_bits_of_a_new_program(between, backend, width):
    kept, fresh, counted = made(width=width), made(width=width), Counted(backend)
    for _ in range(3):
        histories = fit(kept, counted, epochs=2).history, fit(fresh, backend, epochs=2).history
        assert histories[0] == histories[1]
        between(kept)
        between(fresh)
        fresh = copy.deepcopy(fresh)  # copies leave programs behind
        assert_same(kept, fresh)
    assert counted.count == 1


@pytest.mark.parametrize(
    ("settings", "programs"),
    [
        ({}, 1), ({"epochs": 3}, 1), ({"callbacks": [Quiet()]}, 1), ({"rows": 50}, 1), ({"rows": 9}, 3),
        ({"batch_size": 8}, 3), ({"accumulate": 2}, 3), ({"drop_last": True}, 3), ({"shuffle": False}, 3),
        ({"precision": "float64"}, 3), ({"sample_weight": np.ones(70)}, 1),
    ],
    ids=str,
)  # fmt: skip
def test_only_another_recipe_or_smaller_batches_need_a_new_one(settings, programs):
    """Of three fits, the one in the middle is another: it has the first one's program, or all have their own."""
    kept, fresh, counted = made(), made(), Counted()
    for each in ({}, settings, {}):
        fit(kept, counted, **each)
        fit(fresh, "numpy", **each)
        fresh = copy.deepcopy(fresh)
    assert_same(kept, fresh)
    assert counted.count == programs


@pytest.mark.parametrize("changed", ["optimizer", "loss", "metrics", "rates", "layers"])
def test_what_is_compiled_in_makes_a_new_one(changed):
    kept, fresh, counted = made(), made(), Counted()
    fit(kept, counted)
    fit(fresh, "numpy")
    fresh = copy.deepcopy(fresh)
    for model, backend in ((kept, counted), (fresh, "numpy")):
        again(model)
        if changed == "optimizer":
            model.optimizer = Adam(0.03)
        elif changed == "loss":
            model.loss = losses.get("sparse_categorical_crossentropy(0.1)")
        elif changed == "metrics":
            model.metrics = ()
        elif changed == "rates":
            model.rates = {0: 0.5}
        else:
            model.add(Dense(3, "softmax"))
        fit(model, backend)
    assert_same(kept, fresh)
    assert counted.count == 2


def test_the_data_are_let_go_and_the_program_goes_with_its_model():
    model, held = made(), X.astype(np.float32).copy()
    ref = weakref.ref(held)
    model.fit(held, Y, verbose=0)
    program = weakref.ref(model._values._program.program)
    del held
    assert ref() is None
    assert program() is not None
    gc.collect()
    gc.disable()
    try:
        del model
        assert program() is None
    finally:
        gc.enable()


def test_a_run_that_breaks_leaves_its_last_good_values_and_the_next_goes_on_from_them():
    kept, fresh = made(SGD(1e6)), made(SGD(1e6))
    for model in (kept, fresh):
        with pytest.raises(NonFiniteError):
            model.fit(1e30 * X, Y, epochs=9, batch_size=16, verbose=0)
    assert all(np.isfinite(v).all() for v in kept.values.values())
    fresh = copy.deepcopy(fresh)
    for model in (kept, fresh):
        model.set_weights(made().get_weights())
        model.compile(SGD(0.1), "sparse_categorical_crossentropy")
        fit(model, "numpy")
    assert_same(kept, fresh)


def test_data_that_are_refused_leave_the_values_where_they_are():
    model = made()
    fit(model, "numpy")
    before = model.get_weights()
    with pytest.raises(ConfigError):
        model.fit(X, Y, epochs=2, batch_size=0, verbose=0)
    with pytest.raises(ConfigError):
        model.fit(X[:, :4], Y, verbose=0)
    assert all(map(np.array_equal, model.get_weights(), before))
    fit(model, "numpy")
    assert not np.array_equal(model.get_weights()[0], before[0])


def test_runs_of_other_kinds_take_turns():
    models = [made(dropout=0.0), made(dropout=0.0)]
    for i, model in enumerate(models):
        for kind in range(4):
            if kind == 0:
                fit(model, "numpy")
            elif kind == 1:
                model.fit([(X[j : j + 16], Y[j : j + 16]) for j in range(0, 64, 16)], verbose=0)
            elif kind == 2:
                model.train_on_batch(X[:16], Y[:16])
            else:
                model.compile(LBFGS(), "sparse_categorical_crossentropy")
                fit(model, "numpy", epochs=2)
            if i:
                models[1] = model = copy.deepcopy(model)
    assert_same(*models)


def test_two_threads_may_train_one_model():
    model, values = made(), []
    gate = threading.Barrier(2)

    class Wait(Callback):
        def on_train_begin(self, run):
            gate.wait(60)

    def work():
        fit(model, "numpy", callbacks=[Wait()], epochs=2)
        values.append(model.get_weights())

    fit(model, "numpy")
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = made()
    fit(alone, "numpy")
    fit(alone, "numpy", epochs=2)
    assert len(values) == 2
    for found in values:
        assert all(map(np.array_equal, found, alone.get_weights()))


class Doubtful:
    """A description with an array in it: == has no one answer."""

    def __eq__(self, other):
        return bool(np.zeros(2) == np.zeros(2))

    __hash__ = None  # type: ignore[assignment]


def test_a_description_that_cannot_be_compared_is_another_one():
    backend, recipe = load_backend("numpy"), made().recipe()
    trained = CachedProgram(backend, recipe, 16, backend.compile(recipe, made().values))
    assert trained.serves(backend, replace(recipe, origin=7, first_epoch=2))
    assert not trained.serves(backend, replace(recipe, shuffle=Doubtful()))
