"""Networks with their data as cases, and programs of them on any backend: what the tests of whole networks share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath import activations, losses
from deepmath.activations import ActivationFunction
from deepmath.backend import load_backend
from deepmath.batches import row_weights
from deepmath.data import validation
from deepmath.layers import Layer
from deepmath.optimizers import SGD, Optimizer
from deepmath.program import Batch, Program, Recipe
from deepmath.recipes import constraints_of, first_values, parts_of, penalties_of, with_head

PROGRAMS = ("reference", "numpy")
"""The programs on NumPy arrays: the formulas themselves, and the fused one."""

LOSSES = tuple(sorted({losses.get(name).name for name in losses.names()}))
ACTIVATIONS = tuple(sorted({activations.get(name).name for name in activations.names()}))

OUTPUTS: dict[str, tuple[str | None, ...]] = {
    "binary_crossentropy": ("sigmoid",),
    "focal": ("sigmoid",),
    "categorical_crossentropy": ("softmax", "sigmoid"),
    "sparse_categorical_crossentropy": ("softmax", "sigmoid"),
    "kl_divergence": ("softmax", "sigmoid"),
    "poisson": ("softplus", "sigmoid"),
}
"""Last activations under which a loss is finite; any does for the others."""


@dataclass(frozen=True)
class Case:
    """A network, what it minimises and how, and the data."""

    layers: tuple[Layer, ...]
    loss: Any
    optimizer: Optimizer
    X: Any
    y: Any
    weights: Any = None
    batch_size: int = 32
    accumulate: int = 1
    drop_last: bool = False
    shuffle: bool = True
    seed: int = 0
    metrics: tuple[Any, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.X.shape[1:])

    @property
    def last_activation(self) -> ActivationFunction:
        """What the last layer ends in."""
        given = getattr(self.layers[-1], "activation", None)
        return activations.get("linear" if given is None else given)


def first_values_of(case: Case) -> dict[str, Any]:
    """Initial parameters and layer states by name, float64."""
    return first_values(case.layers, case.shape, case.seed)


def recipe_of(case: Case, precision: str = "float64") -> Recipe:
    """What the model would hand to a backend."""
    parts, head = with_head(parts_of(case.layers, case.shape), losses.get(case.loss), case.metrics)
    return Recipe(
        parts, head, case.optimizer, precision, case.seed, case.batch_size, case.accumulate, case.shuffle,
        case.drop_last, penalties_of(case.layers), constraints_of(case.layers),
    )  # fmt: skip


def compiled(case: Case, backend: Any = "reference", precision: str = "float64", values: Any = None) -> Program:
    """A program of the case with its data; it starts from the initial values unless others are given."""
    chosen = load_backend(backend)
    recipe = recipe_of(case, precision)
    data = validation.validated(chosen, recipe, case.X, case.y, case.weights)
    return chosen.compile(recipe, first_values_of(case) if values is None else values, data)


class Probe:
    """Gradients of a program, read off without knowing how it keeps them.

    After one step of SGD with momentum from a velocity of zero, the velocity is the gradient, to the bit; the
    rate is zero, so that no parameter moves.
    """

    def __init__(self, case: Case, backend: Any = "reference", precision: str = "float64") -> None:
        self.case = replace(case, optimizer=SGD(0.0, momentum=0.5))
        self.program = compiled(self.case, backend, precision)

    def gradients(self, values: Any, micro: list[Batch], step: int = 0) -> dict[str, Any]:
        """The objective's gradient by parameter name, at these values, over the micro-batches of one step."""
        kept = {n: v for n, v in values.items() if n.startswith(("params.", "state."))}
        params = [n.removeprefix("params.") for n in kept if n.startswith("params.")]
        velocity = {f"v.{n}": np.zeros_like(kept[f"params.{n}"]) for n in params}
        self.program.load(kept | velocity | {"step": np.asarray(step)})
        gradients = None
        for batch in micro:
            gradients = self.program.gradients(batch, gradients)
        self.program.apply(gradients)
        state = self.program.state()
        return {n: state[f"v.{n}"] for n in params}

    def objective(self, values: Any, step: int = 0) -> float:
        """The objective of step number `step` at these values, as the program reports it, in training mode."""
        self.program.load(dict(values) | {"step": np.asarray(step)})
        return float(np.asarray(self.program.run(1))[0, 0])


def whole_batch(case: Case) -> list[Batch]:
    """All rows in one batch, in their order."""
    rows = np.arange(len(case.X))
    weights = None if case.weights is None else np.asarray(case.weights)
    return [Batch(rows, row_weights(weights, rows, losses.get(case.loss).summed))]


def targets(rng: np.random.Generator, loss: str, rows: int, outputs: int) -> Any:
    """Targets that fit the loss: [rows, outputs], or labels [rows]."""
    loss = loss.partition("(")[0]
    if loss == "binary_crossentropy":
        return rng.choice([0.0, 1.0, 0.25], (rows, outputs))
    if loss == "sparse_categorical_crossentropy":
        return rng.integers(0, outputs, rows)
    if loss == "categorical_crossentropy":
        return np.eye(outputs)[rng.integers(0, outputs, rows)]
    if loss in ("hinge", "squared_hinge", "focal"):
        return rng.choice([0.0, 1.0], (rows, outputs))
    if loss == "kl_divergence":
        return rng.dirichlet(np.ones(outputs), rows)
    if loss == "poisson":
        return rng.poisson(1.5, (rows, outputs)) * 1.0
    return rng.standard_normal((rows, outputs))
