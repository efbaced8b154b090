"""Whether a loss, the last layer, the number of outputs and the targets go together.

Two tables decide: `Loss.predictions` says what a loss is of, `ActivationFunction.range` what an activation can give.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepmath.arrays import FLOATS
from deepmath.errors import ConfigError, LabelError
from deepmath.layers import Activation, Dense, Layer
from deepmath.losses import PREDICTIONS, Loss
from deepmath.program import Head
from deepmath.ranges import ANY, Range

NOT_QUITE = 0.02
"""How far the sum of a row of targets may be from 1: shares that were rounded to two digits are meant to sum to 1."""

MEANT = "If that is meant: unusual=True in compile or of an estimator, --unusual of the command."

_OF = {
    "chances": "probabilities, each between 0 and 1",
    "distribution": "probabilities that sum to 1 over two outputs or more",
    "positive": "numbers > 0",
    "margins": "scores that say no below -1 and yes above 1",
}
_ACTIVATIONS = {
    "chances": "activation='sigmoid' in the last layer",
    "distribution": "activation='softmax' in the last layer, with an output for each class",
    "positive": "activation='softplus' in the last layer",
    "margins": "no activation in the last layer",
}


class Verdict(NamedTuple):
    """What is wrong with a loss behind a layer: undefined, or odd but sound; why, and what to use instead."""

    odd: bool
    why: str
    cure: str


def judge(loss: Loss, gives: Range, outputs: int | None, last: Layer) -> Verdict | None:
    """What is wrong with this loss of what the last layer `gives`, if anything.

    >>> from deepmath import losses
    >>> last = Dense(1, "tanh")
    >>> judge(losses.get("poisson"), range_of([last]), 1, last).why
    "loss 'poisson' needs numbers > 0; activation 'tanh' gives numbers from -1 to 1"
    """
    kind, one, told = loss.predictions, outputs == 1, name_of(last)
    if kind not in _OF:
        return None
    needs = f"loss '{loss.name}' needs {_OF[kind]}"
    cure = f"use {_ACTIVATIONS[kind]}{_or_loss(loss, gives, one)}"
    if not isinstance(last, (Dense, Activation)):
        cure = f"put it in front of the last Dense layer, and {cure.partition(', or loss')[0]}"
    if gives.known and not gives.lies_in(PREDICTIONS[kind]):
        return Verdict(False, f"{needs}; {told} gives {gives}", cure)
    if kind == "distribution" and one:
        return Verdict(loss.targets != "labels", f"{needs}; the last layer has 1", cure)
    if not gives.known or kind == "positive":
        return None
    if kind == "distribution" and outputs is not None and not gives.sums_to_one:
        return Verdict(True, f"{needs}; {told} gives {gives} for each", cure)
    if kind != "distribution" and gives.sums_to_one:
        return Verdict(True, f"{needs}; {told} gives {gives}", cure)
    if kind == "margins" and not gives.comes_near(-1.0, 1.0):
        return Verdict(True, f"{needs}; {told} gives {gives}", cure)
    if kind != "margins" and not gives.comes_near(0.0, 1.0):
        less = f"none but numbers from {gives.low:.3g} to {gives.high:.3g}"
        return Verdict(True, f"{needs}; {told} gives {less}", "leave out the activation in front of it")
    return None


def _or_loss(loss: Loss, gives: Range, one: bool) -> str:
    """A loss that fits what the last layer gives, as the other way out."""
    if gives.sums_to_one:
        fitting = "'categorical_crossentropy' ('sparse_categorical_crossentropy' for whole-number labels)"
        return "" if loss.predictions == "distribution" else f", or loss={fitting}"
    if not gives.known:
        return ", or loss='binary_crossentropy' with activation='sigmoid'" if one else ""
    chances = gives.lies_in(PREDICTIONS["chances"]) and gives.comes_near(0.0, 1.0)
    return ", or loss='binary_crossentropy'" if chances else ", or loss='mse'"


def range_of(layers: Sequence[Layer]) -> Range:
    """Which values the last of these layers can give."""
    return functools.reduce(lambda gives, layer: layer.output_range(gives), layers, ANY)


def outputs_of(layers: Sequence[Layer], shape: tuple[int, ...] | None) -> int | None:
    """The number of outputs, as far as it is known: also before the shape of the inputs is."""
    if shape is not None:
        for layer in layers:
            shape = layer.output_shape(shape)
        return shape[-1] if len(shape) == 1 else None
    for layer in reversed(layers):
        if isinstance(layer, Dense):
            return layer.units
        if type(layer).output_shape is not Layer.output_shape:
            return None
    return None


def fault(loss: Loss, layers: Sequence[Layer], shape: tuple[int, ...] | None = None) -> Verdict | None:
    """What is wrong with this loss behind these layers, if anything. Raises as `Loss.check` does."""
    outputs = outputs_of(layers, shape)
    loss.check(outputs)
    if not layers:
        return None
    return _alone(layers, shape) or judge(loss, range_of(layers), outputs, layers[-1])


def check_outputs(who: str, loss: Loss, layers: Sequence[Layer], shape: tuple[int, ...] | None, unusual: bool) -> None:
    """Raise ConfigError unless the loss is one of what the layers give; what is odd but sound may be `unusual`."""
    found = fault(loss, layers, shape)
    if found is not None and not (found.odd and unusual):
        raise ConfigError(f"{who}: {found.why}: {found.cure}.{f' {MEANT}' if found.odd else ''}")


def _alone(layers: Sequence[Layer], shape: tuple[int, ...] | None) -> Verdict | None:
    """A layer of one unit that gives the same whatever comes in."""
    gives = ANY
    for number, layer in enumerate(layers, 1):
        gives = layer.output_range(gives)
        if gives.alone and outputs_of(layers[:number], shape) == 1:
            last = number == len(layers)
            what = "output" if last else f"unit (layer {number})"
            cure = _FOR_ONE_OUTPUT if last else "use another activation, or more units"
            if not isinstance(layer, (Dense, Activation)):
                cure = "leave it out, or put it behind more units"
            why = f"{name_of(layer)} of one {what} is always {gives.alone}, whatever comes in"
            return Verdict(False, why, cure)
    return None


_FOR_ONE_OUTPUT = (
    "use activation='sigmoid' with loss='binary_crossentropy' for two classes, no activation for numbers, or an output "
    "for each class"
)


def name_of(layer: Layer) -> str:
    """How messages call a layer, or its activation."""
    if isinstance(layer, (Dense, Activation)):
        return f"activation '{layer.activation.name}'" if layer.activation else "a layer without activation"
    return type(layer).__name__


def check_rows(head: Head, targets: Any, weights: Any, place: Callable[[int], Any]) -> None:
    """Raise LabelError for a row of targets that must be a distribution and isn't; rows of weight 0 may be anything."""
    loss, gives = head.loss, head.gives
    if gives is None or loss.targets != "shares" or loss.predictions != "distribution" or head.outputs == 1:
        return
    _check_sums(targets, weights, place, f"loss '{loss.name}' needs rows that sum to 1")


