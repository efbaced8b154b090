"""All that needs a CUDA device, in order, first results first, within ten minutes.

usage: python bench/on_gpu.py [--minutes N]

1. What the machine has. 2. The tests of the device. 3. Training steps per second of two networks, by precision. 4. The
comparison with other frameworks, where they are installed. What doesn't fit into the time is named and left out;
nothing is printed that was not measured here.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import deepmath
from deepmath import Dense, Sequential
from deepmath.backend import load_backend
from deepmath.callbacks import Callback
from deepmath.errors import DeepmathError

ROOT = Path(__file__).resolve().parent.parent
PRECISIONS = ("float32", "tf32", "bf16", "float16", "float64")
NETWORKS = {
    "A: 784-256-128-10, batch 128": ((256, 128), 784, 10, 128, 12_800),
    "B: 4096 x 4, batch 8192": ((4096, 4096, 4096), 4096, 4096, 8192, 16_384),
}


class Clock(Callback):
    """When each epoch ended; by then its results have come to the host, so all its work is done."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_epoch_end(self, run: Any, logs: Any) -> None:
        self.ends.append(time.perf_counter())


def main() -> int:
    """Run the parts until the time is over; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    stop = time.monotonic() + 60.0 * parser.parse_args().minutes
    failed = run("doctor", [sys.executable, "-m", "deepmath.cli", "doctor"], stop)
    try:
        load_backend("cupy")
    except DeepmathError as error:
        print(error, flush=True)
        return error.exit_code
    failed |= run("tests", [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "gpu", "tests/deepmath_cupy"], stop)
    for name, network in NETWORKS.items():
        for precision in PRECISIONS if name.startswith("A") else PRECISIONS[:3]:
            measured(name, *network, precision, stop)
    bench = [sys.executable, "-m", "deepmath.cli", "bench", "--backend", "cupy,numpy", "--peers"]
    failed |= run("comparison", bench, stop)
    return int(failed)


def measured(
    name: str, hidden: tuple[int, ...], features: int, classes: int, batch: int, rows: int, precision: str, stop: float
) -> None:
    """Print steps per second: the median of epochs after the first, which compiles and records."""
    if time.monotonic() > stop:
        print(f"{name} {precision}: left out, the time is over", flush=True)
        return
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((rows, features), np.float32), rng.integers(0, classes, rows)
    model = Sequential([*(Dense(n, activation="relu") for n in hidden), Dense(classes, activation="softmax")], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy")
    clock = Clock()
    history = model.fit(
        x, y, epochs=6, batch_size=batch, verbose=0, backend="cupy", precision=precision, callbacks=[clock]
    ).history
    losses = history["loss"]
    if not all(map(math.isfinite, losses)):
        print(f"{name} {precision}: not timed, the loss went {losses}", flush=True)
        return
    rate = rows / batch / float(np.median(np.diff(clock.ends)))
    print(f"{name} {precision}: {rate:,.0f} steps/s, loss {losses[0]:.4f} -> {losses[-1]:.4f}", flush=True)


def run(name: str, command: list[str], stop: float) -> bool:
    """Run a command within the time that is left; whether it failed."""
    left = stop - time.monotonic()
    print(f"== {name}: {' '.join(command[1:])}", flush=True)
    if left <= 0:
        print("left out, the time is over", flush=True)
        return False
    try:
        return subprocess.run(command, cwd=ROOT, check=False, timeout=left).returncode != 0
    except subprocess.TimeoutExpired:
        print("stopped, the time is over", flush=True)
        return True


if __name__ == "__main__":
    print(f"deepmath {deepmath.__version__}", flush=True)
    sys.exit(main())
