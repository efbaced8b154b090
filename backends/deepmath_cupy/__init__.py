"""The CUDA backend: fused kernels printed from the formulas, matrix products by cublasLt, one CUDA graph for each step.

What has no kernels runs by the reference on CuPy, and `plan()` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepmath.backend import Backend
from deepmath.program import Data, Program, Recipe
from deepmath_cupy import staging
from deepmath_cupy.runtime import Runtime, element_type

__all__ = ["CupyBackend", "backend"]

PRECISIONS = ("float32", "float64", "tf32", "bf16", "float16")


@dataclass(frozen=True)
class CupyBackend(Backend):
    """Programs on one device."""

    device: str
    runtime: Runtime = field(compare=False, repr=False)
    name: str = "cupy"
    precisions: tuple[str, ...] = PRECISIONS

    def put(self, x: Any, dtype: str) -> Any:
        """An array on the device; NumPy's data that would fill it stay on the host, and go there in pieces."""
        dtype = element_type("T", dtype) if dtype in PRECISIONS else dtype
        kept = staging.kept(self.runtime, x, dtype)
        return self.runtime.put(x, dtype) if kept is None else kept

    def compile(self, recipe: Recipe, values: Mapping[str, Any], data: Data | None = None) -> Program:
        from deepmath_cupy.compiling import program_of

        return program_of(self.runtime, recipe, values, data)


def backend(device: Any = None) -> Backend:
    """The entry point: a backend for "cuda", "cuda:N" or a CuPy device; without one, for the first device.

    Raises DeviceError, saying what is missing and how to get it.
    """
    from deepmath_cupy import environment

    index = environment.index_of(device)
    runtime = environment.opened(index)
    return CupyBackend(f"cuda:{index}", runtime)
