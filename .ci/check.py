"""One command that checks everything: format, lint, types, import rules, tests (with sizes and documentation).

usage: python .ci/check.py [arguments for pytest]
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STEPS = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["mypy"],
    "imports": ["importlinter.cli"],
    "tests": ["pytest", "-q", "--durations=5", *sys.argv[1:]],
}
ENTRY = "from importlinter.cli import lint_imports_command as main; main()"


def main() -> int:
    """Run every step, even after one has failed; 1 if any did."""
    failed = []
    for name, (module, *arguments) in STEPS.items():
        print(f"== {name}", flush=True)
        start = time.monotonic()
        run = ["-c", ENTRY] if name == "imports" else ["-m", module, *arguments]
        if subprocess.run([sys.executable, *run], cwd=ROOT, check=False).returncode:
            failed.append(name)
        print(f"== {name}: {time.monotonic() - start:.0f} s", flush=True)
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
