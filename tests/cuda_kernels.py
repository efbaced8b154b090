"""Single kernels on the shim, between guards: what stands around an array must neither be read nor written."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import cuda_shim
import numpy as np
from deepmath_cupy import geometry

from deepmath.printers import cuda
from deepmath.printers.loops import Kernel

GUARD = 64
"""Elements in front of and behind each array; NaN where they are numbers."""


class Guarded:
    """Kernels, each with its form, compiled together; `change` may spoil their text."""

    def __init__(
        self,
        kernels: Sequence[tuple[Kernel, cuda.Form]],
        precision: str,
        change: Callable[[str], str] = lambda text: text,
    ) -> None:
        self.precision = precision
        text = "\n".join([cuda.prelude(precision), *(cuda.function(k, f) for k, f in kernels)])
        barriers = {k.name: any(p.reductions for p in k.passes) for k, _ in kernels}
        self.functions = cuda_shim.compiled(change(text) + "\n", barriers)


def run(
    kernels: Guarded, kernel: Kernel, form: cuda.Form, arguments: Sequence[Any], shape: tuple[int, int], seed: int,
    raw: bool = False,
) -> list[Any]:  # fmt: skip
    """The results of a kernel for arguments as `helpers.kernel_arguments` gives them; sums over rows added up."""
    precision, rows, columns = kernels.precision, *shape
    wide = np.float64 if precision == "float64" else np.float32
    if form.transposed:
        arguments = [np.ascontiguousarray(a.T) if np.ndim(a) == 2 else a for a in arguments]
    layout = cuda.layout(kernel, form)
    grid, block = geometry.BY_LAYOUT[layout](rows, columns)
    held: list[Any] = []
    passed: list[Any] = []

    def hold(values: Any, name: str) -> Any:
        if name in form.stored:
            values = cuda_shim.narrowed(np.asarray(values, np.float32), precision, "S").astype(np.uint16)
        filler = np.nan if values.dtype.kind == "f" else values.dtype.type(0x7FFF if values.dtype.itemsize > 1 else 1)
        whole = np.full(values.size + 2 * GUARD, filler, values.dtype)
        inside = whole[GUARD : GUARD + values.size]
        inside[:] = np.asarray(values).reshape(-1)
        held.append((whole, inside, filler))
        passed.append(ctypes.c_longlong(inside.ctypes.data))
        return inside

    for node, value in zip(kernel.arguments, arguments, strict=True):
        if any(node.axes):
            hold(np.asarray(value), node.value)
        else:
            passed.append(ctypes.c_longlong(value) if node.dtype == "int" else ctypes.c_double(value))
    outputs = []
    sizes = {"element": shape, "row": (rows,), "column": (grid[1], columns), "total_once": (1,), "total": (grid[0],)}
    types = {"float": wide, "int": np.int64, "bool": np.bool_}
    for name, kind, value in sorted(kernel.outputs, key=lambda o: o[1] == "total"):
        dtype = np.float64 if kind == "total" else types[value.dtype]
        size = sizes[kind][::-1] if form.transposed and kind == "element" else sizes[kind]
        outputs.append((name, kind, size, hold(np.full(size, 77, dtype), name.removeprefix("out_"))))
    sizes_passed = [ctypes.c_longlong(rows), ctypes.c_longlong(columns)]
    kernels.functions[kernel.name](*(ctypes.c_uint(n) for n in (*grid, *block, seed)), *passed, *sizes_passed)
    for whole, inside, filler in held:
        edges = np.concatenate([whole[:GUARD], whole[GUARD + inside.size :]])
        intact = np.isnan(edges).all() if edges.dtype.kind == "f" else (edges == filler).all()
        assert intact, f"{kernel.name} wrote beside an array"
    results = []
    for name, kind, size, values in outputs:
        if name.removeprefix("out_") in form.stored and not raw:
            values = cuda_shim.widened(values, precision, "S")
        values = values.reshape(size)
        results.append(
            values.T if form.transposed and kind == "element" else values.sum(0) if kind == "column" else values
        )
    return results
