"""Addresses of compiled kernels, which don't depend on the sizes of a network: each is compiled once for all."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepmath.formulas.random import philox
from deepmath.printers import llvm
from deepmath.printers.llvm import Entry
from deepmath.printers.loops import Kernel, kernel
from deepmath.trace import Formula
from deepmath_numpy import compiler, moves, products
from deepmath_numpy.target import host

Loop = tuple[int, list[Entry]]


def loop(formula: Formula, kinds: Sequence[str], outputs: Sequence[str], precision: str, columns: int) -> Loop:
    """The loop of a formula over rows of so many columns, and what its `a` holds.

    Arrays are called a0, a1, ... and numbers s0, s1, ... as they come. Short rows have a loop of their own where they
    are reduced; else the loop is the same for any number of columns.

    Raises TraceError for a formula that can't be traced.
    """
    arrays = [k for k in kinds if not k.startswith("scalar") and k not in ("index", "row_index")]
    scalars = [k for k in kinds if k.startswith("scalar")]
    given = [f"a{i}" for i in range(len(arrays))] + [f"s{i}" for i in range(len(scalars))]
    given += [k for k in kinds if k in ("index", "row_index")]
    return _loop(kernel("loop", formula, kinds, outputs, given), precision, columns)


def _loop(printed: Kernel, precision: str, columns: int, steps: dict[str, int] | None = None) -> Loop:
    lanes = host().lanes(precision)
    text = llvm.module(printed, precision, lanes, steps, llvm.is_short(printed, columns, lanes))
    return compiler.load(text).address("loop"), llvm.entries(printed)


@functools.cache
def product(precision: str) -> int:
    """The product of matrices."""
    return compiler.load(products.module(precision, host())).address("product")


@functools.cache
def move(precision: str, name: str) -> int:
    """One of the kernels of `moves.py`."""
    return compiler.load(moves.module(precision)).address(name)


@functools.cache
def random_bits(precision: str) -> Loop:
    """24 random bits in groups of four, into int64 arrays p, q, r, s that lie in one another."""
    return _words(bits, precision)


@functools.cache
def epoch_words() -> Loop:
    """Whole 32-bit words, a row for each epoch, in the same way."""
    return _words(_epoch_words, "float64")


def _words(formula: Callable[..., Any], precision: str) -> Loop:
    printed = kernel("loop", formula, WORD_KINDS, list("pqrs"), WORD_NAMES)
    return _loop(printed, precision, 1, dict.fromkeys("pqrs", 4))


@functools.cache
def zeros() -> Any:
    """A number that is zero, of any type."""
    return np.zeros(1, np.int64)


def call(address: int, a: Any, c: Any, n: int, rows: int, columns: int) -> None:
    """Call a kernel from Python on all its rows and columns."""
    _kernel(address)(a.ctypes.data, c.ctypes.data, n, 0, rows, 0, columns)


@functools.cache
def _kernel(address: int) -> Any:
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 5)(address)


def bits(
    xp: Any, unit: Any, row: Any, first: Any, step: Any, layer: Any, seed: Any, stream: Any, times: Any
) -> Any:  # fmt: skip
    """24 bits of each of four random words, for each of `times` rows of a row of the batch, and group of units."""
    return tuple(word >> 8 for word in philox(xp, unit, row + first * times, step, layer, seed, stream))


def _epoch_words(
    xp: Any, unit: Any, row: Any, first: Any, part: Any, purpose: Any, seed: Any, stream: Any, _times: Any
) -> Any:  # fmt: skip
    """Four whole words, by which an epoch's rows are sorted; a row of them for each epoch."""
    return philox(xp, unit, part, (row + first) & 0xFFFFFFFF, purpose, seed, stream)


WORD_NAMES = ["unit", "row", "first", "step", "layer", "seed", "stream", "times"]
WORD_KINDS = ["index", "row_index", *["scalar:int"] * 6]
