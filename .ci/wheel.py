"""Build the wheel, list what it brings, train in an environment that has nothing else, and test what packing can break.

usage: python .ci/wheel.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXPECTED = {"deepmath", "deepmath_cupy", "deepmath_numpy"}
LIMIT = 1_000_000
PACKED = [
    "tests/cli", "tests/deepmath_numpy", "tests/report", "tests/study/test_explain.py", "tests/test_import.py",
    "tests/test_model.py", "tests/deepmath_cupy/test_environment.py",
]  # fmt: skip
"""Tests of what reads entry points and files beside the code; all others have run on the tree and tell nothing new."""
INSTALLED, HELD = 85, 120
"""Megabytes that the core takes with all that it needs, and that a process holds which trains a small network."""
ALONE = """
import pathlib, sys
import numpy as np, deepmath
model = deepmath.Sequential([deepmath.Dense(64, "relu"), deepmath.Dense(64, "relu"), deepmath.Dense(2, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
X = np.random.default_rng(0).standard_normal((512, 40))
losses = model.fit(X, X[:, 0] > 0, epochs=20, verbose=0).history["loss"]
assert losses[-1] < losses[0], losses
print("trained with the core alone,", model.plan().splitlines()[0])
status = pathlib.Path("/proc/self/status")
if status.exists():
    held = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1000
    print(f"the process held {held:.0f} MB at most")
    assert held < float(sys.argv[1]), f"more than {sys.argv[1]} MB"
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = folder / "venv" / "bin" / "python"
        venv.create(folder / "venv", with_pip=True)
        run(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT))
        wheel = next(folder.glob("*.whl"))
        names = {n.split("/")[0] for n in zipfile.ZipFile(wheel).namelist()}
        names = {n for n in names if not n.endswith(".dist-info")}
        print(f"{wheel.name}: {wheel.stat().st_size:,} bytes, top-level names {sorted(names)}", flush=True)
        if names != EXPECTED or wheel.stat().st_size > LIMIT:
            print(f"expected {sorted(EXPECTED)} in less than {LIMIT:,} bytes")
            return 1
        before = size_of(folder / "venv")
        run(python, "-m", "pip", "install", "-q", str(wheel))
        installed = (size_of(folder / "venv") - before) / 1e6
        print(f"the core and what it needs: {installed:.0f} MB installed", flush=True)
        if installed > INSTALLED:
            print(f"expected less than {INSTALLED} MB")
            return 1
        run(python, "-c", ALONE, HELD, cwd=folder)
        site = folder / "site"
        run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel))
        for item in ("tests", "README.md", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / item).is_dir() else shutil.copy
            copy(ROOT / item, folder / item)
        inside = {**os.environ, "PYTHONPATH": str(site)}
        where = f"import deepmath, deepmath_numpy; assert {str(site)!r} in deepmath.__file__, deepmath.__file__"
        run(sys.executable, "-c", where, cwd=folder, env=inside)
        run(sys.executable, "-m", "pytest", "-q", *PACKED, cwd=folder, env=inside)
    return 0


def size_of(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def run(*command: object, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> None:
    subprocess.run([str(c) for c in command], cwd=cwd, check=True, env=env)


if __name__ == "__main__":
    sys.exit(main())
