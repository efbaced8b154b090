"""A formula's loop as a C function: printed, compiled, kept in the cache, and called at its address.

The function is (int64 *a, double *c, int64 rows, int64 columns): `a` holds the addresses of arrays that lie closely
packed, `c` numbers.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepmath.printers import numba
from deepmath.printers.loops import kernel, new_arrays
from deepmath.trace import Formula
from deepmath_numpy import cache

ENTRY = """

from numba import cfunc

@cfunc(types.void(types.CPointer(types.int64), types.CPointer(types.float64), types.int64, types.int64),
       error_model="numpy", fastmath=FAST, cache=True)
def entry(a, c, R, C):
    {call}
"""


def address(
    formula: Formula,
    kinds: Sequence[str],
    outputs: Sequence[str],
    names: Sequence[str] | None,
    places: Mapping[str, str],
    precision: str,
    transposed: bool,
) -> int:
    """Where the compiled loop of a formula lies; the arguments are those of `deepmath.printers.loops.kernel`.

    `places` says, in the text's own words, how each argument and result is made of `a`, `c`, R and C. `transposed`:
    matrices are stored [columns, rows]. Raises TraceError for a formula that can't be traced.
    """
    loops = kernel("loop", formula, kinds, outputs, names)
    given = [places[argument.value] for argument in loops.arguments]
    given += [places[name.removeprefix("out_")] for name, _ in new_arrays(loops)]
    texts = numba.functions(precision), views(transposed), numba.function(loops, transposed)
    entry = ENTRY.format(call=f"loop({', '.join(given)})")
    return int(cache.load("\n\n\n".join(texts) + entry).entry.address)


def views(transposed: bool) -> str:
    """The functions that make arrays of addresses."""
    return cache.text("views").replace("TRANSPOSED = False", f"TRANSPOSED = {transposed}")


def call(at: int, arrays: Sequence[Any], numbers: Sequence[float], rows: int, columns: int) -> None:
    """Call the loop at this address from Python."""
    a, c = np.asarray([array.ctypes.data for array in arrays], np.int64), np.asarray([*numbers, 0.0], np.float64)
    function(at)(a.ctypes.data, c.ctypes.data, rows, columns)


@functools.cache
def function(at: int) -> Any:
    """The loop at this address, which takes the addresses of `a` and `c`."""
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(at)
