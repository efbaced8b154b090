"""Compiled text: each kernel's module lies in the cache folder under its own SHA-256.

The text of a module is the whole of what its code depends on, so its hash is a safe name: a changed formula
or printer is another file. (Numba's own cache never hits for closures and executed text, and hits stale when
an imported helper has changed.) A module is registered before it runs, which is what lets Numba keep
machine code beside it. Only a folder that nobody else can write is used.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
import threading
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import ParamSpec, TypeVar

from deepmath.cache import announce, folder, is_private, write

__all__ = ["folder", "load", "remembered", "text"]

P = ParamSpec("P")
R = TypeVar("R")
_lock = threading.RLock()
_PREFIX = "deepmath_kernel_"


def remembered(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which answers the same question once: tracing a formula takes a millisecond, and a fit asks for many.

    What can't be hashed, such as a loss that holds an array, is answered anew.
    """
    memory = functools.lru_cache(maxsize=512)(function)

    @functools.wraps(function)
    def answer(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            hash((args, tuple(kwargs.values())))
        except TypeError:
            return function(*args, **kwargs)
        return memory(*args, **kwargs)  # type: ignore[arg-type]

    return answer


@functools.cache
def text(name: str) -> str:
    """One of the texts in the folder text/, without what it imports from deepmath: that stands in front of it."""
    whole = resources.files(__package__).joinpath("text", f"{name}.py").read_text(encoding="utf-8")
    lines: list[str | None] = list(whole.splitlines())
    for node in ast.parse(whole).body:
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        if module.startswith("deepmath") and module != "deepmath_numpy.loop":
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = None
    return "\n".join(line for line in lines if line is not None)


def load(text: str) -> ModuleType:
    """The module of this text; compiled functions in it come from the cache where they are known.

    Runs only text that deepmath printed: a file whose content is not exactly that is written anew.
    """
    name = _PREFIX + hashlib.sha256(text.encode()).hexdigest()
    with _lock:
        if name in sys.modules:
            return sys.modules[name]
        path = _stored(name, text)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module


def _stored(name: str, text: str) -> Path:
    directory, _ = folder()
    path = directory / f"{name}.py"
    try:
        if path.read_text(encoding="utf-8") == text and is_private(path):
            return path
    except (OSError, UnicodeDecodeError):
        announce(directory)
    write(path, text.encode())
    return path
