"""Symptoms in the course of training: a rate too small or too large, bias, variance, and stopping too late."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.backend import Backend
from deepmath.formulas.neighbours import nearest_others
from deepmath.formulas.risk import standard_error
from deepmath.optimizers import LBFGS
from deepmath.study.data_symptoms import NEIGHBOURS, agreement
from deepmath.study.findings import Finding
from deepmath.study.patient import Patient, row_errors, squared_errors
from deepmath.study.subject import Subject
from deepmath.study.thresholds import Limits
from deepmath.study.trials import length, trials

Curves = Mapping[str, Sequence[float]]

BIAS_ADVICE = "a larger network, longer training, or another architecture; less regularisation."
VARIANCE_ADVICE = "more data; regularisation (L2), dropout, early stopping; or another architecture."


def learning_rate(patient: Patient, limits: Limits, batch_size: int, used: Backend) -> Iterator[Finding]:
    """Where training hasn't come far: whether another rate comes further from the same start in fewer steps."""
    optimizer = patient.whole.recipe.optimizer
    if not patient.trained or not patient.is_stuck or isinstance(optimizer, LBFGS):
        return
    rate, shape = optimizer.rate(0), length(patient.whole, batch_size, patient.trained)
    tried = trials(patient.trained_as, patient.first, patient.present, shape, used)
    best = tried[0]
    cost = patient.now.cost
    gain = (cost - best.cost) / patient.chance if math.isfinite(cost) else math.inf
    if not gain > limits["rate"]:
        return
    name, which = ("rate_too_small", "too small") if best.factor > 1.0 else ("rate_too_large", "too large")
    says = (
        f"after {patient.trained} steps at rate {rate:.3g} the loss is {cost:.4g}; from the same first weights "
        f"{best.steps} steps at {rate * best.factor:.3g} reach {best.cost:.4g}: the rate is {which}."
    )
    advice = f"a rate near {rate * best.factor:.2g}; study.lr_find shows the whole range."
    numbers = {"loss": cost, "chance": patient.chance}
    numbers |= {f"at {rate * t.factor:.3g} after {t.steps} steps": t.cost for t in sorted(tried)}
    yield Finding(name, "critical", "optimizer", gain, limits["rate"], says, advice, numbers, threshold="rate")


def high_bias(patient: Patient, limits: Limits, target: float | None) -> Iterator[Finding]:
    """A training error well above what the rows allow."""
    if not patient.trained:
        return
    reached = float(np.mean(row_errors(patient.present)))
    wanted = neighbours_error(patient) if target is None else target
    if wanted is None or not reached - wanted > limits["high_bias"]:
        return
    by = "wanted" if target is not None else f"what {NEIGHBOURS} nearest neighbours reach"
    says = f"the training error is {reached:.4g}; {by}: {wanted:.4g}. The network misses what the rows show."
    numbers = {"training error": reached, by: wanted}
    found, limit = reached - wanted, limits["high_bias"]
    yield Finding("high_bias", "warning", "network", found, limit, says, BIAS_ADVICE, numbers)


def high_variance(patient: Patient, limits: Limits, held: Subject | None) -> Iterator[Finding]:
    """A validation error well above the training error."""
    if not patient.trained or held is None:
        return
    on_train, on_held = row_errors(patient.present), row_errors(held)
    gap = float(np.mean(on_held) - np.mean(on_train))
    if len(on_held) < 2:
        return
    error = math.hypot(*(float(standard_error(np, e)) for e in (on_train, on_held)))
    if not (gap > limits["high_variance"] and gap > 2.0 * error):
        return
    numbers = {
        "training error": float(np.mean(on_train)), "validation error": float(np.mean(on_held)), "gap": gap,
        "standard error of the gap": error,
    }  # fmt: skip
    says = (
        f"the error is {numbers['training error']:.4g} on the rows that trained and "
        f"{numbers['validation error']:.4g} on those that didn't: the network has learned its rows by heart."
    )
    limit = limits["high_variance"]
    yield Finding("high_variance", "warning", "network", gap, limit, says, VARIANCE_ADVICE, numbers)


def early_stopping(patient: Patient, limits: Limits, curves: Curves) -> Iterator[Finding]:
    """A validation loss that had been lower, by much, long before the end."""
    name = "val_cost" if "val_cost" in curves else "val_loss"
    values = np.asarray(curves.get(name, ()), np.float64)
    if len(values) < 2:
        return
    best = int(np.nanargmin(values)) if np.any(np.isfinite(values)) else 0
    last = float(np.median(values[-max(1, len(values) // 10) :]))
    lowest = float(values[best])
    lost = last / lowest - 1.0 if lowest > 0.0 else 0.0
    if not (lost > limits["early_stopping"] and last - lowest > limits["rise"] * patient.chance):
        return
    says = (
        f"the validation loss was lowest, {lowest:.4g}, after epoch {best + 1} of {len(values)}, and ended at "
        f"{last:.4g}: {lost:.0%} above it."
    )
    advice = "callbacks=[EarlyStopping(patience=...)] puts the best weights back; the rest as for high variance."
    numbers = {"lowest": lowest, "epoch": best + 1, "last": last, "epochs": len(values)}
    limit = limits["early_stopping"]
    yield Finding("early_stopping", "advice", "training", lost, limit, says, advice, numbers)


def neighbours_error(patient: Patient) -> float | None:
    """The error of a vote, or the mean, of each row's nearest neighbours: a level that the rows allow.

    None where there are too few rows to ask.
    """
    if len(patient.chosen) <= 5 * NEIGHBOURS:
        return None
    near = nearest_others(patient.scaled, NEIGHBOURS)
    if agreement(patient) is not None:
        classes = patient.classes[patient.chosen]
        votes = np.stack([np.sum(classes[near] == c, axis=1) for c in range(int(np.max(classes)) + 1)], axis=1)
        return float(np.mean(np.argmax(votes, axis=1) != classes))
    targets = np.asarray(to_numpy(patient.present.data.targets), np.float64)
    return float(np.mean(squared_errors(np.mean(targets[near], axis=1), targets)))
