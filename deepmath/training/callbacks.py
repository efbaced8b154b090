"""Callbacks: what happens between steps and epochs of a training run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepmath.descriptions import instance, several
from deepmath.errors import ConfigError
from deepmath.program import Program
from deepmath.training.history import History


@dataclass
class Run:
    """A training run as callbacks see it. Setting `stop` ends it; `failed` says that its values
    can't be trusted: they are no numbers, or a step was cut short.

    `batches.at(step)` are the micro-batches of an update, `write_model(path)` saves the model with the present values.
    `reported` names all that each epoch will report, and says which is better, "higher" or "lower", or None where that
    isn't known. `rate` is the learning rate of the last step made, None before the first.
    """

    program: Program
    history: History
    epochs: int
    steps_per_epoch: int
    columns: tuple[str, ...]
    facts: dict[str, Any]
    callbacks: Sequence[Callback] = ()
    epoch: int = 0
    step_in_epoch: int = 0
    results: list[Any] = field(default_factory=list)
    stop: bool = False
    failed: bool = False
    rate: float | None = None
    reported: dict[str, str | None] = field(default_factory=dict)
    batches: Any = None
    write_model: Callable[[Any], None] | None = None

    @property
    def finished(self) -> bool:
        """Whether training ended by itself: all epochs done, or stopped by a callback."""
        return not self.failed and (self.stop or self.epoch >= self.epochs)

    @property
    def step(self) -> int:
        """Updates made so far, over all runs of the model."""
        return self.program.step


class Callback:
    """A hook for each event; the ones you don't need do nothing.

    A callback that adds a number to `logs` says so in `check`: `run.reported["score"] = "higher"`; then others behind
    it may watch that name.

    `every` is how many steps may pass between calls of `on_steps_end`; None means that the callback needs no
    steps, so that many can run in one call. Callbacks with `last` see an event after all others: what saves
    must see what the others remember.
    """

    every: int | None = None
    last: bool = False

    def check(self, run: Run) -> None:
        """Before anything is written or trained: raise ConfigError for what can't work in this run."""

    def on_train_begin(self, run: Run) -> None:
        """Before the first step."""

    def on_epoch_begin(self, run: Run) -> None:
        """Before an epoch's first step."""

    def on_steps_end(self, run: Run) -> None:
        """After some steps: at least whenever `run.step` is a multiple of `every`."""

    def on_validation_begin(self, run: Run) -> None:
        """Before the measurements on the validation data, after an epoch's last step."""

    def on_epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """After an epoch and its validation; `logs` is the epoch's entry in the history."""

    def on_train_end(self, run: Run) -> None:
        """After the last step, also when training was interrupted. Callbacks with `last` come first here: what
        saves must see the values as they were trained, before others put back better ones.
        """

    def remember(self) -> dict[str, Any]:
        """What the callback must remember over a stop, as arrays and numbers by name; checkpoints hold it."""
        return {}

    def recall(self, memory: dict[str, Any]) -> None:
        """Take over what `remember` gave."""


def callbacks_of(given: Any) -> list[Callback]:
    """The callbacks that an argument `callbacks` means: several, a single one, or None.

    >>> callbacks_of([5])
    Traceback (most recent call last):
    ...
    deepmath.errors.ConfigError: callbacks: each must be a Callback from deepmath.callbacks; got 5
    """
    found = list(several("callbacks", given, "[EarlyStopping()]"))
    for i, callback in enumerate(found):
        if not isinstance(instance("callbacks", callback), Callback):
            cure = "; wrap a function: Lambda(on_epoch_end=...)" if callable(callback) else ""
            raise ConfigError(f"callbacks: each must be a Callback from deepmath.callbacks{cure}; got {callback!r}")
        if any(callback is other for other in found[:i]):
            raise ConfigError(f"callbacks: {type(callback).__name__} number {i + 1} stands there twice; give it once")
    return found
