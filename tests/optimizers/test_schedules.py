"""Every schedule against PyTorch's or Optax's of the same law, or the law written out, at t = 0 ... 200."""

import math
import time
import warnings

import jax
import numpy as np
import optax
import pytest
import torch

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

TIMES = range(201)
L = torch.optim.lr_scheduler


def by_torch(rate, kind, settings, count=201):
    rule = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    law = kind(rule, **settings)
    rates = []
    for _ in range(count):
        rates.append(rule.param_groups[0]["lr"])
        rule.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # OneCycleLR warns of its own use of a deprecated argument
            law.step()
    return rates


TORCH = {
    "exponential": (ExponentialDecay(0.1, 0.97, 1), L.ExponentialLR, {"gamma": 0.97}),
    "exponential stairs": (ExponentialDecay(0.1, 0.5, 30, staircase=True), L.StepLR, {"step_size": 30, "gamma": 0.5}),
    "cosine": (CosineDecay(0.1, 200, end=0.01), L.CosineAnnealingLR, {"T_max": 200, "eta_min": 0.01}),
    "restarts": (CosineRestarts(0.1, 10), L.CosineAnnealingWarmRestarts, {"T_0": 10, "T_mult": 2}),
    "restarts by 3": (CosineRestarts(0.1, 7, 3.0, 0.01), L.CosineAnnealingWarmRestarts,
        {"T_0": 7, "T_mult": 3, "eta_min": 0.01}),
    "equal restarts": (CosineRestarts(0.1, 9, 1.0), L.CosineAnnealingWarmRestarts, {"T_0": 9, "T_mult": 1}),
    "pieces": (PiecewiseConstant((0.1, 0.01, 0.001), (20, 90)), L.MultiStepLR, {"milestones": [20, 90], "gamma": 0.1}),
    "polynomial": (PolynomialDecay(0.1, 0.0, 150, 2.5), L.PolynomialLR, {"total_iters": 150, "power": 2.5}),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_pytorch_agrees(name):
    ours, kind, settings = TORCH[name]
    # PyTorch multiplies the last rate again and again, so that its roundings add up
    np.testing.assert_allclose([ours(t) for t in TIMES], by_torch(0.1, kind, settings), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("steps", "share", "div", "final"), [
    (201, 0.3, 25.0, 1e4), (500, 0.25, 10.0, 100.0), (40, 0.0, 25.0, 1e4), (7, 0.9, 2.0, 3.0),
])  # fmt: skip
def test_one_cycle_is_pytorchs(steps, share, div, final):
    ours = OneCycle(0.1, steps, share, div, final)
    settings = {"max_lr": 0.1, "total_steps": steps, "pct_start": share, "div_factor": div, "final_div_factor": final}
    count = min(steps, len(TIMES))
    wanted = by_torch(0.1, L.OneCycleLR, settings | {"cycle_momentum": False}, count)
    np.testing.assert_allclose([ours(t) for t in range(count)], wanted, rtol=1e-12)
    assert ours(steps + 5) == ours(steps - 1) == pytest.approx(0.1 / div / final, rel=1e-12)


OPTAX = {
    "exponential": (ExponentialDecay(0.1, 0.5, 30), optax.exponential_decay(0.1, 30, 0.5)),
    "exponential stairs": (ExponentialDecay(0.1, 0.5, 30, True), optax.exponential_decay(0.1, 30, 0.5, staircase=True)),
    "polynomial": (PolynomialDecay(0.1, 0.02, 150, 2.0), optax.polynomial_schedule(0.1, 0.02, 2.0, 150)),
    "linear": (PolynomialDecay(0.1, 0.02, 150), optax.linear_schedule(0.1, 0.02, 150)),
    "cosine": (CosineDecay(0.1, 150, end=0.01), optax.cosine_decay_schedule(0.1, 150, 0.1)),
    "warm cosine": (CosineDecay(0.1, 150, 30, 0.01), optax.warmup_cosine_decay_schedule(0.1 / 31, 0.1, 30, 150, 0.01)),
}


@pytest.mark.parametrize("name", OPTAX)
def test_optax_agrees(name):
    ours, law = OPTAX[name]
    with jax.enable_x64(True):
        wanted = [float(law(jax.numpy.asarray(t))) for t in TIMES]
    np.testing.assert_allclose([ours(t) for t in TIMES], wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("ours", "law"), [
    (InverseTimeDecay(0.1, 0.5, 30), lambda t: 0.1 / (1 + 0.5 * t / 30)),
    (InverseTimeDecay(0.1, 0.5, 30, True), lambda t: 0.1 / (1 + 0.5 * (t // 30))),
    (SqrtDecay(0.1, 0.8, 30), lambda t: 0.8 / math.sqrt(1 + t / 30) * 0.1),
    (SqrtDecay(0.1, 0.8, 30, True), lambda t: 0.8 / math.sqrt(t // 30 + 1) * 0.1),
], ids=["inverse time", "inverse time stairs", "root", "root stairs"])  # fmt: skip
def test_laws_written_out(ours, law):
    np.testing.assert_allclose([ours(t) for t in TIMES], [law(t) for t in TIMES], rtol=1e-14)


@pytest.mark.parametrize("factor", [1.0, 1.0001, 1.3, 2.0, 3.0, 10.0])
def test_restarts_by_counting(factor):
    ours, begin, length = CosineRestarts(0.1, 10, factor, 0.01), 0.0, 10.0
    for t in range(20_000):
        while t >= begin + length * (1 + 1e-12):
            begin, length = begin + length, length * factor
        wanted = 0.01 + 0.09 * (1 + math.cos(math.pi * (t - begin) / length)) / 2
        found = ours(t)
        assert found == pytest.approx(wanted, rel=1e-6) or (found > 0.0999 and t == pytest.approx(begin + length))


@pytest.mark.parametrize(("period", "factor", "starts"), [
    (8, 1.5, [8, 20, 38, 65]), (1000, 1.1, [1000, 2100, 3310, 4641]), (10, 10.0, [10, 110, 1110, 11110]),
    (1, 3.0, [1, 4, 13, 40, 121, 364, 1093, 3280]), (7, 1.0, [7, 14, 700]),
])  # fmt: skip
def test_cycles_begin_where_they_should(period, factor, starts):
    law = CosineRestarts(0.1, period, factor)
    for t in starts:
        assert law(t) == pytest.approx(0.1, rel=1e-12)
        assert law(t - 1) < 0.05 or period == 1


def test_a_late_update_costs_no_more_than_an_early_one():
    laws = [CosineRestarts(0.1, 10), CosineRestarts(0.1, 10, 1.0), SqrtDecay(0.1), OneCycle(0.1), CosineDecay(0.1)]
    for law in laws:
        start = time.perf_counter()
        early = [law(t) for t in range(2000)]
        middle = time.perf_counter()
        late = [law(t) for t in range(10**12, 10**12 + 2000)]
        assert time.perf_counter() - middle < 20 * (middle - start) + 0.05
        assert all(0.0 <= rate <= 0.1 for rate in early + late)


def test_all_are_python_floats():
    laws = [ours for ours, *_ in [*TORCH.values(), *OPTAX.values()]] + [
        OneCycle(0.1),
        SqrtDecay(1),
        InverseTimeDecay(1),
    ]
    for law in laws:
        assert all(isinstance(law(t), float) for t in (0, 1, 150, 10**6))
