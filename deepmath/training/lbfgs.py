"""L-BFGS on a program: SciPy proposes points, the program gives the objective and its gradient on all rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.batches import row_weights
from deepmath.errors import ConfigError, NonFiniteError, require
from deepmath.optimizers.lbfgs import LBFGS, Standing
from deepmath.program import Batch, Data, Program, Recipe, finished
from deepmath.training.causes import cause_of

LAST_DIGITS = 64 * float(np.finfo(np.float64).eps)
"""An iteration that lowers the objective by less than this share of it is the last (scikit-learn's choice)."""

LINE_SEARCH = 50
"""Evaluations for one iteration at most (scikit-learn's choice)."""

SAME = 1e-5
"""Two evaluations at one point may differ by this share: on some devices sums have no fixed order."""


def standing(recipe: Recipe) -> Recipe:
    """The recipe for `fit_lbfgs`: its program evaluates, and moves no parameter by itself."""
    return replace(recipe, optimizer=Standing())


def all_rows(recipe: Recipe, rows: int, weights: Any = None) -> list[Batch]:
    """All rows in their own order, in pieces of the recipe's batch size, whose gradients add up to that of all.

    >>> from deepmath.optimizers import SGD
    >>> [(b.first, len(b.rows)) for b in all_rows(Recipe((), None, SGD(), batch_size=4), 10)]
    [(0, 4), (4, 4), (8, 2)]
    """
    order = np.arange(rows, dtype=np.int64)
    summed = recipe.head is not None and recipe.head.loss.summed
    shares = row_weights(weights, order, summed)
    size = recipe.batch_size
    return [Batch(order[i : i + size], shares[i : i + size], i) for i in range(0, rows, size)]


def on_all_rows(
    program: Program, optimizer: Any, recipe: Recipe, data: Data
) -> Callable[[Callable[[Any], bool | None]], bool]:
    """`fit_lbfgs` on a program's data, waiting for the function to call after each iteration."""
    weight = None if data.weights is None else math.fsum(data.weights)
    batches = all_rows(recipe, data.rows, data.weights)
    whole = replace(standing(recipe), batch_size=data.rows, accumulate=1, shuffle=False)

    def why(state: Mapping[str, Any]) -> str:
        cause = cause_of(whole, data, state)
        return "Scale the data." if cause is None else cause.told[0].upper() + cause.told[1:]

    return lambda on_iteration: fit_lbfgs(program, optimizer, batches, on_iteration, weight, why)


def fit_lbfgs(
    program: Program,
    optimizer: LBFGS,
    data_rows_batch: Sequence[Batch],
    on_iteration: Callable[[Any], bool | None],
    weight: float | None = None,
    why: Callable[[Mapping[str, Any]], str] | None = None,
) -> bool:
    """Minimise the objective over the rows of `data_rows_batch` (micro-batches; their weights sum to 1).

    `program` is compiled from `standing(recipe)`. After each iteration its parameters are the new point, its
    step is one more, its layers have taken over their state, and `on_iteration(results)` gets the results at
    this point, float64 [columns]; True ends the run. `weight` is what the rows' weights summed to (their number
    where None). `why(state)` tells why the objective of a state is not finite. However the run ends, the program
    stands at the last iteration's point. Gives whether it ended at a minimum, and not at a limit.

    The point is a float64 vector; a program of lower precision rounds it, and then the line search may find no
    lower point long before the gradient is small: that ends the run without an error.

    Raises MissingExtra without SciPy, NonFiniteError where the objective is not finite at the start, ConfigError
    where it depends on the step (dropout). The memory of past steps is not part of `program.state()`: a second
    call begins with the steepest descent.
    """
    minimize = require("scipy.optimize", "fast", "L-BFGS steps").minimize
    objective = _Objective(program, data_rows_batch, weight)
    start = objective.point()
    options = {
        "maxiter": optimizer.max_iter, "maxcor": optimizer.history, "gtol": optimizer.tolerance,
        "ftol": LAST_DIGITS if optimizer.loss_tolerance is None else optimizer.loss_tolerance,
        "maxls": LINE_SEARCH, "maxfun": optimizer.max_evaluations or optimizer.max_iter * (LINE_SEARCH + 1),
    }  # fmt: skip

    def callback(intermediate_result: Any) -> None:
        if on_iteration(objective.accept(intermediate_result.x)):
            raise StopIteration

    try:
        objective.check_repeatable(start, why)
        found = minimize(objective, start, jac=True, method="L-BFGS-B", callback=callback, options=options)
    finally:
        objective.go_back()
    return bool(found.success)


@dataclass
class _Evaluation:
    """What the program gave at a point; `gradients` are good until the next call of the program's."""

    x: Any
    gradients: Any
    results: Any


class _Objective:
    """f(x) -> (objective, gradient) for SciPy, where x is all parameters in one float64 vector."""

    def __init__(self, program: Program, batches: Sequence[Batch], weight: float | None) -> None:
        self._program, self._batches = program, batches
        self._rows = sum(int(np.count_nonzero(b.weights)) for b in batches)
        self._weight = float(self._rows) if weight is None else weight
        self._here = program.state()
        self._names = [n for n in self._here if n.startswith("params.")]
        self._last: _Evaluation | None = None

    def point(self) -> Any:
        return np.concatenate([self._here[n].astype(np.float64).ravel() for n in self._names])

    def __call__(self, x: Any) -> tuple[float, Any]:
        last = self._at(x)
        gradients = last.gradients.values
        flat = [to_numpy(gradients[n.removeprefix("params.")]).astype(np.float64).ravel() for n in self._names]
        return float(last.results[0]), np.concatenate(flat)

    def accept(self, x: Any) -> Any:
        """Make x the point where the program stands; gives the results there."""
        last = self._last
        if last is None or not np.array_equal(last.x, x):  # the line search came back to an earlier point
            last = self._at(x)
        self._program.apply(last.gradients)
        self._here, self._last = self._program.state(), None
        return last.results

    def go_back(self) -> None:
        """To the last accepted point: the program may stand where a line search tried."""
        self._program.load(self._here)

    def check_repeatable(self, x: Any, why: Callable[[Mapping[str, Any]], str] | None) -> None:
        """Raise unless the objective is a number that does not depend on the step."""
        value = self(x)[0]
        if not math.isfinite(value):
            raise NonFiniteError(
                f"loss is {value} before the first step of LBFGS. {why(self._here) if why else 'Scale the data.'}"
            )
        later = self._evaluate(self._here | {"step": np.asarray(int(self._here["step"]) + 1)})
        self._last = None
        if not math.isclose(later.results[0], value, rel_tol=SAME):
            raise ConfigError(
                "LBFGS needs the same loss each time it is asked, and a layer such as Dropout draws anew at each step; "
                "leave it out or choose another optimizer"
            )

    def _at(self, x: Any) -> _Evaluation:
        last = self._evaluate(self._here | self._parameters(x))
        self._last = replace(last, x=np.array(x))
        return self._last

    def _evaluate(self, state: Mapping[str, Any]) -> _Evaluation:
        self._program.load(state)
        gradients = None
        with np.errstate(all="ignore"):  # what is not finite is looked at, not warned of
            for batch in self._batches:
                gradients = self._program.gradients(batch, gradients)
        assert gradients is not None
        return _Evaluation(None, gradients, finished(gradients.sums, self._weight, self._rows))

    def _parameters(self, x: Any) -> dict[str, Any]:
        named, start = {}, 0
        for name in self._names:
            stop = start + self._here[name].size
            named[name] = x[start:stop].reshape(self._here[name].shape)
            start = stop
        return named
