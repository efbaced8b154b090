"""The thread that reads: it hands on errors with their traceback, and never outlives the run."""

from __future__ import annotations

import itertools
import threading
import time
import traceback

import numpy as np
import pytest
from feeding import batches, small_model
from resuming import Stop

from deepmath.callbacks import Callback
from deepmath.data.prefetch import Prefetch
from deepmath.data.sources import ArraySource
from deepmath.datasets import NpySource


def threads():
    return [t for t in threading.enumerate() if t.name == "deepmath-prefetch"]


@pytest.fixture(autouse=True)
def _no_thread_stays():
    assert not threads()
    yield
    assert not threads()


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


def test_items_come_in_order_and_no_more_than_asked_are_made():
    made = []

    def items():
        for i in itertools.count():
            made.append(i)
            yield i

    prefetch = Prefetch(items(), ahead=3)
    assert [prefetch.get() for _ in range(50)] == list(range(50))
    wait_for(lambda: len(made) == 53)
    time.sleep(0.05)
    assert len(made) == 53
    prefetch.close()


def test_an_error_comes_behind_the_items_made_before_it():
    def items():
        yield 1
        yield 2
        raise KeyError("broken")

    prefetch = Prefetch(items())
    assert [prefetch.get(), prefetch.get()] == [1, 2]
    for _ in range(2):
        with pytest.raises(KeyError, match="broken") as error:
            prefetch.get()
    assert "items" in [frame.name for frame in traceback.extract_tb(error.value.__traceback__)]
    prefetch.close()


def test_making_and_taking_overlap():
    started, release = threading.Event(), threading.Event()

    def items():
        yield 0
        started.set()
        release.wait(10)
        yield 1

    prefetch = Prefetch(items())
    assert prefetch.get() == 0
    assert started.wait(10)  # the next is being made while the first is in use
    release.set()
    assert prefetch.get() == 1
    prefetch.close()


class Broken(ArraySource):
    """Fails in its third piece."""

    count = 0

    def take(self, numbers):
        self.count += 1
        if self.count == 3:
            raise OSError("the disk has gone")
        return super().take(numbers)


def test_an_error_of_the_disk_comes_out_of_fit_with_the_values_reached(arrays):
    made = small_model()
    with pytest.raises(OSError, match="the disk has gone") as error:
        made.fit(Broken(*arrays), batch_size=16, verbose=0)
    assert "take" in [frame.name for frame in traceback.extract_tb(error.value.__traceback__)]
    assert int(made.values["step"]) == 2 * 3  # of two stretches with three steps


def test_an_error_of_a_generator_comes_out_of_fit(arrays):
    def given():
        yield from batches(*arrays)[:4]
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as error:
        small_model().fit(given(), steps_per_epoch=10, verbose=0)
    assert "given" in [frame.name for frame in traceback.extract_tb(error.value.__traceback__)]


class Raise(Callback):
    every = 1

    def __init__(self, error):
        self.error = error

    def on_steps_end(self, run) -> None:
        if run.step == 5:
            assert threads()
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("windowed", [64, True])
def test_an_interrupt_or_error_ends_the_thread(files, error, windowed):
    with pytest.raises(error):
        small_model().fit(NpySource(*files), batch_size=4, shuffle=windowed, verbose=0, callbacks=[Raise(error())])


def test_an_early_stop_ends_the_thread(files):
    history = small_model().fit(NpySource(*files), batch_size=4, epochs=50, verbose=0, callbacks=[Stop(100)])
    assert len(history.epoch) == 1


def test_an_endless_generator_is_let_go(arrays):
    taken = []

    def endless():
        for batch in itertools.cycle(batches(*arrays)):
            taken.append(1)
            yield batch

    small_model().fit(endless(), steps_per_epoch=7, epochs=3, verbose=0)
    assert len(taken) == 21  # not one more than was trained on


def test_training_goes_on_after_going_back(files):
    """A program that is put back to an earlier step reads that step's rows again."""

    class Back(Callback):
        every = 1

        def __init__(self) -> None:
            self.seen: list[bool] = []

        def on_steps_end(self, run) -> None:
            if run.step == 2:
                self.state = run.program.state()
            if run.step == 10 and len(self.seen) < 1:
                first = run.program.state()
                run.program.load(self.state)
                run.program.run(8)
                again = run.program.state()
                self.seen.append(all(np.array_equal(first[n], again[n]) for n in first))

    back = Back()
    small_model().fit(NpySource(*files), batch_size=16, verbose=0, shuffle=48, callbacks=[back])
    assert back.seen == [True]
