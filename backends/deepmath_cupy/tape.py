"""What changes from step to step, written by the host for many steps at once and read by the device as it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepmath_cupy.runtime import Runtime
from deepmath_cupy.session import Session

BYTES = 64 << 20
"""The tape is as long as fits in here, and at most `MOST` steps long."""

MOST = 1024


def length(line: int, numbers: int) -> int:
    """How many steps a tape has whose lines have so many rows and coefficients.

    >>> length(128, 6), length(1 << 20, 6)
    (1024, 2)
    """
    return max(1, min(MOST, BYTES // (24 * line + 8 * numbers)))


class Tape:
    """The host's side of the tape: lines of rows' numbers, their weights in the loss and by themselves,
    coefficients, and step numbers.

    It is pinned: the device copies lines in its own time, so a line is written anew only when all work is done.
    """

    def __init__(self, runtime: Runtime, steps: int, line: int, numbers: int) -> None:
        def pinned(columns: int, dtype: str) -> Any:
            array = runtime.pinned(steps * columns, dtype)
            array[...] = 0
            return array.reshape(steps, columns)

        self.steps, self._line, self._numbers = steps, line, numbers
        self._rows = pinned(line, "int64")
        self._weights, self._own_weights = pinned(line, "float64"), pinned(line, "float64")
        self._coefficients, self._step = pinned(numbers, "float64"), pinned(1, "int64")
        self._start = runtime.pinned(1, "int64")
        self._start[...] = 0

    def hold(self, i: int, rows: Any, weights: Any, own_weights: Any, coefficients: Sequence[float], step: int) -> None:
        """Line i, of update number `step`."""
        n = len(rows)
        self._rows[i, :n], self._weights[i, :n], self._own_weights[i, :n] = rows, weights, own_weights
        self._coefficients[i, : len(coefficients)] = coefficients
        self._step[i] = step & 0xFFFFFFFF

    def send(self, session: Session, lines: range) -> None:
        """Copy some lines to the device; with the first of them its cursor goes back to the beginning."""
        start, stop = lines.start, lines.stop
        if start == 0:
            session.queue("cursor", self._start)
        session.queue("tape.rows", self._rows[start:stop], start * self._line)
        session.queue("tape.weights", self._weights[start:stop], start * self._line)
        session.queue("tape.own_weights", self._own_weights[start:stop], start * self._line)
        session.queue("tape.coefficients", self._coefficients[start:stop], start * self._numbers)
        session.queue("tape.step", self._step[start:stop], start)
