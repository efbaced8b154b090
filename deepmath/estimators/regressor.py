"""The regressor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d

from deepmath.estimators import fitting, settings
from deepmath.estimators.base import ActivationLike, LossLike, MultilayerPerceptron, Sizes, SolverLike, can_go_on
from deepmath.estimators.contract import ArrayLike, RegressorMixin
from deepmath.estimators.documentation import documented
from deepmath.estimators.losses import activation, regression_loss
from deepmath.losses import Loss
from deepmath.output_checks import Verdict
from deepmath.preprocessing import MinMax
from deepmath.schedules import Schedule


@documented
class MLPRegressor(RegressorMixin, MultilayerPerceptron):
    """A multi-layer perceptron for numbers, one or several for each row.

    scikit-learn's `MLPRegressor`, whose arguments it takes, and what that leaves out.

    Parameters
    ----------
    loss : str, callable or deepmath loss, default="squared_error"
        "squared_error" is half the squared error and "poisson" p - y ln p of a prediction p > 0, both summed over
        outputs; "absolute_error", "huber(1.5)", "quantile(0.9)", "log_cosh" and other names in `deepmath.losses` are
        means over outputs. A function (xp, p, d) of one's own gives one number for each row.
    [network]
    [training]
    out_activation : str, callable or None, default=None
        Activation of the last layer: "softplus" keeps predictions positive, "sigmoid" between 0 and 1. None is the
        identity, or "exp" where the loss is "poisson".
    [beyond]

    Attributes
    ----------
    [fitted]

    See Also
    --------
    MLPClassifier : The same for classes.
    deepmath.Sequential : The network beneath, with all of its freedom.

    Examples
    --------
    >>> from deepmath.estimators import MLPRegressor
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 4.0, 9.0]
    >>> reg = MLPRegressor(hidden_layer_sizes=8, solver="lbfgs", max_iter=1000, random_state=0, alpha=0.0).fit(X, y)
    >>> bool(reg.score(X, y) > 0.99)
    True
    """

    out_activation: ActivationLike | None
    _numeric = True

    def __init__(
        self,
        loss: LossLike = "squared_error",
        hidden_layer_sizes: Sizes = (100,),
        activation: ActivationLike | Sequence[ActivationLike] = "relu",
        *,
        solver: SolverLike = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: str | Schedule | Callable[[int], float] = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        out_activation: ActivationLike | None = None,
        dropout: float | Sequence[float] = 0.0,
        normalization: str | None = None,
        scale: Any = None,
        callbacks: Sequence[Any] = (),
        backend: Any = None,
        device: Any = None,
        precision: str = "auto",
        unusual: bool = False,
    ) -> None:
        settings.store(self, locals())

    @can_go_on
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Go once over these rows, from where the network and its optimiser stand.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers to predict.
        sample_weight : array-like of shape (n_samples,), default=None
            How much the loss of each row counts.

        Returns
        -------
        self : object
            The estimator.
        """
        fitting.partial_fit(self, X, y, sample_weight, not hasattr(self, "coefs_"))
        return self

    def predict(self, X: ArrayLike) -> Any:
        """The numbers for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions.
        """
        p = self._outputs(X, "predict")
        return p[:, 0] if self.n_outputs_ == 1 else p

    def _encoded(self, y: Any, classes: str) -> tuple[Any, int, Any]:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        function = self.out_activation
        if function is None:
            function = "exp" if self.loss == "poisson" else "identity"
        return y, 1 if y.ndim == 1 else int(y.shape[1]), function

    def _loss_object(self) -> Loss:
        return regression_loss(self.loss)

    def _cure(self, found: Verdict) -> str:
        cure = found.cure.replace("use no activation", "use out_activation=None").replace("no activation", "none")
        return cure.replace(" in the last layer", "").replace(" activation='", " out_activation='")

    def _scaled(self, targets: Any) -> Any:
        scaling = settings.scaling(self)
        if scaling is None or self._loss_object().predictions != "numbers" or not self._gives_any_number:
            return None
        from deepmath.tables import NumbersTarget, target_of  # only who scales targets pays for them

        found: list[Any] = []
        for number, column in enumerate(targets.reshape(len(targets), -1).T):
            target: Any = target_of(column, f"y{number}" if targets.ndim > 1 else "y", "number", scale=True)
            low, high = float(column.min()), float(column.max())
            if isinstance(getattr(scaling, "transform", scaling), MinMax) and low < high:
                target = replace(target, origin=low, size=high - low)
            found.append(target)
        if targets.ndim == 1:
            return found[0]
        return NumbersTarget(*(tuple(getattr(t, name) for t in found) for name in ("name", "origin", "size")))

    @property
    def _gives_any_number(self) -> bool:
        gives = activation(self.out_activation_).range
        return gives.known and math.isinf(gives.low) and math.isinf(gives.high)

    _score_name = "R2"

    def _scored(self, targets: Any, outputs: Any, weights: Any) -> float:
        return float(r2_score(targets, outputs.reshape(np.shape(targets)), sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
