"""A program whose data come in stretches, read by a thread of their own while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepmath.batches import Stretch, batches_of
from deepmath.data.loaders import Loader
from deepmath.data.prefetch import JOIN_SECONDS, LEAVE_SECONDS, Prefetch
from deepmath.pace import Pace
from deepmath.program import Batch, Data, Program, Snapshot


class StreamingProgram(Program):
    """A program, with the stretch attached to it that holds the next step.

    Nothing is read before the first `run`, nor beyond step `last`. `load` may go to another step: reading begins
    anew there. Whoever makes one closes it, which ends the thread; its values stay.
    """

    def __init__(self, program: Program, loader: Loader, last: int) -> None:
        self.program, self._loader, self._last = program, loader, last
        self._recipe = loader.validator.recipe
        self._prefetch: Prefetch | None = None
        self._stretch: Stretch | None = None

    @property
    def step(self) -> int:  # type: ignore[override]
        """Updates made so far."""
        return self.program.step

    @property
    def pace(self) -> Pace:  # type: ignore[override]
        """The pace of the program inside."""
        return self.program.pace

    @property
    def data(self) -> Data | None:  # type: ignore[override]
        """The stretch at hand."""
        return self.program.data

    def attach(self, data: Data) -> None:
        self.program.attach(data)

    def ready(self, k: int) -> int:
        return min(k, self._ready().last_step - self.step)

    def run(self, k: int) -> Any:
        results = []
        while k > 0:
            n = self.ready(k)
            results.append(np.asarray(self.program.run(n)))
            k -= n
        return results[0] if len(results) == 1 else np.concatenate(results)

    def gradients(self, batch: Batch, previous: Any = None) -> Any:
        return self.program.gradients(batch, previous)

    def apply(self, gradients: Any) -> None:
        self.program.apply(gradients)

    def predict(self, x: Any) -> Any:
        return self.program.predict(x)

    def measure(self, data: Data) -> Any:
        return self.program.measure(data)

    def state(self) -> dict[str, Any]:
        return self.program.state()

    def snapshot(self) -> Snapshot:
        return self.program.snapshot()

    def is_finite(self) -> bool:
        return self.program.is_finite()

    def load(self, state: Mapping[str, Any]) -> None:
        self.program.load(state)

    def plan(self) -> list[tuple[str, str]]:
        return self.program.plan()

    def at(self, step: int) -> list[Batch]:
        """The micro-batches of the next step, attached; none behind the last step of what is read only once."""
        if step < self._last:
            self._ready()
        elif self._loader.again:
            self.program.attach(self.data_at(step))
        else:
            return []
        assert self.program.data is not None
        return batches_of(self._recipe, self.program.data).at(step)

    def data_at(self, step: int) -> Stretch:
        """The stretch that holds a step, read for itself, where it can be read again."""
        stretch = self._stretch
        if stretch is not None and stretch.first_step <= step < stretch.last_step:
            return stretch
        self._close(JOIN_SECONDS)  # what somebody else wrote may not like two threads
        return next(self._loader.stretches(step, step + 1))

    def close(self) -> None:
        """End the thread that reads; nothing is read behind it."""
        self._close(LEAVE_SECONDS)

    def _close(self, seconds: float) -> None:
        if self._prefetch is not None:
            self._prefetch.close(seconds)
        self._prefetch = self._stretch = None

    def _ready(self) -> Stretch:
        """The stretch that holds the next step, attached."""
        stretch, step = self._stretch, self.step
        if stretch is not None and stretch.first_step <= step < stretch.last_step:
            return stretch
        if stretch is None or step != stretch.last_step or self._prefetch is None:
            self._close(JOIN_SECONDS)
            self._prefetch = Prefetch(self._loader.stretches(step, self._last))
        self._stretch = stretch = None  # one stretch fewer in memory while the next is waited for
        self._stretch = stretch = self._prefetch.get()
        self.program.attach(stretch)
        return stretch
