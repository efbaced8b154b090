"""Trains on a file of any size, and prints what it took: memory of the process, and rates in rows and bytes.

    python tests/larger_than_memory.py FOLDER --gigabytes 20

Three rates come from the same run: training on the file, training on rows that lie in memory, and a plain sequential
read of the file. The machine's own speed changes over minutes, so the first two take turns: every so many windows
training on the file pauses for a while of training in memory. The windows that were read ahead in a pause don't
count. The file is dropped from the system's cache first (`posix_fadvise`), as far as the system lets it.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from deepmath import Dense, Sequential, callbacks
from deepmath.datasets import NpySource

FEATURES, CLASSES, BATCH = 784, 10, 128
BLOCK = 1 << 14
AHEAD = 4


def write(folder: Path, size: int, dtype: str) -> int:
    """Write about `size` bytes of inputs, and labels that can be learnt from them; gives the number of rows."""
    rows = max(BLOCK, size // (FEATURES * np.dtype(dtype).itemsize) // BLOCK * BLOCK)
    rng = np.random.default_rng(0)
    centres = rng.random((CLASSES, FEATURES), dtype=np.float32)
    noise = rng.random((BLOCK + 4096, FEATURES), dtype=np.float32)
    x = np.lib.format.open_memmap(folder / "X.npy", "w+", np.dtype(dtype), (rows, FEATURES))
    x.flush()
    offset = (folder / "X.npy").stat().st_size - x.nbytes
    del x
    labels = rng.integers(0, CLASSES, rows)
    np.save(folder / "y.npy", labels.astype(np.uint8))
    with open(folder / "X.npy", "r+b") as file:
        file.seek(offset)
        for start in range(0, rows, BLOCK):
            shift = int(rng.integers(0, 4096))  # each block is other rows of the noise, under other labels
            block = (centres[labels[start : start + BLOCK]] + noise[shift : shift + BLOCK]) * np.float32(0.5)
            file.write((block * np.float32(255) if dtype == "uint8" else block).astype(dtype).data)
        file.flush()
        os.fsync(file.fileno())
    return rows


def forget(folder: Path) -> None:
    """Drop the files from the system's cache, as far as it lets us."""
    for path in folder.glob("*.npy"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def anonymous() -> int:
    """Bytes of memory of this process that no file stands behind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


class Sampler:
    """The largest `anonymous()` seen by a thread that looks every 20 ms."""

    def __enter__(self) -> Sampler:
        self.largest, self._done = anonymous(), threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._done.wait(0.02):
            self.largest = max(self.largest, anonymous())

    def __exit__(self, *_: Any) -> None:
        self._done.set()
        self._thread.join()


class Clock(callbacks.Callback):
    """Seconds that each epoch took, by the clock and of the training thread's processor."""

    def on_train_begin(self, run: Any) -> None:
        self.seconds: list[Any] = []

    def on_epoch_begin(self, run: Any) -> None:
        self._start = now()

    def on_epoch_end(self, run: Any, logs: Any) -> None:
        self.seconds.append(now() - self._start)


class Turns(callbacks.Callback):
    """Times training on the file in turns of `turn` windows, between which `pause` gives another rate."""

    def __init__(self, window_steps: int, turn: int, pause: Any) -> None:
        self.every, self._turn, self._pause = window_steps, turn, pause
        self.rates: list[Any] = []
        self.others = [pause()] if turn else []
        self._windows = 0

    def on_steps_end(self, run: Any) -> None:
        if run.step % self.every or not self._turn:
            return
        self._windows += 1
        if self._windows == AHEAD:
            self._start = now()
        elif self._windows == AHEAD + self._turn:
            self.rates.append(self._turn * self.every * BATCH / (now() - self._start))
            self.others.append(self._pause())
            self._windows = 0

    def ratios(self, which: int) -> list[float]:
        """Each turn's rate by the mean of those in memory before and behind it; `which` as in `now`."""
        around = zip(self.rates, self.others, self.others[1:], strict=False)
        return [float(2 * rate[which] / (before + after)[which]) for rate, before, after in around]


def now() -> Any:
    """Seconds by the clock, and of this thread's processor: the second doesn't see what else the machine does."""
    return np.asarray([time.perf_counter(), time.thread_time()])


def model() -> Sequential:
    made = Sequential([Dense(256, "relu", input_dim=FEATURES), Dense(128, "relu"), Dense(CLASSES, "softmax")])
    made.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    return made


def in_memory(source: NpySource, rows: int) -> Any:
    """Rows a second of training on the first rows, from memory; the first epoch warms up."""
    X, y, _ = source.read([(0, rows)])
    clock = Clock()
    model().fit(X, y, epochs=4, batch_size=BATCH, verbose=0, callbacks=[clock])
    return 3 * rows / sum(clock.seconds[1:])


def reading(folder: Path, row: int, most: int) -> float:
    """Rows (of `row` bytes) a second of reading at most so many of the file from its start, and nothing else."""
    forget(folder)
    memory = bytearray(1 << 23)
    with open(folder / "X.npy", "rb", buffering=0) as file:
        start, count = time.perf_counter(), 0
        while count < most * row:
            got = file.readinto(memory)
            if not got:
                break
            count += got
    return count / row / (time.perf_counter() - start)


def measure(folder: Path, size: int, dtype: str, window: int, turn: int) -> dict[str, Any]:
    """Every figure of a run on a file of this size."""
    rows = write(folder, size, dtype)
    source = NpySource(folder / "X.npy", folder / "y.npy")
    row = FEATURES * np.dtype(dtype).itemsize
    sample = min(15_000, rows)
    read = [reading(folder, row, 1 << 20)]
    forget(folder)
    turns = Turns(window // BATCH, turn, lambda: in_memory(source, sample))
    start, before = now(), anonymous()
    with Sampler() as sampler:
        history = model().fit(source, batch_size=BATCH, verbose=0, shuffle=window, callbacks=[turns])
    seconds = now() - start
    read.append(reading(folder, row, 1 << 20))
    if turn and not turns.rates:
        raise SystemExit(f"{size / 1e9:g} GB end before a turn of {AHEAD + turn} windows: take more, or --turn 0")
    figures = {"file": turns.rates or [rows / seconds], "in_memory": turns.others}
    by_clock, by_processor = ({n: [float(v[i]) for v in values] for n, values in figures.items()} for i in (0, 1))
    by_clock["reading"] = read
    middle = {name: float(np.median(values)) if values else float("nan") for name, values in by_clock.items()}
    slower = "in_memory" if middle["in_memory"] < middle["reading"] else "reading"
    ratio = float(np.median(turns.ratios(0))) if slower == "in_memory" else middle["file"] / middle["reading"]
    return {
        "rows": rows, "bytes": rows * row, "dtype": dtype, "window": window, "seconds": float(seconds[0]),
        "rows_per_second": by_clock, "median": middle, "ratios": turns.ratios(0), "lower": slower, "ratio": ratio,
        "reading_MB_per_second": [r * row / 1e6 for r in read],
        "training_thread": {"rows_per_processor_second": by_processor, "ratios": turns.ratios(1)},
        "anonymous_MB": sampler.largest / 1e6, "anonymous_before_MB": before / 1e6,
        "loss": history.history["loss"], "accuracy": history.history["accuracy"],
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=0.5)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--window", type=int, default=8192, help="rows within which they are shuffled")
    parser.add_argument("--turn", type=int, default=20, help="windows between two pauses; 0 for none")
    given = parser.parse_args()
    print(
        json.dumps(measure(given.folder, int(given.gigabytes * 1e9), given.dtype, given.window, given.turn), indent=1)
    )
