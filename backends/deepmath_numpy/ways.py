"""The ways in which steps run, and which one a network takes."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from types import ModuleType

from deepmath.printers import numba
from deepmath_numpy import blas, cache, loop
from deepmath_numpy.layout import Stage

WAYS = ("interpreted", "wide", "narrow")
"""By Python with NumPy's BLAS; compiled with BLAS; compiled with loops of our own, matrices turned round."""
ENTRIES = ("run", "gradients", "settle", "predict", "measure")
"""What Python calls. Each is kept on disk with all that it calls, and nothing else is."""
NARROW = 16
"""Up to this width, loops with the batch innermost are faster than BLAS."""


def chosen(stages: Sequence[Stage], precision: str, by_python: str) -> tuple[str, str]:
    """How the steps of this network run, and why. `by_python` says why not compiled, or is empty."""
    if by_python:
        return "interpreted", f"steps by Python: {by_python}"
    if max(stage.row[side] for stage in stages for side in ("features", "units")) <= NARROW:
        return "narrow", f"steps compiled: no layer is wider than {NARROW}, loops over the batch innermost"
    if not blas.address("gemm", precision):
        return "interpreted", "steps by Python: compiled products need scipy, pip install 'deepmath[fast]'"
    return "wide", "steps compiled: products by BLAS"


@functools.cache
def steps(precision: str, way: str) -> ModuleType:
    """The module of the steps: one for all networks of a precision."""
    if way == "interpreted":
        plain = "\n\n\n".join([cache.text(name) for name in ("names", "interpreted", "stages", "steps")])
        return cache.load(f"{numba.functions(precision)}\n\n\n{plain}\n")
    given = [numba.functions(precision), loop.views(way == "narrow")]
    given += [cache.text("blas")] if way == "wide" else []
    plain = "\n\n\n".join(cache.text(name) for name in ("names", "compiled", way, "stages", "steps"))
    names = re.findall(r"^(?:@intrinsic\n)?def (\w+)", plain, re.MULTILINE)
    names = [name for name in names if f"@intrinsic\ndef {name}(" not in plain]
    compiled = [
        f"compiled = njit({numba.OPTIONS}, forceinline=True, _nrt=False)",
        f"kept = njit({numba.OPTIONS}, cache=True, _nrt=False)",
    ]
    compiled += [f"{name} = {'kept' if name in ENTRIES else 'compiled'}({name})" for name in names]
    return cache.load("\n\n\n".join([*given, plain, "\n".join(compiled)]) + "\n")
