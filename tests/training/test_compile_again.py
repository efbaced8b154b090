"""compile between two trainings: the optimiser's memory stays when only numbers change, to the bit."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from networks import PROGRAMS
from scripted import STEPS, Script, fit, model_of

from deepmath import load_model, optimizers
from deepmath.callbacks import LearningRateScheduler, ReduceLROnPlateau
from deepmath.errors import ConfigError
from deepmath.optimizers import SGD, Adam, AdamW, RMSprop
from deepmath.schedules import ExponentialDecay, PiecewiseConstant


def bits(model):
    return {n: np.asarray(v).tobytes() for n, v in model.values.items() if n != "rate"}


def fresh(model):
    return not [n for n in model.values if not n.startswith(("params.", "state."))]


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("name", [n for n in optimizers.names() if n != "lbfgs"])
def test_compiled_again_with_the_same_settings_it_trains_as_if_nothing_were(name, backend):
    again, whole = model_of(name), model_of(name)
    for model in (again, whole):
        fit(model, [], 2, backend)
    again.compile(name, "mse", ["mae"])
    for model in (again, whole):
        fit(model, [], 2, backend)
    assert bits(again) == bits(whole)
    assert again.values["step"] == 4 * STEPS


@pytest.mark.parametrize("backend", PROGRAMS)
def test_another_rate_is_what_a_schedule_would_have_given(backend):
    again, whole = model_of(Adam(0.05)), model_of(Adam(PiecewiseConstant((0.05, 0.002), (2 * STEPS,))))
    fit(again, [], 2, backend)
    again.compile(Adam(0.002), "mse")
    fit(again, [], 2, backend)
    fit(whole, [], 4, backend)
    assert bits(again) == bits(whole)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_also_in_a_model_that_was_saved_and_loaded(backend, tmp_path):
    path = tmp_path / "m.safetensors"
    model = model_of(Adam(0.05))
    fit(model, [], 2, backend)
    model.save(path)
    loaded = load_model(path)
    for one in (model, loaded):
        one.compile(Adam(0.002), "mse")
        fit(one, [], 1, backend)
    assert bits(loaded) == bits(model)
    assert loaded.values["step"] == 3 * STEPS


@pytest.mark.parametrize(("before", "after", "keeps"), [
    (Adam(0.1), Adam(0.1, beta_1=0.8, beta_2=0.9, epsilon=1e-6, clipnorm=1.0, clipvalue=2.0), True),
    (AdamW(0.1), AdamW(0.1, weight_decay=0.5), True),
    (SGD(0.1, momentum=0.9), SGD(0.1, momentum=0.5, nesterov=True), True),
    (Adam(0.1), Adam(lambda step: 0.1), True),
    (SGD(0.1), SGD(0.1, momentum=0.9), False),
    (Adam(0.1), Adam(0.1, amsgrad=True), False),
    (RMSprop(0.1), RMSprop(0.1, momentum=0.9), False),
    (Adam(0.1), AdamW(0.1), False),
])  # fmt: skip
def test_what_keeps_the_memory(before, after, keeps):
    model = model_of(before)
    fit(model, [], 1, "reference")
    slots = {n: v.copy() for n, v in model.values.items() if n.startswith(tuple(f"{s}." for s in before.slots))}
    model.compile(after, "mse")
    assert fresh(model) is not keeps
    if keeps:
        assert all(np.array_equal(model.values[n], v) for n, v in slots.items())
    fit(model, [], 1, "reference")
    assert model.values["step"] == STEPS * (2 if keeps else 1)


def test_a_new_optimiser_on_demand():
    model = model_of(Adam(0.05))
    fit(model, [], 2, "reference")
    weights = [w.tobytes() for w in model.get_weights()]
    model.compile(Adam(0.05), "mse", reset_optimizer=True)
    assert fresh(model)
    assert [w.tobytes() for w in model.get_weights()] == weights


def test_the_rate_is_the_given_one_whatever_callbacks_made_of_the_last():
    def plateau(model):
        fit(model, [Script([1.0] * 3), ReduceLROnPlateau("score", 0.1, 1, mode="min")], 3, "reference")
        return fit(model, [], 1, "reference").history["learning_rate"][0]

    model = model_of(SGD(0.05, momentum=0.9))
    low = plateau(model)
    assert low == 0.1 * 0.1 * 0.05
    model.compile(SGD(0.05, momentum=0.9), "mse")
    assert fit(model, [], 1, "reference").history["learning_rate"] == [0.05]
    assert plateau(model) == low
    model.compile(model.optimizer, "mae")
    assert fit(model, [], 1, "reference").history["learning_rate"] == [low], "the optimiser as it stands"
    fit(model, [LearningRateScheduler(lambda epoch: 0.025)], 1, "reference")
    model.compile(SGD(0.03, momentum=0.9), "mse")
    assert fit(model, [], 1, "reference").history["learning_rate"] == [0.03]


def test_a_new_schedule_goes_on_at_the_step_reached_and_says_so(caplog):
    law = ExponentialDecay(0.05, 0.5, 4)
    model = model_of(SGD(0.05))
    model.compile(SGD(law), "mse")
    assert not caplog.messages, "a new model has made no step"
    fit(model, [], 1, "reference")
    model.compile(SGD(law), "mae")
    assert not caplog.messages, "the same schedule goes on"
    model.compile(SGD(ExponentialDecay(0.01, 0.5, 4)), "mse")
    with caplog.at_level(logging.WARNING, "deepmath"):
        assert caplog.messages == [
            "compile: the new schedule goes on at step 3, which the optimizer has reached; "
            "with reset_optimizer=True it begins at step 0, without what the optimizer remembers"
        ]
    rates = fit(model, [], 1, "reference").history["learning_rate"]
    assert rates == [ExponentialDecay(0.01, 0.5, 4)(2 * STEPS - 1)]
    caplog.clear()
    model.compile(SGD(ExponentialDecay(0.02, 0.5, 4)), "mse", reset_optimizer=True)
    assert not caplog.messages


@pytest.mark.parametrize("wrong", [
    {"optimizer": "adm"}, {"loss": "msee"}, {"metrics": ["nothing"]}, {"rates": [0.1]},
])  # fmt: skip
def test_a_refused_compile_changes_nothing(wrong):
    model = model_of(Adam(0.05))
    fit(model, [], 1, "reference")
    before = model.optimizer, model.loss, model.metrics, model.rates, bits(model)
    with pytest.raises(ConfigError):
        model.compile(**{"optimizer": SGD(0.1), "loss": "mae", "metrics": ["mae"], "rates": {0: 0.1}} | wrong)
    assert (model.optimizer, model.loss, model.metrics, model.rates, bits(model)) == before


def test_frozen_layers_keep_their_memory_too():
    model = model_of(Adam(0.05))
    fit(model, [], 1, "reference")
    first = model.values["m.0.kernel"].copy()
    model.compile(Adam(0.05), "mse", rates={0: 0.0})
    fit(model, [], 1, "reference")
    np.testing.assert_array_equal(model.values["m.0.kernel"], first)
