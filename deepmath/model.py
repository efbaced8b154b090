"""The model: layers in a row, with values, that can be trained, measured, used and saved."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepmath import descriptions, losses, optimizers, output_checks, saving, trainable
from deepmath import metrics as metric_table
from deepmath import rates as rate_table
from deepmath.backend import Backend, load_backend
from deepmath.checks import is_sparse, weights_like
from deepmath.data import Adapter, Chunks, RowWeighting, Validator, adapters, encoding, row_shape
from deepmath.data.columns import name_of
from deepmath.errors import ConfigError
from deepmath.layers import Dense, Layer
from deepmath.predictor import Predictor
from deepmath.program import Order, Predict, Recipe
from deepmath.recipes import first_values
from deepmath.step_graph import kernel_lines
from deepmath.summary import columns, table
from deepmath.training import evaluation, fit, single_batch
from deepmath.training.callbacks import Callback, callbacks_of
from deepmath.training.history import History
from deepmath.training.program_cache import CachedProgram, ModelValues, PredictingProgram


class Sequential:
    """A chain of layers.

    >>> from deepmath import Dense, Sequential
    >>> model = Sequential([Dense(4, activation="relu", input_dim=2), Dense(1, activation="sigmoid")])
    >>> [w.shape for w in model.get_weights()]
    [(2, 4), (4,), (4, 1), (1,)]

    `seed` decides initial weights, order and dropout, the same on every backend. A model is built, that is,
    gets its first weights, as soon as the number of inputs is known: from the first layer's `input_dim`, or
    from the first data. `preprocessing`, such as `Standardize()` or a list, is fitted by the first call of `fit` on the
    rows that train, applied to all data that come in, and saved with the model; for data frames it begins with their
    columns (`preprocessing.encoding`). `target` has the classes of a target that is text, or its unit; or it is None.

    `input_shape` is the shape of a row, or None before the model is built; `optimizer`, `loss`, `metrics` and `rates`
    are what `compile` chose last; `epochs_trained` counts those of all calls of `fit`, and `history` is that of the
    last, also after it was interrupted or broke off. A file of the model has none.
    """

    def __init__(self, layers: Sequence[Layer] | Layer = (), *, seed: int = 0, preprocessing: Any = None) -> None:
        self.seed: int = descriptions.check_number("Sequential", "seed", seed, low=0, high=2**32 - 1, whole=True)
        preprocessing = descriptions.instance("Sequential: preprocessing", preprocessing)
        self.preprocessing = encoding.preprocessing_of(preprocessing)
        self.target: Any = None
        self.layers: list[Layer] = []
        self._values = ModelValues({})
        self.rates: dict[int | str, float] = {}
        self.input_shape: tuple[int, ...] | None = None
        self.optimizer = optimizers.get("rmsprop")
        self.loss: losses.Loss | None = None
        self.metrics: tuple[Any, ...] = ()
        self.unusual, self.epochs_trained = False, 0
        self.history: History | None = None
        self._predicting: PredictingProgram | None = None
        for layer in descriptions.several("Sequential: layers", layers, "[Dense(4), Dense(1)]"):
            self.add(layer)

    def add(self, layer: Layer) -> None:
        """Append a layer. A model that has weights keeps them and draws those of the new layer."""
        if not isinstance(descriptions.instance("Sequential.add", layer), Layer):
            raise ConfigError(f"Sequential.add: expected a layer such as Dense(4); got {layer!r}")
        self.layers.append(layer)
        first = self.layers[0]
        if self.input_shape is not None:
            self.build(self.input_shape)
        elif isinstance(first, Dense) and first.input_dim is not None:
            self.build((first.input_dim,))

    def build(self, shape: tuple[int, ...]) -> None:
        """Draw weights for rows of this shape; layers that have weights of the right shapes keep them."""
        fresh = first_values(self.layers, shape, self.seed)
        old = {n: v for n, v in self.values.items() if n in fresh and v.shape == fresh[n].shape}
        if old.keys() != fresh.keys():
            trainable.check_initializers(self)
        self.input_shape = shape
        self.values = fresh | old

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = (), *, rates: Any = None,
        unusual: bool = False, reset_optimizer: bool = False,
    ) -> None:  # fmt: skip
        """Choose what is minimised and how: names, objects, or callables of the right form.

        `rates` multiplies the learning rate of layers, by number, or of parameters: {0: 0.1, "1.bias": 0.5}. At 0 they
        are frozen; frozen batch normalisation still follows its running averages. Weights are never drawn again.

        An optimiser of the same kind and with the same slots keeps its memory (moments, step); `reset_optimizer=True`
        begins anew, as Keras's always does. The rate is the given one: what callbacks made of the last is forgotten,
        unless `optimizer` is `model.optimizer`. A new schedule goes on at the step reached, with a warning.

        A loss that doesn't fit the last layer is refused, here or before the first step. What is odd but sound, such
        as targets that a last relu never reaches or categorical_crossentropy of one sigmoid, may be `unusual`.
        """
        factors, chosen = rate_table.checked(rates), optimizers.get(optimizer)
        found, unusual = (
            None if loss is None else losses.get(loss),
            descriptions.check_flag("compile", "unusual", unusual),
        )
        if found is not None:
            output_checks.check_outputs("compile", found, self.layers, self.input_shape, unusual)
        measures, values = metric_table.chosen(metrics), trainable.carried_over(self, chosen, reset_optimizer)
        self.rates, self.optimizer, self.loss, self.metrics, self.values = factors, chosen, found, measures, values
        self.unusual = unusual

    def fit(
        self, X: Any, y: Any = None, *, epochs: int = 1, batch_size: int | str = 32,
        validation_data: Any = None, validation_split: float = 0.0, sample_weight: Any = None,
        class_weight: Mapping[Any, float] | str | None = None, ignore_label: float | None = None,
        shuffle: bool | int | Order = True, drop_last: bool = False, accumulate: int = 1,
        steps_per_epoch: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = (), verbose: int | str = "auto",
        backend: str | Backend | None = None, device: Any = None, precision: str = "float32",
        initial_epoch: int = 0, resume: str | os.PathLike[str] | None = None, on_nan: str = "stop",
    ) -> History:  # fmt: skip
        """Train on rows X [rows, features] and targets y [rows] or [rows, outputs].

        X may be an array of any library, sparse, or a data frame, of which y and weights may be columns by name. Alone
        it is a source of rows in files (`datasets.NpySource`), a sequence of batches (X, y[, weights]), or a generator
        of them with `steps_per_epoch`. Sources are read while they train, in the order of arrays in memory, or with
        `shuffle=ROWS` by blocks, shuffled within so many rows. A function `shuffle(epoch, rows)` may order rows.

        `class_weight` maps labels to numbers that weight rows, those that validate too; "balanced" makes them
        rows / (classes x rows of the class), counted on those that train. Loss and metrics are weighted alike. Rows
        whose label is `ignore_label` count nothing, though batch normalisation sees them. `validation_data` (X, y[,
        weights]), a source or batches, are measured after each epoch; `validation_split` holds out the last rows.
        `batch_size="full"` takes all rows in one step; `accumulate` adds the gradients of so many batches to one step.
        `epochs` is the total, of which `initial_epoch` are taken as done. `resume` goes on from the newest good
        checkpoint in that folder. Where values stop being finite, `on_nan="stop"` raises NonFiniteError and the model
        keeps its last finite values, "rollback" begins the epoch again with good values and half the rate, "skip" goes
        on without the step; a generator can only "stop".

        Ctrl-C and SIGTERM end training after the step at hand; what was learnt and `history` stay, and the program in
        memory. Raises ConfigError, LabelError or NumericError: for arrays before the first step.
        """
        settings = fit.Settings(epochs, batch_size, callbacks_of(callbacks), verbose, initial_epoch, resume, on_nan)
        given = adapters.adapt(X, y, sample_weight, steps_per_epoch=steps_per_epoch, shuffle=shuffle)
        given, held_out = adapters.hold_out(given, validation_data, validation_split)
        with encoding.unless_refused(self):
            self.preprocessing = encoding.fitted(self.preprocessing, given, name_of(y))
            self.target = self.target or encoding.target_of(given, self.loss, name_of(y), self._values.step)
            weighting = encoding.weighting(class_weight, ignore_label, self.target, given)
            given, chosen = self._encoded(given, backend, device, precision)
            trainable.check("fit", self)
            if held_out is not None:
                held_out = encoding.encoded(self.preprocessing, held_out, self.target)
                held_out = adapters.for_backend(held_out, chosen.takes_sparse and is_sparse(given.like))
            recipe = self.recipe(precision, shuffle=shuffle, drop_last=drop_last, accumulate=accumulate)
            validator = Validator(chosen, recipe, weighting, encoding.target_for(self.target, given), training=True)
            told = functools.partial(setattr, self, "history")
            model = fit.ModelInTraining(self._values, saving.config_of(self), self._write, self._keep, told)
            return fit.fit(model, validator, given, held_out, settings)

    def train_on_batch(
        self, X: Any, y: Any, sample_weight: Any = None, *, ignore_label: float | None = None,
        backend: Any = None, device: Any = None, precision: str = "float32",
    ) -> dict[str, float]:  # fmt: skip
        """One update on all these rows, going on from the last, of `fit` too: loss and metrics before it, by name."""
        single_batch.check(self.optimizer, self.preprocessing)
        given = adapters.adapt(X, y, sample_weight, who="train_on_batch")
        self.preprocessing = encoding.fitted_to_names(self.preprocessing, given)
        given, chosen = self._encoded(given, backend, device, precision)
        trainable.check("train_on_batch", self)
        weighting, target = RowWeighting(ignore_label=ignore_label), encoding.target_for(self.target, given)
        validator = Validator(chosen, self.recipe(precision), weighting, target, training=True)
        data = validator.data(adapters.rows_of(given))
        with self._values.lock:
            return single_batch.step(self._values, chosen, validator.recipe, data)

    def evaluate(
        self, X: Any, y: Any = None, *, sample_weight: Any = None,
        class_weight: Mapping[Any, float] | str | None = None, ignore_label: float | None = None,
        backend: Any = None, device: Any = None, precision: str = "float32",
    ) -> dict[str, float]:  # fmt: skip
        """Loss, cost and metrics over a data set, by name, in prediction mode. X, y or a source as `fit` takes them.

        All are weighted by `sample_weight` times `class_weight`, as in `fit`; "balanced" is counted on these rows.
        """
        given = adapters.adapt_measured(X, y, sample_weight, "evaluate")
        weighting = encoding.weighting(class_weight, ignore_label, self.target, given)
        given, chosen = self._encoded(given, backend, device, precision)
        trainable.check("evaluate", self, trainable.MEASURED)
        predicting = self._program_for(chosen, precision, is_sparse(given.like), given.kind == "memory")
        validator = Validator(chosen, predicting.recipe, weighting, encoding.target_for(self.target, given))
        chunks = Chunks(given, predicting.recipe.parts[0].shape, validator.data)
        with predicting.program() as program:
            return evaluation.evaluate(program, predicting.recipe, chunks)

    def predict(self, X: Any, *, backend: Any = None, device: Any = None, precision: str = "float32") -> Any:
        """Predictions [rows, outputs] for X [rows, features], in the library that X came in.

        X may be a source or batches as for `fit`: they are read piece by piece, and their targets passed over.
        Where the target was scaled, predictions have its own units. Threads may call it on one model; they take turns.
        For single rows in a service, `predictor` is quicker.
        """
        asked, found = (backend, device, precision), self._predicting
        if type(X) is np.ndarray and found is not None:
            p = found.quickly(X, asked, self.preprocessing, self.target)
            if p is not None:
                return p
        given, chosen = self._encoded(adapters.adapt_inputs(X), backend, device, precision, tell_extra=True)
        predicting = self._program_for(chosen, precision, is_sparse(given.like), given.kind == "memory")
        chunks = Chunks(given, predicting.recipe.parts[0].shape, Validator(chosen, predicting.recipe).inputs)
        with predicting.program() as program:
            p = evaluation.predict(program, chunks, given.like)
        if type(X) is np.ndarray:
            predicting.quicken(asked, self.preprocessing, self.target)
        return p if self.target is None else self.target.predictions(p)

    def predictor(self, *, backend: Any = None, device: Any = None, precision: str = "float32") -> Predictor:
        """A callable that predicts with the values of now, for services: quicker than `predict`, and for any threads.

        It keeps a copy of the weights, so it doesn't follow when the model trains on. See `Predictor`.

        >>> import numpy as np
        >>> model = Sequential([Dense(1, kernel_initializer="ones", input_dim=2)])
        >>> predict = model.predictor()
        >>> predict(np.asarray([[1.0, 2.0]], np.float32))
        array([[3.]], dtype=float32)
        """
        trainable.need_weights(self)
        frozen = type(self).__new__(type(self))
        vars(frozen).update(vars(self), layers=list(self.layers), _values=ModelValues(self.weights))
        frozen.history = frozen._predicting = None
        return Predictor(frozen, backend, device, precision)

    def get_weights(self) -> list[Any]:
        """Copies of all parameters and states: kernel, bias, kernel, bias, ..., in the precision last trained in."""
        weights = self.weights
        return [weights[name] for name in self._names()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Take over what `get_weights` gave, or other values of the same shapes; they are copied and keep float64."""
        self.values |= weights_like(weights, {n: self.values[n] for n in self._names()})

    @property
    def weights(self) -> dict[str, Any]:
        """Copies of all parameters and states by name: "params.0.kernel", "state.1.moving_mean", ..."""
        return self._values.weights()

    @property
    def values(self) -> dict[str, Any]:
        """All values by name, the optimiser's too: "params.0.kernel", "step", ...; arrays in it are not written to."""
        return self._values.values

    @values.setter
    def values(self, values: dict[str, Any]) -> None:
        self._values.values = values

    def summary(self) -> str:
        """A table of the layers with output shapes and numbers of parameters."""
        return table(self.layers, self.input_shape, self.values)

    def plan(
        self, *, backend: Any = None, device: Any = None, precision: str = "float32", detail: bool = False
    ) -> str:  # fmt: skip
        """Which part of the work runs how on a backend, and why: one line for each part.

        With `detail` the kernels that a training step is cut into, one line for each: what it writes, what it reads,
        and the operations of which a map consists. That is the same for every backend that runs the cut graph.
        """
        trainable.need_weights(self)
        if detail:
            shapes = [
                {n.removeprefix(p): v.shape for n, v in self.values.items() if n.startswith(p)}
                for p in ("params.", "state.")
            ]
            return "\n".join(kernel_lines(self.recipe(precision), *shapes))
        chosen = load_backend(backend, device)
        fit.check_precision(chosen, precision)
        with self._program_for(chosen, precision).program() as program:
            return columns(program.plan())

    def recipe(self, precision: str = "float32", **settings: Any) -> Recipe:
        """What a backend compiles to train this model; `settings` are fields of `Recipe`.

        Raises ConfigError for a model that isn't built.
        """
        trainable.need_weights(self)
        rates = rate_table.by_parameter(self.rates, len(self.layers), self._values.parameters, self.optimizer)
        stands = {"rates": rates, "origin": self._values.step, "first_epoch": self.epochs_trained}
        return trainable.recipe(self, precision=precision, **stands, **settings)

    def save(self, path: str | os.PathLike[str], *, include_optimizer: bool = True) -> None:
        """Write configuration, weights and (unless told otherwise) the optimiser's state to one safetensors file."""
        trainable.need_weights(self)
        values = self.values if include_optimizer else {n: v for n, v in self.values.items() if n in self._names()}
        self._write(path, values)

    def _write(self, path: str | os.PathLike[str], values: Mapping[str, Any], epochs: int = 0) -> None:
        """The model's file with these values, after so many epochs more."""
        saving.write_model(path, self, values, self.epochs_trained + epochs)

    def _keep(self, cached: CachedProgram, epochs: int) -> None:
        """Take over the values of a program after so many epochs more."""
        self._values.give(cached)
        self.epochs_trained += epochs

    def __getstate__(self) -> dict[str, Any]:
        """All but programs: they are compiled again where they are needed."""
        return vars(self) | {"_values": self.values, "_predicting": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._values = ModelValues(state["_values"])

    def _encoded(
        self, given: Adapter, backend: Any, device: Any, precision: str, tell_extra: bool = False
    ) -> tuple[Adapter, Backend]:
        """Data as the first layer takes them, and the backend for them; a new model is built for them."""
        given = encoding.encoded(self.preprocessing, given, self.target, tell_extra)
        chosen = load_backend(backend, device, given.like)
        fit.check_precision(chosen, precision)
        if self.input_shape is None:
            self.build(row_shape(given.shape))
        return adapters.for_backend(given, chosen.takes_sparse), chosen

    def _names(self) -> list[str]:
        trainable.need_weights(self)
        names = [n for n in self.values if n.startswith(("params.", "state."))]
        return sorted(names, key=lambda n: int(n.split(".")[1]))  # programs list all parameters before all states

    def _compiled(self, backend: Any, device: Any, precision: str) -> Predict | None:
        """What predicts arrays in one call of compiled code, if the backend has such a thing."""
        chosen = load_backend(backend, device)
        fit.check_precision(chosen, precision)
        return self._program_for(chosen, precision).predictor(self.preprocessing)

    def _program_for(
        self, chosen: Backend, precision: str, sparse: bool = False, in_memory: bool = False
    ) -> PredictingProgram:
        """The program that trained, if the data need no waiting for; the one of the call before; or a new one."""
        found, trained = self._predicting, self._values.trained
        wanted = chosen, precision, sparse
        if trained is not None and in_memory and (trained.backend, trained.recipe.precision, trained.sparse) == wanted:
            if found is None or found.trained is not trained:
                found = PredictingProgram(self._values, chosen, trained.recipe, sparse, trained)
        elif (
            found is None or found.trained is not None or not found.is_current
            or (found.backend, found.recipe.precision, found.sparse) != wanted
        ):  # fmt: skip
            recipe = trainable.recipe_without_training(self, precision) or self.recipe(precision)
            found = PredictingProgram(self._values, chosen, recipe, sparse)
        self._predicting = found
        return found
