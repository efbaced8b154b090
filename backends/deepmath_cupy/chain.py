"""A recipe's parts as stages: which layer gets which nodes, or why a part has none."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from deepmath.activations import ActivationFunction
from deepmath.errors import TraceError
from deepmath.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    GaussianNoise,
    LayerNormalization,
    PReLU,
)
from deepmath.program import Part, Recipe
from deepmath_cupy import more_stages as more
from deepmath_cupy.stages import ActivationStage, DenseStage, Stage


class Unfused(Exception):
    """A part that has no stage; the message says which and why."""


def chain(recipe: Recipe) -> list[Stage]:
    """The stages of a recipe; an activation joins the dense layer in front of it. Raises Unfused."""
    parts = recipe.parts
    stages: list[Stage] = []
    i = 0
    while i < len(parts):
        joined = _joined(parts, i)
        stages.append(_stage(recipe, parts[i], joined, len(stages)))
        i += 1 if joined is None else 2
    for lower, upper in itertools.pairwise(stages):
        if isinstance(lower, DenseStage) and isinstance(upper, DenseStage):
            lower.above, upper.below = upper, lower
    return stages


def _stage(recipe: Recipe, part: Part, joined: ActivationFunction | None, index: int) -> Stage:
    layer, number, shape = part
    name, first = type(layer).__name__, index == 0
    if len(shape) != 1:
        raise Unfused(f"{name} has inputs of more than one axis")
    units = shape[0]
    try:
        if type(layer) is Dense:
            return DenseStage(
                number, index, units, layer.units, joined, layer.use_bias, recipe.precision, first=first
            )  # fmt: skip
        if type(layer) is Activation:
            return ActivationStage(number, index, units, layer.activation, first)
    except TraceError as error:
        raise Unfused(f"{name} can't be compiled: {error}") from error
    if type(layer) is Dropout:
        return more.DropoutStage(number, index, units, first, recipe.seed, layer)
    if type(layer) is GaussianNoise:
        return more.GaussianNoiseStage(number, index, units, first, recipe.seed, layer)
    if type(layer) is BatchNormalization:
        return more.BatchNormalizationStage(number, index, units, first, layer)
    if type(layer) is LayerNormalization:
        return more.LayerNormalizationStage(number, index, units, first, layer)
    if type(layer) is PReLU:
        return more.PReLUStage(number, index, units, first)
    raise Unfused(f"{name} has no kernels")


def _joined(parts: Sequence[Part], i: int) -> ActivationFunction | None:
    """The activation that the dense layer at place i takes over."""
    if type(parts[i].layer) is Dense and i + 1 < len(parts):
        following = parts[i + 1].layer
        if type(following) is Activation:
            function: ActivationFunction = following.activation
            return function
    return None
