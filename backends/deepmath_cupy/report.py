"""What `deepmath doctor` says of CUDA."""

from __future__ import annotations

import os

from deepmath.errors import DeviceError
from deepmath_cupy import cublaslt, environment, nvrtc
from deepmath_cupy.environment import Facts

GIB = 2**30


def rows(found: Facts | None = None) -> list[tuple[str, str]]:
    """(what, how it stands) for the device, driver, CuPy, NVRTC, cublasLt, TF32 and memory.

    >>> rows(Facts())[0][1].partition(";")[0]
    'none: CuPy is not installed'
    """
    found = environment.facts() if found is None else found
    wrong = environment.fault(found, 0)
    devices = [(f"cuda:{i}", name) for i, name in enumerate(found.devices)]
    runs = None if found.driver is None else f"runs CUDA {found.driver // 1000}.{found.driver % 1000 // 10}"
    return [
        *([("device", f"none: {wrong}")] if wrong else devices),
        ("driver", runs or "not installed"),
        ("cupy", ", ".join(_versions(found)) or "not installed"),
        ("nvrtc", nvrtc.version(found.major) or "not installed"),
        ("cublasLt", cublaslt.version(found.major) or "not installed"),
        ("tf32", _tf32()),
        ("memory", "unknown without a device" if wrong else _memory()),
    ]


def _versions(found: Facts) -> list[str]:
    from importlib import metadata

    versions = []
    for name in found.packages:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(name)
    return versions


def _tf32() -> str:
    """float32 is exact here; only CuPy's own products, which the reference makes, obey the variable."""
    if os.environ.get("CUPY_TF32", "0") not in ("", "0"):
        return "precision='tf32' asks for it; CUPY_TF32 also rounds what runs by the reference. Unset it."
    return "off; precision='tf32' asks for it"


def _memory() -> str:
    try:
        free, total = environment.opened(0).memory()
    except DeviceError as error:
        return str(error)
    return f"{free / GIB:.1f} GiB free of {total / GIB:.1f} GiB"
