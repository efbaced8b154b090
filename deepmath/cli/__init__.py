"""The command `deepmath`. It needs click and rich: pip install 'deepmath[cli]'."""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command; what the entry point calls."""
    if importlib.util.find_spec("click") is None:
        print("deepmath: the command needs the package 'click': pip install 'deepmath[cli]'", file=sys.stderr)
        raise SystemExit(69)
    from deepmath.cli.app import commands

    commands(prog_name="deepmath")
