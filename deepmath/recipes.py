"""From a model's descriptions to a recipe: the chain of parts, the head, and the first values."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from deepmath import metrics as metric_table
from deepmath import output_checks
from deepmath.activations import ActivationFunction
from deepmath.descriptions import Missing
from deepmath.errors import ConfigError
from deepmath.initializers import Draws
from deepmath.layers import Activation, Layer
from deepmath.losses import Loss
from deepmath.optimizers import Optimizer
from deepmath.program import Head, Part, Recipe
from deepmath.regularizers import Constraint, Regularizer

MAX_PARAMETERS = 1 << 33
"""A model of more parameters (64 GiB in float64) is taken for a mistake."""


def shapes_of(layers: Sequence[Layer], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shape of each layer's inputs, and of the last one's outputs."""
    shapes = [shape]
    for layer in layers:
        shapes.append(layer.output_shape(shapes[-1]))
    return shapes


def first_values(layers: Sequence[Layer], shape: tuple[int, ...], seed: int) -> dict[str, Any]:
    """Initial parameters and states of all layers, named as in `Program.state`, float64."""
    if not layers:
        raise ConfigError("the model has no layers; add some, for example model.add(Dense(1))")
    shapes = shapes_of(layers, shape)
    wanted = sum(math.prod(s[-1:]) * math.prod(t[-1:]) for s, t in itertools.pairwise(shapes))
    if wanted > MAX_PARAMETERS:
        raise ConfigError(
            f"the model would have about {wanted:.2g} weights ({wanted * 4 / 2**40:.1f} TiB); check the layers' units"
        )
    values: dict[str, Any] = {}
    for number, (layer, inputs) in enumerate(zip(layers, shapes, strict=False)):
        params, state = layer.init(inputs, functools.partial(Draws, seed, number))
        values |= {f"params.{number}.{name}": v for name, v in params.items()}
        values |= {f"state.{number}.{name}": v for name, v in state.items()}
    return values


def parts_of(layers: Sequence[Layer], shape: tuple[int, ...]) -> tuple[Part, ...]:
    """All layers taken apart, each with its number in the model and its inputs' shape."""
    parts = []
    for number, layer in enumerate(layers):
        for piece in layer.parts():
            parts.append(Part(piece, number, shape))
            shape = piece.output_shape(shape)
    return tuple(parts)


def with_head(
    parts: tuple[Part, ...], loss: Loss, metrics: Sequence[Any], unusual: bool = False
) -> tuple[tuple[Part, ...], Head]:
    """The chain and its head: a last activation moves behind the loss where the loss is written for its scores.

    Targets that are `unusual` for the loss and the last layer are not asked about.
    """
    last = parts[-1]
    outputs = last.layer.output_shape(last.shape)
    if len(outputs) != 1:
        raise ConfigError(
            f"loss '{loss.name}': the last layer must give one row of numbers for each sample; got shape {outputs}"
        )
    measures = metric_table.fitted(metric_table.chosen(metrics), outputs[0], loss.yes_above)
    by_row = tuple(m for m in measures if isinstance(m, metric_table.Metric))
    scores = tuple(m for m in measures if not isinstance(m, metric_table.Metric))
    function: ActivationFunction | None = last.layer.activation if isinstance(last.layer, Activation) else None
    on_scores = loss.on_scores(function.name) if function is not None and len(parts) > 1 else None
    head = Head(
        loss, by_row, outputs[0], scores=scores, last=output_checks.name_of(last.layer),
        gives=None if unusual else output_checks.range_of([part.layer for part in parts]),
    )  # fmt: skip
    if on_scores is None:
        return parts, head
    return parts[:-1], replace(head, loss=on_scores, activation=function)


def recipe_of(
    layers: Sequence[Layer],
    shape: tuple[int, ...],
    optimizer: Optimizer,
    loss: Loss | None,
    metrics: Sequence[Any],
    unusual: bool = False,
    **settings: Any,
) -> Recipe:
    """The recipe of a model for inputs of this shape; `settings` are fields of `Recipe`."""
    parts, head = parts_of(layers, shape), None
    if loss is not None:
        parts, head = with_head(parts, loss, metrics, unusual)
    return Recipe(
        parts, head, optimizer, penalties=penalties_of(layers), constraints=constraints_of(layers), **settings
    )


def constraints_of(layers: Sequence[Layer]) -> dict[str, Constraint]:
    """Constraints by parameter name, "0.kernel"."""
    found: dict[str, Constraint] = {}
    for number, layer in enumerate(layers):
        own = layer.constraints().items()
        found |= {f"{number}.{name}": constraint for name, constraint in own if not isinstance(constraint, Missing)}
    return found


def penalties_of(layers: Sequence[Layer]) -> dict[str, Regularizer]:
    """Regularisers by parameter name, "0.kernel"."""
    found: dict[str, Regularizer] = {}
    for number, layer in enumerate(layers):
        own = layer.penalties().items()
        found |= {f"{number}.{name}": regularizer for name, regularizer in own if not isinstance(regularizer, Missing)}
    return found
