"""What arguments may be: numbers of NumPy as of Python, one thing or a list of them, an object and not its class."""

from __future__ import annotations

import dataclasses
import fractions
import json

import numpy as np
import pytest

from deepmath import Dense, Dropout, Sequential, initializers, losses, metrics, optimizers, regularizers, schedules
from deepmath.callbacks import Checkpoint, EarlyStopping, ReduceLROnPlateau
from deepmath.descriptions import CLASSES, check_number, config_of, plain
from deepmath.errors import ConfigError
from deepmath.preprocessing import Standardize

X = np.linspace(-1.0, 1.0, 24).reshape(12, 2)
Y = (X[:, 0] > 0.0).astype(int)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.int8(3), 3), (np.uint64(3), 3), (np.asarray(3), 3), (np.float64(0.5), 0.5), (np.asarray(0.5), 0.5),
        (np.float32(0.1), 0.10000000149011612), (np.float16(0.5), 0.5), (np.longdouble(0.5), 0.5), (np.True_, True),
        (fractions.Fraction(1, 2), 0.5), ([np.int64(1), (np.float32(2.0), "a")], [1, (2.0, "a")]), ("relu", "relu"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_number_becomes_plain(given, expected):
    found = plain(given)
    assert found == expected
    assert repr(found) == repr(expected)


def test_an_array_with_axes_stays():
    array = np.ones(1)
    assert plain(array) is array


@pytest.mark.parametrize("value", [np.int32(2), np.float32(2.0), np.asarray(2), 2, 2.0])
def test_any_number_is_a_number(value):
    assert check_number("it", "x", value, low=1, high=3) == 2
    assert type(check_number("it", "x", value)) in (int, float)


@pytest.mark.parametrize("value", [True, np.True_, np.asarray(True), "2", None, np.ones(1), np.float32("nan"), 2j])
def test_what_is_no_number(value):
    with pytest.raises(ConfigError, match="it: x must be a number"):
        check_number("it", "x", value)


@pytest.mark.parametrize("value", [2.0, np.float32(2.0), True, np.bool_(0), 10**400])
def test_what_is_no_whole_number_within_bounds(value):
    with pytest.raises(ConfigError, match="it: x must be a whole number"):
        check_number("it", "x", value, high=100, whole=True)


TWINS = [
    (lambda n: Dense(n(4), input_dim=n(2)), np.int64),
    (lambda n: Dropout(n(0.5)), np.float16),
    (lambda n: optimizers.Adam(n(0.125), n(0.5)), np.float32),
    (lambda n: optimizers.SGD(schedules.ExponentialDecay(n(0.5), n(0.5), n(4.0))), np.float32),
    (lambda n: schedules.PiecewiseConstant([n(0.5), n(0.25)], [4]), np.float32),
    (lambda n: regularizers.L1L2(n(0.5), n(0.25)), np.float32),
    (lambda n: regularizers.MaxNorm(n(2.0)), np.float32),
    (lambda n: initializers.RandomNormal(n(0.5), n(0.25)), np.float32),
    (lambda n: losses.get("huber").with_constants(n(0.5)), np.float32),
    (lambda n: metrics.TopKAccuracy(n(3)), np.uint8),
]


@pytest.mark.parametrize(("make", "kind"), TWINS)
def test_a_description_with_numbers_of_numpy_equals_its_twin_and_is_saved_as_it(make, kind):
    twin = make(lambda n: n)
    for number in (kind, lambda n: np.asarray(n, kind)):
        assert make(number) == twin
        assert json.dumps(config_of(make(number))) == json.dumps(config_of(twin))


def test_every_described_class_keeps_plain_numbers():
    for cls in CLASSES.values():
        numeric = [f for f in dataclasses.fields(cls) if f.init and type(f.default) in (int, float)]
        values = {f.name: np.asarray(f.default) for f in numeric}
        needed = {f.name for f in dataclasses.fields(cls) if f.init and f.default is f.default_factory}
        if values and not needed:
            made = cls(**values)
            assert made == cls()
            assert {type(getattr(made, name)) for name in values} <= {int, float}


def test_callbacks_take_numbers_of_numpy():
    assert EarlyStopping(patience=np.int8(3)) == EarlyStopping(patience=3)
    assert type(ReduceLROnPlateau(factor=np.float32(0.5)).factor) is float
    assert type(Checkpoint("folder", np.int32(3)).every) is int


def test_fit_takes_numbers_of_numpy():
    histories = []
    for whole, number in ((int, float), (np.int8, np.float32)):
        model = Sequential([Dense(np.max(Y) + 1, "sigmoid")], seed=whole(3))
        model.compile(optimizers.SGD(number(0.125)), "binary_crossentropy", rates={whole(0): number(0.5)})
        settings = {"epochs": whole(2), "batch_size": whole(100), "accumulate": whole(2), "initial_epoch": whole(0)}
        held = {"validation_split": number(0.25)}
        Ys = np.stack([Y, 1 - Y], axis=1)
        histories.append(model.fit(X, Ys, **settings, **held, verbose=0, backend="reference").history)
    assert histories[0] == histories[1]


CLASSES_FOR_OBJECTS = [
    (lambda: Sequential([Dense]), r"Sequential.add: got the class Dense; give an instance, Dense\(...\)"),
    (lambda: Sequential(Dense), r"got the class Dense; give an instance, Dense\(...\)"),
    (lambda: Sequential(preprocessing=Standardize), r"got the class Standardize; give an instance, Standardize\(\)"),
    (lambda: Dense(1, kernel_regularizer=regularizers.L2), r"got the class L2; give an instance, L2\(\)"),
    (lambda: Dense(1, kernel_constraint=regularizers.MaxNorm), r"got the class MaxNorm; give an instance, MaxNorm\(\)"),
    (lambda: Dense(1, kernel_initializer=initializers.Orthogonal), r"got the class Orthogonal; give an instance"),
    (lambda: Sequential().compile(optimizers.Adam), r"optimizer: got the class Adam; give an instance, Adam\(\)"),
    (lambda: Sequential().compile(loss=losses.Loss), r"loss: got the class Loss; give an instance, Loss\(...\)"),
    (lambda: Sequential().compile(metrics=[metrics.AUC]), r"metric: got the class AUC; give an instance, AUC\(\)"),
    (lambda: Sequential().compile(metrics=metrics.AUC), r"metric: got the class AUC; give an instance, AUC\(\)"),
]


@pytest.mark.parametrize(("make", "message"), CLASSES_FOR_OBJECTS)
def test_a_class_is_no_object(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def own(xp, p, d):
    return xp.mean(xp.abs(p - d), axis=-1, keepdims=True)


@pytest.mark.parametrize("one", ["accuracy", metrics.AUC(), own])
def test_a_single_metric_is_taken_as_one(one):
    model = Sequential(Dense(1, "sigmoid"))
    model.compile("sgd", "binary_crossentropy", one)
    assert len(model.layers) == len(model.metrics) == 1
    model.compile("sgd", "binary_crossentropy", (m for m in [one]))
    assert len(model.metrics) == 1
    model.compile("sgd", "binary_crossentropy", None)
    assert model.metrics == ()


def test_metrics_by_name_of_output_are_not_taken():
    with pytest.raises(
        ConfigError, match=r"metrics must be a list such as \['accuracy'\], or one alone; got {'a': 'mse'}"
    ):
        Sequential().compile(metrics={"a": "mse"})


@pytest.mark.parametrize(
    ("get", "message"),
    [
        (losses.get, "loss must be a name, a function or an object of Loss; got 3"),
        (initializers.get, "initializer must be a name or an object of Initializer; got 3"),
    ],
)
def test_what_a_table_cannot_take(get, message):
    with pytest.raises(ConfigError, match=message):
        get(3)
