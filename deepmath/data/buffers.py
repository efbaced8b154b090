"""Memory that is used again: the system takes longer to hand out fresh memory than a file to fill it."""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np

SMALLEST = 1 << 20
"""Below so many bytes an array comes from NumPy, which keeps small blocks itself."""


class BufferPool:
    """Makes arrays in blocks of memory, each of which serves again once nobody holds an array in it.

    An array holds its block as its `base`, as every view of it does, so that the count of references tells. Where
    arrays are held for longer, there are more blocks. May be used by several threads.

    >>> memory = BufferPool()
    >>> first = memory.empty((512, 1024), np.float32)
    >>> place = first.ctypes.data
    >>> memory.empty((512, 1024), np.float32).ctypes.data == place  # that one is held
    False
    >>> del first
    >>> memory.empty((500, 1024), np.float32).ctypes.data == place
    True
    """

    def __init__(self) -> None:
        self._blocks: list[Any] = []
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """An array of this shape and type, with anything in it."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size < SMALLEST:
            return np.empty(shape, dtype)
        with self._lock:
            block = self._free(size)
            return block[:size].view(dtype).reshape(shape)

    def _free(self, size: int) -> Any:
        """A block of at least `size` bytes that nobody holds; free ones that are too small go."""
        free = [i for i in range(len(self._blocks)) if _held(self._blocks, i) == _BY_NOBODY]
        for i in free:
            if self._blocks[i].size >= size:
                return self._blocks[i]
        self._blocks = [block for i, block in enumerate(self._blocks) if i not in free]
        self._blocks.append(np.empty(size, np.uint8))
        return self._blocks[-1]


def _held(blocks: list[Any], i: int) -> int:
    return sys.getrefcount(blocks[i])


_BY_NOBODY = _held([np.empty(0, np.uint8)], 0)
"""What `_held` gives for a block that only its list knows."""
