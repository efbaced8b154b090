"""Whole steps under AddressSanitizer and UBSan, with NumPy's own allocations as the device's memory."""

import os
import subprocess
import sys
from pathlib import Path

import cuda_shim
import pytest

SCRIPT = Path(__file__).parent.parent / "cuda_sanitized.py"


def sanitized(*arguments):
    """What the script printed, and what the sanitizers said."""
    libraries = []
    for name in ("libasan.so", "libubsan.so"):
        found = subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
        libraries.append(found.stdout.strip())
    if not all(os.path.isabs(path) for path in libraries):
        pytest.skip("g++ comes without sanitizers")
    environment = dict(
        os.environ,
        LD_PRELOAD=" ".join(libraries),
        ASAN_OPTIONS="detect_leaks=0:detect_stack_use_after_return=0",
        OPENBLAS_NUM_THREADS="1",
        DEEPMATH_SHIM_FOLDER=str(cuda_shim.folder),
    )
    command = [sys.executable, str(SCRIPT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return done.stdout.strip(), done.stderr


def test_a_step_is_clean(shim):
    said, errors = sanitized("20", "float32")
    assert said == "clean", errors


def test_a_missing_bound_is_told(shim):
    said, errors = sanitized("spoiled", "20", "float32")
    assert said != "clean"
    assert "AddressSanitizer" in errors, errors


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float64", "bf16", "float16"])
def test_steps_are_clean(shim, precision):
    said, errors = sanitized(*map(str, range(12)), precision)
    assert said == "clean", errors
