"""The seam between what is trained and how: a `Recipe` says what, a `Program` runs it.

A backend compiles a recipe into a program. Everything above (the training loop, the model, the command)
sees only this file; everything that clips, accumulates, averages over processes or searches along lines
stands between `gradients` and `apply`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from deepmath.activations import ActivationFunction
from deepmath.arrays import all_finite
from deepmath.descriptions import plain_numbers
from deepmath.formulas.losses import one_hot
from deepmath.layers import Layer
from deepmath.losses import Loss
from deepmath.metrics import Measure, Metric
from deepmath.optimizers import Optimizer
from deepmath.pace import Pace
from deepmath.ranges import Range
from deepmath.regularizers import Constraint, Regularizer
from deepmath.trace import Formula

RESULTS = ("loss", "cost", "weight", "rows")
"""What every step reports in front of the metrics: objective, loss without penalties, sum of weights, rows counted."""


Order = Callable[[int, int], Any]
"""(epoch, rows) -> the numbers of the rows in the order in which the epoch visits them, whole numbers [rows]."""

Snapshot = Callable[[], dict[str, Any]]
"""Gives a program's state of an earlier moment."""

ColumnMap = tuple[Formula, tuple[Any, ...]]
"""(formula, constants): formula(xp, x, *constants) for elements x, with float64 constants [columns]."""

Predict = Callable[[Any], Any]
"""Predictions of a NumPy array, or None where the array isn't what it takes, or holds a number that isn't finite."""


class Part(NamedTuple):
    """One link of the chain: a layer, its number in the model, and the shape of its inputs."""

    layer: Layer
    number: int
    shape: tuple[int, ...]

    @property
    def told(self) -> str:
        """How messages call the layer: by its place, counted from 1, and its kind."""
        return f"layer {self.number + 1} ({type(self.layer).__name__})"


