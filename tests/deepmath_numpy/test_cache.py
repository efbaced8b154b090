"""The kernel cache as a training sees it: used by the next process, never trusted when somebody else could write it."""

import os
import stat
import subprocess
import sys

import pytest
from deepmath_numpy import is_fused

pytestmark = pytest.mark.skipif(not is_fused(), reason="needs llvmlite")

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
print(np.concatenate([w.reshape(-1) for w in model.get_weights()]).tobytes().hex())
"""


def run(cache_home):
    """The seconds of a training in a new process, its weights, and what it said."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache_home)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    seconds, weights = done.stdout.splitlines()
    return float(seconds), weights, done.stderr


def entries(folder):
    return {p.name: p.stat().st_mtime_ns for p in (folder / "deepmath").iterdir()}


def test_a_second_process_compiles_nothing(tmp_path):
    first, weights, said = run(tmp_path)
    assert said.count("compiling kernels") == 1
    assert str(tmp_path / "deepmath") in said
    compiled = entries(tmp_path)
    assert compiled
    second, again, silent = run(tmp_path)
    print(f"twelve epochs in the first process after {first:.2f} s, in the second after {second:.2f} s")
    assert not silent
    assert entries(tmp_path) == compiled
    assert again == weights, "code from the cache has other bits than code that was just compiled"


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path):
    folder = tmp_path / "deepmath"
    folder.mkdir()
    folder.chmod(0o777)
    said = run(tmp_path)[2]
    assert said.count("can't be used (others can write to it)") == 1
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "deepmath").write_text("a file stands where the folder should be")
    said = run(tmp_path)[2]
    assert said.count("can't be used") == 1
    assert "compiled code is kept for this process only" in said


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_no_error(tmp_path):
    folder = tmp_path / "deepmath"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert run(tmp_path)[2].count("can't be used") == 1


def test_what_was_changed_is_compiled_anew(tmp_path):
    _, weights, _ = run(tmp_path)
    before = {p: p.read_bytes() for p in (tmp_path / "deepmath").iterdir()}
    for path, content in before.items():
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert run(tmp_path)[1] == weights
    assert {p: p.read_bytes() for p in before} == before
