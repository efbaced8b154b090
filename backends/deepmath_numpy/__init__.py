"""The CPU backend: kernels printed from the cut graph of a step as LLVM IR, products of matrices among them.

Without llvmlite (extra `fast`) it runs the reference on NumPy, and `plan()` says so.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.arrays import FLOATS, to_numpy
from deepmath.backend import Backend
from deepmath.checks import is_sparse
from deepmath.program import Data, Program, Recipe
from deepmath.reference import ReferenceProgram

__all__ = ["NumpyBackend", "backend"]


@dataclass(frozen=True)
class NumpyBackend(Backend):
    """Compiled where llvmlite is installed, the reference where it is not."""

    name: str = "numpy"
    takes_sparse: bool = True

    def put(self, x: Any, dtype: str) -> Any:
        if is_sparse(x):
            return x.astype(FLOATS.get(dtype, dtype), copy=False)
        return np.ascontiguousarray(to_numpy(x), dtype=FLOATS.get(dtype, dtype))

    def compile(self, recipe: Recipe, values: Mapping[str, Any], data: Data | None = None) -> Program:
        if not is_fused():
            return ReferenceProgram(recipe, values, np, None, data)
        from deepmath_numpy.program import CompiledProgram

        return CompiledProgram(recipe, values, data)


def is_fused() -> bool:
    """Whether formulas can be compiled here."""
    return importlib.util.find_spec("llvmlite") is not None


def backend(device: Any = None) -> Backend:
    """The entry point: a backend for this device, which is the CPU."""
    return NumpyBackend()
