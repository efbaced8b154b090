"""One call of `fit` or `partial_fit`: from the rows that come in to fitted attributes."""

from __future__ import annotations

import copy
import functools
import math
import numbers
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from deepmath.arrays import is_frame, to_numpy
from deepmath.backend import load_backend
from deepmath.checks import is_sparse, row_weights
from deepmath.data.adapters import adapt_inputs
from deepmath.data.chunks import Chunks
from deepmath.data.columns import check_index
from deepmath.data.encoding import fitted
from deepmath.data.rows import Rows
from deepmath.errors import ConfigError, NonFiniteError, NumericError
from deepmath.estimators import inputs, settings
from deepmath.estimators.design import Design
from deepmath.estimators.hooks import Hooks, hooks_of
from deepmath.estimators.network import Network
from deepmath.estimators.orders import Orders
from deepmath.estimators.rows import EncodedRows
from deepmath.estimators.watch import Watch
from deepmath.optimizers import LBFGS, Optimizer
from deepmath.preprocessing import MinMax, Standardize
from deepmath.training.callbacks import callbacks_of
from deepmath.training.evaluation import predict

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


def fit(estimator: Any, X: Any, y: Any, sample_weight: Any, eval_set: Any) -> None:
    """Train from new values, or with `warm_start` from the present ones, until a rule says that it is enough."""
    settings.check(estimator)
    hooks = hooks_of(estimator, X, y, sample_weight)
    first = not hasattr(estimator, "coefs_") or not estimator.warm_start
    rows = _admit(estimator, X, y, sample_weight, first, "new" if first else "same")
    held = None if eval_set is None else _evaluated(estimator, eval_set)
    optimizer, rng = settings.solver(estimator), check_random_state(estimator.random_state)
    new, made = first or estimator._network is None, None
    if new and not is_frame(rows.X):
        made = _draw(estimator, rows, rng)
    if _stops(estimator, optimizer) and held is None:
        kept, other = inputs.split(
            rows.count, estimator.validation_fraction, rng, estimator._stratification(rows.targets)
        )
        rows, held = rows.chosen(kept), rows.chosen(other)
    trained = rows.y
    rows, held = rows.weighted(estimator, trained), held and held.weighted(estimator, trained)
    if new and made is None:  # which numbers the cells of a table become is learnt from the rows that train
        made = _draw(estimator, rows, rng)
    network = _network(estimator, rows, rng, made, first)
    del made  # the first weights are in the network
    if isinstance(optimizer, LBFGS) and network.preprocessing is not None and is_sparse(rows.X):
        rows = replace(rows, X=rows.X.toarray())  # each of its steps takes all rows, and scaled they are dense
    batch = rows.count if isinstance(optimizer, LBFGS) else inputs.batch_rows(estimator, rows.count)
    _begin(estimator, network, rows, optimizer, batch, first=first, anew=True)
    orders = Orders(rng, network.model.epochs_trained)
    _train(estimator, network, rows, held, optimizer, batch, orders, hooks)
    if (
        estimator.shuffle
        and not isinstance(optimizer, LBFGS)
        and not isinstance(estimator.random_state, numbers.Integral)
    ):
        orders.leave(rng, estimator.n_iter_, rows.count)
    show(estimator, network, rows.X)
    if hooks is not None:
        hooks.end()


def _train(
    estimator: Any, network: Network, rows: EncodedRows, held: EncodedRows | None, optimizer: Optimizer, batch: int,
    orders: Orders, hooks: Hooks | None,
) -> None:  # fmt: skip
    """Run epochs until a rule or a limit says that it is enough, and tell where it was a limit."""
    backend, loss = load_backend(estimator.backend, estimator.device, rows.X), estimator._loss_object()
    targets, score = estimator._for_loss(rows.targets, loss), None
    if held is not None and _stops(estimator, optimizer):
        sparse = backend.takes_sparse and network.preprocessing is None and is_sparse(rows.X)
        score = functools.partial(_score, estimator, held, network.chunks(held.X, backend, sparse))
    score_name = estimator._score_name if held is None or held.weights is None else f"weighted {estimator._score_name}"
    watch = Watch(estimator, optimizer, rows.count, score, score_name)
    if hooks is not None:
        hooks.values = functools.partial(_as_if_ended, network, rows.X)
    try:
        history = network.fit(
            rows.X, targets, backend,
            epochs=int(estimator.max_iter), batch_size=batch, sample_weight=rows.weights,
            shuffle=orders if estimator.shuffle and batch < rows.count else False,
            callbacks=[watch, *([hooks] if hooks else []), *callbacks_of(estimator.callbacks)],
            validation_data=held and (held.X, estimator._for_loss(held.targets, loss), held.weights),
        )  # fmt: skip
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=5)
    except NonFiniteError as error:
        _diverged(estimator, error)
    else:
        stopped = estimator.n_iter_ < estimator.max_iter and history.converged is not False
        if not watch.enough and not stopped and not history.converged:
            _warn_of_limit(estimator, optimizer)
    if not estimator.loss_curve_:  # L-BFGS began at a minimum
        estimator.loss_ = estimator.best_loss_ = network.loss(rows.X, targets, rows.weights, backend)


