"""All that needs a CUDA device, in order, first results first, within ten minutes.

usage: python bench/on_gpu.py [--minutes N] [--results DIR]

1. What the machine has. 2. Whether a training step runs and agrees with the reference, in each precision. 3. Steps per
second of two networks, by precision. 4. The tests of the device. 5. The comparison with other frameworks, where they
are installed. After each part everything so far is written to DIR (bench/results): gpu.json, gpu.md, and gpu-tests.xml,
gpu-bench.json and gpu-bench.md from tests and comparison. What doesn't fit into the time is named and left out; nothing
is printed or written that was not measured here.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import math
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from deepmath import Dense, Sequential
from deepmath.backend import load_backend
from deepmath.benchmark import candidates, result
from deepmath.callbacks import Callback
from deepmath.cli import processor
from deepmath.errors import DeepmathError

ROOT = Path(__file__).resolve().parent.parent
PRECISIONS = {"float32": 1e-4, "tf32": 2e-2, "bf16": 5e-2, "float16": 2e-2, "float64": 1e-9}
"""How far the loss of a few steps may be from the reference's, as a share of it."""

NETWORKS = {
    "A: 784-256-128-10, batch 128": ((256, 128), 784, 10, 128, 12_800),
    "B: 4096 x 4, batch 8192": ((4096, 4096, 4096), 4096, 4096, 8192, 16_384),
}
"""Widths of the hidden layers, features, classes, rows of a batch and of the data."""

EPOCHS = 6


class Clock(Callback):
    """When each epoch ended; by then its results have come to the host, so all its work is done."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_epoch_end(self, run: Any, logs: Any) -> None:
        self.ends.append(time.perf_counter())


class Run:
    """The parts one after another, until the time is over; `found` is what gpu.json holds."""

    def __init__(self, minutes: float, folder: Path) -> None:
        self.stop = time.monotonic() + 60.0 * minutes
        self.folder, self.failed = folder, False
        machine = result.machine(processor.name(), processor.vectors(), processor.usable_cores())
        self.found: dict[str, Any] = {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": shlex.join(["python", *sys.argv]), "commit": result.commit(), "machine": machine, "device": {},
            "versions": candidates.versions([]), "agreement": [], "speed": [], "commands": [],
        }  # fmt: skip

    def part(self, name: str, do: Callable[[], bool]) -> None:
        """Do a part and write what is known by then; an error ends this part alone."""
        print(f"== {name}", flush=True)
        if time.monotonic() > self.stop:
            print("left out, the time is over", flush=True)
            return
        try:
            self.failed |= not do()
        except Exception as error:  # the other parts must still run on a machine that may be gone tomorrow
            print(f"failed: {type(error).__name__}: {error}", flush=True)
            self.found["commands"].append({"name": name, "error": f"{type(error).__name__}: {error}"})
            self.failed = True
        self.write()

    def call(self, name: str, *command: str) -> bool:
        """Run a command within the time that is left; whether it succeeded."""
        asked = [sys.executable, "-m", *command]
        print(shlex.join(command), flush=True)
        started, left = time.monotonic(), self.stop - time.monotonic()
        try:
            status: int | None = subprocess.run(asked, cwd=ROOT, check=False, timeout=left).returncode
        except subprocess.TimeoutExpired:
            status = None
            print("stopped, the time is over", flush=True)
        seconds = round(time.monotonic() - started, 1)
        self.found["commands"].append(
            {"name": name, "command": shlex.join(command), "status": status, "seconds": seconds}
        )
        return status == 0

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.found, indent=1, allow_nan=False) + "\n"
        (self.folder / "gpu.json").write_text(text, encoding="utf-8")
        (self.folder / "gpu.md").write_text(table(self.found), encoding="utf-8")


def main() -> int:
    """Run the parts; 1 if one failed, or what the missing device says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results", metavar="DIR")
    given = parser.parse_args()
    run, folder = Run(given.minutes, given.results), given.results
    try:
        load_backend("cupy")
    except DeepmathError as error:
        print(error, flush=True)
        return error.exit_code
    run.part("machine", lambda: machine(run))
    run.part("agreement", lambda: min(list(map(functools.partial(agrees, run), PRECISIONS))))
    for name, network in NETWORKS.items():
        run.part(name, lambda name=name, network=network: speed(run, name, *network))  # type: ignore[misc]
    xml = f"--junitxml={folder / 'gpu-tests.xml'}"
    run.part("tests", lambda: run.call("tests", "pytest", "-q", "-n", "0", "-m", "gpu", xml, "tests/deepmath_cupy"))
    files = ["--json", str(folder / "gpu-bench.json"), "--table", str(folder / "gpu-bench.md")]
    asked = ["deepmath.cli", "bench", "--backend", "cupy,numpy", "--peers", "--no-sweeps", *files]
    run.part("comparison", lambda: run.call("comparison", *asked))
    return int(run.failed)


