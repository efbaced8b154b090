"""Small callbacks: a limit of time, and functions for events."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepmath.descriptions import check_number, plain_numbers
from deepmath.errors import ConfigError
from deepmath.training.callbacks import Callback, Run

logger = logging.getLogger("deepmath")


@plain_numbers
@dataclass
class TimeLimit(Callback):
    """Ends training after so many seconds of this call of `fit`, at a step, and in an epoch if it must be.

    A resumed run has the whole time again. A call of a program lasts about 50 ms, so the limit is kept to that.
    """

    seconds: float

    def __post_init__(self) -> None:
        check_number("TimeLimit", "seconds", self.seconds, low=0.0, open_low=True)

    def on_train_begin(self, run: Run) -> None:
        self._end = time.monotonic() + self.seconds

    def on_steps_end(self, run: Run) -> None:
        if time.monotonic() >= self._end and not run.stop:
            run.stop = True
            logger.info("stopped by TimeLimit(%g) at step %d, in epoch %d", self.seconds, run.step, run.epoch + 1)


@plain_numbers
@dataclass
class Lambda(Callback):
    """Calls a function at an event; what it takes is what the method of that name takes.

    `every` is how many steps may pass between calls of `on_steps_end`; without it many run in one call.

    >>> Lambda(on_epoch_end=lambda run, logs: print(run.epoch, logs["loss"])).every is None
    True
    """

    on_train_begin: Callable[[Run], Any] | None = None  # type: ignore[assignment]
    on_epoch_begin: Callable[[Run], Any] | None = None  # type: ignore[assignment]
    on_steps_end: Callable[[Run], Any] | None = None  # type: ignore[assignment]
    on_validation_begin: Callable[[Run], Any] | None = None  # type: ignore[assignment]
    on_epoch_end: Callable[[Run, dict[str, float]], Any] | None = None  # type: ignore[assignment]
    on_train_end: Callable[[Run], Any] | None = None  # type: ignore[assignment]
    every: int | None = None

    def __post_init__(self) -> None:
        if self.every is not None:
            check_number("Lambda", "every", self.every, low=1, whole=True)
        for event in EVENTS:
            function = getattr(self, event)
            if function is None:
                setattr(self, event, _nothing)
            elif not callable(function):
                raise ConfigError(f"Lambda: {event} must be a function; got {function!r}")


EVENTS = ("on_train_begin", "on_epoch_begin", "on_steps_end", "on_validation_begin", "on_epoch_end", "on_train_end")


def _nothing(*_: Any) -> None:
    """For an event that nobody asked for."""
