"""The learning rate among the results, and rates by functions of the step and of the epoch, exact on resume."""

from __future__ import annotations

import csv
import functools
import json
import math
import re

import numpy as np
import pytest
from networks import PROGRAMS
from resuming import Stop as StopLast
from scripted import STEPS, Factors, Script, Stop, X, Y, fit, model_of

from deepmath import load_model
from deepmath.callbacks import (
    Callback,
    Checkpoint,
    CSVLogger,
    JSONLinesLogger,
    Lambda,
    LearningRateScheduler,
    ReduceLROnPlateau,
)
from deepmath.errors import ConfigError
from deepmath.optimizers import LBFGS, SGD, Adam, AdamW
from deepmath.schedules import CosineDecay, ExponentialDecay, FunctionSchedule, PiecewiseConstant, Schedule

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


# among the results ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("law", [0.05, ExponentialDecay(0.05, 0.5, 4), CosineDecay(0.1, steps=13), branching])
@pytest.mark.parametrize("watched", [True, False])
def test_it_is_the_rate_of_the_epoch_s_last_step(law, watched, backend):
    optimizer = SGD(law)
    history = fit(model_of(optimizer), [Factors()] * watched, EPOCHS, backend)
    assert history.history["learning_rate"] == [optimizer.rate(STEPS * (e + 1) - 1) for e in range(EPOCHS)]
    assert list(history.history)[-1] == "learning_rate"


def test_a_second_fit_goes_on_with_the_schedule():
    law = ExponentialDecay(0.05, 0.5, 4)
    model = model_of(SGD(law))
    first, second = (fit(model, [], 2, "reference").history["learning_rate"] for _ in range(2))
    assert first + second == [law(STEPS * (e + 1) - 1) for e in range(4)]


def test_a_plateau_lowers_the_rate_of_the_next_epoch():
    rule = ReduceLROnPlateau("score", 0.1, 1, mode="min")
    history = fit(model_of(SGD(0.5)), [Script([1.0, 1.0, 0.5, 0.5]), rule], 4, "reference")
    assert history.history["learning_rate"] == [0.5, 0.5, 0.1 * 0.5, 0.1 * 0.5]


def test_a_rate_that_a_callback_changes_within_an_epoch_counts_from_the_next_step():
    class Halve(Callback):
        every = 1

        def on_steps_end(self, run):
            run.program.pace.factor /= 2.0

    history = fit(model_of(SGD(0.5)), [Halve()], 2, "reference")
    assert history.history["learning_rate"] == [0.5 * 0.5 ** (STEPS - 1), 0.5 * 0.5 ** (2 * STEPS - 1)]


@pytest.mark.parametrize("step", [1, STEPS, STEPS + 2, 3 * STEPS])
def test_a_resumed_run_reports_the_same_rates(step, tmp_path):
    """Also of a checkpoint behind an epoch's last step, after which a callback changed the rate."""

    class Halve(Callback):
        every = 1

        def on_steps_end(self, run):
            run.program.pace.factor *= 0.9

    def run(*more, **settings):
        return fit(model_of(Adam(branching)), [Halve(), *more], EPOCHS, "reference", **settings).history

    whole = run()
    run(Checkpoint(tmp_path, every=1), StopLast(step))
    assert run(resume=tmp_path) == whole


def test_lbfgs_has_none():
    history = fit(model_of(LBFGS(3)), [], 3, "reference", batch_size=32)
    assert list(history.history) == ["loss", "cost"]


def test_logs_have_the_column(tmp_path):
    table, lines = tmp_path / "log.csv", tmp_path / "log.jsonl"
    law = ExponentialDecay(0.05, 0.5, 4)
    history = fit(model_of(SGD(law)), [CSVLogger(table), JSONLinesLogger(lines)], 3, "reference").history
    found = [float(row["learning_rate"]) for row in csv.DictReader(table.read_text().splitlines())]
    assert found == [json.loads(line)["learning_rate"] for line in lines.read_text().splitlines()]
    assert found == history["learning_rate"]


def test_the_line_of_progress_shows_it(capsys):
    fit(model_of(SGD(0.05)), [], 2, "reference", verbose=2)
    assert "  learning_rate 0.05  step 6" in capsys.readouterr().out


# functions of the step -----------------------------------------------------------------------------------------------


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
    seen = []
    with pytest.raises(ConfigError, match=r"law\(4\)"):
        fit(model, [Lambda(on_train_begin=seen.append)], 1, "reference")
    assert seen == [], "told before anything is begun"


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


# functions of the epoch ----------------------------------------------------------------------------------------------


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
