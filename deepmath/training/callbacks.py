"""Callbacks: what happens between steps and epochs of a training run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepmath.program import Program
from deepmath.training.history import History


@dataclass
class Run:
    """A training run as callbacks see it. Setting `stop` ends it; `failed` says that its values
    can't be trusted: they are no numbers, or a step was cut short.

    `batches.at(step)` are the micro-batches of an update, `write_model(path)` saves the model with the present values.
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

    `every` is how many steps may pass between calls of `on_steps_end`; None means that the callback needs no
    steps, so that many can run in one call. Callbacks with `last` see an event after all others: what saves
    must see what the others remember.
    """

    every: int | None = None
    last: bool = False

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
