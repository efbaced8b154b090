"""The kernel cache: found again by a second process, never trusted when somebody else could have written it."""

import os
import stat
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys, time
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
import numpy as np
import deepmath
from deepmath import Dense, Dropout, LayerNormalization, Sequential
start = time.perf_counter()
layers = [Dense(9, activation="gelu", input_dim=2), LayerNormalization(), Dropout(0.2), Dense(1, activation="sigmoid")]
model = Sequential(layers, seed=7)
model.compile("adamw", "binary_crossentropy")
model.fit(np.random.default_rng(0).standard_normal((70, 2)), np.arange(70) % 2, epochs=12, batch_size=16, verbose=0)
print(f"{time.perf_counter() - start:.3f}")
from deepmath_numpy import cache
print(cache.folder()[1])
print(np.concatenate([w.reshape(-1) for w in model.get_weights()]).tobytes().hex())
"""


def run(cache_home):
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache_home)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    seconds, kept, weights = done.stdout.splitlines()
    return float(seconds), kept, weights, done.stderr


def entries(folder):
    return sorted(p.name for p in (folder / "deepmath").rglob("*.nbc"))


def test_a_second_process_compiles_nothing(tmp_path):
    first, kept, weights, said = run(tmp_path)
    assert kept.startswith("True")
    assert "compiling kernels" in said
    compiled = entries(tmp_path)
    assert compiled
    second, _, again, silent = run(tmp_path)
    print(f"first step of the first process after {first:.2f} s, of the second after {second:.2f} s")
    assert "compiling" not in silent
    assert entries(tmp_path) == compiled
    assert again == weights, "code from the cache has other bits than code that was just compiled"


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path):
    folder = tmp_path / "deepmath"
    folder.mkdir()
    folder.chmod(0o777)
    _, kept, _, said = run(tmp_path)
    assert kept.startswith("False")
    assert "others can write to it" in said
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "deepmath").write_text("a file stands where the folder should be")
    _, kept, _, said = run(tmp_path)
    assert kept.startswith("False")
    assert "can't be used" in said


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_no_error(tmp_path):
    folder = tmp_path / "deepmath"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert run(tmp_path)[1].startswith("False")


def test_text_that_was_changed_is_written_anew(tmp_path):
    _, _, weights, _ = run(tmp_path)
    for path in (tmp_path / "deepmath").glob("deepmath_kernel_*.py"):
        path.write_text("raise SystemExit('this must never run')")
    assert run(tmp_path)[2] == weights
