"""Ctrl-C while the reading thread waits for a slow generator or sequence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import feeding
import pytest
import stuck
from resuming import Keep, fingerprint

from deepmath import storage


class Stuck:
    """A process that trains until its data come no more."""

    def __init__(self, *arguments: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        environment["PYTHONPATH"] = os.pathsep.join([str(Path(feeding.__file__).parent), *filter(None, sys.path)])
        command = [sys.executable, "-W", "error", stuck.__file__, *arguments]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.expect("stuck")

    def expect(self, line: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{line}\n", self._process.communicate()

    def send(self, number: int) -> float:
        self._process.send_signal(number)
        return time.monotonic()

    def wait(self) -> tuple[int, str]:
        """Exit code as a shell gives it, and what was written to stderr."""
        _, error = self._process.communicate(timeout=60)
        code = self._process.returncode
        return 128 - code if code < 0 else code, error

    def __enter__(self) -> Stuck:
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.communicate()


def steps(folder: Path) -> list[int]:
    return sorted(int(storage.load(p).values["step"]) for p in folder.glob("step-*.safetensors"))


@pytest.mark.parametrize("kind", ["generator", "sequence"])
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_saves_without_waiting_for_the_data(kind, number, expected, tmp_path, record_property):
    with Stuck(kind, str(tmp_path)) as process:
        sent = process.send(number)
        code, error = process.wait()
        record_property("seconds", time.monotonic() - sent)
    assert code == expected, error
    assert steps(tmp_path) == [stuck.GIVEN]


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    """Where even the end of training hangs."""
    with Stuck("generator", str(tmp_path), "ending") as process:
        process.send(signal.SIGINT)
        process.expect("ending")
        process.send(signal.SIGINT)
        code, error = process.wait()
    assert code == 130, error
    assert steps(tmp_path) == [stuck.GIVEN]


@pytest.mark.parametrize("kind", ["generator", "sequence"])
def test_it_goes_on_with_the_same_bits(kind, tmp_path):
    with Stuck(kind, str(tmp_path)) as process:
        process.send(signal.SIGINT)
        process.wait()
    batches = feeding.batches(*feeding.arrays())

    def trained(**settings) -> str:
        seen = Keep()
        given = batches if kind == "sequence" else iter(batches)
        more = {"shuffle": False} if kind == "sequence" else {"steps_per_epoch": len(batches)}
        history = feeding.small_model().fit(given, verbose=0, callbacks=[seen], **more, **settings)
        return fingerprint(history, seen.state)

    assert trained(resume=tmp_path) == trained()