@dataclass(frozen=True)
class Head:
    """What stands behind the last layer: the loss of its scores, and the activation that predictions get.

    `metrics` are computed in the steps, `scores` from predictions of a whole data set; no two results have one name.
    `activation` was taken off the chain because the loss is written for the scores in front of it. `gives` is what the
    last layer can give, by which targets are checked (None: by nothing), and `last` how messages call it.
    """

    loss: Loss
    metrics: tuple[Metric, ...]
    outputs: int
    activation: ActivationFunction | None = None
    gives: Range | None = field(default=None, compare=False, repr=False)
    last: str = field(default="", compare=False, repr=False)
    scores: tuple[Measure, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether targets are whole-number labels [rows] and not rows of numbers [rows, outputs]."""
        return self.loss.targets == "labels"


@dataclass(frozen=True)
class Batch:
    """Rows of the data that a step trains on.

    `rows` are their numbers in the data, `weights` what their losses are multiplied by (shares that sum to 1 over
    the logical batch, unless the loss is a sum), `first` the place of the first in the logical batch.
    """

    rows: Any
    weights: Any
    first: int = 0


@dataclass(frozen=True)
class Data:
    """Inputs [rows, ...] and targets, in the program's library and precision; weights [rows] are float64 on the host.

    They weight the loss and the metrics alike: a metric is sum(w m) / sum(w). A row of weight 0 counts nowhere: not for
    the loss, its gradient and the metrics, nor in the number of rows.
    Targets are [rows, outputs], or whole-number labels [rows].
    """

    x: Any
    targets: Any
    weights: Any = None

    @property
    def rows(self) -> int:
        return int(self.x.shape[0])

    @property
    def counted(self) -> tuple[float, int]:
        """What the rows' weights sum to, and how many rows count."""
        return tally(self.weights, self.rows)

    def weights_of(self, rows: Any) -> Any:
        """The weights of the rows of these numbers, float64 [rows]; each is 1 where none are given."""
        return np.ones(len(rows)) if self.weights is None else np.asarray(self.weights[rows], np.float64)


@plain_numbers
@dataclass(frozen=True)
class Recipe:
    """All that decides what a program computes, apart from the data and the values it starts from.

    `penalties`, `constraints` and `rates` go by parameter name. A parameter's learning rate is multiplied by its
    number in `rates`; where that is 0, it is frozen: neither it nor its slots change, and its gradient doesn't
    count where the gradient is clipped by its norm. Step number `origin` is the first of epoch `first_epoch`:
    a second call of fit goes on counting both. `shuffle` is a number of rows where rows of a file are shuffled
    within a window, and a function where it gives each epoch's order.
    """

    parts: tuple[Part, ...]
    head: Head | None
    optimizer: Optimizer
    precision: str = "float32"
    seed: int = 0
    batch_size: int = 32
    accumulate: int = 1
    shuffle: bool | int | Order = True
    drop_last: bool = False
    penalties: Mapping[str, Regularizer] = field(default_factory=dict)
    constraints: Mapping[str, Constraint] = field(default_factory=dict)
    origin: int = 0
    first_epoch: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of what a step reports."""
        return (*RESULTS, *(m.name for m in self.head.metrics)) if self.head else RESULTS


class Program(abc.ABC):
    """A compiled recipe with its values. `step` counts the updates made; it alone says where training stands.

    `recipe` is what it was compiled from, and `data` where the rows of a batch are taken from: what it was compiled
    with, or what was attached last.
    """

    recipe: Recipe
    step: int
    pace: Pace
    data: Data | None

    @abc.abstractmethod
    def attach(self, data: Data) -> None:
        """Train on these data from now on; a row has the shapes and types of those that it was compiled with.

        Batches then still have at most as many rows as the recipe's, or the first data's if those were fewer.
        """

    def renew(self, recipe: Recipe, values: Mapping[str, Any], data: Data) -> None:
        """Begin again as if compiled from these; the recipe may differ in `origin` and `first_epoch` alone."""
        self.recipe = recipe
        self.load(values)
        self.attach(data)

    def ready(self, k: int) -> int:
        """How many of the next k steps can run without waiting for data; waits until it is one at least."""
        return k

    @abc.abstractmethod
    def run(self, k: int) -> Any:
        """Train k steps from where it stands. Gives float64 [k, columns] as `Recipe.columns` names them.

        Has the bits of k times run(1).
        """

    @abc.abstractmethod
    def gradients(self, batch: Batch, previous: Any = None) -> Any:
        """The objective's gradient over one (micro-)batch, added to `previous`; changes no visible value.

        It carries the layers' new state and the step's results, whose metrics are weighted as the data say and not
        by the batch's shares. The value may live in the program's own memory: it is good until the next call.
        """

    @abc.abstractmethod
    def apply(self, gradients: Any) -> None:
        """Clip, update the parameters, take over the layers' new state, and count one step."""

    @abc.abstractmethod
    def predict(self, x: Any) -> Any:
        """Predictions for inputs in the program's library."""

    def predictor(self, maps: Sequence[ColumnMap]) -> Predict | None:  # noqa: ARG002 - for those that have one
        """A function of the inputs as they come, before these maps: it checks, preprocesses and predicts in one call.

        Several threads may call it at once. It predicts with the values that the program has then, and gives the bits
        of `predict`. None, as here, where the program has nothing that is quicker than the single steps.
        """
        return None

    @abc.abstractmethod
    def measure(self, data: Data) -> Any:
        """The results over a whole data set without training: float64 [columns]."""

    def weights(self) -> dict[str, Any]:
        """Copies of the parameters and the layers' state alone, as `state` names them."""
        return {n: v for n, v in self.state().items() if n.startswith(("params.", "state."))}

    @abc.abstractmethod
    def state(self) -> dict[str, Any]:
        """Every visible value as a NumPy array.

        By name: "params.0.kernel", "state.1.moving_mean", "m.0.kernel", ..., "step", and "rate", the pace's value.
        """

    def snapshot(self) -> Snapshot:
        """What `state` gives now, to be spelled out when somebody asks: most copies of a run are never looked at."""
        state = self.state()
        return lambda: state

    def is_finite(self) -> bool:
        """Whether all that `state` gives is finite."""
        return all_finite(self.state().values())

    @abc.abstractmethod
    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave. Training goes on with the same bits."""

    @abc.abstractmethod
    def plan(self) -> list[tuple[str, str]]:
        """(which part, how it runs and why) for each part of the work."""


def tally(weights: Any, rows: int) -> tuple[float, int]:
    """The sum of weights [rows] (None: each is 1), and how many rows count: those of weight 0 are as if not there."""
    return (float(rows), rows) if weights is None else (in_order(weights), int(np.count_nonzero(weights)))


def weighted_sums(rows: Sequence[Any], shares: Any, weights: Any) -> Any:
    """[sum of shares times loss, *sums of weights times metric] from host arrays [rows].

    A row whose share is 0 adds nothing, ever.
    """
    counted = shares > 0.0
    loss, *metrics = (np.asarray(r, np.float64)[counted] for r in rows)
    return np.asarray([np.sum(shares[counted] * loss), *(in_order(weights[counted] * m) for m in metrics)])


def in_order(numbers: Any) -> float:
    """Their sum, one after the other as a loop adds them: so weights times 1 have the very sum of the weights."""
    return float(np.cumsum(numbers, dtype=np.float64)[-1]) if len(numbers) else 0.0


def finished(sums: Any, weight: Any, rows: Any) -> Any:
    """[penalty, cost, *metric sums] -> [objective, cost, weight, rows, *metric means].

    Of one step, or of many: sums [..., 2 + metrics], weight and rows [...].
    """
    sums, weight, rows = np.asarray(sums), np.asarray(weight), np.asarray(rows)
    means = sums[..., 2:] / np.where(weight == 0.0, 1.0, weight)[..., None]
    objective = sums[..., 0] + sums[..., 1]
    return np.concatenate([np.stack([objective, sums[..., 1], weight, rows], axis=-1), means], axis=-1)


def head_formula(head: Head) -> Formula:
    """(xp, z, targets, index, weight, *constants) -> (dz, loss, *metrics): all that stands behind the last layer.

    z [batch, outputs] are the last layer's values, weight [batch, 1] the rows' shares; dz is the gradient of the
    weighted loss, loss and metrics are [batch, 1], not weighted.
    """
    backward = head.loss.backward()
    results = results_formula(head)

    def formula(xp: Any, z: Any, targets: Any, index: Any, weight: Any, *constants: Any) -> tuple[Any, ...]:
        d = _targets(head, xp, z, targets, index)
        dz = backward(xp, z, d, weight, *constants)
        counted = xp.where(weight > 0.0, dz, 0.0)  # an infinite loss of a row that doesn't count is no NaN
        return (counted, *results(xp, z, targets, index, *constants))

    return formula


def results_formula(head: Head) -> Formula:
    """(xp, z, targets, index, *constants) -> (loss, *metrics), each [batch, 1]; the constants are the loss's."""

    def formula(xp: Any, z: Any, targets: Any, index: Any, *constants: Any) -> tuple[Any, ...]:
        d = _targets(head, xp, z, targets, index)
        p = z if head.activation is None else head.activation.value(xp, z)
        return (head.loss.value(xp, z, d, *constants), *(m.value(xp, p, d, index) for m in head.metrics))

    return formula


def _targets(head: Head, xp: Any, z: Any, targets: Any, index: Any) -> Any:
    return one_hot(xp, targets, index, z) if head.labelled else targets


def head_kinds(head: Head) -> list[str]:
    """The kinds of `head_formula`'s arguments in front of the constants."""
    return ["element", "row:int" if head.labelled else "element", "index", "row"]
