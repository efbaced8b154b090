"""A callback that sets the learning rate of each epoch by a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepmath.errors import ConfigError
from deepmath.schedules import checked_rate
from deepmath.training.callbacks import Callback, Run
from deepmath.training.history import RATE


@dataclass
class LearningRateScheduler(Callback):
    """Sets the learning rate of each epoch, before its first step, to what `schedule` gives.

    `schedule(epoch)` gets the epoch's number from 0, `schedule(epoch, rate)` also the rate as it stands; both give a
    finite number >= 0. The rate stays after training, until `compile` sets it anew. A resumed run goes on with the
    same bits. A rate for each step is a schedule or function given to the optimiser: then this callback is refused.
    Source: Keras, `LearningRateScheduler`.

    >>> LearningRateScheduler(lambda epoch, rate: rate if epoch < 10 else 0.9 * rate).takes_rate
    True
    """

    schedule: Callable[..., Any]

    def __post_init__(self) -> None:
        if isinstance(self.schedule, type) or not callable(self.schedule):
            raise ConfigError(f"LearningRateScheduler: schedule must be a function of the epoch; got {self.schedule!r}")
        self._name = getattr(self.schedule, "__name__", type(self.schedule).__name__)
        self.takes_rate = _takes_rate(self._name, self.schedule)

    def check(self, run: Run) -> None:
        if RATE not in run.reported:
            raise ConfigError("LearningRateScheduler: LBFGS has no learning rate; choose another optimizer")
        if run.program.pace.scheduled:
            raise ConfigError(
                "LearningRateScheduler: the optimizer's own schedule gives the rate of each step; "
                "give it a number as learning_rate, or leave out the callback"
            )

    def on_epoch_begin(self, run: Run) -> None:
        pace = run.program.pace
        given = (run.epoch, pace.rate(run.step)) if self.takes_rate else (run.epoch,)
        told = ", ".join(map(repr, given))
        rate = checked_rate(f"LearningRateScheduler: {self._name}({told})", self.schedule(*given))
        pace.value = [1.0, rate]


def _takes_rate(name: str, schedule: Callable[..., Any]) -> bool:
    """Whether a schedule takes the rate after the epoch. Raises ConfigError where that isn't plain."""
    try:
        signature = inspect.signature(schedule)
    except ValueError:  # some functions of C have none
        return False
    places = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(places) > 1 and places[1].default is not inspect.Parameter.empty:
        raise ConfigError(
            f"LearningRateScheduler: nobody knows whether {places[1].name} of {name}{signature} is to be the rate; "
            "give schedule(epoch) or schedule(epoch, rate), without a default"
        )
    for rate in ((0.1,), ()):
        try:
            signature.bind(0, *rate)
        except TypeError:
            continue
        return bool(rate)
    raise ConfigError(
        f"LearningRateScheduler: schedule must be schedule(epoch) or schedule(epoch, rate); got {name}{signature}"
    )
