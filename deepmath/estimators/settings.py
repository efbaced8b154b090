"""The arguments of the estimators: checked at the beginning of a fit, and turned into descriptions."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath import optimizers
from deepmath.errors import ConfigError
from deepmath.estimators.design import NORMALIZATION
from deepmath.optimizers import LBFGS, SGD, Adam, Optimizer
from deepmath.preprocessing import MinMax, Standardize, Transform, preprocessing_of
from deepmath.preprocessing.transform import Fitted
from deepmath.tables import TableEncoder
from deepmath.training.callbacks import callbacks_of

LAWS = "constant", "invscaling", "adaptive"
SMALL_STEP = 2.220446049250313e-09
"""SciPy's bound: an iteration of L-BFGS that lowers the loss by a smaller share is the last."""
_SCALES = {"standard": Standardize, "minmax": MinMax}
_BOUNDS = {  # lowest, whether without it, whether whole
    "alpha": (0, False, False),
    "learning_rate_init": (0, True, False),
    "power_t": (0, False, False),
    "max_iter": (1, False, True),
    "tol": (0, False, False),
    "n_iter_no_change": (1, False, True),
    "max_fun": (1, False, True),
}


@dataclass(frozen=True)
class EpsilonHatAdam(Adam):
    """Adam as scikit-learn and Keras have it: rate m_hat / (sqrt(v_hat) + epsilon / sqrt(1 - beta_2^t)).

    Kingma and Ba (2014), end of section 2, where epsilon is called epsilon hat. It matters where gradients are about
    as small as epsilon: in units that are dead but for their penalty.
    """

    def coefficients(self, step: int) -> tuple[float, ...]:
        *rest, _ = super().coefficients(step)
        return (*rest, self.epsilon)

    def plain(self) -> Adam:
        """deepmath's Adam with the same settings."""
        return Adam(self.learning_rate, self.beta_1, self.beta_2, self.epsilon)


def store(estimator: Any, given: Mapping[str, Any]) -> None:
    """Keep every argument under its name, as it came: scikit-learn's `clone` and `get_params` count on it."""
    for name, value in given.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


def check(estimator: Any) -> None:
    """Raise ConfigError for an argument that can't be used; what only one kind of solver takes it checks itself."""
    owner = type(estimator).__name__
    for name, (low, open_low, whole) in _BOUNDS.items():
        value = getattr(estimator, name)
        if name == "n_iter_no_change" and value == math.inf:
            continue
        if not _is_number(value, whole) or not (low < value if open_low else low <= value):
            sort = "a whole number" if whole else "a number"
            raise ConfigError(f"{owner}: {name} must be {sort} {'>' if open_low else '>='} {low}; got {value!r}")
    share = estimator.validation_fraction
    if not _is_number(share) or not 0 <= share < 1:
        raise ConfigError(f"{owner}: validation_fraction must be a number in [0, 1); got {share!r}")
    size = estimator.batch_size
    if not (isinstance(size, str) and size == "auto") and not (_is_number(size, whole=True) and size >= 1):
        raise ConfigError(f"{owner}: batch_size must be 'auto' or a whole number >= 1; got {size!r}")
    law = estimator.learning_rate
    if not callable(law) and law not in LAWS:
        known = ", ".join(LAWS)
        raise ConfigError(f"{owner}: learning_rate must be one of {known}, or a schedule or function; got {law!r}")
    if estimator.normalization is not None and estimator.normalization not in NORMALIZATION:
        known = ", ".join(map(repr, NORMALIZATION))
        raise ConfigError(f"{owner}: normalization must be None or one of {known}; got {estimator.normalization!r}")
    if hasattr(estimator, "class_weight"):
        _check_class_weight(owner, estimator.class_weight)
    callbacks_of(estimator.callbacks)
    scaling(estimator)


