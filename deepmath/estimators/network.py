"""The model under an estimator: its values, the optimiser's, and programs that are kept from call to call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepmath.arrays import is_frame, namespace_of, to_numpy
from deepmath.backend import Backend
from deepmath.checks import is_sparse
from deepmath.data.adapters import adapt_inputs, for_backend
from deepmath.data.chunks import Chunks
from deepmath.data.encoding import encoded
from deepmath.data.validation import Validator
from deepmath.errors import ConfigError
from deepmath.estimators.design import Design
from deepmath.formulas.random import epoch_order
from deepmath.losses import Loss
from deepmath.model import Sequential
from deepmath.optimizers import Optimizer
from deepmath.training.history import History

Values = dict[str, Any]


class Network:
    """A `Sequential` that is made from a design, and made again from its values where a pickle brought it.

    `preprocessing` is fitted, and `target` scales targets. `precision` is that of the last training.
    """

    def __init__(
        self, design: Design, seed: int, values: Values, precision: str, preprocessing: Any = None, target: Any = None
    ) -> None:
        self.design, self.seed, self.precision = design, seed, precision
        self.preprocessing, self.target = preprocessing, target
        self.passes = 0
        self._optimizer_kind = ""
        self._start(values)

    def _start(self, values: Values) -> None:
        self.model = Sequential(self.design.layers(initializer="zeros"), seed=self.seed)
        self.model.preprocessing, self.model.target = self.preprocessing, self.target
        self.model.build((self.design.features,))
        self.model.values = self.model.values | values
        self._compiled: tuple[Optimizer, Loss, bool] | None = None
        self._lock = threading.Lock()
        self._shown: tuple[list[Any], list[Any]] = ([], [])
        self._known: Values | None = None

    def __getstate__(self) -> dict[str, Any]:
        made = ("model", "_compiled", "_shown", "_known", "_lock")
        kept = {n: v for n, v in vars(self).items() if n not in made}
        return kept | {"values": self.model.values, "epochs": self.model.epochs_trained}

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept = dict(state)
        values, epochs = kept.pop("values"), kept.pop("epochs")
        vars(self).update(kept)
        self._start(values)
        self.model.epochs_trained = epochs

    def compile(
        self, design: Design, optimizer: Optimizer, loss: Loss, penalty: float, *, anew: bool, unusual: bool = False
    ) -> None:
        """Take over the settings of a fit. The optimiser keeps its slots unless `anew`, or it is of another kind."""
        design.check_shapes(self.model.values)
        self.design = design
        layers = design.layers(penalty, "zeros")
        if layers != self.model.layers:
            self.model.layers[:] = layers
        if anew or self._compiled != (optimizer, loss, unusual):
            values = self.model.values
            self.model.compile(optimizer, loss, unusual=unusual, reset_optimizer=True)
            if not anew and type(optimizer).__name__ == self._optimizer_kind:
                self.model.values = values
            self._compiled, self._optimizer_kind = (optimizer, loss, unusual), type(optimizer).__name__

    def goes_on(self, optimizer: Optimizer) -> None:
        """Say that the values hold the state of such an optimiser."""
        self._optimizer_kind = type(optimizer).__name__

    def fit(self, X: Any, y: Any, backend: Backend, **settings: Any) -> History:
        """`Sequential.fit` in this network's precision, silently."""
        self._known = None
        return self.model.fit(X, y, backend=backend, precision=self.precision, verbose=0, **settings)

    def one_pass(self, X: Any, y: Any, weights: Any, backend: Backend, batch_size: int, shuffle: bool) -> float:
        """Train once on all rows, in batches, with the program of the call before; gives the mean loss as trained."""
        rows, self._known = len(y), None
        train = self.model.train_on_batch
        settings: dict[str, Any] = {"backend": backend, "precision": self.precision}
        if rows <= batch_size:
            self.passes += 1
            return train(X, y, weights, **settings)["loss"]
        order = epoch_order(self.seed, self.passes, rows) if shuffle else np.arange(rows)
        total = count = 0.0
        for start in range(0, rows, batch_size):
            chosen = order[start : start + batch_size]
            part = None if weights is None else weights[chosen]
            if part is None or part.any():
                share = float(len(chosen) if part is None else part.sum())
                total += share * train(take(X, chosen), y[chosen], part, **settings)["loss"]
                count += share
        self.passes += 1
        if not count:
            raise ConfigError("sample_weight is zero for every row; at least one row must count")
        return total / count

    def predict(self, X: Any, backend: Backend) -> Any:
        """Predictions [rows, outputs] in the library of X."""
        return self.model.predict(X, backend=backend, precision=self.precision)

    def chunks(self, X: Any, backend: Backend, sparse: bool) -> Chunks:
        """Inputs as a program of this network takes them, piece by piece; `sparse` says that it takes sparse rows."""
        recipe = self.model.recipe(self.precision)
        given = for_backend(encoded(self.preprocessing, adapt_inputs(X)), sparse)
        return Chunks(given, recipe.parts[0].shape, Validator(backend, recipe).inputs)

    def loss(self, X: Any, y: Any, weights: Any, backend: Backend) -> float:
        """The mean loss over these rows, with the penalty."""
        return self.model.evaluate(X, y, sample_weight=weights, backend=backend, precision=self.precision)["loss"]

    def copy(self, values: Values) -> Network:
        """The same network with other values."""
        return Network(self.design, self.seed, values, self.precision, self.preprocessing, self.target)

    def to_sequential(self, optimizer: Optimizer, loss: Loss, unusual: bool, target: Any) -> Sequential:
        """The model with copies of all values, and with initialisers that would draw; `target` is what it learns."""
        model = Sequential(self.design.layers(), seed=self.seed)
        model.preprocessing, model.target = self.preprocessing, target
        model.build((self.design.features,))
        model.compile(optimizer, loss, unusual=unusual)
        model.values = {n: np.array(v) for n, v in self.values.items()}
        return model

    @property
    def values(self) -> Values:
        """All values by name, the optimiser's too, as NumPy arrays."""
        return self.model.values

    def set_rate(self, factor: float) -> None:
        """Multiply the learning rate of the next passes by this number."""
        if not np.array_equal(self.model.values.get("rate", 1.0), factor):
            self.model.values = self.model.values | {"rate": np.asarray(factor)}

    def shown(self, place: Callable[[Any], Any]) -> tuple[list[Any], list[Any]]:
        """Kernels and biases as an estimator shows them, each through `place`; remembered for `follow`."""
        values, dense, self._known = self.model.weights, self.design.dense, None
        coefs = [place(values[f"params.{n}.kernel"]) for n in dense]
        intercepts = [place(values[f"params.{n}.bias"]) for n in dense]
        self._shown = list(coefs), list(intercepts)
        return coefs, intercepts

    def follow(self, coefs: Sequence[Any], intercepts: Sequence[Any]) -> None:
        """Take over kernels and biases that somebody has set, or changed in place (NumPy's only)."""
        with self._lock:
            self._follow(coefs, intercepts)

    def _follow(self, coefs: Sequence[Any], intercepts: Sequence[Any]) -> None:
        values = self._known = self._known or self.model.weights
        changed = {}
        for kind, given, shown in zip(("kernel", "bias"), (coefs, intercepts), self._padded(), strict=True):
            for number, new, old in zip(self.design.dense, given, shown, strict=True):
                name = f"params.{number}.{kind}"
                if new is old and not isinstance(new, np.ndarray):
                    continue
                array = np.asarray(to_numpy(new))
                if not np.array_equal(array, values[name]):
                    changed[name] = np.array(array, np.float64)
        if changed:
            self.model.values, self._known = self.model.values | changed, None
            self.design.check_shapes(self.model.values)

    def _padded(self) -> tuple[list[Any], list[Any]]:
        nothing: list[Any] = [None] * len(self.design.dense)
        coefs, intercepts = self._shown
        return coefs or nothing, intercepts or nothing


def take(X: Any, rows: Any) -> Any:
    """The rows of these numbers: an array in the library of X, sparse rows or a frame as X is one."""
    if isinstance(X, np.ndarray) or is_sparse(X):
        return X[rows]
    if is_frame(X):
        return X.take(rows)
    import array_api_compat

    xp = namespace_of(X)
    return xp.take(X, xp.asarray(rows, device=array_api_compat.device(X)), axis=0)
