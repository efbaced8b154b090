"""The tables of `text/steps.py`: addresses of everything, and of the kernels that a network needs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from deepmath.parameters import Layout, segments
from deepmath.program import Recipe
from deepmath_numpy.kernels import Kernels
from deepmath_numpy.layout import KINDS, Stage
from deepmath_numpy.traces import untraceable

STAGE = (
    "kind", "number", "features", "units", "x", "y", "z", "dy", "dx", "w", "b", "dw", "db", "mean", "variance",
    "state_mean", "state_variance", "next_mean", "next_variance", "bits", "forward", "backward", "special",
)  # fmt: skip
"""The columns of a stage's row."""
INFO = (
    "capacity", "outputs", "labelled", "summed", "scores", "scores_back", "targets", "labels", "weight", "results",
    "state", "next_state", "grads", "total", "states", "parameters", "head", "judge", "conclude", "update", "clip_norm",
    "clip_value", "noise", "average", "gemm", "gemv", "times", "times_turned", "slots",
)  # fmt: skip
"""The places of `info`."""
PLAIN = {
    "kind", "number", "features", "units", "forward", "backward", "special", "capacity", "outputs", "labelled",
    "summed", "states", "parameters", "head", "judge", "conclude", "update", "clip_norm", "clip_value", "noise",
    "average", "gemm", "gemv", "times", "times_turned",
}  # fmt: skip
"""What is no place in the buffer."""


def kernels_of(kernels: Kernels, stage: Stage) -> dict[str, int]:
    """The kernels of a stage, by the columns of its row."""
    names = ("forward", "backward", "special")
    if stage.kind in ("dense", "activation"):
        return dict(zip(names, kernels.activation(stage.function, stage.row["b"] >= 0), strict=False))
    if stage.kind == "dropout":
        return dict(zip(names, kernels.dropout(), strict=False))
    if stage.kind in ("batch", "layer"):
        return dict(zip(names, kernels.normalization(stage.kind == "batch"), strict=True))
    return dict(zip(names, kernels.prelu(), strict=False)) if stage.kind == "prelu" else {}


def untraced(recipe: Recipe) -> dict[str, str]:
    """What can't be compiled besides layers, "head", "conclude" or "update", and why."""
    head = recipe.head
    found = {"update": untraceable(recipe.optimizer)}
    if head is not None:
        found["head"] = untraceable(head)
        found["conclude"] = untraceable(head.activation) if head.activation is not None else ""
    return {name: why for name, why in found.items() if why}


def common_kernels(
    kernels: Kernels, recipe: Recipe, stages: Sequence[Stage], missing: Collection[str]
) -> dict[str, int]:
    """The kernels of the head, the optimiser and the rest, by their places in `info`, without what is missing."""
    head, optimizer = recipe.head, recipe.optimizer
    kinds = {stage.kind for stage in stages}
    found: dict[str, int] = {}
    if head is not None and "head" not in missing:
        found["head"], found["judge"] = kernels.head(head)
    if head is not None and "conclude" not in missing:
        found["conclude"] = kernels.predictions(head.activation)
    if "update" not in missing:
        found["update"] = kernels.optimizer(optimizer)
    if optimizer.clipnorm is not None or optimizer.clipvalue is not None:
        found["clip_norm"], found["clip_value"] = kernels.clips()
    if "dropout" in kinds:
        found["noise"] = kernels.noise()
    if "batch" in kinds:
        found["average"] = kernels.average()
    return found


