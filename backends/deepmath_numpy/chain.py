"""A recipe's parts as stages: which layer gets which loops, and which runs by the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepmath.layers import Activation, BatchNormalization, Dense, Dropout, LayerNormalization, PReLU
from deepmath.program import Part
from deepmath_numpy import stages
from deepmath_numpy.kernels import Kernels, traceable
from deepmath_numpy.stages import Moment, Stage


class Own(NamedTuple):
    """Views into the program's flat buffers by name, "0.kernel": parameters, gradients, layer state."""

    params: Mapping[str, Any]
    grads: Mapping[str, Any]
    state: Mapping[str, Any]

    def of(self, number: int) -> Own:
        """Those of layer `number`, by their own names."""
        start = f"{number}."
        return Own(*({n.removeprefix(start): v for n, v in views.items() if n.startswith(start)} for views in self))


def chain(kernels: Kernels, parts: Sequence[Part], own: Own, rows: int, moment: Moment) -> list[Stage]:
    """The stages for batches of up to `rows` rows; an activation joins the dense layer in front of it."""
    built = []
    i = 0
    while i < len(parts):
        joined = _joined(parts, i)
        built.append(_stage(kernels, parts[i], joined, own.of(parts[i].number), rows, moment, first=i == 0))
        i += 2 if joined is not None else 1
    return built


def _stage(kernels: Kernels, part: Part, joined: Any, own: Own, rows: int, moment: Moment, first: bool) -> Stage:
    layer, number, shape = part
    why = "no fused stage for this layer"
    if len(shape) != 1:
        why = "inputs of more than one axis"
    elif type(layer) is Dense:
        return stages.AffineStage(kernels, own.params, own.grads, joined, rows, first)
    elif type(layer) is Activation:
        why = traceable(layer.activation) or ""
        if not why:
            return stages.ActivationStage(kernels, layer.activation, shape[0], rows)
    elif type(layer) is Dropout:
        return stages.DropoutStage(kernels, layer, number, shape[0], rows, moment)
    elif type(layer) is LayerNormalization:
        return stages.LayerNormalizationStage(kernels, layer, own.params, own.grads, rows)
    elif type(layer) is PReLU:
        return stages.PReLUStage(kernels, own.params, own.grads, rows)
    elif type(layer) is BatchNormalization:
        return stages.BatchNormalizationStage(kernels, layer, own.params, own.grads, own.state, rows)
    return stages.ReferenceStage(np, layer, number, own, moment, why)


def _joined(parts: Sequence[Part], i: int) -> Any:
    """The activation that the dense layer at place i takes over, if the next part is one that can be compiled."""
    if type(parts[i].layer) is Dense and len(parts[i].shape) == 1 and i + 1 < len(parts):
        following = parts[i + 1].layer
        if type(following) is Activation and traceable(following.activation) is None:
            return following.activation
    return None
