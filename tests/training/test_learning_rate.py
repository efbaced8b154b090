"""The learning rate among the results of each epoch: with schedules, plateaus, functions, and exact on resume."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from networks import PROGRAMS
from resuming import Stop as StopLast
from scripted import STEPS, Factors, Script, fit, model_of

from deepmath.callbacks import (
    Callback,
    Checkpoint,
    CSVLogger,
    JSONLinesLogger,
    ReduceLROnPlateau,
)
from deepmath.optimizers import LBFGS, SGD, Adam
from deepmath.schedules import CosineDecay, ExponentialDecay

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
