"""What the classifier and the regressor have in common."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, TypeAlias

from sklearn.utils.validation import check_is_fitted

from deepmath.activations import ActivationFunction
from deepmath.backend import load_backend
from deepmath.errors import ConfigError
from deepmath.estimators import fitting, inputs, settings
from deepmath.estimators.contract import ArrayLike, Estimator, available_if, with_callbacks
from deepmath.estimators.losses import activation
from deepmath.estimators.network import Network
from deepmath.layers import Dense
from deepmath.losses import Loss
from deepmath.model import Sequential
from deepmath.optimizers import LBFGS, Optimizer
from deepmath.output_checks import Verdict, fault
from deepmath.preprocessing import behind_table
from deepmath.schedules import Schedule

Sizes: TypeAlias = int | Sequence[int]
ActivationLike: TypeAlias = str | ActivationFunction | Callable[..., Any]
LossLike: TypeAlias = str | Loss | Callable[..., Any]
SolverLike: TypeAlias = str | Optimizer


class MultilayerPerceptron(Estimator, abc.ABC):
    """A network as an estimator: `MLPClassifier` and `MLPRegressor`."""

    coefs_: list[Any]
    intercepts_: list[Any]
    n_features_in_: int
    feature_names_in_: Any
    n_outputs_: int
    n_layers_: int
    n_iter_: int
    t_: int
    out_activation_: str
    loss_: float
    best_loss_: float | None
    loss_curve_: list[float]
    validation_loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    learning_rate_: float

    hidden_layer_sizes: Sizes
    activation: ActivationLike | Sequence[ActivationLike]
    solver: SolverLike
    alpha: float
    batch_size: int | Literal["auto"]
    learning_rate: str | Schedule | Callable[[int], float]
    learning_rate_init: float
    power_t: float
    max_iter: int
    loss: LossLike
    shuffle: bool
    random_state: Any
    tol: float
    verbose: bool | int
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    dropout: float | Sequence[float]
    normalization: str | None
    scale: Any
    callbacks: Sequence[Any]
    backend: Any
    device: Any
    precision: str
    unusual: bool

    _network: Network | None = None
    _takes_frames = False
    _columns: Any = None
    _numeric = False

    @with_callbacks
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        eval_set: tuple[Any, ...] | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
            Inputs. Of a data frame the columns may be categories, dates, booleans, text and numbers, with missing
            cells: see the class.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels or an indicator matrix of them, or numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            How much the loss of each row counts.
        eval_set : tuple (X, y) or (X, y, sample_weight), default=None
            Rows that don't train. Their loss after each epoch goes to `validation_loss_curve_`; with
            `early_stopping` they stand in for the rows that it would hold out, and their score says when to stop.
            Loss and score are weighted as the loss that trains: by sample weight times class weight, "balanced" as
            counted on the rows that train.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        fitting.fit(self, X, y, sample_weight, eval_set)
        return self

    def to_sequential(self) -> Sequential:
        """The network as a `deepmath.Sequential` of its own: layers, values, preprocessing, loss and optimiser.

        Returns
        -------
        model : deepmath.Sequential
            A copy: what happens to it doesn't touch the estimator. It takes what this takes, data frames too, and
            targets and labels as they are. It predicts probabilities where this predicts labels: [n_samples, 1] of
            the second of two classes.
        """
        network, optimizer = self._fitted(), settings.solver(self)
        if isinstance(optimizer, settings.EpsilonHatAdam):
            optimizer = optimizer.plain()
        model = network.to_sequential(optimizer, self._loss_object(), bool(self.unusual), self._target())
        if self._columns is not None:
            model.preprocessing = behind_table(self._columns, model.preprocessing)
        return model

    def _fitted(self) -> Network:
        """The network with the values that `coefs_` and `intercepts_` show."""
        check_is_fitted(self)
        if self._network is None:
            self._network = fitting.network_of(self)
        self._network.follow(self.coefs_, self.intercepts_)
        return self._network

    def _outputs(self, X: ArrayLike, method: str) -> Any:
        """What the network gives [rows, outputs] for X, and where it lies."""
        network = self._fitted()
        inputs.check_same_place(self, X, method)
        X, _ = inputs.admitted(self, X, reset=False)
        return network.predict(X, load_backend(self.backend, self.device, X))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    def _can_go_on(self) -> bool:
        """Whether `partial_fit` exists: L-BFGS needs all rows at once."""
        if self.solver == "lbfgs" or isinstance(self.solver, LBFGS):
            raise AttributeError(
                f"{type(self).__name__}: partial_fit needs a solver that steps; 'lbfgs' takes all rows"
            )
        return True

    @abc.abstractmethod
    def _encoded(self, y: Any, classes: str) -> tuple[Any, int, str]:
        """(targets, number of outputs, output activation) of y on the host.

        `classes` says what its classes must be: "new" ones, the "same" as before, or some of the "known" ones.
        """

    @abc.abstractmethod
    def _loss_object(self) -> Loss:
        """The loss that the arguments mean."""

    def _check_loss(self) -> None:
        """Raise ConfigError for a loss that isn't one of what the network gives."""
        loss = self._loss_object()
        function = activation(self.out_activation_)
        found = fault(loss, [Dense(self.n_outputs_, None if function.name == "linear" else function)])
        if found is not None and not (found.odd and self.unusual):
            meant = " If that is meant: unusual=True." if found.odd else ""
            raise ConfigError(f"{type(self).__name__}: {found.why}: {self._cure(found)}.{meant}")

    @abc.abstractmethod
    def _cure(self, found: Verdict) -> str:
        """What to use instead of the loss, in the words of the arguments."""

    _score_name: str

    @abc.abstractmethod
    def _scored(self, targets: Any, outputs: Any, weights: Any) -> float:
        """The score of what the network gave for held-out rows, by which early stopping goes."""

    def _for_loss(self, targets: Any, loss: Loss) -> Any:
        """Encoded targets in the form that a loss takes."""
        return targets

    def _weighted(self, y: Any, weights: Any, trained: Any) -> Any:
        """Sample weights times those of the classes of y, which "balanced" counts in the y that trains."""
        return weights

    def _scaled(self, targets: Any) -> Any:
        """What scales the targets that train, a `deepmath.tables.Target`, or None."""
        return None

    def _target(self) -> Any:
        """What a fitted network learns, a `deepmath.tables.Target`, or None for numbers as they are."""
        return None if self._network is None else self._network.target

    def _stratification(self, targets: Any) -> Any:
        """What rows are held out by: the same shares of it on both sides."""
        return None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags


can_go_on = available_if(lambda estimator: estimator._can_go_on())
"""For `partial_fit`: the method exists where the solver can go on."""
