"""Optimisers' compiled updates as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepmath_numpy import loop
from deepmath_numpy.kernels import Kernels

from deepmath.optimizers import Optimizer


def updating(optimizer: Optimizer, dtype: str) -> Callable[..., None]:
    """(w, g, *slots, *coefficients) -> None, in place, over arrays [1, size]."""
    address, arrays = Kernels(dtype).optimizer(optimizer), 2 + len(optimizer.slots)

    def update(*given: Any) -> None:
        loop.call(address, given[:arrays], given[arrays:], 1, given[0].size)

    return update
