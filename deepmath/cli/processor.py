"""The processor, and environment variables that make libraries use less of it than there is."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

LEVELS = ("SSE", "AVX", "AVX2", "AVX-512")
"""Widths of vector instructions, each including the ones before it."""

_CORES = (
    "prescott core2 penryn dunnington atom nehalem athlon opteron opteron_sse3 barcelona bobcat katmai northwood nano",
    "sandybridge bulldozer piledriver steamroller",
    "haswell zen excavator",
    "skylakex cooperlake sapphirerapids",
)
_OPENBLAS = {core: level for level, cores in enumerate(_CORES) for core in cores.split()}
_MKL = {"sse4_2": 0, "avx": 1, "avx2": 2, "avx512": 3, "avx512_e1": 3}
_BLIS = {"generic": 0, "penryn": 0, "sandybridge": 1, "haswell": 2, "zen": 2, "zen2": 2, "zen3": 2, "skx": 3, "zen4": 3}
CORE_VARIABLES = {
    "OPENBLAS_CORETYPE": ("OpenBLAS", _OPENBLAS),
    "MKL_ENABLE_INSTRUCTIONS": ("MKL", _MKL),
    "BLIS_ARCH_TYPE": ("BLIS", _BLIS),
}
"""Variables that choose a core: the library that obeys, and the vectors of each core by its name in lower case."""

_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS")


def name() -> str:
    """The processor's name as it calls itself."""
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def level() -> int | None:
    """The place in LEVELS of the widest vectors, or None for a processor of another family."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    flags = next((set(line.split()) for line in _cpuinfo() if line.startswith("flags")), None)
    if flags is None:
        known: Any = np.show_config(mode="dicts")
        simd = known["SIMD Extensions"]
        flags = {str(f).lower() for f in (*simd["baseline"], *simd["found"])}
    for place, names in ((3, {"avx512f", "x86_v4"}), (2, {"avx2", "x86_v3"}), (1, {"avx"})):
        if names & flags:
            return place
    return 0


def vectors() -> str:
    """The widest vectors by name."""
    found = level()
    return platform.machine() if found is None else LEVELS[found]


def warnings(environ: Mapping[str, str] = os.environ) -> list[str]:
    """One line for each environment variable that holds a library below what the processor can do.

    >>> warnings({"OPENBLAS_CORETYPE": "no such core"})
    []
    """
    found = []
    here = level()
    for variable, (library, cores) in CORE_VARIABLES.items():
        value = environ.get(variable, "")
        forced = cores.get(value.lower())
        if here is not None and forced is not None and forced < here:
            found.append(
                f"{variable}={value} holds {library} to {LEVELS[forced]}, and the processor has {LEVELS[here]}: "
                "NumPy's matrix products may run at half their speed. Unset it."
            )
    for variable in _THREADS:
        told = environ.get(variable, "")
        if told.isdecimal() and 0 < int(told) < usable_cores():
            share = f"{told} of {usable_cores()} cores"
            found.append(f"{variable}={told} keeps NumPy's matrix products to {share}. Unset it.")
    return found


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