def net_of(
    recipe: Recipe,
    kernels: Kernels,
    stages: Sequence[Stage],
    params: Layout,
    places: tuple[Mapping[str, int], Sequence[Mapping[str, int]], Mapping[str, int], Mapping[str, int]],
    buffer: Any,
    states: int,
) -> tuple[Any, ...]:
    """The fields of `Net`; `places` are the program's own, those of the stages and of the head, and kernels."""
    own, rows, head_places, common = places
    base, item = buffer.ctypes.data, buffer.itemsize
    head, optimizer = recipe.head, recipe.optimizer

    def addresses(names: Sequence[str], found: Mapping[str, int]) -> list[int]:
        return [_address(name, found.get(name, 0 if name in PLAIN else -1), base, item) for name in names]

    info = {**own, **head_places, **common, "states": states, "parameters": params.size, "slots": 0}
    info |= {"labelled": head.labelled, "summed": head.loss.summed} if head is not None else {}
    of_info = addresses(INFO, info)
    of_info[INFO.index("slots")] = len(optimizer.slots)
    table = [
        addresses(STAGE, {**row, **kernels_of(kernels, stage), "kind": KINDS.index(stage.kind)})
        for stage, row in zip(stages, rows, strict=True)
    ]
    parameters, strengths = _parameters(recipe, kernels, params, stages, own, base, item)
    last = head.activation if head is not None else None
    clips = [math.inf if c is None else c for c in (optimizer.clipnorm, optimizer.clipvalue)]
    return (
        np.asarray(table, np.int64),
        parameters,
        _segments(recipe, params, own, base, item),
        np.asarray(of_info, np.int64),
        np.asarray([*(padded(stage.constants) for stage in stages), padded(last.constants if last else ())]),
        np.asarray([*strengths, padded(clips)]),
        np.asarray(padded(head.loss.constants if head is not None else ())),
    )


def rates_of(recipe: Recipe) -> list[float]:
    """The different shares of the learning rate, in the order of their numbers."""
    return sorted({1.0, *recipe.rates.values()})


def _parameters(
    recipe: Recipe,
    kernels: Kernels,
    params: Layout,
    stages: Sequence[Stage],
    own: Mapping[str, int],
    base: int,
    item: int,
) -> tuple[Any, list[list[float]]]:
    owners = {stage.part.number: i for i, stage in reversed(list(enumerate(stages)))}
    rows, strengths = [], []
    for name, shape in params.shapes.items():
        rate = recipe.rates.get(name, 1.0)
        penalty, constraint = recipe.penalties.get(name), recipe.constraints.get(name)
        size, units = math.prod(shape), shape[-1] if shape else 1
        row = [rates_of(recipe).index(rate) if rate else -1, size, owners[int(name.partition(".")[0])]]
        row += [kernels.regularizer(penalty), kernels.constraint(constraint), size // max(units, 1), units]
        rows.append([*row, *_values(params.offsets[name], recipe, params, own, base, item)])
        limits = constraint.limits if constraint is not None else ()
        strengths.append([*padded(penalty.strengths if penalty is not None else ())[:2], *padded(limits)[:2]])
    return _rows(rows, recipe), strengths


def _segments(recipe: Recipe, params: Layout, own: Mapping[str, int], base: int, item: int) -> Any:
    rows = []
    for where, rate in segments(params, recipe.rates):
        number = rates_of(recipe).index(rate) if rate else -1
        row = [number, where.stop - where.start, -1, 0, 0, 0, 0]
        rows.append([*row, *_values(where.start, recipe, params, own, base, item)])
    return _rows(rows, recipe)


def _rows(rows: Sequence[Sequence[int]], recipe: Recipe) -> Any:
    return np.asarray(rows, np.int64).reshape(len(rows), 9 + len(recipe.optimizer.slots))


def _values(start: int, recipe: Recipe, params: Layout, own: Mapping[str, int], base: int, item: int) -> list[int]:
    """Addresses of parameters, gradients and slots that begin there."""
    slots = [own["slots"] + i * params.size for i in range(len(recipe.optimizer.slots))]
    return [base + (place + start) * item for place in (own["params"], own["grads"], *slots)]


def _address(name: str, value: int, base: int, item: int) -> int:
    """A place as an address; 0 for what is not there."""
    if name in PLAIN:
        return int(value)
    return base + value * item if value >= 0 else 0


def padded(constants: Sequence[float]) -> list[float]:
    """Four numbers, zeros behind those that there are."""
    return [*map(float, constants), *[0.0] * (4 - len(constants))]
