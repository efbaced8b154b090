"""The memory of a process doesn't grow with the file that it trains on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import larger_than_memory
import pytest

LIMIT = 1000
"""Megabytes of memory that no file stands behind, in a process that trains with a window of 8192 rows."""


def figures(folder: Path, gigabytes: float, *options: str) -> dict:
    command = [sys.executable, larger_than_memory.__file__, str(folder), "--gigabytes", str(gigabytes), *options]
    alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # threads that wait for each other measure the neighbours
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return json.loads(done.stdout)


@pytest.mark.parametrize(("dtype", "gigabytes"), [("float32", 0.2), ("uint8", 0.05)])
def test_memory_is_bounded_by_the_window(tmp_path, dtype, gigabytes):
    found = figures(tmp_path, gigabytes, "--dtype", dtype, "--window", "1024", "--turn", "0")
    assert found["rows"] * 784 * 4 > 150e6  # as the floats that it trains on
    assert 0 < found["anonymous_MB"] - found["anonymous_before_MB"] < 100


@pytest.mark.slow
def test_a_file_larger_than_memory(tmp_path, request):
    found = figures(tmp_path, request.config.getoption("--gigabytes") or 20.0)
    assert found["anonymous_MB"] < LIMIT
    assert found["ratio"] >= 0.9
