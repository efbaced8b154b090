"""Functions of the step as learning rates: checked, asked for the steps that are made, saved by name."""

from __future__ import annotations

import functools
import math
import re

import numpy as np
import pytest
from networks import PROGRAMS
from scripted import Factors, Stop, X, Y, fit, model_of

from deepmath import load_model
from deepmath.errors import ConfigError
from deepmath.optimizers import SGD, Adam, AdamW
from deepmath.schedules import CosineDecay, FunctionSchedule, PiecewiseConstant, Schedule

EPOCHS = 5


def branching(step):
    """A law that an array of steps would break."""
    return 0.05 if step < 4 else 0.02 if step in (4, 7) else 0.01


def by_epoch(epoch):
    return (0.05, 0.03, 0.03, 0.007, 0.001)[epoch]


def shrinking(epoch, rate):
    return rate * 0.7 if epoch else rate


def bits(state):
    return {n: np.asarray(v).tobytes() for n, v in state.items()}


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("rule", [SGD, Adam, AdamW])
def test_a_function_is_a_schedule_with_the_same_bits(rule, backend):
    found, expected = Factors(), Factors()
    fit(model_of(rule(branching)), [found], EPOCHS, backend)
    law = PiecewiseConstant((0.05, 0.02, 0.01, 0.02, 0.01), (4, 5, 7, 8))
    fit(model_of(rule(law)), [expected], EPOCHS, backend)
    assert bits(found.state) == bits(expected.state)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_where_a_function_breaks_the_model_keeps_what_it_learnt(backend):
    def law(step):
        return (0.05, 0.04, 0.03, 0.02)[step]

    model, good = model_of(SGD(law)), model_of(SGD(law))
    with pytest.raises(IndexError):
        fit(model, [], 2, backend)
    step = int(model.values["step"])
    assert step > 0
    fit(good, [Stop(step)], 2, backend)
    assert bits(model.values) == bits(good.values)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_a_function_is_asked_for_the_steps_that_are_made_and_gets_whole_numbers(backend):
    asked = []

    def law(step):
        asked.append(step)
        return (0.05, 0.04, 0.03)[step]  # a fourth step would be an IndexError

    model = model_of(SGD(law))
    fit(model, [], 1, backend)
    assert set(asked) == {0, 1, 2}
    assert {type(step) for step in asked} == {int}


def test_whole_numbers_of_python_do_not_overflow():
    law = FunctionSchedule(lambda t: 1.0 / (1 + t**20))
    assert SGD(law).rate(np.arange(1000, 1002)).tolist() == [1.0 / (1 + 1000**20), law(1001)]


class OwnLaw(Schedule):
    def __call__(self, t):
        return 0.1 if t < 2 else 1.0 / t**30


def test_a_schedule_of_one_s_own_is_asked_in_the_same_way():
    assert SGD(OwnLaw()).rate(np.arange(8, 10)).tolist() == [OwnLaw()(8), OwnLaw()(9)]


@pytest.mark.parametrize("value", [None, "0.1", True, math.nan, math.inf, -0.1, [0.1], 1j])
def test_what_a_function_gives_is_checked(value):
    def law(step):
        return value

    text = f"learning_rate: law(0) must give a finite number >= 0; got {value!r}"
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        SGD(learning_rate=law)


@pytest.mark.parametrize("value", [np.float32(0.5), np.asarray(0.5), np.int8(1), 0, 1])
def test_numbers_of_any_kind_are_rates(value):
    assert SGD(lambda step: value).rate(0) == float(value)


def test_a_later_rate_is_checked_too():
    def law(step):
        return 0.1 if step < 4 else -1.0

    model = model_of(SGD(law))
    with pytest.raises(ConfigError, match=r"learning_rate: law\(4\) must give a finite number >= 0; got -1\.0"):
        fit(model, [], 3, "reference")
    assert int(model.values["step"]) in (1, 2, 3, 4), "what was trained before stays"
    fit(model, [Stop(4)], 3, "reference")
    for train in (functools.partial(fit, model, [], 1, "reference"), functools.partial(model.train_on_batch, X, Y)):
        with pytest.raises(ConfigError, match=r"law\(4\)"):
            train()
        assert int(model.values["step"]) == 4


def test_the_class_of_a_schedule_is_no_function():
    with pytest.raises(ConfigError, match=r"got the class CosineDecay; give an instance, CosineDecay\(\.\.\.\)"):
        SGD(CosineDecay)


def test_a_function_is_saved_by_its_name(tmp_path):
    path = tmp_path / "m.safetensors"
    model, whole = model_of(Adam(branching)), model_of(Adam(branching))
    fit(model, [], 2, "reference")
    model.save(path)
    loaded = load_model(path, custom_objects={"branching": branching})
    assert loaded.optimizer == model.optimizer
    for one in (loaded, whole):
        fit(one, [], 2, "reference")
    fit(whole, [], 2, "reference")
    assert bits(loaded.values) == bits(whole.values)
    assert repr(loaded.optimizer).startswith("Adam(learning_rate=FunctionSchedule(branching)")


def test_a_file_names_the_function_that_is_needed(tmp_path):
    path = tmp_path / "m.safetensors"
    model = model_of(Adam(branching))
    fit(model, [], 1, "reference")
    model.save(path)
    with pytest.raises(ConfigError, match="branching"):
        fit(load_model(path), [], 1, "reference")


def test_an_optimiser_without_a_check_of_its_own_takes_a_function():
    class Plain(SGD.__mro__[1]):
        pass

    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Own(Plain):
        learning_rate: object = 0.1

        def coefficients(self, step):
            return (self.rate(step),)

        def update(self, xp, w, g, rate):
            return (w - rate * g,)

    found, expected = Factors(), Factors()
    fit(model_of(Own(branching)), [found], 3, "reference")
    fit(model_of(SGD(branching)), [expected], 3, "reference")
    assert bits(found.state) == bits(expected.state)


def test_an_estimator_takes_a_function():
    pytest.importorskip("sklearn")
    from sklearn.base import clone

    from deepmath.estimators import MLPRegressor

    settings = {"hidden_layer_sizes": 3, "max_iter": 4, "tol": 0.0, "random_state": 0, "backend": "reference"}
    law = PiecewiseConstant((0.05, 0.02, 0.01), (4, 5))
    with pytest.warns(match="max_iter"):
        one, two = (
            clone(MLPRegressor(learning_rate=rate, batch_size=4, **settings)).fit(X, Y)
            for rate in (law, lambda t: 0.05 if t < 4 else 0.02 if t == 4 else 0.01)
        )
    np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])


def test_a_function_of_something_else_than_the_step_is_refused():
    def of_two(a, b):
        return 0.1

    def of_epochs(epoch):
        return 0.1

    with pytest.raises(
        ConfigError, match=r"^learning_rate: of_two must be a function of the step; it is one of \(a, b\)$"
    ):
        SGD(of_two)
    with pytest.raises(ConfigError) as caught:
        SGD(of_epochs)
    assert str(caught.value) == (
        "learning_rate: of_epochs(epoch) would get the step and not the epoch; for each epoch give the callback "
        "LearningRateScheduler(of_epochs), for each step call the argument step"
    )
