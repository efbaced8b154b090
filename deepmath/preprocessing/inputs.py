"""Data at the border of preprocessing: checked once, then seen in blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np

from deepmath.arrays import from_numpy, is_array, namespace_of, to_numpy
from deepmath.checks import check_finite, real_numbers
from deepmath.errors import ConfigError

BLOCK = 1 << 20
"""Numbers in a block: what is held in float64 at one time."""

Map = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Input:
    """Finite numbers x [rows, columns] in their own library."""

    x: Any

    @property
    def rows(self) -> int:
        return int(self.x.shape[0])

    @property
    def columns(self) -> int:
        return int(self.x.shape[1])

    @property
    def eps(self) -> float:
        """How coarsely the numbers are written: the distance from 1 to the next one in their dtype."""
        xp = namespace_of(self.x)
        floats = xp.isdtype(self.x.dtype, "real floating")
        return max(float(xp.finfo(self.x.dtype).eps), 2.0**-52) if floats else 2.0**-52

    def host_blocks(self) -> Iterator[Any]:
        """The rows as float64 NumPy arrays [rows of the block, columns]."""
        for block in self._blocks():
            yield np.ascontiguousarray(to_numpy(block), np.float64)

    def mapped(self, formula: Map, *constants: Any) -> Any:
        """formula(xp, block, *constants) over the rows, in the widest floats of x's library, rounded to x's dtype.

        Whole numbers give floats. `constants` are float64 NumPy arrays, or pairs (mean, rest) of them, of which
        rest takes up what the mean loses in a library that has float32 only.
        """
        xp = namespace_of(self.x)
        wide = _widest(xp)
        own = self.x.dtype if xp.isdtype(self.x.dtype, "real floating") else getattr(xp, wide)
        if isinstance(own, np.dtype):
            own = own.newbyteorder("=")
        device = array_api_compat.device(self.x) if is_array(self.x) else None
        placed = [from_numpy(xp, v, wide, device) for c in constants for v in _fitted_to(wide, c)]
        done = [xp.astype(formula(xp, xp.astype(b, getattr(xp, wide)), *placed), own) for b in self._blocks(at_least=1)]
        return done[0] if len(done) == 1 else xp.concat(done, axis=0)

    def _blocks(self, at_least: int = 0) -> Iterator[Any]:
        xp = namespace_of(self.x)
        size = max(1, BLOCK // max(1, self.columns))
        # NumPy has no bfloat16, and nothing is lost on the way to float32.
        short = xp.isdtype(self.x.dtype, "real floating") and xp.finfo(self.x.dtype).bits < 32
        for start in range(0, max(self.rows, at_least), size):
            block = self.x[start : min(start + size, self.rows), ...]
            yield xp.astype(block, xp.float32) if short else block


def admit(who: str, X: Any, columns: int | None = None, name: str = "X", rows: int = 0) -> Input:
    """X [rows, columns] as finite numbers; lists and tables are taken as NumPy takes them.

    Raises ConfigError or NumericError that says who was given what, and what to do.
    """
    x = real_numbers(X, f"{who}: {name}")
    if x.ndim != 2:
        hint = (
            f"Reshape it using {name}.reshape(-1, 1) (one feature) or {name}.reshape(1, -1) (one sample)."
            if x.ndim < 2
            else f"Lay each sample out in a row using {name}.reshape(len({name}), -1)."
        )
        shape = tuple(int(n) for n in x.shape)
        raise ConfigError(f"{who}: {name} must be 2D [rows, features]; got {x.ndim}D with shape {shape}. {hint}")
    given = Input(x)
    if given.rows < rows or given.columns < 1:
        raise ConfigError(
            f"{who}: {name} needs at least {rows} row{'s' * (rows != 1)} and 1 feature; "
            f"got shape ({given.rows}, {given.columns})"
        )
    if columns is not None and given.columns != columns:
        raise ConfigError(
            f"{who}: {name} has {given.columns} features, but it was fitted on {columns}. Pass the same features."
        )
    check_finite(x, f"{who}: {name}")
    return given


def _widest(xp: Any) -> str:
    return "float64" if "float64" in xp.__array_namespace_info__().dtypes(kind="real floating") else "float32"


def _fitted_to(dtype: str, constant: Any) -> list[Any]:
    if not isinstance(constant, tuple):
        return [constant]
    return two_parts(dtype, *constant)


def two_parts(dtype: str, mean: Any, rest: Any) -> list[Any]:
    """mean + rest as two float64 arrays, of which the first holds numbers of this type."""
    rounded = mean.astype(dtype).astype(np.float64)
    return [rounded, (mean - rounded) + rest]
