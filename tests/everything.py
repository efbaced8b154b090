"""One formula with every function and operator that can be traced, and numbers of every sort to try them on."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath.graph import FUNCTIONS

KINDS = ["element", "element:int", "column"]


def formula(xp: Any, x: Any, k: Any, b: Any) -> tuple[Any, ...]:
    """Every function and operator that can be traced, with results of each dtype."""
    ones = [getattr(xp, n)(x) for n, count in FUNCTIONS.items() if count == 1 and n != "logical_not"]
    floats = [xp.astype(r, "float") for r in ones]
    floats += [xp.maximum(x, b), xp.minimum(x, b), xp.pow(xp.abs(x), b), -x, x // b, x % b, xp.where(x > b, xp.inf, x)]
    floats += [xp.where(x > b, xp.nan, x), xp.astype(k, "float"), x / k]
    whole = [
        k + 3,
        k - 5,
        k * 7,
        k // 3,
        k % 5,
        k // -3,
        k % -5,
        k & 255,
        k | 9,
        k ^ 5,
        k << 3,
        k >> 2,
        -k,
        xp.abs(k),
    ]
    whole += [xp.astype(x, "int"), xp.where(x > 0.0, k, 0), xp.maximum(k, 2), xp.minimum(k, 2), xp.sign(k)]
    truths = [x < b, x <= b, x > b, x >= b, x == b, x != b, k == 3, xp.logical_and(x > 0.0, b > 0.0)]
    truths += [xp.logical_or(x > 0.0, b > 0.0), xp.logical_not(x > 0.0), ~(x > 0.0), (x > 0.0) & (b > 0.0)]
    return tuple(floats + whole + truths)


class Names:
    """NumPy, with dtypes named as the tracer names them."""

    inf, nan = np.inf, np.nan

    def __init__(self, dtype: str) -> None:
        self.dtypes = {"float": np.dtype(dtype), "int": np.int64}

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def astype(self, x: Any, dtype: str) -> Any:
        return x.astype(self.dtypes[dtype])


def arguments_and_results(dtype: str) -> tuple[list[Any], tuple[Any, ...]]:
    """Arguments, NaN, infinities and zeros among them, and what NumPy makes of them."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-3, 3, 20), [np.nan, np.inf, -np.inf, 0.0, -0.0]]).astype(dtype)[None, :]
    k = rng.integers(1, 100, x.shape) * rng.choice([-1, 1], x.shape)
    b = np.copysign(rng.uniform(0.5, 2, x.size), rng.standard_normal(x.size)).astype(dtype)
    with np.errstate(all="ignore"):
        return [x, k, b], formula(Names(dtype), x, k, b)


def assert_equal(got: Any, want: Any, x: Any, name: str) -> None:
    """Equal within 4 units in the last place; what an integer of NaN or infinity is, nobody says."""
    known = np.isfinite(x) if got.dtype.kind == "i" else np.full(x.shape, True)
    tolerance = 4 * np.finfo(x.dtype).eps
    np.testing.assert_allclose(got[known], want[known], rtol=tolerance, err_msg=name)
