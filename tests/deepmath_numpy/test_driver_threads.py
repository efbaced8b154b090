"""The driver's threads come late, or not at all, or are stopped; none outlives a run, and a child has its own."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from driver_kernels import Program, address, arguments

can_fork = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
jax_may_be_loaded = pytest.mark.filterwarnings("ignore:.*fork", "ignore::pytest.PytestUnraisableExceptionWarning")
"""It warns of forks, whoever makes them."""


def adding(rows=64, may_share=1):
    x = np.zeros((rows, 4), np.int64)
    return x, Program([(address("add"), arguments(x), 1, 4, -1)], [[0, 1, -1, 1, 4, 4]], [[0, 1, may_share]])


def wait_for_threads(count):
    """Wait until only so many threads are there; a hanging one fails the test after a long time."""
    deadline = time.monotonic() + 60
    while _thread._count() > count:
        assert time.monotonic() < deadline, "a worker thread hangs"
        time.sleep(0.001)


def test_no_thread_outlives_a_run():
    before = _thread._count()
    x, program = adding()
    for _ in range(50):
        program.run([[0, 1, 64, 0]] * 20, 5)
    assert (x == 1000).all()
    wait_for_threads(before)


def test_threads_that_the_system_refuses_are_not_needed(monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    x, program = adding()
    program.run([[0, 1, 64, 0]] * 100, 3)
    assert (x == 100).all()


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.05])
def test_workers_that_come_late(monkeypatch, delay):
    start, before = _thread.start_new_thread, _thread._count()

    def late(function, given):
        def wait():
            time.sleep(delay)
            function(*given)

        return start(wait, ())

    monkeypatch.setattr(_thread, "start_new_thread", late)
    x, program = adding()
    for _ in range(20):
        program.run([[0, 1, 64, 0]] * 200, 4)
    assert (x == 4000).all()
    wait_for_threads(before)


def test_an_interrupt_before_the_run_leaves_no_thread(monkeypatch):
    start, before = _thread.start_new_thread, _thread._count()
    started = []

    def interrupted(function, given):
        if started:
            raise KeyboardInterrupt
        started.append(start(function, given))

    monkeypatch.setattr(_thread, "start_new_thread", interrupted)
    x, program = adding()
    with pytest.raises(KeyboardInterrupt):
        program.run([[0, 1, 64, 0]] * 10, 4)
    assert not x.any()
    wait_for_threads(before)
    monkeypatch.undo()
    program.run([[0, 1, 64, 0]] * 10, 4)
    assert (x == 10).all()


def run_on(program):
    while True:
        program.run([[0, 1, 64, 0]] * 1000, 2)


def test_a_signal_in_a_run_is_answered_after_it():
    x, program = adding()

    def answer(*_):
        raise InterruptedError("asked to stop")

    old = signal.signal(signal.SIGINT, answer)
    before = _thread._count()
    try:
        timer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(InterruptedError):
            run_on(program)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, old)
    assert len(np.unique(x)) == 1, "a run that began is done to its end"
    wait_for_threads(before)


@can_fork
@jax_may_be_loaded
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_runs_in_threads_of_its_own():
    x, program = adding()
    program.run([[0, 1, 64, 0]], 2)
    y, other = adding()
    stop = threading.Event()

    def run_other():
        while not stop.is_set():
            other.run([[0, 1, 64, 0]] * 100, 2)

    thread = threading.Thread(target=run_other)
    thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    signal.alarm(30)
                    program.run([[0, 1, 64, 0]] * 999, 3)
                    y[:] = 0
                    other.run([[0, 1, 64, 0]] * 10, 3)
                    status = 0 if (x == 1000).all() and (y == 10).all() else 2
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        thread.join()
    assert (x == 1).all()
