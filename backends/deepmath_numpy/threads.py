"""How many threads a program takes: it measures itself, now and then with more or fewer, and keeps what is quickest.

Beside busy processes two threads may take many times as long as one, because each phase waits for a thread whose core
somebody else has. When these processes end, two are best again. Nothing but the time of the calls tells which it is.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

from deepmath_numpy.driver import Driver

__all__ = ["Choice", "Threads", "available"]

PIECE = 0.02
"""Seconds that launches run before the choice is looked at again; what was measured longer ago than that fades."""
TRIAL = 0.008
"""Seconds that another number of threads is tried."""
SPACING = 0.05
"""Seconds between two trials, at least."""
BUDGET = 0.02
"""The part of all time that trials may cost, beyond what the threads in use would have taken."""
SAVED = 0.02
"""Seconds of the budget that can be saved up."""


class Threads:
    """Runs a driver's launches in up to `most` threads; None: as many as there are cores for this process."""

    def __init__(self, most: int | None = None) -> None:
        self.most = available() if most is None else most
        self._choices: dict[tuple[int, int], Choice] = {}

    def run(self, driver: Driver, launches: Any, numbers: Any) -> None:
        """Run launches that go through the same phases, in as many threads as are quickest now."""
        if self.most == 1 or not len(launches) or not driver.shares(launches):
            driver.run(launches, numbers)
            return
        kind = int(launches[0, 0]), int(launches[0, 1])
        choice = self._choices.setdefault(kind, Choice(self.most))
        while len(launches):
            count = choice.launches(int(launches[0, 2]))
            piece, launches = launches[:count], launches[count:]
            start = time.perf_counter()
            driver.run(piece, numbers, choice.threads)
            choice.record(int(piece[:, 2].sum()), time.perf_counter() - start)


class Choice:
    """The choice among 1, 2, 4, ... and `most` threads, for work that is counted in rows.

    Trials are of the next number up or down. They cost at most `BUDGET` of the time on average; one that the memory
    says is quicker than what is in use, because that has become slow, is made at once.
    """

    def __init__(self, most: int) -> None:
        powers = [1 << i for i in range(most.bit_length()) if 1 << i < most]
        self._ways = [_Way(threads) for threads in (*powers, most)]
        self._used = len(self._ways) - 1
        self._tried: int | None = None
        self._step = -1
        self._saved = self._since = 0.0

    @property
    def threads(self) -> int:
        """How many threads to take now."""
        return self._way.threads

    def launches(self, rows: int) -> int:
        """After how many launches of so many rows to `record` what they took."""
        if self._tried is None:
            return self._ways[self._used].launches(rows, PIECE)
        return min(way.launches(rows, TRIAL / 2) for way in (self._ways[self._used], self._way) if way.known)

    def record(self, rows: int, seconds: float) -> None:
        """Learn that so many rows took so long in `threads` threads, and choose anew."""
        self._way.add(max(rows, 1), seconds)
        if self._tried is not None:
            self._end_trial()
            return
        self._saved = min(self._saved + BUDGET * seconds, SAVED)
        self._since += seconds
        used = self._ways[self._used]
        for step in (self._step, -self._step):
            other = self._used + step
            if not 0 <= other < len(self._ways):
                continue
            way = self._ways[other]
            if (way.known and way.rate < used.rate) or (self._since >= SPACING and self._saved >= 0.0):
                self._tried, self._step = other, -step
                way.begin()
                return

    @property
    def _way(self) -> _Way:
        return self._ways[self._used if self._tried is None else self._tried]

    def _end_trial(self) -> None:
        """End a trial when it has lasted long enough, and keep what was quicker."""
        way, used = self._way, self._ways[self._used]
        if way.seconds < TRIAL:
            return
        self._since = 0.0
        self._saved -= max(0.0, way.seconds - way.rows * used.rate)
        if way.rate < used.rate:
            assert self._tried is not None
            self._used = self._tried
        self._tried = None


class _Way:
    """One number of threads, and the seconds a row that it took when it was used last."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.rate = 0.0
        self.begin()

    @property
    def known(self) -> bool:
        return self.rate > 0.0

    def begin(self) -> None:
        """Measure anew; until then `rate` is what it was."""
        self.rows = self.seconds = 0.0

    def add(self, rows: int, seconds: float) -> None:
        fade = math.exp(-seconds / PIECE) if self.seconds >= PIECE else 1.0
        self.rows, self.seconds = self.rows * fade + rows, self.seconds * fade + seconds
        self.rate = self.seconds / self.rows

    def launches(self, rows: int, seconds: float) -> int:
        """How many launches of so many rows take so long; one where that isn't known."""
        return max(1, int(seconds / (self.rate * max(rows, 1)))) if self.known else 1


def available() -> int:
    """How many cores this process may use: those it is bound to, and not more than its container's share of time."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux can bind a process to cores
        cores = os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota(Path("/sys/fs/cgroup")))))


def _quota(folder: Path) -> float:
    """The cores' worth of time that the control group allows, of version 2 or 1; infinite where there is no limit."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = [word for name in names for word in (folder / name).read_text().split()]
            quota, period = (float(word) for word in words)
        except (OSError, ValueError):  # no such file, or "max"
            continue
        if quota > 0 and period > 0:
            return quota / period
    return math.inf
