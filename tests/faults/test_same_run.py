"""The same seed gives the same run to the last bit, in any process and whatever the order of Python's sets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import repeating


def fingerprints(hash_seed: str) -> dict[str, str]:
    """By program and configuration, from a process of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment |= {
        "PYTHONPATH": os.pathsep.join([str(Path(repeating.__file__).parent), *filter(None, sys.path)]),
        "PYTHONHASHSEED": hash_seed,
    }
    done = subprocess.run(
        [sys.executable, repeating.__file__], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return {" on ".join(reversed(line.split("\t")[:2])): line.split("\t")[2] for line in done.stdout.splitlines()}


def check(runs: list[dict[str, str]]) -> None:
    assert len(runs[0]) == 10
    assert len(set(runs[0].values())) == 10, "each run is another"
    assert all(run == runs[0] for run in runs), [sorted(set(run.items()) - set(runs[0].items())) for run in runs]


def test_two_processes():
    check([fingerprints("0"), fingerprints("random")])


@pytest.mark.slow
def test_three_processes_for_each_of_three_hash_seeds():
    check([fingerprints(seed) for seed in ("0", "1", "random") for _ in range(3)])