def check_reach(head: Head, targets: Any, weights: Any, place: Callable[[int], Any]) -> None:
    """Raise LabelError for a target that the last layer can never come near."""
    loss, gives = head.loss, head.gives
    if gives is None or not gives.known or loss.predictions not in ("numbers", "positive"):
        return
    slack = [0.0 if math.isinf(b) else 1e-6 * max(1.0, abs(b)) for b in (gives.low, gives.high)]
    bad = np.argwhere((targets < gives.low - slack[0]) | (targets > gives.high + slack[1]))
    if len(bad):
        row, column = bad[0]
        raise LabelError(
            f"target {targets[row, column]:g} at row {place(int(row))} lies beyond what {head.last} gives, {gives}: "
            f"use no activation in the last layer, or scale the targets. {MEANT}"
        )
    if gives.sums_to_one and head.outputs > 1:
        _check_sums(targets, weights, place, f"{head.last} gives rows that sum to 1")


def _check_sums(targets: Any, weights: Any, place: Callable[[int], Any], why: str) -> None:
    sums = np.sum(targets, axis=1)
    wrong = np.abs(sums - 1.0) > NOT_QUITE
    if weights is not None:
        wrong &= np.asarray(weights) > 0.0
    bad = np.flatnonzero(wrong)
    if len(bad):
        raise LabelError(
            f"the targets at row {place(int(bad[0]))} sum to {sums[bad[0]]:g}; {why}. For several labels at once use "
            f"activation='sigmoid' with loss='binary_crossentropy'; else divide each row by its sum. {MEANT}"
        )


def check_scale(head: Head, targets: Any, precision: str, place: Callable[[int], Any]) -> None:
    """Raise LabelError for targets so large that the loss, or its slope, is beyond the numbers of this precision.

    The loss itself says so: it is computed for the outermost targets, and for the same scaled to 1.
    """
    largest = float(np.max(np.abs(targets), initial=0.0))
    start = 0.0 if head.activation is not None else _inside(head.gives or ANY)
    exponent = math.ceil(math.log2(largest)) if 0.0 < largest < math.inf else 0
    if largest <= 1.0 or (exponent < 1024 and _holds(head.loss, start, head.outputs, precision, 2.0**exponent)):
        return
    rows = np.unique([np.argmax(np.max(targets, axis=1)), np.argmin(np.min(targets, axis=1))])
    full, scaled = (_overflow(head.loss, start, targets[rows] / size, precision) for size in (1.0, largest))
    if not full or scaled:
        return
    row = int(np.argmax(np.max(np.abs(targets), axis=1)))
    wider = "" if precision == "float64" else ", or use precision='float64'"
    raise LabelError(
        f"target {targets[row][np.argmax(np.abs(targets[row]))]:g} at row {place(row)} is too large: loss "
        f"'{head.loss.name}' of it is beyond the numbers of {precision}. Scale the targets, for example divide them by "
        f"{10.0 ** math.floor(math.log10(largest)):g}{wider}."
    )


@functools.lru_cache(maxsize=256)
def _holds(loss: Loss, start: float, outputs: int, precision: str, size: float) -> bool:
    """Whether targets of this size, of either sign, are not too much; then smaller ones aren't either."""
    return not _overflow(loss, start, np.full((2, outputs), [[size], [-size]]), precision)


def _overflow(loss: Loss, start: float, targets: Any, precision: str) -> bool:
    """Whether the loss of predictions `start`, or its slope, is infinite for these targets."""
    dtype = FLOATS.get(precision, np.float32)
    with np.errstate(all="ignore"):
        d = targets.astype(dtype)
        p = np.full(d.shape, start, dtype)
        numbers = [dtype(c) for c in loss.constants]
        value = loss.value(np, p, d, *numbers)
        slope = loss.backward()(np, p, d, np.ones((len(d), 1), dtype), *numbers)
    return any(bool(np.any(np.isinf(found))) for found in (d, value, slope))


def _inside(gives: Range) -> float:
    """A number from the range, 0 if it may be."""
    if gives.low < 0.0 < gives.high:
        return 0.0
    if math.isinf(gives.high):
        return gives.low + 1.0
    return gives.high - 1.0 if math.isinf(gives.low) else 0.5 * (gives.low + gives.high)
