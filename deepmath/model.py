"""The model: layers in a row, with values, that can be trained, measured, used and saved."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepmath import descriptions, losses, optimizers, saving
from deepmath import metrics as metric_table
from deepmath import rates as rate_table
from deepmath.arrays import is_array, to_numpy
from deepmath.backend import Backend, load_backend
from deepmath.errors import ConfigError
from deepmath.layers import Dense, Layer
from deepmath.program import Program, Recipe
from deepmath.recipes import first_values, recipe_of
from deepmath.summary import table
from deepmath.training import door, evaluation, loop, nonfinite, settings, single, sources, start
from deepmath.training.callbacks import Callback, Run
from deepmath.training.checkpoints import resume_run
from deepmath.training.fingerprint import digest
from deepmath.training.history import History
from deepmath.training.progress import progress
from deepmath.training.weights import held_out, taken_over


class Sequential:
    """A chain of layers.

    >>> from deepmath import Dense, Sequential
    >>> model = Sequential([Dense(4, activation="relu", input_dim=2), Dense(1, activation="sigmoid")])
    >>> [w.shape for w in model.get_weights()]
    [(2, 4), (4,), (4, 1), (1,)]

    `seed` decides initial weights, order and dropout, the same on every backend. A model is built, that is,
    gets its first weights, as soon as the number of inputs is known: from the first layer's `input_dim`, or
    from the first data. `preprocessing`, such as `Standardize()`, is fitted by the first call of `fit` on the
    rows that train, applied to all data that come in, and saved with the model.
    """

    def __init__(self, layers: Sequence[Layer] = (), *, seed: int = 0, preprocessing: Any = None) -> None:
        descriptions.check_number("Sequential", "seed", seed, low=0, high=2**32 - 1, whole=True)
        self.seed = int(seed)
        self.preprocessing = preprocessing
        self.layers: list[Layer] = []
        self._held: dict[str, Any] = {}
        self._single: single.Single | None = None
        self._rates: dict[int | str, float] = {}
        self._shape: tuple[int, ...] | None = None
        self._optimizer = optimizers.get("rmsprop")
        self._loss: losses.Loss | None = None
        self._metrics: tuple[Any, ...] = ()
        self._epochs_trained = 0
        self._program: tuple[Any, Program] | None = None
        for layer in layers:
            self.add(layer)

    def add(self, layer: Layer) -> None:
        """Append a layer. A model that has weights keeps them and draws those of the new layer."""
        if not isinstance(layer, Layer):
            raise ConfigError(f"Sequential.add: expected a layer such as Dense(4); got {layer!r}")
        self.layers.append(layer)
        first = self.layers[0]
        if self._shape is not None:
            self._build(self._shape)
        elif isinstance(first, Dense) and first.input_dim is not None:
            self._build((first.input_dim,))

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Sequence[Any] = (), *, rates: Any = None
    ) -> None:
        """Choose what is minimised and how: names, objects, or callables of the right form.

        `rates` multiplies the learning rate of layers, by number, or of parameters: {0: 0.1, "1.bias": 0.5}. At 0
        they are frozen; frozen batch normalisation still follows its running averages, and trains with the
        batch's moments. The optimiser begins anew; weights are never drawn again.
        """
        self._rates = rate_table.checked(rates)
        self._optimizer = optimizers.get(optimizer)
        self._loss = None if loss is None else losses.get(loss)
        self._metrics = tuple(metric_table.get(m) for m in metrics)
        self._values = {n: v for n, v in self._values.items() if n.startswith(("params.", "state."))}
        self._program = None

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int | str = 32,
        validation_data: tuple[Any, ...] | None = None,
        validation_split: float = 0.0,
        sample_weight: Any = None,
        class_weight: Mapping[Any, float] | None = None,
        shuffle: bool | int = True,
        drop_last: bool = False,
        accumulate: int = 1,
        steps_per_epoch: int | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: int | str = "auto",
        backend: str | Backend | None = None,
        device: Any = None,
        precision: str = "float32",
        initial_epoch: int = 0,
        resume: str | os.PathLike[str] | None = None,
        on_nan: str = "stop",
    ) -> History:
        """Train on rows X [rows, features] and targets y [rows] or [rows, outputs].

        X alone may be a source of rows in files (`datasets.NpySource`), a sequence of batches (X, y[, weights]), or
        a generator of them with `steps_per_epoch`. Sources and memory maps are read while they train, in the order of
        arrays in memory, or with `shuffle=ROWS` block by block, shuffled within so many rows.

        `batch_size="full"` takes all rows in one step. `accumulate` adds the gradients of so many batches to one
        step. `validation_split` holds out the last share of the rows. `epochs` is the total, of which
        `initial_epoch` are taken as done. `resume` goes on from the newest good checkpoint in that folder. `on_nan`
        says what happens where values stop being finite: "stop" raises NonFiniteError and the model keeps its last
        finite values; "rollback" begins the epoch again with good values and half the learning rate; "skip" leaves
        the step out. A generator can't be gone back in: with one there is only "stop".

        Raises ConfigError, LabelError or NumericError: for arrays before the first step.
        """
        X, y, sample_weight, held = held_out(X, y, sample_weight, validation_data, validation_split)
        X = sources.opened(X, y, sample_weight, steps_per_epoch, shuffle)
        self.preprocessing = sources.fitted(self.preprocessing, X)
        X = self._prepared(X)
        chosen = load_backend(backend, device, X)
        settings.check(chosen, precision, epochs, accumulate, initial_epoch, on_nan)
        self._ensure_built(X)
        recipe = self._recipe(precision, shuffle=shuffle, drop_last=drop_last, accumulate=accumulate)
        given = X, y, sample_weight, class_weight
        named, history, new = resume is not None or bool(callbacks), History(), epochs - initial_epoch
        begun = start.begin(chosen, recipe, self._values, self._config(), given, batch_size, new, named)
        program, recipe, facts = begun.program, begun.recipe, begun.facts
        run = Run(program, history, epochs, begun.per_epoch, recipe.columns, facts, callbacks, initial_epoch)
        run.batches = begun.batches
        run.write_model = lambda path: saving.write_model(
            path, program.state(), self._config(), self._epochs_trained + run.epoch - initial_epoch, self.preprocessing
        )
        validate = None
        if held is not None:
            measured = door.admit(chosen, recipe, self._prepared(held[0]), *held[1:], "validation X")
            facts |= {"validation": digest(measured)} if named else {}
            validate = functools.partial(evaluation.evaluate, program, recipe, measured, self._scores)
        if resume is not None:
            resume_run(resume, run)
        try:
            watched = [*callbacks, *progress(verbose)]
            loop.train(run, watched, validate, nonfinite.Guard(run, recipe, begun.data_at, on_nan), begun.minimize)
        finally:
            begun.close()
            self._values = program.state()
            self._epochs_trained += run.epoch - initial_epoch
            self._program = None
        return history

    def train_on_batch(
        self, X: Any, y: Any, sample_weight: Any = None, *, backend: Any = None, device: Any = None,
        precision: str = "float32",
    ) -> dict[str, float]:  # fmt: skip
        """One update on all these rows, going on from the last, of `fit` too: loss and metrics before it, by name."""
        single.check(self._optimizer, self.preprocessing)
        X = self._prepared(X)
        chosen = load_backend(backend, device, X)
        settings.check(chosen, precision, 1, 1, 0, "stop")
        self._ensure_built(X)
        recipe = self._recipe(precision)
        data = door.admit(chosen, recipe, X, y, sample_weight)
        self._single = single.continued(self._single, chosen, recipe, data, lambda: self._values)
        self._program = None
        return self._single.step(data)

    def evaluate(
        self, X: Any, y: Any, *, sample_weight: Any = None, backend: Any = None, device: Any = None,
        precision: str = "float32",
    ) -> dict[str, float]:  # fmt: skip
        """Loss, cost and metrics over a data set, by name, in prediction mode."""
        X = self._prepared(X)
        chosen = load_backend(backend, device, X)
        self._ensure_built(X)
        recipe = self._recipe(precision)
        data = door.admit(chosen, recipe, X, y, sample_weight)
        return evaluation.evaluate(self._compiled(chosen, recipe), recipe, data, self._scores)

    def predict(self, X: Any, *, backend: Any = None, device: Any = None, precision: str = "float32") -> Any:
        """Predictions [rows, outputs] for X [rows, features], in the library that X came in."""
        X = self._prepared(X)
        chosen = load_backend(backend, device, X)
        self._ensure_built(X)
        x = door.admit_inputs(chosen, precision, X, self._shape)
        recipe = self._recipe(precision, needs_loss=False)
        y = self._compiled(chosen, recipe).predict(x)
        return y if is_array(X) and not isinstance(X, np.ndarray) else to_numpy(y)

    def get_weights(self) -> list[Any]:
        """Copies of all parameters and states: kernel, bias, kernel, bias, ..., in the precision last trained in."""
        return [np.array(self._values[name]) for name in self._names()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Take over what `get_weights` gave, or other values of the same shapes; they are copied and keep float64."""
        values = taken_over(weights, {n: self._values[n] for n in self._names()})
        self._values |= values
        self._program = None

    def summary(self) -> str:
        """A table of the layers with output shapes and numbers of parameters."""
        return table(self.layers, self._shape, self._values)

    def plan(self, *, backend: Any = None, device: Any = None, precision: str = "float32") -> str:
        """Which part of the work runs how on a backend, and why: one line for each part."""
        self._need_weights()
        chosen = load_backend(backend, device)
        rows = self._compiled(chosen, self._recipe(precision, needs_loss=False)).plan()
        width = max(len(part) for part, _ in rows)
        return "\n".join(f"{part:<{width}}  {how}" for part, how in rows)

    def save(self, path: str | os.PathLike[str], *, include_optimizer: bool = True) -> None:
        """Write configuration, weights and (unless told otherwise) the optimiser's state to one safetensors file."""
        self._need_weights()
        values = self._values if include_optimizer else {n: v for n, v in self._values.items() if n in self._names()}
        saving.write_model(path, values, self._config(), self._epochs_trained, self.preprocessing)

    def _config(self) -> dict[str, Any]:
        return {
            "layers": descriptions.config_of(self.layers),
            "input_shape": list(self._shape or ()),
            "seed": self.seed,
            "optimizer": descriptions.config_of(self._optimizer),
            "loss": descriptions.config_of(self._loss),
            "metrics": descriptions.config_of(self._metrics),
        } | rate_table.config_of(self._rates)

    @property
    def _values(self) -> dict[str, Any]:
        """All values by name; those of `train_on_batch` are fetched when somebody asks."""
        if self._single is not None:
            self._held = self._single.values
        return self._held

    @_values.setter
    def _values(self, values: dict[str, Any]) -> None:
        self._held, self._single = values, None

    def _build(self, shape: tuple[int, ...]) -> None:
        fresh = first_values(self.layers, shape, self.seed)
        self._shape = shape
        self._values = fresh | {n: v for n, v in self._values.items() if n in fresh and v.shape == fresh[n].shape}
        self._program = None

    def _ensure_built(self, X: Any) -> None:
        if not self.layers:
            raise ConfigError("the model has no layers; add some, for example model.add(Dense(1))")
        if self._shape is None:
            shape = tuple(int(n) for n in (X.shape if is_array(X) else np.shape(X))[1:])
            if shape:
                self._build(shape)

    @property
    def _scores(self) -> list[metric_table.Score]:
        return [m for m in self._metrics if isinstance(m, metric_table.Score)]

    def _prepared(self, X: Any) -> Any:
        """X as the first layer takes it."""
        if self.preprocessing is None:
            return X
        return X.mapped(self.preprocessing.apply) if isinstance(X, sources.Given) else self.preprocessing.apply(X)

    def _need_weights(self) -> None:
        if self._shape is None:
            raise ConfigError("the model has no weights yet: give its first layer input_dim, or call fit")

    def _names(self) -> list[str]:
        self._need_weights()
        names = [n for n in self._values if n.startswith(("params.", "state."))]
        return sorted(names, key=lambda n: int(n.split(".")[1]))  # programs list all parameters before all states

    def _recipe(self, precision: str, *, needs_loss: bool = True, **settings: Any) -> Recipe:
        if self._loss is None and needs_loss:
            raise ConfigError("no loss chosen: call model.compile(loss=...) first, for example loss='mse'")
        assert self._shape is not None
        rows = [m for m in self._metrics if not isinstance(m, metric_table.Score)]
        params = [n.removeprefix("params.") for n in self._held if n.startswith("params.")]
        return recipe_of(
            self.layers, self._shape, self._optimizer, self._loss, rows, precision=precision, seed=self.seed,
            rates=rate_table.by_parameter(self._rates, len(self.layers), params, self._optimizer),
            origin=int(self._held.get("step", 0) if self._single is None else self._single.steps),
            first_epoch=self._epochs_trained, **settings,
        )  # fmt: skip

    def _compiled(self, backend: Backend, recipe: Recipe) -> Program:
        """A program without data, kept for the next call with the same settings."""
        key = (backend, recipe.precision, recipe.head)
        if self._program is None or self._program[0] != key:
            self._program = key, backend.compile(recipe, self._values)
        return self._program[1]
