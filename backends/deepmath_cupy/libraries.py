"""Where NVIDIA's libraries lie: in wheels beside CuPy, or where the system looks for libraries."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path


@functools.cache
def load(name: str, major: int | None = None) -> ctypes.CDLL | None:
    """A library such as "nvrtc" or "cublasLt", of a major version of CUDA if one is given; None if it isn't there.

    >>> load("no_such_library") is None
    True
    """
    for path in [*_in_wheels(name, major), *(f"lib{name}.so.{m}" for m in ([major] if major else [13, 12]))]:
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    return None


def _in_wheels(name: str, major: int | None) -> list[str]:
    """Files of that name in the wheels of NVIDIA, the newest first."""
    spec = importlib.util.find_spec("nvidia")
    folders = [] if spec is None or spec.submodule_search_locations is None else spec.submodule_search_locations
    pattern = f"*/lib/lib{name}.so.{major or '*'}"
    return sorted((str(path) for folder in folders for path in Path(folder).glob(pattern)), reverse=True)
