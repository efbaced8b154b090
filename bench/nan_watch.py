"""What watching for NaN and Inf costs: the same training with the watch and without it, in turns.

    python bench/nan_watch.py --pairs 15

For each network and each answer (`fit(on_nan=...)`) two figures. `ratio`: training with the watch by training without,
medians (and quartiles) over pairs of neighbouring runs, each pair in the other order than the one before. It is the
training thread's processor time, which doesn't see what else the machine does; `clock` is the same by the clock.
`share`: the time spent in the watch itself, as a part of the run's, the median of runs by the clock: asking for the
processor's time takes longer than some of what is timed. A run begins and ends as any `fit` does, so the checks at its
beginning and end count, and so do those of each epoch. A callback that does nothing sees to it that epochs end one by
one.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from typing import Any

import numpy as np

from deepmath import Dense, Sequential, callbacks
from deepmath.training import loop, nonfinite

EVENTS = ("begin", "begin_epoch", "admits", "closes_epoch", "finish")


class Network:
    """A model to be trained for some epochs, and its data."""

    def __init__(self, sizes: tuple[int, ...], rows: int, batch: int, epochs: int) -> None:
        self.sizes, self.batch, self.epochs = sizes, batch, epochs
        self.name = f"{'-'.join(map(str, sizes))}, {rows} rows, batches of {batch}"
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((rows, sizes[0])).astype(np.float32)
        self.y = rng.integers(0, sizes[-1], rows)

    def train(self, on_nan: str) -> tuple[Any, list[Any]]:
        """Seconds as `now` counts them, and the weights at the end."""
        hidden = [Dense(units, "relu") for units in self.sizes[1:-1]]
        model = Sequential([*hidden, Dense(self.sizes[-1], "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        settings = {"epochs": self.epochs, "batch_size": self.batch, "verbose": 0, "on_nan": on_nan}
        with Loop() as timed:
            model.fit(self.x, self.y, callbacks=[callbacks.Callback()], **settings)
        return timed.seconds, model.get_weights()


NETWORKS = (
    Network((64, 64, 10), rows=1797, batch=32, epochs=60),
    Network((64, 64, 10), rows=20_000, batch=128, epochs=12),
    Network((784, 256, 128, 10), rows=2048, batch=128, epochs=12),
    Network((784, 256, 128, 10), rows=12_800, batch=128, epochs=2),
)


class Loop:
    """The loop of training, timed from its beginning to its end."""

    def __init__(self) -> None:
        self._train = loop.train

    def __enter__(self) -> Loop:
        loop.train = self._timed
        return self

    def __exit__(self, *_: Any) -> None:
        loop.train = self._train

    def _timed(self, *arguments: Any) -> None:
        start = now()
        self._train(*arguments)
        self.seconds = now() - start


def now() -> Any:
    """Seconds of this thread's processor, and by the clock."""
    return np.asarray([time.thread_time(), time.perf_counter()])


class Unwatched(nonfinite.Guard):
    """No watch at all."""

    def begin(self) -> None: ...

    def begin_epoch(self) -> None: ...

    def admits(self, results: Any) -> bool:
        return True

    def closes_epoch(self) -> bool:
        return True

    def finish(self) -> None: ...


class Timed(nonfinite.Guard):
    """The watch, adding up the time that it takes."""

    seconds = 0.0


def _timed(event: str) -> Any:
    method = getattr(nonfinite.Guard, event)

    def call(self: Any, *arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return method(self, *arguments)
        finally:
            Timed.seconds += time.perf_counter() - start

    return call


for _event in EVENTS:
    setattr(Timed, _event, _timed(_event))


def run(network: Network, on_nan: str, guard: type[nonfinite.Guard]) -> tuple[Any, list[Any]]:
    """A training under a guard of this class."""
    shipped, nonfinite.Guard = nonfinite.Guard, guard  # type: ignore[misc]
    try:
        return network.train(on_nan)
    finally:
        nonfinite.Guard = shipped  # type: ignore[misc]


def measured(network: Network, on_nan: str, pairs: int) -> dict[str, Any]:
    """Ratios of pairs, and shares."""
    shipped = nonfinite.Guard
    (_, watched), (_, alone) = run(network, on_nan, shipped), run(network, on_nan, Unwatched)
    assert all(np.array_equal(a, b) for a, b in zip(watched, alone, strict=True)), "the watch changes nothing"
    ratios, shares = [], []
    for i in range(pairs):
        both = {guard: run(network, on_nan, guard)[0] for guard in ((shipped, Unwatched), (Unwatched, shipped))[i % 2]}
        ratios.append(both[shipped] / both[Unwatched])
        Timed.seconds = 0.0
        seconds = run(network, on_nan, Timed)[0][1]
        shares.append(Timed.seconds / seconds)
    processor, clock = np.transpose(ratios)
    return {
        "ratio": float(np.median(processor)), "quartiles": np.percentile(processor, [25, 75]).tolist(),
        "share": float(np.median(shares)), "clock": float(np.median(clock)),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    pairs = parser.parse_args().pairs
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}, {pairs} pairs"
    )
    for network in NETWORKS:
        print(network.name)
        for on_nan in nonfinite.CHOICES:
            found = measured(network, on_nan, pairs)
            low, high = found["quartiles"]
            print(
                f"  {on_nan:<9} ratio {found['ratio']:.4f} ({low:.4f} to {high:.4f})  share {found['share']:.2%}"
                f"  clock {found['clock']:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
