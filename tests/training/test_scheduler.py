"""LearningRateScheduler: the rate of each epoch by a function, to the bit, exact on resume."""

from __future__ import annotations

import functools
import math
import re

import numpy as np
import pytest
from networks import PROGRAMS
from resuming import Stop as StopLast
from scripted import STEPS, Factors, Script, fit, model_of

from deepmath import load_model
from deepmath.callbacks import (
    Checkpoint,
    LearningRateScheduler,
    ReduceLROnPlateau,
)
from deepmath.errors import ConfigError
from deepmath.optimizers import LBFGS, SGD, Adam
from deepmath.schedules import CosineDecay, PiecewiseConstant

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
def test_the_rate_of_each_epoch_is_the_function_s_to_the_bit(backend):
    found, expected = Factors(), Factors()
    history = fit(model_of(Adam(0.013)), [LearningRateScheduler(by_epoch), found], EPOCHS, backend).history
    assert history["learning_rate"] == [by_epoch(e) for e in range(EPOCHS)]
    law = PiecewiseConstant([by_epoch(e) for e in range(EPOCHS)], [STEPS * (e + 1) for e in range(EPOCHS - 1)])
    fit(model_of(Adam(law)), [expected], EPOCHS, backend)
    del found.state["rate"], expected.state["rate"]
    assert bits(found.state) == bits(expected.state)


def test_it_gets_the_rate_as_it_stands():
    expected, rate = [], 0.3
    for epoch in range(EPOCHS):
        rate = shrinking(epoch, rate)
        expected.append(rate)
    model = model_of(SGD(0.3))
    history = fit(model, [LearningRateScheduler(shrinking)], EPOCHS, "reference").history
    assert history["learning_rate"] == expected
    assert fit(model, [], 1, "reference").history["learning_rate"] == [rate], "it stays"
    model.compile(SGD(0.3, momentum=0.9), "mse")
    assert fit(model, [], 1, "reference").history["learning_rate"] == [0.3], "until compile sets it anew"


def test_it_starts_from_a_rate_of_nothing_and_beside_a_plateau():
    rule = ReduceLROnPlateau("score", 0.5, 1, mode="min")
    watching = [Script([1.0] * 4), rule, LearningRateScheduler(lambda epoch, rate: rate or 0.2)]
    assert fit(model_of(SGD(0.0)), watching, 4, "reference").history["learning_rate"] == [0.2, 0.2, 0.1, 0.05]


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("schedule", [by_epoch, shrinking])
@pytest.mark.parametrize("every", [1, None])
def test_it_is_exact_on_resume_at_any_step(every, schedule, backend, tmp_path):
    def run(*more, **settings):
        seen = Factors()
        watching = [LearningRateScheduler(schedule), *more, seen]
        return fit(model_of(Adam(0.013)), watching, EPOCHS, backend, **settings).history, bits(seen.state)

    whole = run()
    for step in range(1, EPOCHS * STEPS):
        run(Checkpoint(tmp_path / str(step), every=every), StopLast(step))
        assert run(resume=tmp_path / str(step)) == whole, step


def test_its_rate_travels_with_the_model(tmp_path):
    path = tmp_path / "m.safetensors"
    model = model_of(Adam(0.013))
    fit(model, [LearningRateScheduler(by_epoch)], EPOCHS, "reference")
    model.save(path)
    assert fit(load_model(path), [], 1, "reference").history["learning_rate"] == [by_epoch(EPOCHS - 1)]


def test_bad_steps_are_computed_again_at_the_rate_that_they_had():
    """The search for the step that broke the values goes back over epochs with rates of their own."""

    def run(schedule):
        model = model_of(SGD(0.01))
        with pytest.raises(Exception, match=r"\(step 10\)") as error:
            fit(model, [LearningRateScheduler(schedule)], EPOCHS, "reference")
        return str(error.value)

    assert "First bad value" in run(lambda epoch: 1e308 if epoch == 3 else 0.01 / (epoch + 1))


@pytest.mark.parametrize(("schedule", "text"), [
    (0.1, "LearningRateScheduler: schedule must be a function of the epoch; got 0.1"),
    (CosineDecay, f"LearningRateScheduler: schedule must be a function of the epoch; got {CosineDecay!r}"),
    (lambda: 0.1, "LearningRateScheduler: schedule must be schedule(epoch) or schedule(epoch, rate); got <lambda>()"),
    (lambda a, b, c: 0.1,
     "LearningRateScheduler: schedule must be schedule(epoch) or schedule(epoch, rate); got <lambda>(a, b, c)"),
    (lambda epoch, decay=0.1: decay,
     "LearningRateScheduler: nobody knows whether decay of <lambda>(epoch, decay=0.1) is to be the rate; "
     "give schedule(epoch) or schedule(epoch, rate), without a default"),
])  # fmt: skip
def test_what_is_no_schedule(schedule, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        LearningRateScheduler(schedule)


@pytest.mark.parametrize(("schedule", "takes"), [
    (by_epoch, False), (shrinking, True), (CosineDecay(0.1, steps=3), False), (lambda *given: 0.1, True),
    (functools.partial(shrinking, rate=0.1), False), (math.sqrt, False),
])  # fmt: skip
def test_how_many_arguments_it_takes(schedule, takes):
    assert LearningRateScheduler(schedule).takes_rate is takes


@pytest.mark.parametrize(("optimizer", "schedule", "text"), [
    (SGD(0.1), lambda epoch: -1.0, "LearningRateScheduler: <lambda>(0) must give a finite number >= 0; got -1.0"),
    (SGD(0.1), lambda epoch, rate: None,
     "LearningRateScheduler: <lambda>(0, 0.1) must give a finite number >= 0; got None"),
    (SGD(CosineDecay(0.1)), by_epoch,
     "LearningRateScheduler: the optimizer's own schedule gives the rate of each step; "
     "give it a number as learning_rate, or leave out the callback"),
    (LBFGS(), by_epoch, "LearningRateScheduler: LBFGS has no learning rate; choose another optimizer"),
])  # fmt: skip
def test_a_rate_that_can_not_be_used_is_told_before_the_first_step(optimizer, schedule, text):
    model = model_of(optimizer)
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        fit(model, [LearningRateScheduler(schedule)], 2, "reference")
    assert int(model.values.get("step", 0)) == 0
