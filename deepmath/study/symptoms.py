"""Symptoms in the network: first loss, dead and saturated units, gradients by layer, twins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from deepmath.layers import Dense
from deepmath.study.findings import Finding
from deepmath.study.patient import Patient, Sight
from deepmath.study.thresholds import Limits

BOUNDED = ("sigmoid", "tanh", "hard_sigmoid", "softsign")
"""Activations that become flat on both sides."""

FLAT = 0.05
"""A slope below this share of the steepest counts as saturated."""

BITS = 18
"""Weights that are the same in so many binary digits are the same."""

RESTART = "draw the first weights from he_normal (relu) or glorot_uniform (tanh, sigmoid)"


def initial_loss(patient: Patient, limits: Limits) -> Iterator[Finding]:
    """The loss at the first weights, held against that of equal chances."""
    expected = patient.equal_chances
    if not expected:
        return
    found = patient.at_start.cost / expected
    if not found <= limits["initial_loss"]:
        outputs = patient.head.outputs
        says = (
            f"at the first weights the loss is {patient.at_start.cost:.4g}; equal chances for "
            f"{max(outputs, 2)} classes give {expected:.4g}: the network begins with confident mistakes."
        )
        advice = "scale the inputs, and make the last layer's first weights smaller."
        numbers = {"loss": patient.at_start.cost, "equal chances": expected, "times": found}
        yield Finding("initial_loss", "warning", "output", found, limits["initial_loss"], says, advice, numbers)


def dead_units(patient: Patient, limits: Limits) -> Iterator[Finding]:
    """ReLU layers most of whose units give 0 for every row."""
    for stage, when in _moments(patient, "relu"):
        units = np.reshape(stage.y, (-1, stage.y.shape[-1]))
        share = float(np.mean(~np.any(units > 0.0, axis=0)))
        if share <= limits["dead_relu"]:
            continue
        where, dead = _layer(stage), round(share * units.shape[1])
        says = f"{dead} of {units.shape[1]} units give 0 for all {len(units)} rows {when}; they get no gradient."
        advice = (
            "lower the learning rate, begin with zero biases and he_normal, or take leaky_relu; another seed may do."
        )
        numbers = {"dead": dead, "units": units.shape[1], "share": share}
        severity = "critical" if share == 1.0 else "warning"
        yield Finding("dead_relu", severity, where, share, limits["dead_relu"], says, advice, numbers)


def saturated_units(patient: Patient, limits: Limits) -> Iterator[Finding]:
    """Sigmoid and tanh layers most of whose values lie where the function is flat."""
    for stage, when in _moments(patient, *BOUNDED):
        function = stage.part.layer.activation
        zero = np.zeros((1, 1))
        steepest = function.backward()(np, zero, function.value(np, zero), np.ones((1, 1)))
        slopes = function.backward()(np, stage.x, stage.y, np.ones_like(stage.x))
        share = float(np.mean(slopes < FLAT * steepest))
        if share <= limits["saturated"]:
            continue
        says = f"{share:.0%} of the values of {function.name} lie where its slope is below 5 % of the steepest {when}."
        advice = f"scale the inputs; {RESTART}; lower the learning rate."
        numbers = {"share": share, "RMS of the sums": _rms(stage.x)}
        yield Finding("saturated", "warning", _layer(stage), share, limits["saturated"], says, advice, numbers)


def gradients_by_layer(patient: Patient, limits: Limits) -> Iterator[Finding]:
    """Derivatives by each dense layer's sums, from the last layer to the first.

    One that is exactly 0 has not vanished by and by: dead units or weights of 0 cut it off, which is said as such.
    """
    for sight, when in _sights(patient):
        sizes = deltas(sight)
        if len(sizes) < 2 or 0.0 in sizes.values():
            continue
        (first, at_first), *_, (last, at_last) = sizes.items()
        shrunk, grown = at_last / at_first, at_first / at_last
        shown = {"RMS by layer": list(sizes.values())}
        for name, found, how in (("vanishing_gradient", shrunk, "smaller"), ("exploding_gradient", grown, "larger")):
            if not found > limits[name]:
                continue
            says = (
                f"the derivative by layer {first + 1}'s sums is {found:.3g} times {how} than by layer {last + 1}'s "
                f"{when}: a factor of {found ** (1.0 / (last - first)):.3g} a layer."
            )
            advice = f"{RESTART}; add BatchNormalization; use fewer layers"
            advice += ", and relu for sigmoid." if how == "smaller" else ", and clipnorm."
            where = f"layer {first + 1} (Dense)"
            yield Finding(name, "critical", where, found, limits[name], says, advice, shown)
            return


def symmetric_weights(patient: Patient, limits: Limits) -> Iterator[Finding]:
    """Layers whose units have equal weights and equal derivatives, and so stay equal."""
    for sight, values, when in (
        (patient.at_start, patient.first, "at the first weights"),
        (patient.now, patient.whole.values, "now"),
    ):
        for stage in [s for s in sight.stages if isinstance(s.part.layer, Dense)][:-1]:
            number = stage.part.number
            kernel = values[f"params.{number}.kernel"]
            if kernel.shape[1] < 2:
                continue
            bias = values.get(f"params.{number}.bias", np.zeros(kernel.shape[1]))
            slopes = sight.gradients[f"{number}.kernel"]
            twins = _twins(np.vstack([kernel, bias]), slopes)
            if twins <= limits["symmetric_weights"]:
                continue
            units = kernel.shape[1]
            says = (
                f"{round(twins * units)} of {units} units have a twin with the same weights and derivatives {when}: "
                "they stay equal for ever, and count as one."
            )
            numbers = {"twins": twins, "units": units}
            where, limit = f"layer {number + 1} (Dense)", limits["symmetric_weights"]
            yield Finding("symmetric_weights", "critical", where, twins, limit, says, f"{RESTART}.", numbers)
            return


def deltas(sight: Sight) -> dict[int, float]:
    """RMS of the derivative of the loss by the sums of each dense layer, by the layer's number."""
    return {s.part.number: _rms(s.dy) for s in sight.stages if isinstance(s.part.layer, Dense)}


def _moments(patient: Patient, *names: str) -> Iterator[tuple[Any, str]]:
    """Each stage of these activations, at the start or else now: the earlier one in trouble is the cause."""
    for sight, when in _sights(patient):
        for stage in sight.of(*names):
            yield stage, when


def _sights(patient: Patient) -> Iterator[tuple[Sight, str]]:
    """The first weights; and the present ones, where the training hasn't come far: a good fit needs no doctor."""
    yield patient.at_start, "at the first weights"
    if patient.trained and patient.is_stuck:
        yield patient.now, "now"


def _layer(stage: Any) -> str:
    return f"layer {stage.part.number + 1} ({stage.part.layer.activation.name})"


def _rms(x: Any) -> float:
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.mean(np.square(x))))


def _twins(columns: Any, slopes: Any) -> float:
    """The share of columns for which another one has the same numbers, and the same derivatives."""
    rows = np.vstack([_rounded(columns), _rounded(slopes)]).T
    _, kinds, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    return float(np.mean(counts[np.reshape(kinds, -1)] > 1))


def _rounded(x: Any) -> Any:
    """x with `BITS` binary digits."""
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.round(mantissa * 2.0**BITS), exponent)
