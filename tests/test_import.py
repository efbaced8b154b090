"""Importing deepmath is light: it loads no library that only some people need."""

import os
import statistics
import subprocess
import sys

HEAVY = [
    "cupy",
    "scipy",
    "torch",
    "jax",
    "matplotlib",
    "sklearn",
    "rich",
    "click",
    "llvmlite",
    "pandas",
    "polars",
    "narwhals",
    "pyarrow",
]


def fresh(code: str) -> str:
    """What a new process prints, with compiled modules kept on disk, as an installed package has them."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=given, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_by(statement: str) -> set[str]:
    return set(fresh(f"import sys; {statement}; print(' '.join(m for m in {HEAVY!r} if m in sys.modules))").split())


def test_importing_deepmath_loads_nothing_heavy():
    assert loaded_by("import deepmath") == set()


def test_building_and_compiling_a_model_loads_nothing_heavy():
    code = "import deepmath as d; m = d.Sequential([d.Dense(2, 'relu', input_dim=3)]); m.compile('adam', 'mse')"
    assert loaded_by(code) == set()


def test_the_question_sees_a_library_that_is_loaded():
    assert "jax" in loaded_by("import jax")


def test_how_long_importing_takes_beside_numpy():
    """Printed with -rP; seconds are never asserted."""
    code = "import time; import numpy; t = time.perf_counter(); import deepmath; print(time.perf_counter() - t)"
    seconds = [float(fresh(code)) for _ in range(5)]
    print(f"import deepmath adds {1000 * statistics.median(seconds):.0f} ms to import numpy")
    assert len(seconds) == 5
