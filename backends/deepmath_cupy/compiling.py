"""From a recipe to a program on a device."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepmath.batches import batches_of
from deepmath.parameters import Layout
from deepmath.program import Data, Program, Recipe
from deepmath_cupy import memory
from deepmath_cupy.hooks import BY_REFERENCE
from deepmath_cupy.plan import Plan
from deepmath_cupy.program import CupyProgram
from deepmath_cupy.runtime import Runtime
from deepmath_cupy.scaled import ScaledProgram

logger = logging.getLogger("deepmath")


def program_of(runtime: Runtime, recipe: Recipe, values: Mapping[str, Any], data: Data | None) -> Program:
    """The program of a recipe. Raises OutOfDeviceMemory."""
    params, states = Layout(shapes(values, "params.")), Layout(shapes(values, "state."))
    micro = recipe.batch_size if data is None else batches_of(recipe, data).micro

    def written(rows: int) -> Plan:
        return Plan(recipe, params, states, rows * recipe.accumulate, lambda p: runtime.accepts(p, recipe.precision))

    plan = written(micro)
    memory.check(runtime, plan, written, micro=micro, training=data is not None)
    for name, how in plan.how():
        if how.startswith(BY_REFERENCE):
            logger.info("backend 'cupy': %s runs by the reference: %s", name, how.removeprefix(BY_REFERENCE))
    kind = ScaledProgram if recipe.precision == "float16" else CupyProgram
    return kind(runtime, recipe, plan, values, data, micro)


def shapes(values: Mapping[str, Any], prefix: str) -> dict[str, tuple[int, ...]]:
    """The shapes of the values whose names begin so, by the rest of their names."""
    return {n.removeprefix(prefix): np.shape(v) for n, v in values.items() if n.startswith(prefix)}
