"""scikit-learn's names of losses and activations, and losses as it scales them: deepmath's formulas, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepmath import activations, losses
from deepmath.activations import ActivationFunction
from deepmath.formulas import losses as formulas
from deepmath.formulas import regression
from deepmath.losses import Loss
from deepmath.ranges import Range
from deepmath.trace import Formula


def _times(factor: Callable[[Any], Any], formula: Formula) -> Formula:
    """A loss's formula times a factor of its predictions' width."""
    return lambda xp, p, d, *constants: factor(p.shape[-1]) * formula(xp, p, d, *constants)


def _half(_units: Any) -> Any:
    return 0.5


def _units(units: Any) -> Any:
    return units


def _exponential(xp: Any, z: Any) -> Any:
    return xp.exp(z)


EXP = ActivationFunction("exp", _exponential, gives=Range(low=0.0))

SQUARED_ERROR = Loss(
    "squared_error", _times(_half, formulas.sse), _times(_half, formulas.sse_slope), predictions="numbers"
)
"""Half the squared error, summed over outputs."""

POISSON = Loss(
    "poisson", _times(_units, regression.poisson), _times(_units, regression.poisson_slope), targets="counts",
    predictions="positive",
)  # fmt: skip
"""p - y ln p, summed over outputs: half the Poisson deviance without the terms of y alone."""

EACH_LABEL = Loss(
    "log_loss",
    _times(_units, formulas.binary_crossentropy),
    _times(_units, formulas.binary_crossentropy_slope),
    targets="shares",
    predictions="chances",
    logits=(
        "sigmoid",
        _times(_units, formulas.binary_crossentropy_logits),
        _times(_units, formulas.binary_crossentropy_logits_slope),
    ),
)
"""Binary cross-entropy, summed over labels."""

_REGRESSION = {
    "squared_error": SQUARED_ERROR,
    "poisson": POISSON,
    "absolute_error": losses.get("mae"),
}
_ACTIVATIONS = {"logistic": "sigmoid", "exp": EXP}
_LOG_LOSS = {"logistic": "binary_crossentropy", "softmax": "sparse_categorical_crossentropy"}


def regression_loss(given: Any) -> Loss:
    """A loss by scikit-learn's name or deepmath's ("huber", "quantile(0.9)"), or any loss of one's own."""
    return _REGRESSION[given] if isinstance(given, str) and given in _REGRESSION else losses.get(given)


def classification_loss(given: Any, out_activation: str, outputs: int) -> Loss:
    """The loss of probabilities: "log_loss" as the output activation needs it, a name, or any loss of one's own."""
    if given != "log_loss":
        return losses.get(given)
    return EACH_LABEL if out_activation == "logistic" and outputs > 1 else losses.get(_LOG_LOSS[out_activation])


def activation(given: Any) -> ActivationFunction:
    """An activation by scikit-learn's name or deepmath's, or a function (xp, z) -> y of one's own."""
    return activations.get(_ACTIVATIONS.get(given, given) if isinstance(given, str) else given)
