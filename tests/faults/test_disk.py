"""Disks that are full, closed or gone: the older checkpoint stays, one line says why, and training can go on."""

from __future__ import annotations

import errno
import os
import re
import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from resuming import data, fingerprint, model, train

from deepmath import storage
from deepmath.callbacks import Callback, Checkpoint
from deepmath.cli.app import commands
from deepmath.storage import load


@pytest.fixture(scope="module")
def expected():
    return fingerprint(*train("reference"))


class At(Callback):
    """Does something before the checkpoint of a step is saved."""

    every = 10

    def __init__(self, step, action) -> None:
        self.step, self.action, self.weights = step, action, None

    def on_steps_end(self, run) -> None:
        if run.step == self.step:
            self.action()
            self.state = run.program.state()


def failure(folder: Path, action) -> str:
    """The text of the error where the disk fails before step 20 is saved; checks that nothing else was lost."""
    at, made = At(20, action), model()
    X, y = data()
    checkpoint = Checkpoint(folder, every=10)
    with pytest.raises(OSError, match="cannot save ") as error:
        made.fit(
            X, y, epochs=4, batch_size=7, verbose=0, backend="reference", callbacks=[at, checkpoint],
            validation_data=(X[:5] + 0.5, y[:5]),
        )  # fmt: skip
    names = sorted((n for n in at.state if n.startswith(("params.", "state."))), key=lambda n: int(n.split(".")[1]))
    weights = [at.state[n] for n in names]
    assert [w.tobytes() for w in made.get_weights()] == [w.tobytes() for w in weights], "the model has what it learned"
    assert "\n" not in str(error.value)
    return str(error.value)


def goes_on(folder: Path, expected: str) -> None:
    """The run is resumed from the older checkpoint, the only file there."""
    assert [p.name for p in folder.iterdir()] == ["step-10.safetensors"]
    assert int(load(folder / "step-10.safetensors").values["step"]) == 10
    assert fingerprint(*train("reference", Checkpoint(folder), resume=folder)) == expected


@pytest.mark.parametrize("offset", [0, 1, 7, 8, 9, 100, 1000, 2000, 3000, 3300])
def test_a_disk_that_is_full_after_some_bytes(offset, tmp_path, expected):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (offset, hard))

    try:
        text = failure(tmp_path, fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    start = f"[Errno {errno.EFBIG}] cannot save {tmp_path}/step-20.safetensors: the system allows no file of "
    assert text.startswith(start)
    assert text.endswith(f" kB (see ulimit -f). Last good: {tmp_path}/step-10.safetensors, untouched.")
    goes_on(tmp_path, expected)


def raising(number: int):
    def call(*arguments, **settings):
        raise OSError(number, os.strerror(number))

    return call


FAULTS = {
    "no space": ("fsync", errno.ENOSPC, r"no space on /\S* \(need 3\.\d kB, [\d.]+ [kMGT]B free\)"),
    "quota": ("fsync", errno.EDQUOT, r"your quota on /\S* is used up \(need 3\.\d kB\)"),
    "read-only": ("mkstemp", errno.EROFS, r"/\S* is read-only"),
    "input/output": ("replace", errno.EIO, r"Input/output error"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_disk_that_refuses(fault, tmp_path, monkeypatch, expected):
    call, number, told = FAULTS[fault]
    with monkeypatch.context() as patch:
        text = failure(
            tmp_path, lambda: patch.setattr(tempfile if call == "mkstemp" else os, call, raising(number))
        )  # fmt: skip
    pattern = rf"\[Errno {number}\] cannot save {tmp_path}/step-20\.safetensors: {told}\. "
    assert re.fullmatch(pattern + rf"Last good: {tmp_path}/step-10\.safetensors, untouched\.", text), text
    goes_on(tmp_path, expected)


def test_a_folder_replaced_by_a_file(tmp_path, expected):
    folder, moved = tmp_path / "run", tmp_path / "moved"

    def replace() -> None:
        folder.rename(moved)
        folder.write_text("a file")

    text = failure(folder, replace)
    assert f"cannot save {folder}/step-20.safetensors: {folder} is a file and no folder" in text
    assert folder.read_text() == "a file"
    goes_on(moved, expected)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into any folder; the mocked read-only disk stands for it")
def test_a_folder_that_can_not_be_written(tmp_path, expected):
    folder = tmp_path / "run"
    text = failure(folder, lambda: folder.chmod(0o500))
    folder.chmod(0o700)
    assert f"cannot save {folder}/step-20.safetensors: Permission denied" in text
    goes_on(folder, expected)


def test_without_an_older_checkpoint_none_is_promised(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))
    with pytest.raises(OSError, match=r"free\)\.$"):
        train("reference", Checkpoint(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_same_callback_saves_again_when_there_is_room(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path, every=10)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        train("reference", At(20, lambda: patch.setattr(os, "fsync", raising(errno.ENOSPC))), checkpoint)
    train("reference", checkpoint, resume=tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"step-30.safetensors", "step-40.safetensors"}


def test_the_command_says_it_in_one_line_and_ends_with_74(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = storage.save

    def save(path, *arguments):
        if Path(path).name == "step-20.safetensors":
            monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))
        saved(path, *arguments)

    monkeypatch.setattr(storage, "save", save)
    result = CliRunner().invoke(
        commands, ["train", "xor", "--epochs", "99", "--out", "run", "--checkpoint-every", "10", "--quiet"]
    )
    assert result.exit_code == 74
    (line,) = result.stderr.splitlines()
    assert line.startswith("deepmath: error: cannot save run/checkpoints/step-20.safetensors: no space on /")
    assert ". Last good: run/checkpoints/step-" in line
    assert line.endswith(".safetensors, untouched.")
    assert np.all(load(tmp_path / line.split("Last good: ")[1].removesuffix(", untouched.")).values["step"] < 20)
