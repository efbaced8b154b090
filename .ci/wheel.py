"""Build the wheel, install it into a clean environment, list what it brings, and run the tests against it.

usage: python .ci/wheel.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXPECTED = {"deepmath", "deepmath_cupy", "deepmath_numpy"}
LIMIT = 1_000_000


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
        run(python, "-m", "pip", "install", "-q", f"{wheel}[test]")
        for item in ("tests", "README.md", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / item).is_dir() else shutil.copy
            copy(ROOT / item, folder / item)
        run(python, "-m", "pytest", "-q", "tests", cwd=folder)
    return 0


def run(*command: object, cwd: Path = ROOT) -> None:
    subprocess.run([str(c) for c in command], cwd=cwd, check=True)


if __name__ == "__main__":
    sys.exit(main())
