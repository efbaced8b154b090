"""Kernels printed as LLVM IR, compiled, and called on arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from deepmath_numpy import compiler

from deepmath.printers import llvm
from deepmath.printers.loops import Kernel, kernel

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 5)
LANES = {"float32": 16, "float64": 8}


class Compiled:
    """A kernel as a function of arrays and numbers in the order of `llvm.entries`.

    Element arrays are [rows, columns], any stride of rows; row, column and total ones have one axis.
    """

    def __init__(
        self,
        printed: Kernel,
        dtype: str,
        lanes: int = 0,
        steps: Mapping[str, int] | None = None,
        short: bool = False,
    ) -> None:
        self.entries = llvm.entries(printed)
        text = llvm.module(printed, dtype, lanes or LANES[dtype], steps, short)
        self._function = SIGNATURE(compiler.load(text).address(printed.name))

    def __call__(self, *given: Any, rows: Sequence[int] = (), columns: Sequence[int] = ()) -> None:
        """Compute the block of these rows and columns, each from where to where; all if left out."""
        places, numbers = [], [0.0] * 3
        size = [0, 0]
        for entry, value in zip(self.entries, given, strict=True):
            if entry.kind == "scalar":
                places.append(len(numbers))
                numbers.append(float(value))
                continue
            places += [value.ctypes.data, value.strides[0] // value.itemsize if value.size else 0]
            axes = {"element": (0, 1), "row": (0,), "column": (1,)}.get(entry.kind, ())
            for axis, length in zip(axes, value.shape, strict=False):
                size[axis] = max(size[axis], length)
        a, c = np.asarray(places, np.int64), np.asarray(numbers, np.float64)
        block = *(rows or (0, size[0])), *(columns or (0, size[1]))
        self._function(a.ctypes.data, c.ctypes.data, size[0], *block)


def compiled(formula: Any, kinds: Sequence[str], outputs: Sequence[str], dtype: str, **settings: Any) -> Compiled:
    """A formula's kernel."""
    names = settings.pop("names", None)
    return Compiled(kernel("tried", formula, kinds, outputs, names), dtype, **settings)
