"""What changes from step to step, written by the host for many steps at once and read by the device as it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepmath_cupy.session import Session

BYTES = 64 << 20
"""The tape is as long as fits in here, and at most `MOST` steps long."""

MOST = 1024


def length(line: int, numbers: int) -> int:
    """How many steps a tape has whose lines have so many rows and coefficients.

    >>> length(128, 6), length(1 << 20, 6)
    (1024, 3)
    """
    return max(1, min(MOST, BYTES // (16 * line + 8 * numbers)))


class Tape:
    """The host's side of the tape: lines of rows' numbers, their weights, coefficients, and step numbers."""

    def __init__(self, steps: int, line: int, numbers: int) -> None:
        self.steps, self._line, self._numbers = steps, line, numbers
        self._rows, self._weights = np.zeros((steps, line), np.int64), np.zeros((steps, line))
        self._coefficients, self._step = np.zeros((steps, numbers)), np.zeros(steps, np.int64)

    def hold(self, i: int, rows: Any, weights: Any, coefficients: Sequence[float], step: int) -> None:
        """Line i, of update number `step`."""
        self._rows[i, : len(rows)], self._weights[i, : len(rows)] = rows, weights
        self._coefficients[i, : len(coefficients)] = coefficients
        self._step[i] = step & 0xFFFFFFFF

    def send(self, session: Session, lines: range) -> None:
        """Copy some lines to the device; with the first of them its cursor goes back to the beginning."""
        start, stop = lines.start, lines.stop
        if start == 0:
            session.write("cursor", np.zeros(1, np.int64))
        session.write("tape.rows", self._rows[start:stop], start * self._line)
        session.write("tape.weights", self._weights[start:stop], start * self._line)
        session.write("tape.coefficients", self._coefficients[start:stop], start * self._numbers)
        session.write("tape.step", self._step[start:stop], start)
