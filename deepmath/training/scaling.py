"""Loss scaling: gradients too small for float16 are kept by training on a multiple of the loss.

The loss is multiplied by a power of two before the backward pass, and the gradient divided by it before the
update. A scale that is too large makes gradients overflow: then the step is not made, and the scale is halved.
Source: Micikevicius et al., "Mixed precision training" (2018); the rule is that of PyTorch's `GradScaler`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.descriptions import check_number, plain_numbers
from deepmath.errors import ConfigError, NonFiniteError
from deepmath.program import Batch, Program, Recipe

FLOOR = 1.0
"""The least scale: at it gradients are those of the loss itself, and an overflow is an error."""

CEILING = 2.0**126
"""The largest: it and its inverse are normal numbers of float32."""


@plain_numbers
@dataclass(frozen=True)
class LossScale:
    """The scale as a value: `after(finite)` gives the next one.

    It is multiplied by `growth` after `interval` good steps in a row, and by `backoff` after an overflow, but never
    below 1 (PyTorch's has no floor). All settings are
    powers of two, so that scaling and its undoing round nothing but what leaves the range of the numbers.

    >>> scale = LossScale(interval=2)
    >>> scale.after(False).scale, scale.after(True).after(True).scale
    (32768.0, 131072.0)
    """

    scale: float = 65536.0
    growth: float = 2.0
    backoff: float = 0.5
    interval: int = 2000
    good: int = 0

    def __post_init__(self) -> None:
        owner = "LossScale"
        check_number(owner, "scale", self.scale, low=FLOOR, high=CEILING)
        check_number(owner, "growth", self.growth, low=1.0)
        check_number(owner, "backoff", self.backoff, low=0.0, high=1.0, open_low=True)
        check_number(owner, "interval", self.interval, low=1, whole=True)
        for name in ("scale", "growth", "backoff"):
            if np.frexp(getattr(self, name))[0] != 0.5:
                raise ConfigError(f"LossScale: {name} must be a power of two; got {getattr(self, name)}")

    def after(self, finite: bool) -> LossScale:
        """The scale after a step whose gradients were all finite, or were not."""
        if not finite:
            return replace(self, scale=max(self.scale * self.backoff, FLOOR), good=0)
        if self.good + 1 < self.interval:
            return replace(self, good=self.good + 1)
        return replace(self, scale=min(self.scale * self.growth, CEILING), good=0)

    def state(self) -> dict[str, Any]:
        """What must be remembered over a stop."""
        return {"scale": np.asarray(self.scale), "good": np.asarray(self.good)}

    def load(self, state: Mapping[str, Any]) -> LossScale:
        """The same rule where `state` was taken."""
        return replace(self, scale=float(state["scale"]), good=int(state["good"]))


def check(recipe: Recipe) -> None:
    """Raise ConfigError for a recipe whose gradient is not that of the scaled loss alone."""
    if recipe.penalties:
        name = next(iter(recipe.penalties))
        raise ConfigError(
            f"loss scaling: the penalty of '{name}' adds to the gradient unscaled; "
            "leave regularisers out, or use AdamW's weight_decay"
        )


def scaled_step(
    program: Program, batches: Sequence[Batch], scale: LossScale, undo: Any
) -> tuple[LossScale, list[float], Any]:
    """One update under loss scaling: (the next scale, the scales that overflowed, the micro-batches' sums).

    `batches` are the micro-batches of the step, and `undo(gradients, scale)` gives the program's gradients divided
    by the scale. After an overflow nothing has moved, neither parameters nor slots, the layers' running averages,
    nor the step that bias corrections and schedules count: as with `GradScaler`. Other than there, the same rows
    are tried again at the smaller scale, because the step alone says where training stands; no batch is left out.

    Raises NonFiniteError where the gradients overflow at scale 1, and leaves all values as they were.
    """
    overflowed: list[float] = []
    while True:
        gradients = None
        with np.errstate(all="ignore"):
            for batch in batches:
                larger = replace(batch, weights=np.asarray(batch.weights) * scale.scale)
                gradients = program.gradients(larger, gradients)
            assert gradients is not None
            gradients = undo(gradients, scale.scale)
        if all(np.isfinite(to_numpy(g)).all() for g in gradients.values.values()):
            program.apply(gradients)
            return scale.after(True), overflowed, gradients.sums
        if scale.scale <= FLOOR:
            raise NonFiniteError(
                f"the gradients of step {program.step} are not finite even without loss scaling. "
                "Try a lower learning rate, gradient clipping (clipnorm=1.0), or precision='float32'."
            )
        overflowed.append(scale.scale)
        scale = scale.after(False)


def undone(gradients: Any, scale: float) -> Any:
    """Gradients of the reference program, and their sums, divided by the scale."""
    values = {name: value / scale for name, value in gradients.values.items()}
    return replace(gradients, values=values, sums=gradients.sums / scale)
