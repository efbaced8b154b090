"""A recipe's parts as stages: which layer gets which nodes; what has no kernels runs by the reference."""

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
from deepmath_cupy.hooks import ReferenceStage
from deepmath_cupy.stages import ActivationStage, DenseStage, Stage, Through

WITH_KERNELS = (Dense, Activation, Dropout, GaussianNoise, BatchNormalization, LayerNormalization, PReLU)
"""Layers that have stages of their own; a subclass may compute something else."""


def chain(recipe: Recipe) -> list[Stage]:
    """The stages of a recipe; an activation joins the dense layer in front of it."""
    parts = recipe.parts
    stages: list[Stage] = []
    i = 0
    while i < len(parts):
        joined = _joined(parts, i)
        owns = i == 0 or parts[i - 1].number != parts[i].number
        stages.append(_stage(recipe, parts[i], joined, len(stages), owns=owns))
        i += 1 if joined is None else 2
    for lower, upper in itertools.pairwise(stages):
        if isinstance(lower, DenseStage) and isinstance(upper, DenseStage):
            lower.above, upper.below = upper, lower
    return stages


def _stage(recipe: Recipe, part: Part, joined: ActivationFunction | None, index: int, *, owns: bool) -> Stage:
    layer, number, shape = part
    why, first = _why_not(part), index == 0
    if why:
        return ReferenceStage(part, index, recipe.seed, why, owns=owns)
    place = number, index, shape[0]
    if isinstance(layer, Dense):
        return DenseStage(*place, layer.units, joined, layer.use_bias, recipe.precision, first=first)
    if isinstance(layer, Activation):
        return ActivationStage(*place, layer.activation, first)
    if isinstance(layer, Dropout):
        return more.DropoutStage(*place, first, recipe.seed, layer)
    if isinstance(layer, GaussianNoise):
        return more.GaussianNoiseStage(*place, first, recipe.seed, layer)
    if isinstance(layer, BatchNormalization):
        return more.BatchNormalizationStage(*place, first, layer)
    if isinstance(layer, LayerNormalization):
        return more.LayerNormalizationStage(*place, first, layer)
    return more.PReLUStage(*place, first)


def _joined(parts: Sequence[Part], i: int) -> ActivationFunction | None:
    """The activation that the dense layer at place i takes over."""
    if i + 1 == len(parts) or type(parts[i].layer) is not Dense or _why_not(parts[i]) or _why_not(parts[i + 1]):
        return None
    following = parts[i + 1].layer
    return following.activation if type(following) is Activation else None


def _why_not(part: Part) -> str:
    """Why a part has no kernels; nothing if it has."""
    if type(part.layer) not in WITH_KERNELS:
        return f"{type(part.layer).__name__} has no kernels"
    if len(part.shape) != 1:
        return "its inputs have more than one axis"
    if type(part.layer) is Activation:
        try:
            Through(part.layer.activation, bias=False)
        except TraceError as error:
            return f"'{part.layer.activation.name}' can't be compiled: {error}"
    return ""
