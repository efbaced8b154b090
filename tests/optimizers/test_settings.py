"""Optimisers and schedules as descriptions: names, configurations, and what they refuse."""

import json

import pytest

from deepmath import optimizers
from deepmath.descriptions import config_of, from_config
from deepmath.errors import ConfigError
from deepmath.optimizers import LBFGS, SGD, Adadelta, Adagrad, Adam, AdamW, Lion, Nadam, RMSprop
from deepmath.schedules import (
    CosineDecay,
    CosineRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    OneCycle,
    PiecewiseConstant,
    PolynomialDecay,
    SqrtDecay,
)

KINDS = [SGD, RMSprop, Adam, AdamW, Nadam, Adagrad, Adadelta, Lion, LBFGS]
SCHEDULES = [
    ExponentialDecay(0.1, 0.5, 30, True), InverseTimeDecay(0.1, 0.5, 30, True), SqrtDecay(0.1, 2.0, 30, True),
    PolynomialDecay(0.1, 0.01, 30, 2.0), CosineDecay(0.1, 30, 5, 0.01), CosineRestarts(0.1, 30, 1.5, 0.01),
    OneCycle(0.1, 30, 0.2, 5.0, 50.0), PiecewiseConstant((0.1, 0.01), (20,)),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_optimiser_has_its_name(kind):
    assert optimizers.get(kind.__name__.lower()) == kind()
    assert kind.__name__ in optimizers.__all__


def test_the_default_rates():
    rates = {kind.__name__: kind().learning_rate for kind in KINDS if kind is not LBFGS}
    assert rates == {name: 0.01 if name == "SGD" else 0.001 for name in rates}


def restored(value):
    return from_config(json.loads(json.dumps(config_of(value))), {})


def test_options_survive_a_configuration(optimizer):
    assert restored(optimizer) == optimizer


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not LBFGS])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_schedules_survive_a_configuration(kind, schedule):
    given = kind(schedule, clipnorm=1.0, clipvalue=0.5)
    found = restored(given)
    assert found == given
    assert [found.rate(t) for t in (0, 7, 40)] == [schedule(t) for t in (0, 7, 40)]


def test_lbfgs_survives_a_configuration():
    assert restored(LBFGS(50, 4, 1e-9)) == LBFGS(50, 4, 1e-9)


SHARE = "must be a number >= 0 and < 1; got"
BAD = [
    (lambda: RMSprop(-1), "RMSprop: learning_rate must be a number >= 0; got -1"),
    (lambda: RMSprop(rho=1.0), f"RMSprop: rho {SHARE} 1.0"),
    (lambda: RMSprop(momentum=-0.1), f"RMSprop: momentum {SHARE} -0.1"),
    (lambda: RMSprop(epsilon=0.0), "RMSprop: epsilon must be a number > 0; got 0.0"),
    (lambda: RMSprop(clipnorm=0), "RMSprop: clipnorm must be a number > 0; got 0"),
    (lambda: Adam(beta_1=1), f"Adam: beta_1 {SHARE} 1"),
    (lambda: AdamW(weight_decay=-0.1), "AdamW: weight_decay must be a number >= 0; got -0.1"),
    (lambda: AdamW(beta_2=2), f"AdamW: beta_2 {SHARE} 2"),
    (lambda: AdamW(epsilon=0), "AdamW: epsilon must be a number > 0; got 0"),
    (lambda: Nadam(beta_1=1.5), f"Nadam: beta_1 {SHARE} 1.5"),
    (lambda: Nadam(momentum_decay=-1), "Nadam: momentum_decay must be a number >= 0; got -1"),
    (lambda: Adagrad(initial_accumulator_value=-1),
        "Adagrad: initial_accumulator_value must be a number >= 0; got -1"),
    (lambda: Adagrad(epsilon=0.0), "Adagrad: epsilon must be a number > 0; got 0.0"),
    (lambda: Adadelta(rho="0.9"), f"Adadelta: rho {SHARE} '0.9'"),
    (lambda: Adadelta(clipvalue=-1), "Adadelta: clipvalue must be a number > 0; got -1"),
    (lambda: Lion(beta_2=float("nan")), f"Lion: beta_2 {SHARE} nan"),
    (lambda: Lion(weight_decay=True), "Lion: weight_decay must be a number >= 0; got True"),
    (lambda: LBFGS(max_iter=0), "LBFGS: max_iter must be a whole number >= 1; got 0"),
    (lambda: LBFGS(history=2.5), "LBFGS: history must be a whole number >= 1; got 2.5"),
    (lambda: LBFGS(tolerance=-1.0), "LBFGS: tolerance must be a number >= 0; got -1.0"),
    (lambda: LBFGS(learning_rate=0.1), "LBFGS: learning_rate must be left out, its line search finds it; got 0.1"),
    (lambda: LBFGS(clipnorm=1.0), "LBFGS: clipnorm must be left out, its line search needs the true gradient"),
    (lambda: SGD.averaged(0.1, 1.0), f"SGD.averaged: beta {SHARE} 1.0"),
    (lambda: ExponentialDecay(0.1, factor=0), "ExponentialDecay: factor must be a number > 0; got 0"),
    (lambda: InverseTimeDecay(0.1, decay=-1), "InverseTimeDecay: decay must be a number >= 0; got -1"),
    (lambda: InverseTimeDecay(0.1, steps=0), "InverseTimeDecay: steps must be a number > 0; got 0"),
    (lambda: SqrtDecay(-0.1), "SqrtDecay: rate must be a number >= 0; got -0.1"),
    (lambda: PolynomialDecay(0.1, power=0), "PolynomialDecay: power must be a number > 0; got 0"),
    (lambda: CosineDecay(0.1, steps=10, warmup=10), "CosineDecay: warmup must be < steps, which is 10; got 10"),
    (lambda: CosineRestarts(0.1, factor=0.5), "CosineRestarts: factor must be a number >= 1; got 0.5"),
    (lambda: CosineRestarts(0.1, period=0), "CosineRestarts: period must be a number > 0; got 0"),
    (lambda: OneCycle(0.1, steps=1.5), "OneCycle: steps must be a whole number >= 2; got 1.5"),
    (lambda: OneCycle(0.1, pct_start=1), "OneCycle: pct_start must be a number >= 0 and < 1; got 1"),
    (lambda: OneCycle(0.1, div_factor=0), "OneCycle: div_factor must be a number > 0; got 0"),
    (lambda: PiecewiseConstant(0.1, ()), "PiecewiseConstant: rates must be a list of numbers; got 0.1"),
    (lambda: PiecewiseConstant((0.1, -1), (5,)), "PiecewiseConstant: each of rates must be a number >= 0; got -1"),
    (lambda: PiecewiseConstant((0.1,), (5,)),
        "PiecewiseConstant: there must be one rate more than boundaries; got 1 rates for 1 boundaries"),
    (lambda: PiecewiseConstant((3, 2, 1), (5, 5)), "PiecewiseConstant: boundaries must increase; got [5, 5]"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), BAD, ids=[m.partition(" must")[0] for _, m in BAD])
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message
