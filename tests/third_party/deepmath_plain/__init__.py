"""A backend as a third party would write one: small networks with formulas on NumPy, and nothing compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepmath.backend import Backend
from deepmath.errors import ConfigError
from deepmath.program import Data, Program, Recipe
from deepmath.reference import ReferenceProgram


class PlainProgram(ReferenceProgram):
    """The reference on NumPy, with a plan of its own."""

    def plan(self) -> list[tuple[str, str]]:
        return [(type(part.layer).__name__, "formulas on NumPy") for part in self.recipe.parts]


class PlainBackend(Backend):
    """NumPy arrays, and formulas on them."""

    name = "plain"

    def put(self, x: Any, dtype: str) -> Any:
        return np.array(x, dtype)

    def compile(self, recipe: Recipe, values: Mapping[str, Any], data: Data | None = None) -> Program:
        return PlainProgram(recipe, values, np, None, data)


def backend(device: Any = None) -> PlainBackend:
    """What the entry point names."""
    if device not in (None, "cpu"):
        raise ConfigError(f"backend 'plain' computes on the CPU; got device {device!r}")
    return PlainBackend()