def partial_fit(estimator: Any, X: Any, y: Any, sample_weight: Any, first: bool) -> None:
    """Go once over the rows, from where values, optimiser and rate stand."""
    settings.check(estimator)
    if estimator.early_stopping:
        raise ConfigError("partial_fit does not support early_stopping=True; set it to False, or call fit")
    rows = _admit(estimator, X, y, sample_weight, first, "known")
    rows = rows.weighted(estimator, rows.y)
    optimizer = settings.solver(estimator)
    made, rng = None, None
    if first or estimator._network is None:
        rng = check_random_state(estimator.random_state)
        made = _draw(estimator, rows, rng)
    network = _network(estimator, rows, rng, made, first)
    batch = inputs.batch_rows(estimator, rows.count)
    _begin(estimator, network, rows, optimizer, batch, first=first, anew=first)
    network.set_rate(estimator._rate_factor)
    loss = estimator._loss_object()
    backend = load_backend(estimator.backend, estimator.device, rows.X)
    targets = estimator._for_loss(rows.targets, loss)
    try:
        mean = network.one_pass(rows.X, targets, rows.weights, backend, batch, bool(estimator.shuffle))
    except NonFiniteError as error:
        raise NumericError(f"{NOT_FINITE} {error}") from error
    Watch(estimator, optimizer, rows.count).after(mean)
    show(estimator, network, rows.X)


def _admit(estimator: Any, X: Any, y: Any, sample_weight: Any, first: bool, classes: str) -> EncodedRows:
    """Checked rows; finds the number of outputs, or holds it against that which there is."""
    check_index(Rows(X, y, sample_weight), "fit")
    X, y = inputs.admitted(estimator, X, y, reset=first, numeric=estimator._numeric)
    weights = row_weights(sample_weight, len(y))
    targets, outputs, function = estimator._encoded(y, classes)
    if not first and hasattr(estimator, "n_outputs_") and estimator.n_outputs_ != outputs:
        raise ConfigError(f"y has {outputs} outputs, but the network was begun with {estimator.n_outputs_}")
    estimator.n_outputs_, estimator.out_activation_ = outputs, function
    estimator._check_loss()
    return EncodedRows(X, targets, y, weights)


def _evaluated(estimator: Any, eval_set: Any) -> EncodedRows:
    """The checked rows of `eval_set`."""
    if not isinstance(eval_set, (tuple, list)) or len(eval_set) not in (2, 3):
        raise ConfigError(f"fit: eval_set must be (X, y) or (X, y, sample_weight); got {type(eval_set).__name__}")
    check_index(Rows(*eval_set), "eval_set")
    X, y = inputs.admitted(estimator, eval_set[0], eval_set[1], reset=False, numeric=estimator._numeric)
    weights = row_weights(eval_set[2], len(y)) if len(eval_set) == 3 else None
    return EncodedRows(X, estimator._encoded(y, "known")[0], y, weights)


def _draw(estimator: Any, rows: EncodedRows, rng: Any) -> tuple[Any, ...]:
    """First kernels and biases: drawn before rows are held out, as scikit-learn does from the same `rng`."""
    scaler = settings.scaling(estimator)
    if is_frame(rows.X):
        scaler = fitted(scaler, adapt_inputs(rows.X))
        return scaler, design_of(estimator, scaler.outputs).draw(rng)
    features = int(rows.X.shape[1])
    outputs = features if scaler is None else _width(scaler, rows, features)
    return scaler, design_of(estimator, outputs).draw(rng)


def _width(scaler: Any, rows: EncodedRows, features: int) -> int:
    """The number of columns that a preprocessing gives."""
    if isinstance(scaler, (MinMax, Standardize)):
        return features
    return int(fitted(scaler, adapt_inputs(rows.X)).outputs)


def design_of(estimator: Any, features: int) -> Design:
    """The network that the estimator's arguments mean."""
    hidden = settings.hidden_units(estimator)
    functions = settings.for_each_layer(estimator, "activation", len(hidden))
    return Design(
        features, estimator.n_outputs_, hidden, functions, estimator.out_activation_,
        tuple(settings.for_each_layer(estimator, "dropout", len(hidden))), estimator.normalization,
    )  # fmt: skip


def _network(estimator: Any, rows: EncodedRows, rng: Any, made: tuple[Any, ...] | None, first: bool) -> Network:
    """The network: that which there is, or a new one from the values that were drawn, or that somebody has set."""
    if made is not None:
        scaler, values = made
        scaler = fitted(scaler, adapt_inputs(rows.X))
        design = design_of(estimator, int(rows.X.shape[1]) if scaler is None else scaler.outputs)
        precision = settings.precision(estimator, getattr(rows.X, "dtype", None))
        seed = int(copy.deepcopy(rng).randint(np.iinfo(np.int32).max))  # scikit-learn draws no such number
        target = estimator._scaled(rows.targets)
        estimator._network = Network(design, seed, values, precision, scaler, target)
    network: Network = estimator._network
    if not first:
        network.follow(estimator.coefs_, estimator.intercepts_)
    return network


