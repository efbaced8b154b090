"""From a recipe to a program: kernels where all parts have them, else the reference on the device's arrays."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepmath.batches import batches_of
from deepmath.errors import ConfigError, OutOfDeviceMemory
from deepmath.parameters import Layout
from deepmath.program import Data, Program, Recipe
from deepmath.reference import ReferenceProgram
from deepmath_cupy import memory
from deepmath_cupy.plan import Plan, plan_of
from deepmath_cupy.program import CupyProgram
from deepmath_cupy.runtime import Runtime
from deepmath_cupy.scaled import ScaledProgram
from deepmath_cupy.staging import Kept

logger = logging.getLogger("deepmath")


class ReferenceOnDevice(ReferenceProgram):
    """The reference on the device's arrays, for a recipe of which a part has no kernels."""

    why = ""

    def plan(self) -> list[tuple[str, str]]:
        return [(name, f"reference on cupy: {self.why}") for name, _ in super().plan()]


def program_of(runtime: Runtime, recipe: Recipe, values: Mapping[str, Any], data: Data | None) -> Program:
    """The program of a recipe on a device. Raises ConfigError, or OutOfDeviceMemory."""
    params, states = Layout(shapes(values, "params.")), Layout(shapes(values, "state."))
    micro = recipe.batch_size if data is None else batches_of(recipe, data).micro

    def written(rows: int) -> Plan | str:
        return plan_of(recipe, params, states, rows * recipe.accumulate, lambda p: runtime.accepts(p, recipe.precision))

    plan = written(micro)
    if isinstance(plan, str):
        return _by_reference(runtime, recipe, values, data, plan)
    memory.check(runtime, plan, lambda rows: _plan(written(rows)), micro=micro, training=data is not None)
    kind = ScaledProgram if recipe.precision == "float16" else CupyProgram
    return kind(runtime, recipe, plan, values, data, micro)


def shapes(values: Mapping[str, Any], prefix: str) -> dict[str, tuple[int, ...]]:
    """The shapes of the values whose names begin so, by the rest of their names."""
    return {n.removeprefix(prefix): np.shape(v) for n, v in values.items() if n.startswith(prefix)}


def _plan(plan: Plan | str) -> Plan:
    assert isinstance(plan, Plan), plan
    return plan


def _by_reference(runtime: Runtime, recipe: Recipe, values: Mapping[str, Any], data: Data | None, why: str) -> Program:
    if recipe.precision not in ("float32", "float64"):
        raise ConfigError(
            f"backend 'cupy': precision '{recipe.precision}' needs kernels for every layer, but {why}; "
            "use precision='float32'"
        )
    if data is not None and isinstance(data.x, Kept):
        raise OutOfDeviceMemory(
            f"backend 'cupy': the data don't fit into the memory of {runtime.name}, and {why}; only kernels take data "
            "in pieces. Give data in files, or use backend='numpy'."
        )
    logger.info("backend 'cupy' runs by the reference: %s", why)
    program = ReferenceOnDevice(recipe, values, runtime.xp, None, data)
    program.why = why
    return program
