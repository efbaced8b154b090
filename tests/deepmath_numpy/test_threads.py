"""The choice of threads on a simulated machine: close to the best, whatever else runs there; trials cost little."""

from __future__ import annotations

import numpy as np
import pytest
from deepmath_numpy import threads
from deepmath_numpy.threads import Choice

ROWS = 128
QUIET = {1: 500e-6, 2: 300e-6}
"""Seconds of a step, by threads: two are quicker."""
BUSY = {1: 550e-6, 2: 2200e-6}
"""Beside a busy process two are four times slower."""


class Machine:
    """Runs steps whose seconds the present `speeds` tell, and counts time. `noise` spreads what single pieces take."""

    def __init__(self, most=2, noise=0.0, call=0.05):
        self.choice, self.most, self.call = Choice(most), most, call
        self.now, self.noise, self.random = 0.0, noise, np.random.default_rng(0)
        self.history = []

    def run(self, speeds, seconds):
        """Run for so long; answers the steps done, in parts of what the best number of threads would have done."""
        end, steps = self.now + seconds, 0
        start = self.now
        while self.now < end:
            threads, count = self.choice.threads, self.choice.launches(ROWS)
            took = count * speeds[threads] * np.exp(self.noise * self.random.standard_normal())
            self.choice.record(count * ROWS, took)
            self.now += took
            steps += count
            self.history.append((self.now, threads))
        return steps * min(speeds.values()) / (self.now - start)

    def time_until(self, threads, since):
        """How long after `since` it took so many threads for good, or at least for the next tenth of a second."""
        times = np.array([time for time, _ in self.history])
        taken = np.array([used == threads for _, used in self.history])
        for time in times[times > since]:
            soon = taken[(times > time) & (times <= time + 0.1)]
            if len(soon) and soon.mean() > 0.7:
                return time - since
        return np.inf


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.15])
@pytest.mark.parametrize("speeds", [QUIET, BUSY, {1: 500e-6, 2: 510e-6}, {1: 7e-6, 2: 40e-6}, {1: 20e-3, 2: 12e-3}])
def test_it_loses_little_against_the_best(speeds, noise):
    machine = Machine(noise=noise)
    machine.run(speeds, 1.0)
    assert machine.run(speeds, 10.0) > 0.95 * np.exp(-(noise**2) / 2)


def test_it_falls_back_and_comes_back():
    machine = Machine()
    machine.run(QUIET, 2.0)
    began = machine.now
    machine.run(BUSY, 3.0)
    assert machine.time_until(1, began) < 0.15
    assert machine.run(BUSY, 3.0) > 0.97
    ended = machine.now
    machine.run(QUIET, 3.0)
    assert machine.time_until(2, ended) < 1.5
    assert machine.run(QUIET, 3.0) > 0.97


def test_trials_cost_no_more_than_their_budget():
    worse = {1: 500e-6, 2: 10e-3}
    machine = Machine()
    machine.run(worse, 1.0)
    assert machine.run(worse, 30.0) > 1 - 1.3 * threads.BUDGET
    tried = sum(used == 2 for time, used in machine.history if time > 1.0)
    assert tried > 5, "it goes on trying"


def test_a_single_slow_call_changes_nothing_for_long():
    machine = Machine()
    machine.run(QUIET, 1.0)
    machine.run({1: 500e-6, 2: 3e-3}, 0.01)
    stumbled = machine.now
    machine.run(QUIET, 1.0)
    assert machine.time_until(2, stumbled) < 0.15


def test_short_calls_are_judged_together():
    """Calls of one step, each with much noise of its own."""
    machine = Machine(noise=0.3)
    machine.choice.launches = lambda rows: 1
    machine.run(QUIET, 1.0)
    assert machine.run(QUIET, 5.0) > 0.92


@pytest.mark.parametrize(("best", "most"), [(1, 8), (2, 8), (4, 8), (8, 8), (6, 6), (4, 6)])
def test_it_climbs_to_the_best_number(best, most):
    speeds = {n: 1e-3 * (1 + abs(np.log2(n / best))) for n in (1, 2, 4, 6, 8)}
    machine = Machine(most)
    machine.run(speeds, 2.0)
    assert machine.run(speeds, 5.0) > 0.95
    assert {used for _, used in machine.history} <= {1, 2, 4, most}


def test_one_core_has_no_choice():
    machine = Machine(1)
    machine.run({1: 1e-3}, 1.0)
    assert {used for _, used in machine.history} == {1}


class FakeDriver:
    def __init__(self, may_share):
        self.may_share, self.runs = may_share, []

    def shares(self, launches):
        return self.may_share

    def run(self, launches, numbers, threads=1):
        self.runs.append((launches[:, 3].tolist(), threads))


@pytest.mark.parametrize("most", [1, 4])
def test_all_launches_are_run_once_and_in_order(most):
    launches = np.zeros((3000, 4), np.int64)
    launches[:, 2], launches[:, 3] = 7, np.arange(3000)
    driver = FakeDriver(True)
    threads.Threads(most).run(driver, launches, None)
    assert [row for rows, _ in driver.runs for row in rows] == list(range(3000))
    assert {taken for _, taken in driver.runs} <= {1, 2, 4}
    threads.Threads(most).run(driver, launches[:0], None)


def test_what_may_not_be_shared_takes_one_thread():
    driver = FakeDriver(False)
    threads.Threads(4).run(driver, np.ones((10, 4), np.int64), None)
    assert driver.runs == [([1] * 10, 1)]


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, np.inf),
        ({"cpu.max": "max 100000\n"}, np.inf),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "nonsense"}, np.inf),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, np.inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "50000\n"}, np.inf),
    ],
)
def test_a_container_may_allow_less_time_than_it_has_cores(tmp_path, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert threads._quota(tmp_path) == cores


def test_at_least_one_core_is_available(monkeypatch):
    assert threads.available() >= 1
    monkeypatch.setattr(threads, "_quota", lambda folder: 0.25)
    assert threads.available() == 1
