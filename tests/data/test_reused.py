"""Memory that stretches are read into again and again, and never while somebody holds what lies in it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from deepmath import Dense, Sequential
from deepmath.callbacks import Callback
from deepmath.data import buffers, sources
from deepmath.data.buffers import BufferPool
from deepmath.datasets import NpySource


@pytest.fixture(autouse=True)
def _small_arrays_too(monkeypatch):
    monkeypatch.setattr(buffers, "SMALLEST", 1)


def test_what_is_held_is_not_overwritten():
    reused, held = BufferPool(), []
    rng = np.random.default_rng(0)
    for i in range(400):
        shape = (int(rng.integers(1, 40)), int(rng.integers(1, 9)))
        array = reused.empty(shape, rng.choice(["float32", "uint8", "float64"]))
        array[...] = i % 251
        view = (array, array.T, array[1:], array.reshape(-1)[::2], memoryview(array))[i % 5]
        held.append((i % 251, view))
        if len(held) > 6:
            del held[int(rng.integers(0, 7))]
        del array, view
        assert all(np.all(np.asarray(view) == number) for number, view in held)
        assert len(reused._blocks) <= 9


def test_two_threads_never_get_the_same_memory():
    reused, wrong = BufferPool(), []

    def work(number: int) -> None:
        for _ in range(300):
            array = reused.empty((64, 8), "int64")
            array[...] = number
            if not np.all(array == number):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert len(reused._blocks) <= 5


class Blocks(Callback):
    """How many blocks a run has, and the inputs that it still holds when they have long been trained on."""

    every = 1

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.kept: list = []

    def on_steps_end(self, run) -> None:
        self.counts.append(len(run.program._loader._source._source._files[0]._empty.__self__._blocks))
        if run.step in (2, 9):
            x = run.program.data.x
            self.kept.append((x, x.copy()))


def fit(files, shuffle, backend, *callbacks):
    made = Sequential([Dense(3, "tanh"), Dense(3, "softmax")], seed=2, preprocessing=Plain())
    made.compile("sgd", "sparse_categorical_crossentropy")
    made.fit(
        NpySource(*files), batch_size=8, epochs=3, shuffle=shuffle, verbose=0, backend=backend, callbacks=callbacks
    )
    return [w.tobytes() for w in made.get_weights()]


class Plain:
    """A preprocessing that changes nothing and copies nothing."""

    def apply(self, X):
        return X


@pytest.mark.parametrize("backend", ["numpy", "reference"])
@pytest.mark.parametrize("shuffle", [48, True, False])
def test_a_run_needs_few_blocks_and_has_the_bits_of_fresh_memory(files, shuffle, backend, monkeypatch):
    blocks = Blocks()
    found = fit(files, shuffle, backend, blocks)
    assert max(blocks.counts) <= 6  # one in use, two ahead, two kept here, and one on its way
    assert all(np.array_equal(x, as_it_was) for x, as_it_was in blocks.kept)
    monkeypatch.setattr(sources.Source, "within", lambda self, memory: self)
    monkeypatch.setattr(NpySource, "within", lambda self, memory: self)
    assert fit(files, shuffle, backend) == found


def test_numbers_that_no_row_has_are_refused(files):
    source = NpySource(*files).within(BufferPool())
    for wrong in ([0, 333], [-1, 3]):
        with pytest.raises(IndexError, match="has rows 0 to 332"):
            source.take(np.asarray(wrong))
