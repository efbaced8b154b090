"""Packages built and installed without a network, into folders of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def pip(*arguments: object) -> None:
    """Run pip with this interpreter, offline. Skips the test where pip or the build's backend isn't installed."""
    for module in ("pip", "hatchling"):
        pytest.importorskip(module)
    command = [sys.executable, "-m", "pip", *map(str, arguments), "--quiet", "--disable-pip-version-check"]
    environment = {**os.environ, "PIP_NO_INDEX": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def wheel_of(source: Path, folder: Path) -> Path:
    """Build the wheel of a project from a copy of it, so that nothing is written beside the sources."""
    copy = folder / "source"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns(".git", "__pycache__", "tests", "bench", "docs", ".*"))
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "wheels", copy)
    return next((folder / "wheels").glob("*.whl"))


def our_wheel(folder: Path) -> Path:
    """deepmath's own wheel, from this checkout; skips the test where there is none, as in an installed copy."""
    if not (ROOT / "deepmath").is_dir():
        pytest.skip("the sources aren't here")
    return wheel_of(ROOT, folder)


def installed(target: Path, *wheels: Path) -> Path:
    """Install wheels alone, without what they depend on, into a fresh folder."""
    pip("install", "--no-deps", "--target", target, *wheels)
    return target


def run_with(target: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run this interpreter where the target's packages come first."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(target)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=cwd)
