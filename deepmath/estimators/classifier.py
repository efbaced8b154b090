"""The classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from deepmath.arrays import namespace_of, to_numpy
from deepmath.errors import ConfigError, LabelError
from deepmath.estimators import fitting, settings
from deepmath.estimators.base import ActivationLike, LossLike, MultilayerPerceptron, Sizes, SolverLike, can_go_on
from deepmath.estimators.class_weights import times_class_weights
from deepmath.estimators.contract import ArrayLike, ClassifierMixin
from deepmath.estimators.documentation import documented
from deepmath.estimators.losses import classification_loss
from deepmath.losses import Loss
from deepmath.output_checks import Verdict
from deepmath.schedules import Schedule


@documented
class MLPClassifier(ClassifierMixin, MultilayerPerceptron):
    """A multi-layer perceptron for classes: two, more, or several labels at once.

    scikit-learn's `MLPClassifier`, whose arguments it takes, and what that leaves out. It minimises the log loss of a
    softmax over three or more classes, or of a sigmoid for one of two classes and for each of several labels.

    Parameters
    ----------
    [network]
    [training]
    loss : str, callable or deepmath loss, default="log_loss"
        Of probabilities: "log_loss", "focal", another name in `deepmath.losses`, or a function (xp, p, d) of one's own
        that gives one number for each row of probabilities p and targets d (0 and 1, [rows, n_outputs_]).
    class_weight : dict, list of dict, "balanced" or None, default=None
        How much each class counts, by label; "balanced" is n_samples / (n_classes * rows of the class).
    [beyond]

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The labels, in the order of probabilities.
    [fitted]

    See Also
    --------
    MLPRegressor : The same for numbers.
    deepmath.Sequential : The network beneath, with all of its freedom.

    Examples
    --------
    >>> from deepmath.estimators import MLPClassifier
    >>> X, y = [[0.0], [1.0], [4.0], [5.0]], [0, 0, 1, 1]
    >>> clf = MLPClassifier(8, ["tanh"], solver="lbfgs", random_state=0).fit(X, y)
    >>> clf.predict([[0.5], [4.5]])
    array([0, 1])
    """

    classes_: Any
    class_weight: Mapping[Any, float] | Sequence[Mapping[Any, float]] | str | None

    def __init__(
        self,
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
        loss: LossLike = "log_loss",
        class_weight: Mapping[Any, float] | Sequence[Mapping[Any, float]] | str | None = None,
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
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Go once over these rows, from where the network and its optimiser stand.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels, or an indicator matrix of them.
        sample_weight : array-like of shape (n_samples,), default=None
            How much the loss of each row counts.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.

        Returns
        -------
        self : object
            The estimator.
        """
        if isinstance(self.class_weight, str):
            raise ConfigError(
                f"partial_fit: class_weight={self.class_weight!r} counts the classes of all rows, which a part doesn't "
                "show; give a dictionary"
            )
        first = not hasattr(self, "coefs_")
        given = None if classes is None else unique_labels(np.asarray(to_numpy(classes)))
        if not hasattr(self, "classes_"):
            if given is None:
                raise ConfigError("classes must be passed on the first call to partial_fit.")
            self.classes_ = given
        elif given is not None and not np.array_equal(given, to_numpy(self.classes_)):
            raise LabelError(
                f"`classes={given!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )
        fitting.partial_fit(self, X, y, sample_weight, first)
        return self

    def predict(self, X: ArrayLike) -> Any:
        """The label of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Labels, or for several at once an indicator matrix.
        """
        p = self._outputs(X, "predict")
        xp = namespace_of(p)
        if self._is_multilabel:
            return xp.astype(p > 0.5, xp.int64)
        if self.n_outputs_ > 1:
            chosen = xp.argmax(p, axis=1)
        else:
            chosen = xp.astype(p[:, 0] > 0.5, xp.int64) * (int(self.classes_.shape[0]) - 1)
        if isinstance(self.classes_, np.ndarray):
            return self.classes_[to_numpy(chosen)]
        return xp.take(self.classes_, chosen, axis=0)

    def predict_proba(self, X: ArrayLike) -> Any:
        """The probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; for several labels at once each is a probability of its own.
        """
        return self._probabilities(X, "predict_proba")

    def predict_log_proba(self, X: ArrayLike) -> Any:
        """The logarithm of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        p = self._probabilities(X, "predict_log_proba")
        with np.errstate(divide="ignore"):  # of a probability of 0 it is -inf
            return namespace_of(p).log(p)

    def _probabilities(self, X: ArrayLike, method: str) -> Any:
        p = self._outputs(X, method)
        if self.n_outputs_ > 1:
            return p
        xp = namespace_of(p)
        return xp.concat([1.0 - p, p], axis=1) if self.classes_.shape[0] == 2 else xp.ones_like(p)

    @property
    def _is_multilabel(self) -> bool:
        return self.out_activation_ == "logistic" and self.n_outputs_ > 1

    def _encoded(self, y: Any, classes: str) -> tuple[Any, int, str]:
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multiclass-multioutput":
            raise LabelError("y has several columns of classes; give one column, or an indicator matrix of 0 and 1")
        several = kind == "multilabel-indicator"
        y = y.astype(np.int64) if several else column_or_1d(y, warn=True)
        found = np.arange(y.shape[1]) if several else np.unique(y)
        if classes == "new":
            self.classes_ = found
        known = to_numpy(self.classes_)
        self._check_classes(found, known, classes)
        if several:
            return y, len(found), "logistic"
        labels = np.searchsorted(known, y)
        return (labels, 1, "logistic") if len(known) <= 2 else (labels, len(known), "softmax")

    def _check_classes(self, found: Any, known: Any, classes: str) -> None:
        if classes == "same" and set(found.tolist()) != set(known.tolist()):
            raise LabelError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {known}, `y` has {found}"
            )
        if not set(found.tolist()) <= set(known.tolist()):
            raise LabelError(f"`y` has classes not in `self.classes_`. `self.classes_` has {known}. 'y' has {found}.")

    def _loss_object(self) -> Loss:
        return classification_loss(self.loss, self.out_activation_, self.n_outputs_)

    def _cure(self, found: Verdict) -> str:
        return "use loss='log_loss'"

    def _for_loss(self, targets: Any, loss: Loss) -> Any:
        if self.out_activation_ == "logistic":
            return targets.astype(np.float64)
        return targets if loss.targets == "labels" else np.eye(self.n_outputs_)[targets]

    def _weighted(self, y: Any, weights: Any, trained: Any) -> Any:
        classes = np.outer([0, 1], np.ones(self.n_outputs_, int)) if self._is_multilabel else to_numpy(self.classes_)
        return times_class_weights(self.class_weight, y, weights, trained, classes)

    def _target(self) -> Any:
        labels = to_numpy(self.classes_).tolist()
        if self._is_multilabel or labels == list(range(len(labels))) or len({type(label) for label in labels}) > 1:
            return None
        from deepmath.tables import ClassTarget  # only who asks for a model pays for it

        return ClassTarget(tuple(labels)) if type(labels[0]) in (str, int, float, bool) else None

    def _stratification(self, targets: Any) -> Any:
        return targets.astype(bool)[:, None] if self.n_outputs_ == 1 else None

    _score_name = "accuracy"

    def _scored(self, targets: Any, outputs: Any, weights: Any) -> float:
        if self.out_activation_ == "softmax":
            hits = outputs.argmax(axis=1) == targets
        else:
            hits = np.all((outputs > 0.5) == targets.reshape(outputs.shape), axis=1)
        return float(np.average(hits, weights=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
