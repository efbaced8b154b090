"""Expected and empirical risk, and bias and variance, where the distribution of the data is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.descriptions import check_number
from deepmath.errors import ConfigError
from deepmath.formulas.risk import bias_and_variance as parts_of
from deepmath.formulas.risk import standard_error
from deepmath.study.copies import check_model, copy_of

Draw = Callable[[int, int], tuple[Any, Any]]
"""draw(rows, seed) gives X [rows, features] and y of so many fresh rows."""

FRESH = 1_000_003
"""The seed of the rows that expected risk is measured on, times which trial it is; no training draws it."""


VALUES = 32
"""How many noisy values each prediction is held against."""


@dataclass(frozen=True)
class Risk:
    """Empirical risk at each of `sizes`, and expected risk with its standard error, [sizes] each."""

    sizes: tuple[int, ...]
    empirical: tuple[float, ...]
    expected: tuple[float, ...]
    error: tuple[float, ...]
    trained: bool

    def text(self) -> str:
        """A line for each size."""
        what = "trained on m rows" if self.trained else "as it is"
        lines = [f"risk of the model {what}", "  m         empirical   expected"]
        for m, *found in zip(self.sizes, self.empirical, self.expected, self.error, strict=True):
            lines.append(f"  {m:<8}  {found[0]:<10.5g}  {found[1]:.5g} +- {found[2]:.2g}")
        return "\n".join(lines) + "\n"

    __str__ = text


def risk(
    model: Any, draw: Draw, *, sizes: Sequence[int] = (10, 100, 1000), epochs: int = 0, fresh: int = 10_000,
    seed: int = 0, **settings: Any,
) -> Risk:  # fmt: skip
    """The loss over m drawn rows beside that over the distribution, as m grows.

    With `epochs=0` the model is taken as it is, and the empirical risk comes nearer to the expected one as
    1/sqrt(m). With more, copies of it are trained on each m rows from the same first weights: the rows that trained
    then flatter it. Expected risk is the mean loss of ten parts of `fresh` rows that are drawn anew, with its
    standard error. `settings` go to `fit`. Source: article 3, "risk"; Vapnik (1992), equations 2 and 3.

    >>> import numpy as np
    >>> from deepmath import Dense, Sequential, study
    >>> def draw(rows, seed):
    ...     x = np.random.default_rng(seed).standard_normal((rows, 1))
    ...     return x, x[:, 0]
    >>> model = Sequential([Dense(1, input_dim=1, kernel_initializer="zeros")])
    >>> model.compile("sgd", "mse")
    >>> found = study.risk(model, draw, sizes=(10, 10_000))
    >>> abs(found.expected[0] - 1.0) < 0.1
    True
    """
    model = check_model("risk", model)
    fresh = check_number("risk", "fresh", fresh, low=20, whole=True)
    epochs = check_number("risk", "epochs", epochs, low=0, whole=True)
    for m in sizes:
        check_number("risk", "sizes", m, low=1, whole=True)
    where = {name: settings[name] for name in ("backend", "device", "precision") if name in settings}
    empirical, expected, errors = [], [], []
    for i, m in enumerate(sizes):
        X, y = draw(int(m), seed + i)
        judged = model
        if epochs:
            judged = copy_of(model)
            judged.fit(X, y, epochs=epochs, verbose=0, **settings)
        empirical.append(judged.evaluate(X, y, **where)["cost"])
        parts = [judged.evaluate(*draw(fresh // 10, FRESH * (1 + part) + seed), **where)["cost"] for part in range(10)]
        expected.append(float(np.mean(parts)))
        errors.append(float(standard_error(np, np.asarray(parts))))
    return Risk(tuple(map(int, sizes)), tuple(empirical), tuple(expected), tuple(errors), bool(epochs))


@dataclass(frozen=True)
class BiasVariance:
    """Expected squared error at the points x0 [points], in its three parts, and as it was measured.

    `predictions` [trials, points] are those of the trained copies: the darts on the board, round `truth`.
    """

    bias_squared: Any
    variance: Any
    noise: float
    measured: Any
    error: Any
    predictions: Any
    truth: Any

    @property
    def total(self) -> Any:
        """bias^2 + variance + noise, which `measured` agrees with within its standard `error`."""
        return self.bias_squared + self.variance + self.noise

    def text(self) -> str:
        """A line for each point."""
        rows = [self.bias_squared, self.variance, self.total, self.measured, self.error]
        lines = [f"{len(self.predictions)} trainings, noise {self.noise:.5g}"]
        lines.append("  bias^2      variance    sum with noise  measured")
        for bias, variance, total, measured, error in np.stack(rows, axis=1):
            lines.append(f"  {bias:<10.4g}  {variance:<10.4g}  {total:<14.4g}  {measured:.4g} +- {error:.2g}")
        return "\n".join(lines) + "\n"

    __str__ = text


def bias_variance(
    model: Any, function: Callable[[Any], Any], x0: Any, *, noise: float, inputs: Callable[[int, int], Any],
    rows: int = 50, trials: int = 30, epochs: int = 50, seed: int = 0, redraw: bool = True, **settings: Any,
) -> BiasVariance:  # fmt: skip
    """Train copies on `trials` sets of rows drawn from y = function(x) + noise, and take their error at x0 apart.

    `inputs(rows, seed)` draws X [rows, features]; `function(X)` gives [rows]; `noise` is the standard deviation of
    what is added. Each copy has first weights of its own (`redraw`; else all have the model's). The measured error
    is that of 32 fresh noisy values of y at each point of x0 [points, features] for each copy, its standard error
    that over the copies. `settings` go to `fit`.

    Source: Geman, Bienenstock and Doursat (1992); article 3, "bias and variance".

    Raises ConfigError for settings out of range, and where the model doesn't give one number for each row.

    >>> import numpy as np
    >>> from deepmath import Dense, Sequential, study
    >>> model = Sequential([Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> found = study.bias_variance(
    ...     model, lambda x: x[:, 0] ** 2, [[0.0]], noise=0.1, trials=4, epochs=5,
    ...     inputs=lambda rows, seed: np.random.default_rng(seed).uniform(-1.0, 1.0, (rows, 1)),
    ... )
    >>> found.predictions.shape
    (4, 1)
    """
    model = check_model("bias_variance", model)
    noise = check_number("bias_variance", "noise", noise, low=0.0)
    rows = check_number("bias_variance", "rows", rows, low=1, whole=True)
    trials = check_number("bias_variance", "trials", trials, low=2, whole=True)
    points = np.asarray(x0, np.float64)
    if points.ndim != 2 or not len(points):
        raise ConfigError(f"bias_variance: x0 must be rows [points, features]; got shape {points.shape}")
    where = {name: settings[name] for name in ("backend", "device", "precision") if name in settings}
    rng = np.random.default_rng([seed, 1])
    predictions = []
    for i in range(trials):
        X = np.asarray(inputs(rows, seed + i), np.float64)
        y = function(X) + noise * rng.standard_normal(len(X))
        made = copy_of(model, seed=(model.seed + i) % 2**32 if redraw else None)
        made.fit(X, y, epochs=epochs, verbose=0, **settings)
        p = np.asarray(made.predict(points, **where), np.float64)
        if p.shape[1] != 1:
            raise ConfigError(f"bias_variance: the model must give one number for each row; it gives {p.shape[1]}")
        predictions.append(p[:, 0])
    darts, truth = np.stack(predictions), np.asarray(function(points), np.float64)
    bias, variance = parts_of(np, darts, truth)
    seen = truth + noise * rng.standard_normal((VALUES, *darts.shape))
    squares = np.mean((seen - darts) ** 2, axis=0)
    measured, error = np.mean(squares, axis=0), standard_error(np, squares)
    return BiasVariance(bias, variance, noise**2, measured, error, darts, truth)