def _begin(
    estimator: Any, network: Network, rows: EncodedRows, optimizer: Optimizer, batch: int, *, first: bool, anew: bool
) -> None:
    """Settings and counters at the beginning of a call.

    scikit-learn adds alpha / (2 s) sum(w^2) to a batch's mean loss, with s the sum of the batch's weights: that is
    L2(alpha / s), taken here with the s of a full batch of average weight, for a shorter last batch too.
    """
    total = float(rows.count if rows.weights is None else rows.weights.sum()) or 1.0
    penalty = float(estimator.alpha) * rows.count / (batch * total)
    design, loss = design_of(estimator, network.design.features), estimator._loss_object()
    network.compile(design, optimizer, loss, penalty, anew=anew, unusual=bool(estimator.unusual))
    if anew or not hasattr(estimator, "_rate_factor"):
        estimator._rate_factor = 1.0
        estimator.learning_rate_ = 1.0 if isinstance(optimizer, LBFGS) else optimizer.rate(0)
    stops = _stops(estimator, optimizer)
    stopped = getattr(estimator, "validation_scores_", None) is not None
    if first or not hasattr(estimator, "loss_curve_") or stops != stopped:
        _forget(estimator, stops)
    estimator.n_iter_ = 0


def _stops(estimator: Any, optimizer: Optimizer) -> bool:
    """Whether held-out rows say when to stop: not L-BFGS, in scikit-learn either."""
    return bool(estimator.early_stopping) and not isinstance(optimizer, LBFGS)


def _forget(estimator: Any, stops: bool) -> None:
    """Counters and curves of a network that begins."""
    estimator.t_, estimator.loss_curve_, estimator.validation_loss_curve_ = 0, [], []
    estimator._no_improvement_count = 0
    estimator.best_loss_ = None if stops else math.inf
    estimator.validation_scores_ = [] if stops else None
    estimator.best_validation_score_ = -math.inf if stops else None


def show(estimator: Any, network: Network, X: Any) -> None:
    """Fitted attributes: kernels and biases where X is."""
    estimator.n_layers_ = len(network.design.hidden) + 2
    place = inputs.placer(X)
    estimator.coefs_, estimator.intercepts_ = network.shown(place)
    if hasattr(estimator, "classes_"):
        estimator.classes_ = place(to_numpy(estimator.classes_))


def network_of(estimator: Any) -> Network:
    """A network for kernels and biases that somebody has set."""
    precision = settings.precision(estimator, estimator.coefs_[0].dtype)
    return Network(design_of(estimator, int(estimator.n_features_in_)), 0, {}, precision)


def _score(estimator: Any, held: EncodedRows, x: Chunks, program: Any) -> float:
    outputs, target = predict(program, x, None), estimator._network.target
    outputs = outputs if target is None else target.predictions(outputs)
    return estimator._scored(held.targets, outputs, held.weights) if np.isfinite(outputs).all() else math.nan


def _as_if_ended(network: Network, X: Any, program: Any) -> dict[str, Any]:
    """Attributes that make a copy of the estimator predict with the values of a program that still trains."""
    copy = network.copy(program.state())
    coefs, intercepts = copy.shown(inputs.placer(X))
    return {"_network": copy, "coefs_": coefs, "intercepts_": intercepts, "n_layers_": len(copy.design.hidden) + 2}


def _diverged(estimator: Any, error: NonFiniteError) -> None:
    """With early stopping the best values stand, and a warning tells; else NumericError."""
    if not estimator.validation_scores_ or not math.isfinite(estimator.best_validation_score_):
        raise NumericError(f"{NOT_FINITE} {error}") from error
    estimator.n_iter_, estimator.loss_ = estimator.n_iter_ + 1, math.nan
    estimator.loss_curve_.append(math.nan)
    estimator.validation_scores_.append(math.nan)
    warnings.warn(
        f"Training diverged in iteration {estimator.n_iter_}; the values of the best score are kept. {error}",
        ConvergenceWarning, stacklevel=6,
    )  # fmt: skip


def _warn_of_limit(estimator: Any, optimizer: Optimizer) -> None:
    limit = f"max_iter={estimator.max_iter}"
    if isinstance(optimizer, LBFGS) and estimator.n_iter_ < estimator.max_iter:
        limit = f"max_fun={estimator.max_fun} evaluations, or to a point where the line search finds no lower one,"
    warnings.warn(
        f"{type(estimator).__name__} came to {limit} after {estimator.n_iter_} iterations, and the optimization hasn't "
        "converged yet. Increase the limit, scale the data (scale='standard'), or allow a larger tol.",
        ConvergenceWarning, stacklevel=6,
    )  # fmt: skip
