"""A process killed at any moment of a save leaves whole checkpoints: the newest or the one before it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import saving_forever
from saving_forever import run_at

from deepmath import storage
from deepmath.training.checkpoints import Checkpoint

SIZES = {"small": 8, "16 MB": 2_000_000}
LONGEST = 0.15
"""Seconds from a save to the kill, at most: some saves of either size."""


def killed(folder: Path, numbers: int, first: int, wait: float) -> int:
    """Let a process save and kill it; the last step that it told as saved."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, str(saving_forever.__file__), str(folder), str(numbers), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        last = int(process.stdout.readline())
        time.sleep(wait)
        process.kill()
        told = process.stdout.read().split("\n")[:-1]  # a line may be cut
    return int(told[-1]) if told else last


def kills(folder: Path, numbers: int, count: int) -> int:
    """Kill so many processes, looking at what each has left; how many left a file half written."""
    rng, last, halves = random.Random(count), 0, 0
    for _ in range(count):
        last = killed(folder, numbers, last, rng.uniform(0.0, LONGEST))
        found = {int(p.name[5:-12]): storage.load(p).values for p in folder.glob("step-*")}  # a torn one raises
        for step, values in found.items():
            assert (values["params.0.kernel"] == step).all()
            assert values["params.0.kernel"].shape == (numbers,)
        assert max(found) in (last, last + 1), "the newest is what was told, or was saved just before the kill"
        assert 2 <= len(found) <= 3 or max(found) == 1, "with one more, the kill came before the oldest was removed"
        last = max(found)
        halves += len(list(folder.glob(".step-*.tmp.*")))
        assert len(list(folder.glob(".*"))) <= 1, "the next process sweeps what this one left"
    return halves


@pytest.mark.parametrize("size", SIZES)
def test_ten_kills(size, tmp_path):
    kills(tmp_path, SIZES[size], 10 if size == "small" else 3)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_two_hundred_kills(size, tmp_path, record_property):
    halves = kills(tmp_path, SIZES[size], 200)
    record_property("half written", halves)
    assert halves > 10, "the kills came in the middle of saves"


def test_leftovers_are_swept_and_nothing_else(tmp_path):

    names = [".step-7.safetensors.tmp.ab12", ".step-7.safetensors", "step-8.safetensors.tmp.x", ".model.tmp.x", "a"]
    for name in names:
        (tmp_path / name).write_bytes(b"cut")
    checkpoint = Checkpoint(tmp_path)
    checkpoint.on_train_begin(run_at(9))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names[1:])


def test_the_order_of_a_save(tmp_path, monkeypatch):
    """Sync the file, read it back, rename, sync the folder, and only then remove the oldest."""

    checkpoint = Checkpoint(tmp_path, every=1, keep=1)
    checkpoint.on_steps_end(run_at(1))
    calls = []

    def told(name, of, told_as):
        def call(*arguments, **settings):
            calls.append((name, told_as(arguments[0])))
            return of(*arguments, **settings)

        return call

    def kind(handle):
        path = os.readlink(f"/proc/self/fd/{handle}")
        return "folder" if os.path.isdir(path) else "file"

    def label(path):
        return "temporary" if Path(path).name.startswith(".") else Path(path).name

    monkeypatch.setattr(os, "fsync", told("sync", os.fsync, kind))
    monkeypatch.setattr(os, "replace", told("rename", os.replace, label))
    monkeypatch.setattr(Path, "read_bytes", told("read", Path.read_bytes, label))
    monkeypatch.setattr(Path, "unlink", told("remove", Path.unlink, label))
    checkpoint.on_steps_end(run_at(2))
    assert calls == [
        ("sync", "file"), ("read", "temporary"), ("rename", "temporary"), ("sync", "folder"),
        ("remove", "step-1.safetensors"),
    ]  # fmt: skip
    assert np.all(storage.load(tmp_path / "step-2.safetensors").values["params.0.kernel"] == 2)
