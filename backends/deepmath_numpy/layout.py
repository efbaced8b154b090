"""A network's stages, and where everything that they touch lies in the program's buffer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deepmath.activations import ActivationFunction
from deepmath.layers import Activation, BatchNormalization, Dense, Dropout, LayerNormalization, PReLU
from deepmath.parameters import ALIGNMENT, Layout
from deepmath.program import Part, Recipe
from deepmath_numpy.traces import keeps_input, untraceable

KINDS = ("dense", "activation", "dropout", "batch", "layer", "prelu", "reference")
"""The kinds of stages, in the order of their numbers in `text/steps.py`."""
OF_LAYERS = {
    Dense: "dense", Activation: "activation", Dropout: "dropout", BatchNormalization: "batch",
    LayerNormalization: "layer", PReLU: "prelu",
}  # fmt: skip


@dataclass
class Stage:
    """One stage: a part, perhaps with the activation behind it, and the places of what it touches, by name.

    `why` says what keeps it from running fused.
    """

    kind: str
    part: Part
    why: str = ""
    function: ActivationFunction | None = None
    row: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The layer's name."""
        return type(self.part.layer).__name__

    @property
    def constants(self) -> tuple[float, ...]:
        """What its kernels take besides arrays."""
        layer = self.part.layer
        if isinstance(layer, Dropout):
            return layer.constants
        if isinstance(layer, BatchNormalization):
            return layer.epsilon, layer.momentum, 1.0 - layer.momentum
        if isinstance(layer, LayerNormalization):
            return (layer.epsilon,)
        return self.function.constants if self.function is not None else ()

    @property
    def how(self) -> str:
        """How it runs, in words."""
        if self.kind == "reference":
            return f"reference on numpy: {self.why}"
        if self.kind not in ("dense", "activation"):
            return {"dropout": "fused: random bits and choice", "prelu": "fused: PReLU"}.get(
                self.kind, "fused: moments and normalisation"
            )
        parts = ["bias"] if self.row["b"] >= 0 else []
        words = " + ".join([*parts, *([self.function.name] if self.function is not None else [])]) or "nothing else"
        return f"fused: matrix product (BLAS), {words}" if self.kind == "dense" else f"fused: {words}"


def stages_of(parts: Sequence[Part], params: Layout, states: Layout) -> list[Stage]:
    """The stages of a chain; an activation joins the dense layer in front of it."""
    stages: list[Stage] = []
    for part in parts:
        layer = part.layer
        why = "inputs of more than one axis" if len(part.shape) != 1 else ""
        if type(layer) is Activation and not why:
            why = untraceable(layer.activation)
            before = stages[-1] if stages else None
            if not why and before is not None and before.kind == "dense" and before.function is None:
                before.function = layer.activation
                continue
        kind = OF_LAYERS.get(type(layer), "reference")
        why = why or ("no fused stage for this layer" if kind == "reference" else "")
        function = layer.activation if type(layer) is Activation and not why else None
        stage = Stage("reference" if why else kind, part, why, function)
        units = layer.output_shape(part.shape)
        stage.row = {"number": part.number, "features": math.prod(part.shape), "units": math.prod(units)}
        stage.row |= {"w": -1, "b": -1} | _own(stage, params, states)
        stages.append(stage)
    return stages


def _own(stage: Stage, params: Layout, states: Layout) -> dict[str, int]:
    """Where the layer's own parameters and averages begin within all of them; -1 for what it has not."""
    if stage.kind in ("activation", "dropout", "reference"):
        return {}
    names = {"dense": ("kernel", "bias"), "prelu": ("alpha", "")}.get(stage.kind, ("gamma", "beta"))
    found = {"w": (params, names[0]), "b": (params, names[1])}
    if stage.kind == "batch":
        found |= {"state_mean": (states, "moving_mean"), "state_variance": (states, "moving_variance")}
    return {key: layout.offsets.get(f"{stage.part.number}.{name}", -1) for key, (layout, name) in found.items()}


class Memory:
    """Hands out places in the buffer, one behind the other, each on a 64-byte boundary."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, numbers: int) -> int:
        """Where so many numbers begin."""
        start = self.size
        self.size += -(-numbers // ALIGNMENT) * ALIGNMENT
        return start


def own_places(recipe: Recipe, params: Layout, states: Layout, memory: Memory) -> dict[str, int]:
    """Where parameters, the optimiser's slots, the layers' averages and gradients lie; sums of gradients come last."""
    return {
        "params": memory.take(params.size),
        "slots": memory.take(params.size * len(recipe.optimizer.slots)),
        "state": memory.take(states.size),
        "next_state": memory.take(states.size),
        "grads": memory.take(params.size),
        "total": memory.take(params.size),
    }


def batch_places(
    stages: Sequence[Stage],
    own: Mapping[str, int],
    results: int,
    rows: int,
    itemsize: int,
    memory: Memory,
    sparse: bool = False,
) -> tuple[list[dict[str, int]], dict[str, int]]:
    """Places for steps with up to `rows` rows: those of each stage and of the head; `sparse` inputs have none."""
    capacity = -(-rows // ALIGNMENT) * ALIGNMENT

    def matrix(columns: int) -> int:
        return memory.take(columns * capacity)

    found = []
    place = matrix(0 if sparse else stages[0].row["features"])
    for stage in stages:
        row, units = dict(stage.row), stage.row["units"]
        row["x"] = place
        row["y"] = row["z"] = place = matrix(units)
        if stage.function is not None and keeps_input(stage.function):
            row["z"] = matrix(units)
        if stage.kind == "dropout":
            row["bits"] = matrix(-(-units // 4) * 4)
        if stage.kind in ("batch", "layer"):
            for name in ("mean", "variance"):
                row[name] = memory.take(units if stage.kind == "batch" else capacity)
        for name, parameter in (("dw", "w"), ("db", "b")):
            row[name] = own["grads"] + row[parameter] if row[parameter] >= 0 else -1
        for name in ("mean", "variance"):
            if f"state_{name}" in row:
                row[f"next_{name}"] = own["next_state"] + row[f"state_{name}"]
                row[f"state_{name}"] += own["state"]
        found.append(row)
    outputs = stages[-1].row["units"]
    gradient = below = matrix(outputs)
    for i in range(len(stages) - 1, -1, -1):
        found[i]["dy"] = below
        if stages[i].kind in ("dense", "reference"):
            below = -1 if i == 0 and stages[i].kind == "dense" else matrix(found[i]["features"])
        found[i]["dx"] = below
    return found, {
        "capacity": capacity, "outputs": outputs, "scores": place, "scores_back": gradient, "targets": matrix(outputs),
        "labels": memory.take(-(-8 // itemsize) * capacity), "weight": matrix(1), "results": matrix(results),
    }  # fmt: skip
