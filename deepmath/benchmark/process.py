"""A candidate's process, seen from outside: started clean, asked by JSON lines, and ended whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deepmath.benchmark.candidates import HERE, PACKAGE, Candidate

PATIENCE = 600.0
"""Seconds after which a candidate that doesn't answer is given up."""

DROPPED = ("OPENBLAS_", "GOTO_", "MKL_", "BLIS_", "OMP_", "KMP_", "NUMBA_", "NUMEXPR_", "VECLIB_", "XLA_FLAGS")
"""What begins so forces a library's threads or instructions: without it each takes all cores and the best kernels."""


class CandidateFailed(Exception):
    """A candidate's process raised, ended, or stopped answering. The text is one line."""


def environment(
    caches: Path, extra: Mapping[str, str], given: Mapping[str, str] = os.environ, source: Path = PACKAGE.parent
) -> dict[str, str]:
    """What a candidate's process is started with: nothing that slows libraries down, and compiled code kept apart.

    deepmath is that of `source`, with its backends.

    >>> kept = environment(Path("c"), {}, {"OPENBLAS_CORETYPE": "Haswell", "HOME": "/root"})
    >>> sorted(kept)[:2], "OPENBLAS_CORETYPE" in kept
    (['CUPY_CACHE_DIR', 'HOME'], False)
    """
    kept = {name: value for name, value in given.items() if not name.startswith(DROPPED)}
    folders = {
        "XDG_CACHE_HOME": "deepmath",
        "CUPY_CACHE_DIR": "cupy",
        "JAX_COMPILATION_CACHE_DIR": "jax",
        "TORCHINDUCTOR_CACHE_DIR": "inductor",
        "TRITON_CACHE_DIR": "triton",
    }
    own = [str(p) for p in (source / "backends", source) if p.is_dir()]
    path = os.pathsep.join(p for p in (*own, given.get("PYTHONPATH", "")) if p)
    placed = {name: str(caches / folder) for name, folder in folders.items()}
    return kept | placed | {"PYTHONPATH": path, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"} | dict(extra)


def _environment(caches: Path, candidate: Candidate) -> dict[str, str]:
    """The same for a candidate; that of another checkout finds the backends that its own pyproject.toml names."""
    if candidate.source is None:
        return environment(caches, candidate.environment)
    facts = tomllib.loads((candidate.source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = facts.get("entry-points", {}).get("deepmath.backends", {})
    written = caches / "deepmath-0.dist-info"
    written.mkdir(exist_ok=True)
    (written / "METADATA").write_text("Metadata-Version: 2.1\nName: deepmath\nVersion: 0\n", encoding="utf-8")
    lines = ["[deepmath.backends]", *(f"{name} = {place}" for name, place in points.items())]
    (written / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = environment(caches, candidate.environment, source=candidate.source)
    return found | {"PYTHONPATH": os.pathsep.join((str(caches), found["PYTHONPATH"]))}


class Worker:
    """One candidate's process. As a context manager it ends the process."""

    def __init__(self, candidate: Candidate, folder: Path, number: int = 1) -> None:
        self.candidate = candidate
        name = candidate.name.replace(" ", "-")
        caches = folder / "caches" / name
        for cache in ("deepmath", "cupy", "jax", "inductor", "triton"):
            (caches / cache).mkdir(parents=True, exist_ok=True)
        self._errors = folder / f"{name}-{number}.log"
        self._log = self._errors.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(caches, candidate),
            text=True,
            encoding="utf-8",
        )
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, do: str, patience: float = PATIENCE, **settings: Any) -> dict[str, Any]:
        """Give a command and wait for its answer. Raises CandidateFailed."""
        assert self._process.stdin is not None
        try:
            print(json.dumps({"do": do, **settings}), file=self._process.stdin, flush=True)
            line = self._answers.get(timeout=patience)
        except queue.Empty:
            raise CandidateFailed(f"gave no answer to '{do}' in {patience:g} s") from None
        except OSError:
            line = ""
        if not line:
            raise CandidateFailed(f"its process ended in '{do}'{self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise CandidateFailed(" ".join(f"{answer['error']} (in '{do}')".split()))
        return dict(answer["ok"])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def _last_words(self) -> str:
        lines = self._errors.read_text(encoding="utf-8", errors="replace").split("\n")
        words = [line.strip() for line in lines if line.strip()]
        return f": {words[-1]}" if words else ""

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._reader.join()
        with contextlib.suppress(OSError):  # it may hold what a dead process never read
            self._process.stdin.close()
        self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.end()
