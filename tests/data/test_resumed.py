"""A run on data that come in pieces, stopped after any step and resumed in a fresh process: the same bits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import feeding
import numpy as np
import pytest
from feeding import KINDS, STEPS, resumable, small_model

from deepmath.callbacks import Callback, Checkpoint
from deepmath.datasets import NpySource
from deepmath.errors import ConfigError

AT = (1, 3, 6, 7, 20, 21, 22, 40, STEPS)


class Copy(Callback):
    """Copies the checkpoint of some steps to their own folders."""

    every = 1
    last = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_steps_end(self, run) -> None:
        if run.step in AT:
            own = self.folder / f"at-{run.step}"
            own.mkdir()
            shutil.copy(self.folder / "all" / f"step-{run.step}.safetensors", own)


def fresh_process(*arguments: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(feeding.__file__).parent), *filter(None, sys.path)])
    command = [sys.executable, "-W", "error", feeding.__file__, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_after_a_step_in_a_fresh_process(kind, files, tmp_path):
    paths = [str(p) for p in files]
    expected = resumable(kind, paths)
    assert resumable(kind, paths, Checkpoint(tmp_path / "all", every=1), Copy(tmp_path)) == expected
    done = fresh_process(kind, *paths, *(str(tmp_path / f"at-{step}") for step in AT))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [expected] * len(AT)


def test_a_killed_process_is_resumed(files, tmp_path):
    paths = [str(p) for p in files]
    killed = fresh_process("window", *paths, f"kill:{tmp_path / 'c'}:23")
    assert killed.returncode < 0, killed.stderr
    done = fresh_process("window", *paths, str(tmp_path / "c"))
    assert done.stdout.split() == [resumable("window", paths)], done.stderr


def test_another_file_or_window_is_refused(files, tmp_path, arrays):
    paths = [str(p) for p in files]
    resumable("window", paths, Checkpoint(tmp_path, every=5))
    other = [str(tmp_path / f"{name}.npy") for name in "Xy"]
    np.save(other[0], arrays[0] + 1)
    np.save(other[1], arrays[1])

    def refusal(kind, paths, **settings) -> str:
        with pytest.raises(ConfigError, match="can't resume from") as error:
            resumable(kind, paths, resume=tmp_path, **settings)
        return str(error.value)

    assert "data was '" in refusal("window", other)
    assert "shuffle was 100 and is True" in refusal("rows", paths)
    assert "kind was 'npy' and is 'sequence'" in refusal("sequence", paths)
    with pytest.raises(ConfigError, match="accumulate was 1 and is 2"):
        small_model().fit(NpySource(*paths), batch_size=16, accumulate=2, shuffle=100, resume=tmp_path, verbose=0)


def test_a_generator_that_is_too_short_to_be_resumed_says_so(files, tmp_path, arrays):
    given = feeding.batches(*arrays)
    settings = {"steps_per_epoch": 10, "verbose": 0, "epochs": 1}
    small_model().fit((b for b in given), callbacks=[Checkpoint(tmp_path)], **settings)
    with pytest.raises(ConfigError, match=r"the generator ended after 7 batches, and steps_per_epoch=10 asks for more"):
        small_model().fit((b for b in given[:7]), resume=tmp_path, **settings | {"epochs": 2})
