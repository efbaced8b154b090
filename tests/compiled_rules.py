"""Optimisers' compiled updates as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable

from deepmath_numpy.target import host
from llvm_kernels import compiled

from deepmath.optimizers import Optimizer


def updating(optimizer: Optimizer, dtype: str) -> Callable[..., None]:
    """(w, g, *slots, *coefficients) -> None, in place, over arrays [1, size]."""
    arrays, numbers = ["w", "g", *optimizer.slots], len(optimizer.coefficients(0))
    kinds = ["element"] * len(arrays) + ["scalar"] * numbers
    names = [*arrays, *(f"c{i}" for i in range(numbers))]
    settings = {"names": names, "lanes": host().lanes(dtype)}
    return compiled(optimizer.update, kinds, ["w", *optimizer.slots], dtype, **settings)
