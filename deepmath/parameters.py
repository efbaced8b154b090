"""Parameters in one flat buffer: named views that each begin on a 64-byte boundary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

ALIGNMENT = 16
"""Elements between possible beginnings: 64 bytes of float32, and 128 of float64, so that offsets never differ."""


class Layout:
    """Where each named array lies in a flat buffer.

    >>> layout = Layout({"kernel": (2, 3), "bias": (3,)})
    >>> layout.offsets, layout.size
    ({'kernel': 0, 'bias': 16}, 32)
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)
        self.offsets: dict[str, int] = {}
        self.size = 0
        for name, shape in self.shapes.items():
            self.offsets[name] = self.size
            self.size += -(-math.prod(shape) // ALIGNMENT) * ALIGNMENT

    def zeros(self, dtype: str) -> Any:
        """A zeroed buffer [size] whose first element lies on a 64-byte boundary."""
        buffer = aligned(self.size, dtype)
        buffer[:] = 0.0
        return buffer

    def view(self, buffer: Any, name: str) -> Any:
        """The named array inside a buffer; writing to it writes to the buffer."""
        shape = self.shapes[name]
        start = self.offsets[name]
        return buffer[start : start + math.prod(shape)].reshape(shape)

    def views(self, buffer: Any) -> dict[str, Any]:
        """Every named array inside a buffer."""
        return {name: self.view(buffer, name) for name in self.shapes}


def aligned(size: int, dtype: str) -> Any:
    """So many zeros, the first on a 64-byte boundary, in memory that is not there before it is written to."""
    bytes_per = np.dtype(dtype).itemsize
    raw = np.zeros(size * bytes_per + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * bytes_per].view(dtype)


def segments(layout: Layout, rates: Mapping[str, float]) -> list[tuple[slice, float]]:
    """The buffer cut where the rate changes from one array to the next; arrays without a rate have 1.

    >>> segments(Layout({"a": (3,), "b": (2, 4), "c": (5,)}), {"c": 0.5})
    [(slice(0, 32, None), 1.0), (slice(32, 48, None), 0.5)]
    """
    found: list[tuple[slice, float]] = []
    for name, stop in zip(layout.offsets, [*layout.offsets.values(), layout.size][1:], strict=True):
        rate, start = rates.get(name, 1.0), layout.offsets[name]
        if found and found[-1][1] == rate:
            start = found.pop()[0].start
        found.append((slice(start, stop), rate))
    return found
