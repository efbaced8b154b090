"""Ctrl-C and SIGTERM while a model trains: the step at hand is finished and what was learned is kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from deepmath.errors import Terminated

_OURS: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
"""The signals that we wait with, each with the one handler that we stand in for: any other is somebody's choice."""


class Signals:
    """Remembers the first signal until somebody asks; the second goes where it would have gone without us."""

    def __init__(self) -> None:
        self.obeyed = False
        self._asked: int | None = None
        self._urgent = False
        self._replaced: list[signal.Signals] = []

    def check(self) -> None:
        """Raise KeyboardInterrupt or Terminated if a signal came. To be called where a run can be gone on with."""
        if self._asked is not None:
            self.obeyed = True
            raise KeyboardInterrupt if self._asked == signal.SIGINT else Terminated

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within it a signal waits for nothing: for work that a resumed run does again anyway, and for waiting."""
        self._urgent = True
        try:
            self.check()
            yield
        finally:
            self._urgent = False

    def install(self) -> None:
        """Stand in for the default handlers."""
        for number, default in _OURS.items():
            if signal.getsignal(number) is default:
                signal.signal(number, self._ask)
                self._replaced.append(number)

    def restore(self) -> None:
        """Put the default handlers back."""
        while self._replaced:
            number = self._replaced.pop()
            signal.signal(number, _OURS[number])

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self._asked = number
        self.restore()
        if self._urgent:
            self.check()


@contextmanager
def interruptions() -> Iterator[Signals]:
    """Signals are waited with for as long as this is active.

    Only the main thread can receive them; in any other nothing changes. A handler that the program has set
    itself stays in charge, and so does a signal that is ignored.
    """
    signals = Signals()
    if threading.current_thread() is threading.main_thread():
        signals.install()
    try:
        yield signals
    finally:
        signals.restore()
