"""Good states of a run, so few that they cost nearly nothing, and all states between them computed again."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepmath.arrays import all_finite
from deepmath.program import Program, Snapshot

SECONDS = 0.5
"""How far apart two copies of the state are at least."""
SHARE = 0.005
"""What part of the time copies may take, together with looking whether they are finite."""
FRESH = 25.0
"""What the first copy may cost, in looks at the same numbers: the system must find memory for it, page by page."""

State = dict[str, Any]


@dataclass
class Copy:
    """A good state before `step`, the pace's value in this step, and each (step, value) behind it."""

    _values: Snapshot
    step: int
    rate: Any
    rates: list[tuple[int, Any]] = field(default_factory=list)

    def state(self) -> State:
        """The state, to be loaded."""
        return self._values() | {"rate": self.rate}


class Copies:
    """The newest good state of a program, and when the next one is due.

    Callbacks change the rate between calls; to compute again means to change it at the same steps. What else they
    change comes into the next copy, and is not computed again.
    """

    newest: Copy
    _rate: Any

    def __init__(self, program: Program) -> None:
        self._program = program

    def begin(self, values: Mapping[str, Any] | None, seconds: float) -> None:
        """Begin with `values`, if the program holds those, or else with a copy; a look at them took so long."""
        program = self._program

        def again() -> State:
            assert values is not None
            program.load(values)
            return program.state()

        self._take(program.snapshot() if values is None else again, (1.0 + FRESH) * seconds)

    def keep(self, seconds: float = 0.0) -> None:
        """Copy the state as it stands; it took so long to see that it is good."""
        start = time.perf_counter()
        state = self._program.snapshot()
        self._take(state, seconds + time.perf_counter() - start)

    def is_due(self) -> bool:
        """Whether a copy can be afforded."""
        return time.perf_counter() >= self._due

    def note_rate(self, step: int) -> None:
        """Remember the pace's value at `step` and those behind it."""
        rate, copy = self._program.pace.value, self.newest
        if np.array_equal(rate, self._rate):
            return
        self._rate = rate
        if step == copy.step:
            copy.rate = rate
        else:
            copy.rates.append((step, rate))

    def culprit(self, broken: int) -> tuple[int, State]:
        """(step, the state it starts from): the state is finite, and after the step something is not.

        Before step `broken`, or in it, the values broke. What is not finite stays so: halving finds the step.
        """
        rates, good = self.newest.rates, self.newest.state()
        low, high = self.newest.step, broken
        middle = high
        while low < high:
            state = self._computed(good, rates, middle)
            if all_finite(state.values()):
                low, good = middle, state
            else:
                high = middle - 1
            middle = high if high == broken - 1 else math.ceil((low + high) / 2)
        return low, good

    def at(self, copy: Copy, step: int) -> State:
        """The state before `step`, from a copy that is not newer."""
        return self._computed(copy.state(), copy.rates, step)

    def _take(self, state: Snapshot, seconds: float) -> None:
        self._rate = self._program.pace.value
        self.newest = Copy(state, self._program.step, self._rate)
        self._due = time.perf_counter() + max(SECONDS, seconds / SHARE)

    def _computed(self, good: State, rates: list[tuple[int, Any]], stop: int) -> State:
        """The state before step `stop`, from an earlier one."""
        program = self._program
        program.load(good)
        with np.errstate(all="ignore"):
            for step, rate in [*rates, (stop, None)]:
                if program.step < step <= stop:
                    program.run(step - program.step)
                if rate is not None and step <= stop and step >= int(good["step"]):
                    program.pace.value = rate
        return program.state()