def machine(run: Run) -> bool:
    """Device, driver, CuPy, NVRTC, cublasLt and memory, as `deepmath doctor` has them."""
    from deepmath_cupy import report

    run.found["device"] = dict(report.rows())
    for name, value in run.found["device"].items():
        print(f"{name}: {value}", flush=True)
    return True


def agrees(run: Run, precision: str) -> bool:
    """Whether a small network learns as by the reference, with the same bits in two runs."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 12)), rng.integers(0, 3, 300)

    def losses(**where: Any) -> Any:
        layers = [Dense(64, activation="relu", input_dim=12), Dense(32, activation="tanh"), Dense(3, "softmax")]
        model = Sequential(layers, seed=1)
        model.compile("sgd", "sparse_categorical_crossentropy")
        return np.asarray(model.fit(x, y, epochs=3, batch_size=64, verbose=0, **where).history["loss"])

    wide = "float64" if precision == "float64" else "float32"
    expected = losses(backend="reference", precision=wide)
    one, other = (losses(backend="cupy", precision=precision) for _ in range(2))
    away = float(np.max(np.abs(one - expected) / np.abs(expected)))
    right, same = away <= PRECISIONS[precision], one.tobytes() == other.tobytes()
    run.found["agreement"].append({"precision": precision, "away": finite(away), "right": right, "same bits": same})
    print(f"{precision}: {away:.2g} from the reference, two runs {'equal' if same else 'DIFFER'}", flush=True)
    return right and same


def speed(
    run: Run, name: str, hidden: tuple[int, ...], features: int, classes: int, batch: int, rows: int
) -> bool:  # fmt: skip
    """Steps per second in each precision: the median of epochs after the first, which compiles and records."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((rows, features), np.float32), rng.integers(0, classes, rows)
    right = True
    for precision in PRECISIONS if max(hidden) < 1000 else list(PRECISIONS)[:4]:
        if time.monotonic() > run.stop:
            print(f"{precision}: left out, the time is over", flush=True)
            continue
        layers = [*(Dense(n, activation="relu") for n in hidden), Dense(classes, activation="softmax")]
        model, clock = Sequential(layers, seed=0), Clock()
        model.compile("adam", "sparse_categorical_crossentropy")
        where = {"backend": "cupy", "precision": precision}
        fitted = model.fit(x, y, epochs=EPOCHS, batch_size=batch, verbose=0, callbacks=[clock], **where)
        losses = fitted.history["loss"]
        if not all(map(math.isfinite, losses)):
            print(f"{precision}: not timed, the loss went {losses}", flush=True)
            right = False
            continue
        rate = rows / batch / float(np.median(np.diff(clock.ends)))
        row = {"network": name, "precision": precision, "steps per second": rate, "loss": [losses[0], losses[-1]]}
        run.found["speed"].append(row)
        print(f"{precision}: {rate:,.0f} steps/s, loss {losses[0]:.4f} -> {losses[-1]:.4f}", flush=True)
    return right


def finite(x: float) -> float | None:
    """The number as JSON can hold it."""
    return x if math.isfinite(x) else None


def table(found: dict[str, Any]) -> str:
    """What was found, for people."""
    device = found["device"]
    lines = [f"# On a CUDA device, {found['date']}", "", f"`{found['command']}`, commit {found['commit']}", ""]
    lines += ["| what | how it stands |", "|---|---|", *(f"| {k} | {v} |" for k, v in device.items())]
    lines += [f"| {k} | {v} |" for k, v in {**found["machine"], **found["versions"]}.items()]
    bits, ended = {True: "equal", False: "differ"}, found["commands"]
    lines += ["", "| precision | from the reference | two runs |", "|---|---|---|"]
    lines += [f"| {r['precision']} | {r['away']} | {bits[r['same bits']]} |" for r in found["agreement"]]
    lines += ["", "| network | precision | steps/s |", "|---|---|---|"]
    lines += [f"| {r['network']} | {r['precision']} | {r['steps per second']:,.0f} |" for r in found["speed"]]
    lines += ["", "| part | status | seconds |", "|---|---|---|"]
    lines += [f"| {c['name']} | {c.get('error', c.get('status'))} | {c.get('seconds', '')} |" for c in ended]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
