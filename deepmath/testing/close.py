"""Arrays that must agree, of whatever library they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepmath.arrays import to_numpy

TOLERANCES = {"float32": 1e-5, "float64": 1e-11}
"""How far results may lie apart by default, in units of the larger of the number expected and 1."""


def assert_close(found: Any, expected: Any, tolerance: float | None = None, *, who: str = "the result") -> float:
    """Raise AssertionError unless both have one shape and agree; the largest error otherwise.

    Where a number is expected, |found - expected| <= tolerance max(1, |expected|); NaN and infinity must stand where
    they are expected. The tolerance is that of found's dtype in `TOLERANCES` unless given, 0 for whole numbers.
    Arrays may belong to any library; of two mappings each array is compared with that of its name.

    >>> assert_close(np.asarray([1.0, np.nan]), np.asarray([1.0, np.nan]))
    0.0
    >>> assert_close(np.asarray([1.0, 2.0]), np.asarray([1.0, 2.5]))
    Traceback (most recent call last):
    ...
    AssertionError: the result at [1]: 2.0 instead of 2.5, an error of 0.2; at most 1e-11 is allowed
    """
    if isinstance(expected, Mapping):
        assert set(found) == set(expected), f"{who}: {sorted(found)} instead of {sorted(expected)}"
        return max((assert_close(found[n], v, tolerance, who=f"{who}, {n}") for n, v in expected.items()), default=0.0)
    got, want = to_numpy(found), to_numpy(expected)
    assert got.shape == want.shape, f"{who}: shape {got.shape} instead of {want.shape}"
    allowed = TOLERANCES.get(str(got.dtype), 0.0) if tolerance is None else tolerance
    got, want = got.astype(np.float64), want.astype(np.float64)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where(same, 0.0, np.abs(got - want) / np.maximum(1.0, np.abs(want)))
    error = np.where(same | (np.isfinite(got) & np.isfinite(want)), error, np.inf)
    worst = float(np.max(error, initial=0.0))
    if not worst <= allowed:
        at = np.unravel_index(int(np.argmax(error)), error.shape)
        place = f" at {[int(i) for i in at]}" if at else ""
        raise AssertionError(
            f"{who}{place}: {got[at]} instead of {want[at]}, an error of {worst:.2g}; at most {allowed:g} is allowed"
        )
    return worst
