"""Data that don't fit into the device's memory: they stay on the host, and the rows of the next steps are sent ahead.

There are two stages on the device, and two pinned arrays on the host. While the device trains on one, the host fills
the other and it is copied. Steps find their rows by their place in the stages.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepmath.program import Data
from deepmath_cupy.runtime import Runtime

logger = logging.getLogger("deepmath")

SHARE = 0.5
"""Data that would take more of the free memory than this stay on the host."""

STAGE_BYTES = 64 << 20
"""About how much of the inputs one stage holds."""


class Kept(np.ndarray[Any, Any]):
    """An array that was asked onto the device and stays on the host."""


def kept(runtime: Runtime, x: Any, dtype: str) -> Any:
    """The array on the host, if it is NumPy's and too large for the device; else None."""
    if not isinstance(x, np.ndarray) or isinstance(x, Kept):
        return None if not isinstance(x, Kept) else x
    size = x.size * np.dtype(dtype).itemsize
    if size <= SHARE * runtime.memory()[0]:
        return None
    logger.info("an array of %.1f GiB stays on the host: it goes to %s in pieces", size / 2**30, runtime.name)
    return np.ascontiguousarray(x, dtype).view(Kept)


class Staging:
    """Two stages of rows. `data` are the stages as the steps see them, one behind the other.

    `line` is the largest number of rows of a step. Inputs and targets both go through the stages.
    """

    def __init__(self, runtime: Runtime, data: Data, line: int) -> None:
        self._runtime, self._data = runtime, data
        x, targets = (np.asarray(runtime.read(a) if not isinstance(a, np.ndarray) else a) for a in _both(data))
        self._hosts = [x, targets]
        row = x.itemsize * int(np.prod(x.shape[1:]))
        self.rows = max(line, STAGE_BYTES // max(row, 1))
        self._widths = [int(np.prod(a.shape[1:])) for a in self._hosts]
        stages = [
            runtime.zeros(2 * self.rows * w, str(a.dtype)) for a, w in zip(self._hosts, self._widths, strict=True)
        ]
        self.data = Data(*stages)
        self._pinned = [
            [runtime.pinned(self.rows * w, str(a.dtype)) for a, w in zip(self._hosts, self._widths, strict=True)]
            for _ in range(2)
        ]
        self._turn = 0
        self._sent: list[Any] = [None, None]
        self._used: list[Any] = [None, None]

    def groups(self, rows: Sequence[Any]) -> list[range]:
        """The steps, cut so that the rows of each group fit into a stage."""
        found, start, count = [], 0, 0
        for i, each in enumerate(rows):
            if count + len(each) > self.rows:
                found.append(range(start, i))
                start, count = i, 0
            count += len(each)
        return [*found, range(start, len(rows))]

    def places(self, rows: Sequence[Any], groups: Sequence[range]) -> list[Any]:
        """Where each step will find its rows, if its groups are staged one after another from now on."""
        found = []
        for number, group in enumerate(groups):
            place = self.rows * ((self._turn + number) % 2)
            for i in group:
                found.append(np.arange(place, place + len(rows[i]), dtype=np.int64))
                place += len(rows[i])
        return found

    def stage(self, rows: Sequence[Any]) -> list[Any]:
        """Send the rows of a group of steps; what is asked for next waits for them. Gives their places."""
        places = self.places(rows, [range(len(rows))])
        turn, every = self._turn % 2, np.concatenate(rows)
        if self._sent[turn] is not None:
            self._runtime.wait(self._sent[turn])  # the pinned arrays may be written to again
        for host, width, pinned, stage in zip(
            self._hosts, self._widths, self._pinned[turn], _both(self.data), strict=True
        ):
            piece = pinned[: len(every) * width]
            np.take(host.reshape(len(host), -1), every, axis=0, out=piece.reshape(len(every), width), mode="clip")
            start = turn * self.rows * width
            self._sent[turn] = self._runtime.send(stage[start : start + len(piece)], piece, self._used[turn])
        self._runtime.follow(self._sent[turn])
        self._turn += 1
        return places

    def used(self) -> None:
        """The steps that were asked for since are the last that read the stage."""
        self._used[(self._turn - 1) % 2] = self._runtime.mark()


def _both(data: Data) -> tuple[Any, Any]:
    return data.x, data.targets