def _check_class_weight(owner: str, given: Any) -> None:
    """Raise ConfigError unless these are numbers >= 0 by label, a list of such, or "balanced"."""
    tables = given if isinstance(given, (list, tuple)) else [given]
    if given is not None and given != "balanced" and not all(isinstance(table, Mapping) for table in tables):
        what = "None, 'balanced', or a dictionary such as {0: 1.0, 1: 5.0} (of several labels a list of them)"
        raise ConfigError(f"{owner}: class_weight must be {what}; got {given!r}")
    for label, weight in [item for table in tables if isinstance(table, Mapping) for item in table.items()]:
        if not _is_number(weight) or weight < 0:
            raise ConfigError(f"{owner}: class_weight must be finite and >= 0; got {weight!r} for class {label!r}")


def _is_number(value: Any, whole: bool = False) -> bool:
    """Whether it is a finite number, NumPy's too."""
    kind = numbers.Integral if whole else numbers.Real
    return isinstance(value, kind) and not isinstance(value, (bool, np.bool_)) and math.isfinite(value)


def hidden_units(estimator: Any) -> tuple[int, ...]:
    """The units of each hidden layer."""
    given = estimator.hidden_layer_sizes
    units = given.tolist() if isinstance(given, np.ndarray) else given
    units = list(units) if isinstance(units, Iterable) else [units]
    for u in units:
        if not _is_number(u, whole=True) or u < 1:
            owner = type(estimator).__name__
            raise ConfigError(f"{owner}: hidden_layer_sizes must be whole numbers > 0; got {given!r}")
    return tuple(int(u) for u in units)


def for_each_layer(estimator: Any, name: str, layers: int) -> tuple[Any, ...]:
    """An argument that is one for all hidden layers, or a list of one for each."""
    given = getattr(estimator, name)
    if not isinstance(given, (list, tuple, np.ndarray)):
        return (given,) * layers
    if len(given) != layers:
        raise ConfigError(
            f"{type(estimator).__name__}: {name} must be one for all hidden layers, or a list of {layers}, one for "
            f"each; got {len(given)}"
        )
    return tuple(given)


def solver(estimator: Any) -> Optimizer:
    """The optimiser: scikit-learn's "adam", "sgd" and "lbfgs" with its arguments, deepmath's names, or an object."""
    given = estimator.solver
    law = estimator.learning_rate
    rate = law if callable(law) else float(estimator.learning_rate_init)
    if given == "lbfgs":
        return LBFGS(
            int(estimator.max_iter), tolerance=float(estimator.tol), max_evaluations=int(estimator.max_fun),
            loss_tolerance=SMALL_STEP,
        )  # fmt: skip
    if given == "sgd":
        momentum = float(estimator.momentum)
        return SGD(rate, momentum, bool(estimator.nesterovs_momentum and momentum))
    if given == "adam":
        return EpsilonHatAdam(rate, float(estimator.beta_1), float(estimator.beta_2), float(estimator.epsilon))
    found = optimizers.get(given)
    if isinstance(given, str):
        found = replace(found, learning_rate=rate)  # type: ignore[type-var]
    return found


def scaling(estimator: Any) -> Any:
    """The preprocessing that `scale` means, not fitted yet unless it was given so; None for none."""
    given = estimator.scale
    if isinstance(given, (TableEncoder, list, tuple)):
        given = preprocessing_of(given)
    if given is None or isinstance(given, (Transform, Fitted)):
        return given
    if not isinstance(given, str) or given not in _SCALES:
        known = ", ".join(map(repr, _SCALES))
        raise ConfigError(
            f"{type(estimator).__name__}: scale must be None, {known}, or one of deepmath.preprocessing; got {given!r}"
        )
    return _SCALES[given]()


def precision(estimator: Any, dtype: Any) -> str:
    """The precision to train in: that of X unless the argument says another."""
    if estimator.precision != "auto":
        return str(estimator.precision)
    return "float32" if "float32" in str(dtype) else "float64"
