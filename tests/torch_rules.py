"""Every optimiser in PyTorch, and every learning-rate schedule as its law is written: a new one gets a row here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from deepmath import optimizers, schedules

T = torch.optim


def _adam(kind: Any) -> Callable[[Any, Any], Any]:
    def made(params: Any, rule: Any) -> Any:
        more = {"weight_decay": rule.weight_decay} if kind is T.AdamW else {}
        betas = (rule.beta_1, rule.beta_2)
        return kind(params, lr=1.0, betas=betas, eps=rule.epsilon, amsgrad=rule.amsgrad, **more)

    return made


OPTIMIZERS: dict[type, Callable[[Any, Any], Any]] = {
    optimizers.SGD: lambda params, rule: T.SGD(params, lr=1.0, momentum=rule.momentum, nesterov=rule.nesterov),
    optimizers.RMSprop: lambda params, rule: T.RMSprop(
        params, lr=1.0, alpha=rule.rho, eps=rule.epsilon, momentum=rule.momentum, centered=rule.centered
    ),
    optimizers.Adam: _adam(T.Adam),
    optimizers.AdamW: _adam(T.AdamW),
    optimizers.Nadam: lambda params, rule: T.NAdam(
        params, lr=1.0, betas=(rule.beta_1, rule.beta_2), eps=rule.epsilon, momentum_decay=rule.momentum_decay
    ),
    optimizers.Adagrad: lambda params, rule: T.Adagrad(
        params, lr=1.0, initial_accumulator_value=rule.initial_accumulator_value, eps=rule.epsilon
    ),
    optimizers.Adadelta: lambda params, rule: T.Adadelta(params, lr=1.0, rho=rule.rho, eps=rule.epsilon),
}
"""(parameters, the rule described) -> PyTorch's, with a learning rate of 1 that each step replaces."""


def _time(law: Any, t: float) -> float:
    return t // law.steps if law.staircase else t / law.steps


def _half_cosine(share: float, first: float, last: float) -> float:
    return last + 0.5 * (first - last) * (1.0 + math.cos(math.pi * min(share, 1.0)))


def _cosine(law: Any, t: float) -> float:
    if t < law.warmup:
        return law.rate * (t + 1) / (law.warmup + 1)
    return _half_cosine((t - law.warmup) / (law.steps - law.warmup), law.rate, law.end)


def _restarts(law: Any, t: float) -> float:
    length = law.period
    while t >= length:
        t, length = t - length, length * law.factor
    return _half_cosine(t / length, law.rate, law.end)


def _one_cycle(law: Any, t: float) -> float:
    first, peak, last = law.max_rate / law.div_factor, law.pct_start * law.steps - 1, law.steps - 1
    if t < peak:
        return _half_cosine(t / peak, first, law.max_rate)
    return _half_cosine((t - peak) / (last - peak), law.max_rate, first / law.final_div_factor)


LAWS: dict[type, Callable[[Any, float], float]] = {
    schedules.ExponentialDecay: lambda law, t: law.rate * math.exp(math.log(law.factor) * _time(law, t)),
    schedules.InverseTimeDecay: lambda law, t: law.rate / (1.0 + law.decay * _time(law, t)),
    schedules.SqrtDecay: lambda law, t: law.rate * law.k * (1.0 + _time(law, t)) ** -0.5,
    schedules.PolynomialDecay: lambda law, t: (
        law.end + (law.rate - law.end) * max(0.0, 1.0 - t / law.steps) ** law.power
    ),
    schedules.CosineDecay: _cosine,
    schedules.CosineRestarts: _restarts,
    schedules.OneCycle: _one_cycle,
    schedules.PiecewiseConstant: lambda law, t: law.rates[sum(b <= t for b in law.boundaries)],
}
"""(law, t) -> the rate of update t = 0, 1, ..."""


def rate(optimizer: Any, t: int) -> float:
    """The learning rate of update t."""
    law = optimizer.learning_rate
    return LAWS[type(law)](law, t) if type(law) in LAWS else float(law)
