"""The rate's fall on a plateau against its rule written by hand and against PyTorch's; the rate really changes."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
import torch
from networks import PROGRAMS
from scripted import STEPS, Factors, Script, Stop, X, Y, assert_same_bits, fit, model_of

from deepmath import Dense, Sequential
from deepmath.callbacks import Checkpoint, ReduceLROnPlateau
from deepmath.errors import ConfigError
from deepmath.optimizers import SGD, Adam
from deepmath.schedules import ExponentialDecay


def by_hand(values, factor, patience, min_delta, cooldown, least, larger=False):
    """The rate's factor after each epoch: it falls after `patience` epochs without progress outside the cooldown."""
    best, bad, cooling, now, found = None, 0, 0, 1.0, []
    for value in values:
        progress = best is None or (value - best if larger else best - value) > min_delta
        best, bad = (value, 0) if progress else (best, bad + 1)
        if cooling:
            cooling, bad = cooling - 1, 0
        elif bad >= max(patience, 1):
            now, cooling, bad = max(now * factor, least), cooldown, 0
        found.append(now)
    return found


def by_torch(values, factor, patience, min_delta, cooldown, least, larger=False):
    rule = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    law = torch.optim.lr_scheduler.ReduceLROnPlateau(
        rule, "max" if larger else "min", factor, max(patience, 1) - 1, min_delta, "abs", cooldown, least, eps=0.0
    )
    found = []
    for value in values:
        law.step(value)
        found.append(rule.param_groups[0]["lr"])
    return found


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "cooldown", "least"), list(itertools.product([0, 1, 3], [0, 1, 3], [0.0, 0.2])))
def test_it_falls_where_the_rule_says(patience, cooldown, least, mode):
    rng = np.random.default_rng(patience)
    fallen = set()
    for _ in range(8):
        values = [float(v) for v in rng.integers(0, 12, 16) * 0.25]
        seen, rule = Factors(), ReduceLROnPlateau("score", 0.5, patience, 0.3, mode, cooldown, least)
        fit(model_of(), [Script(values), rule, seen], len(values), "reference", batch_size=12)
        settings = (0.5, patience, 0.3, cooldown, least, mode == "max")
        assert by_torch(values, *settings) == pytest.approx(by_hand(values, *settings))
        assert seen.kept == pytest.approx(by_hand(values, *settings)), values
        fallen.add(seen.kept[-1])
    assert min(fallen) < 1.0


PLATEAU = [3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
FACTORS = [1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01, 0.01]


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("law", [0.2, ExponentialDecay(0.2, 0.5, 3)], ids=["constant", "schedule"])
def test_the_rate_really_changes(law, backend):
    """Descent on least squares, one step for each epoch, with the rate that the rule says."""
    model = Sequential([Dense(2, use_bias=False)], seed=2)
    model.compile(SGD(law), "mse")
    rule = ReduceLROnPlateau("score", 0.1, 2, mode="min")
    paths = Script(PLATEAU)
    model.predict(X)
    w = model.get_weights()[0].astype(np.float64)
    fit(model, [paths, rule], 8, backend, batch_size="full")
    for step, state in enumerate(paths.states):
        plain = 0.2 if law == 0.2 else 0.2 * 0.5 ** (step / 3)
        factor = FACTORS[step - 1] if step else 1.0
        w = w - plain * factor * 2.0 * X.T @ (X @ w - Y) / Y.size
        np.testing.assert_allclose(state["params.0.kernel"], w, rtol=1e-12)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_adam_s_steps_shrink_with_it(backend):
    model, paths = model_of(Adam(0.01)), Script(PLATEAU)
    plain, others = model_of(Adam(0.01)), Script(PLATEAU)
    fit(model, [paths, ReduceLROnPlateau("score", 1e-9, 2, mode="min")], 8, backend)
    fit(plain, [others], 8, backend)
    moved = [np.abs(b["params.0.kernel"] - a["params.0.kernel"]).max() for a, b in itertools.pairwise(paths.states[3:])]
    assert max(moved) < 1e-9
    for a, b in zip(paths.states[:4], others.states, strict=False):
        assert a["params.0.kernel"].tobytes() == b["params.0.kernel"].tobytes()
    assert np.abs(others.states[4]["params.0.kernel"] - others.states[3]["params.0.kernel"]).max() > 1e-3


def plateau_run(backend, *more, **settings):
    seen = Factors()
    rule = ReduceLROnPlateau("score", 0.1, 2, mode="min", cooldown=1)
    history = fit(model_of(), [Script(PLATEAU), rule, *more, seen], 8, backend, **settings)
    return history, seen


@pytest.mark.parametrize("backend", PROGRAMS)
@pytest.mark.parametrize("every", [1, None])
def test_it_survives_a_resume_at_any_step(every, backend, tmp_path):
    expected, whole = plateau_run(backend)
    assert whole.kept == pytest.approx(by_hand(PLATEAU, 0.1, 2, 1e-4, 1, 0.0))
    assert whole.kept[-1] < whole.kept[3] < 1.0
    for step in range(1, 8 * STEPS):
        folder = tmp_path / str(step)
        plateau_run(backend, Checkpoint(folder, every=every), Stop(step))
        history, seen = plateau_run(backend, resume=folder)
        assert history.history == expected.history, step
        assert_same_bits(seen.state, whole.state)


@pytest.mark.parametrize(("settings", "text"), [
    ({"factor": 1.0}, "ReduceLROnPlateau: factor must be a number > 0 and < 1; got 1.0"),
    ({"factor": 0.0}, "ReduceLROnPlateau: factor must be a number > 0 and < 1; got 0.0"),
    ({"patience": -1}, "ReduceLROnPlateau: patience must be a whole number >= 0; got -1"),
    ({"cooldown": 0.5}, "ReduceLROnPlateau: cooldown must be a whole number >= 0; got 0.5"),
    ({"min_factor": 2.0}, "ReduceLROnPlateau: min_factor must be a number >= 0 and <= 1; got 2.0"),
])  # fmt: skip
def test_settings_that_can_t_be_used(settings, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        ReduceLROnPlateau(**settings)


def test_one_callback_serves_several_fits():
    rule = ReduceLROnPlateau("score", 0.1, 2, mode="min")
    for _ in range(2):
        seen = Factors()
        fit(model_of(), [Script(PLATEAU), rule, seen], 8, "reference")
        assert seen.kept == pytest.approx(FACTORS)
