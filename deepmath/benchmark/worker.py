"""One candidate in a process of its own: commands come as JSON lines, and each is answered by one.

It is run as a file, not as a module: a peer's process then loads NumPy and the peer, and nothing of deepmath.
A candidate is a class `Candidate` in a file, with the methods that `Contract` names.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

LATENCIES = 20_000
"""The most single rows in one turn."""


@dataclass(frozen=True)
class Task:
    """What a candidate builds: Dense layers with ReLU between, Adam (beta 0.9 and 0.999, epsilon 1e-8), no penalty.

    `weights` are kernel [features, units], bias [units], kernel, ...: float32. `options` are the candidate's own.
    """

    widths: list[int]
    batch: int
    loss: str
    learning_rate: float
    device: str
    precision: str
    options: dict[str, Any]
    weights: list[Any]

    @property
    def binary(self) -> bool:
        """Whether one output learns 0 or 1; otherwise several learn classes."""
        return self.loss == "binary_crossentropy"


class Contract(Protocol):
    """What the worker asks of a candidate.

    `settings` are ways of running that differ in speed alone; the fastest is found for each kind of work ("train",
    "infer", "row") and then used. `train` gives each epoch's loss, the mean over its rows, as Python floats: what it
    returns is what waits for a device. With `shuffle` every epoch takes the rows in a new random order.
    """

    def __init__(self, task: Task) -> None: ...
    def settings(self, kind: str) -> list[Any]: ...
    def use(self, setting: Any) -> None: ...
    def load(self, weights: list[Any]) -> None: ...
    def attach(self, X: Any, y: Any) -> None: ...
    def train(self, epochs: int, shuffle: bool) -> list[float]: ...
    def weights(self) -> list[Any]: ...
    def predict(self, X: Any) -> Any: ...
    def about(self) -> dict[str, Any]: ...


class Worker:
    """The commands."""

    candidate: Contract
    task: Task

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.chosen: dict[str, Any] = {}

    def open(self, file: str, data: str, **facts: Any) -> dict[str, Any]:
        """Build the candidate and take the first step: one batch."""
        with np.load(data, allow_pickle=False) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}
        weights = [self.arrays[f"w{i}"] for i in range(sum(n[0] == "w" for n in self.arrays))]
        self.task = Task(**facts, weights=weights)
        self.candidate = _load(file)(self.task)
        self.candidate.load(weights)
        first = slice(0, self.task.batch)
        self.candidate.attach(self.arrays["X"][first], self.arrays["y"][first])
        return {"loss": self.candidate.train(1, False)[0]}

    def check(self, out: str) -> dict[str, Any]:
        """Train as the reference does, then once shuffled; leave losses, weights and predictions in a file."""
        c, a = self.candidate, self.arrays
        c.attach(a["checked_X"], a["checked_y"])
        c.load(self.task.weights)
        found: dict[str, Any] = {"losses": c.train(2, False)}
        found |= {f"w{i}": w for i, w in enumerate(c.weights())}
        found["predictions"] = c.predict(a["X"])[:64]
        c.load(self.task.weights)
        found["shuffled_losses"] = c.train(2, True)
        found |= {f"s{i}": w for i, w in enumerate(c.weights())}
        np.savez(out, **found)
        return {}

    def tune(self, kind: str, seconds: float) -> dict[str, Any]:
        """Find the fastest setting for a kind of work, and how much of it fills a turn."""
        c = self.candidate
        if kind == "train":
            c.attach(self.arrays["X"], self.arrays["y"])
        best = None
        for setting in c.settings(kind):
            c.use(setting)
            each, count = _calibrated(self._work(kind), seconds / 4)
            if best is None or each < best[0]:
                best = each, count, setting
        assert best is not None, "a candidate has one setting at least"
        each, _, self.chosen[kind] = best
        self.counts[kind] = max(1, round(seconds / each))
        return {"setting": self.chosen[kind], "count": self.counts[kind]}

    def turn(self, kind: str) -> dict[str, Any]:
        """Time one turn: seconds for an epoch, for all rows, or for one row (median and 95th percentile)."""
        count = self.counts[kind]
        self.candidate.use(self.chosen[kind])
        work = self._work(kind)
        if kind == "row":
            each = []
            for _ in range(min(count, LATENCIES)):
                start = time.perf_counter()
                work(1)
                each.append(time.perf_counter() - start)
            return {"seconds": float(np.median(each)), "p95": float(np.quantile(each, 0.95))}
        if kind == "train":  # every turn learns the same, however long it took the last time
            self.candidate.load(self.task.weights)
        start = time.perf_counter()
        result = work(count)
        seconds = time.perf_counter() - start
        return {"seconds": seconds / count, "result": result}

    def close(self) -> dict[str, Any]:
        """What is known at the end: the process's peak memory in bytes, and what the candidate says of itself."""
        return {"peak_memory": _peak_memory(), "about": self.candidate.about()}

    def _work(self, kind: str) -> Callable[[int], Any]:
        c, X = self.candidate, self.arrays["X"]
        if kind == "train":
            return lambda count: c.train(count, True)[-1]
        rows = X if kind == "infer" else np.ascontiguousarray(X[:1])

        def infer(count: int) -> float:
            for _ in range(count):
                last = c.predict(rows)
            return float(last[0, 0])

        return infer


def _calibrated(work: Callable[[int], Any], seconds: float) -> tuple[float, int]:
    """Seconds for one piece of work, and how many pieces were timed to know it; the first one warms up."""
    work(1)
    count = 1
    while True:
        start = time.perf_counter()
        work(count)
        spent = time.perf_counter() - start
        if spent >= seconds:
            return spent / count, count
        count *= max(2, min(10, int(seconds / max(spent, 1e-9))))


def _load(file: str) -> Any:
    spec = importlib.util.spec_from_file_location("candidate", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["candidate"] = module
    spec.loader.exec_module(module)
    return module.Candidate


def _peak_memory() -> int | None:
    """The most memory that this process held, in bytes."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def main() -> None:
    """Answer commands until there are no more. What libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {"ok": getattr(worker, command.pop("do"))(**command)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
