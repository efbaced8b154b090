"""From scikit-learn's fitted networks to ours."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import neural_network
from sklearn.utils.validation import check_is_fitted

from deepmath.errors import ConfigError
from deepmath.estimators import fitting, settings
from deepmath.estimators.classifier import MLPClassifier
from deepmath.estimators.network import Network
from deepmath.estimators.regressor import MLPRegressor

_SLOTS = {"adam": {"m": "ms", "v": "vs"}, "sgd": {"v": "velocities"}}
"""Our optimiser's slots, and where scikit-learn's keeps them."""
_COPIED = ("n_iter_", "t_", "loss_", "out_activation_", "n_outputs_", "n_layers_", "n_features_in_")
_OPTIONAL = (
    "classes_", "feature_names_in_", "best_loss_", "loss_curve_", "validation_scores_", "best_validation_score_",
    "_no_improvement_count",
)  # fmt: skip


def from_sklearn(mlp: Any) -> MLPClassifier | MLPRegressor:
    """Take over a fitted network of scikit-learn's, exactly.

    Parameters
    ----------
    mlp : sklearn.neural_network.MLPClassifier or MLPRegressor
        The fitted estimator. It is only read.

    Returns
    -------
    estimator : MLPClassifier or MLPRegressor
        Ours with the same arguments, kernels, biases and fitted attributes, and with the state of the optimiser, so
        that `partial_fit` goes on where scikit-learn's stood.

    Examples
    --------
    >>> from sklearn.neural_network import MLPClassifier
    >>> X, y = [[0.0], [1.0], [4.0], [5.0]], [0, 0, 1, 1]
    >>> theirs = MLPClassifier(8, solver="lbfgs", random_state=0).fit(X, y)
    >>> bool(abs(from_sklearn(theirs).predict_proba(X) - theirs.predict_proba(X)).max() < 1e-12)
    True
    """
    kinds = {neural_network.MLPClassifier: MLPClassifier, neural_network.MLPRegressor: MLPRegressor}
    kind = next((ours for theirs, ours in kinds.items() if isinstance(mlp, theirs)), None)
    if kind is None:
        raise ConfigError(
            f"from_sklearn: mlp must be sklearn's MLPClassifier or MLPRegressor; got {type(mlp).__name__}"
        )
    check_is_fitted(mlp)
    ours = kind(**mlp.get_params(deep=False))
    for name in (*_COPIED, *(n for n in _OPTIONAL if hasattr(mlp, n))):
        value = getattr(mlp, name)
        setattr(ours, name, value.copy() if hasattr(value, "copy") else value)
    if not hasattr(ours, "loss_curve_"):
        ours.loss_curve_ = []
    ours.validation_loss_curve_ = []
    design = fitting.design_of(ours, ours.n_features_in_)
    values: dict[str, Any] = {}
    for number, coef, intercept in zip(design.dense, mlp.coefs_, mlp.intercepts_, strict=True):
        values |= {f"params.{number}.kernel": np.array(coef), f"params.{number}.bias": np.array(intercept)}
    values |= _optimizer_state(mlp, design.dense)
    network = Network(design, 0, values, settings.precision(ours, mlp.coefs_[0].dtype))
    network.goes_on(settings.solver(ours))
    ours._network = network
    ours._rate_factor = float(values.get("rate", 1.0))
    ours.learning_rate_ = ours.learning_rate_init * ours._rate_factor
    fitting.show(ours, network, np.asarray(mlp.coefs_[0]))
    return ours


def _optimizer_state(mlp: Any, dense: list[int]) -> dict[str, Any]:
    """scikit-learn's moments, or its velocity, which holds the rate and its sign. It lists kernels, then biases."""
    optimizer = getattr(mlp, "_optimizer", None)
    if optimizer is None:
        return {}
    names = [f"{number}.kernel" for number in dense] + [f"{number}.bias" for number in dense]
    rate = float(optimizer.learning_rate)
    scale = -1.0 / rate if mlp.solver == "sgd" else 1.0
    values: dict[str, Any] = {}
    for slot, theirs in _SLOTS[mlp.solver].items():
        values |= {f"{slot}.{n}": scale * np.array(v) for n, v in zip(names, getattr(optimizer, theirs), strict=True)}
    if mlp.solver == "sgd":
        return values | {"rate": np.asarray(rate / mlp.learning_rate_init)}
    return values | {"step": np.asarray(optimizer.t)}
