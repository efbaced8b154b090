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

PAIRS, SEARCH_EPOCHS, AGAIN = 6, 2, 3
"""Pairs of a step and a prediction that are checked; epochs of a search; how often it trains again to time steps."""


@dataclass(frozen=True)
class Task:
    """What a candidate builds: Dense layers with ReLU between, Adam (beta 0.9 and 0.999, epsilon 1e-8), no penalty.

    `weights` are kernel [features, units], bias [units], kernel, ...: float32. `options` are the candidate's own,
    `kinds` the works that are asked of it. `part` changes the network for deepmath alone (`own.PARTS`). Where there is
    a `sample`, inputs are standardised as these rows [rows, features] would be, in training and in prediction.
    """

    widths: list[int]
    batch: int
    loss: str
    learning_rate: float
    device: str
    precision: str
    options: dict[str, Any]
    kinds: list[str]
    weights: list[Any]
    part: str = ""
    sample: Any = None

    @property
    def binary(self) -> bool:
        """Whether one output learns 0 or 1; otherwise several learn classes."""
        return self.loss == "binary_crossentropy"


class Contract(Protocol):
    """What the worker asks of a candidate; of one that doesn't train, no more than `load`, `predict` and settings.

    `settings` are ways of running that differ in speed alone; the fastest is found for each kind of work ("train",
    "infer", "row", "pair") and then used. `train` gives each epoch's loss, the mean over its rows, as Python floats:
    what it returns is what waits for a device. With `shuffle` every epoch takes the rows in a new random order.
    `pairs` takes so many steps on all rows attached, and after each predicts these rows: losses, last predictions.
    """

    def __init__(self, task: Task) -> None: ...
    def settings(self, kind: str) -> list[Any]: ...
    def use(self, setting: Any) -> None: ...
    def load(self, weights: list[Any]) -> None: ...
    def attach(self, X: Any, y: Any) -> None: ...
    def train(self, epochs: int, shuffle: bool) -> list[float]: ...
    def pairs(self, count: int) -> tuple[list[float], Any]: ...
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
        self.attached = ""

    def open(self, file: str, data: str, scaled: bool = False, **facts: Any) -> dict[str, Any]:
        """Build the candidate and take the first step, one batch, if it trains."""
        self.arrays, weights = _read(data)
        self.task = Task(**facts, weights=weights, sample=self.arrays["X"] if scaled else None)
        self.candidate = _load(file)(self.task)
        self.candidate.load(weights)
        if "train" not in self.task.kinds:
            return {}
        self._attach("pair")
        return {"loss": self.candidate.train(1, False)[0]}

    def check(self, out: str) -> dict[str, Any]:
        """Do what the reference does, then train once shuffled; leave losses, weights and predictions in a file."""
        c, a = self.candidate, self.arrays
        c.load(self.task.weights)
        found: dict[str, Any] = {"untrained": c.predict(a["X"])[:64]}
        found["row"] = c.predict(np.ascontiguousarray(a["X"][:1]))
        if "train" in self.task.kinds:
            self._attach("checked")
            found["losses"] = c.train(2, False)
            found |= {f"w{i}": w for i, w in enumerate(c.weights())}
            found["predictions"] = c.predict(a["X"])[:64]
            c.load(self.task.weights)
            found["shuffled_losses"] = c.train(2, True)
            found |= {f"s{i}": w for i, w in enumerate(c.weights())}
        if "pair" in self.task.kinds:
            self._attach("pair")
            c.load(self.task.weights)
            found["pair_losses"], found["pair_predictions"] = c.pairs(PAIRS)
        np.savez(out, **found)
        return {}

    def search(self, file: str, data: list[str], scaled: bool, **facts: Any) -> dict[str, Any]:  # noqa: ARG002
        """Build and train one network after another; the seconds of each, and those of the same training again."""
        made, totals, steps, losses = _load(file), [], [], []
        for path in data:
            arrays, weights = _read(path)
            widths = [weights[0].shape[0], *(len(bias) for bias in weights[1::2])]
            start = time.perf_counter()
            candidate = made(Task(**facts | {"widths": widths}, weights=weights))
            candidate.load(weights)
            candidate.attach(arrays["X"], arrays["y"])
            losses.append(candidate.train(SEARCH_EPOCHS, False)[-1])
            totals.append(time.perf_counter() - start)
            steps.append(min(_seconds(candidate.train, SEARCH_EPOCHS, False) for _ in range(AGAIN)))
        return {"totals": totals, "steps": steps, "losses": losses}

    def _attach(self, rows: str) -> None:
        """Take these rows: "all", the "checked" ones, or for a "pair" the first batch."""
        if rows == self.attached:
            return
        prefix, some = "checked_" if rows == "checked" else "", slice(self.task.batch if rows == "pair" else None)
        self.candidate.attach(self.arrays[f"{prefix}X"][some], self.arrays[f"{prefix}y"][some])
        self.attached = rows

    def tune(self, kind: str, seconds: float) -> dict[str, Any]:
        """Find the fastest setting for a kind of work, and how much of it fills a turn."""
        c = self.candidate
        self._ready(kind)
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
        self._ready(kind)
        start, used = time.perf_counter(), time.process_time()
        result = work(count)
        seconds, used = time.perf_counter() - start, time.process_time() - used
        return {"seconds": seconds / count, "result": result, "cores": used / seconds}

    def close(self) -> dict[str, Any]:
        """What is known at the end: the process's peak memory in bytes, and what the candidate says of itself."""
        return {"peak_memory": _peak_memory(), "about": self.candidate.about()}

    def _ready(self, kind: str) -> None:
        """The rows to train on, and weights and optimiser as at first: every turn learns the same."""
        if kind in ("train", "pair"):
            self._attach("all" if kind == "train" else kind)
            self.candidate.load(self.task.weights)

    def _work(self, kind: str) -> Callable[[int], Any]:
        c, X = self.candidate, self.arrays["X"]
        if kind == "train":
            return lambda count: c.train(count, True)[-1]
        if kind == "pair":
            return lambda count: c.pairs(count)[0][-1]
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


def _seconds(work: Callable[..., Any], *arguments: Any) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def _read(data: str) -> tuple[dict[str, Any], list[Any]]:
    """Rows, and the weights in order."""
    with np.load(data, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, [arrays[f"w{i}"] for i in range(sum(n[0] == "w" for n in arrays))]


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
