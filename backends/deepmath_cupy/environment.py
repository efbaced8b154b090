"""What this machine has for CUDA, and what it lacks: found without importing CuPy, told in one line with its cure."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import re
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from deepmath.errors import ConfigError, DeviceError
from deepmath_cupy.runtime import Runtime

DRIVERS = {12: "525", 13: "580"}
"""The first driver that runs each major version of CUDA."""

_INSTEAD = "or use backend='numpy'"
_CUDA = re.compile(r"cuda(?::(\d+))?")
_PACKAGE = re.compile(r"cupy(?:-(?:cuda|rocm)[\w-]*)?")


@dataclass(frozen=True)
class Facts:
    """What was found. `packages` are CuPys by their installed names, `driver` is the CUDA that the driver runs, in
    thousands for the major and tens for the minor number, `devices` are names; `hidden` is CUDA_VISIBLE_DEVICES.
    """

    packages: tuple[str, ...] = ()
    driver: int | None = None
    devices: tuple[str, ...] = ()
    hidden: str | None = None
    major: int | None = field(default=None)
    """The major version of CUDA that CuPy was built for; None for a CuPy built on this machine."""


def facts() -> Facts:
    """What there is here."""
    packages = sorted({name for d in metadata.distributions() if (name := _name(d)) and _PACKAGE.fullmatch(name)})
    if not packages and importlib.util.find_spec("cupy") is not None:
        packages = ["cupy"]
    majors = [int(m.group(1)) for p in packages if (m := re.match(r"cupy-cuda(\d\d)", p))]
    driver, devices = _driver()
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    return Facts(tuple(packages), driver, devices, hidden, majors[0] if majors else None)


def fault(found: Facts, index: int) -> str | None:
    """Why device number `index` can't be used, and what to do about it; None if it can.

    >>> fault(Facts(("cupy-cuda13x",), 13000, ("NVIDIA H200",), None, 13), 0) is None
    True
    """
    if not found.packages:
        return f"CuPy is not installed; pip install 'deepmath[cuda13x]' or 'deepmath[cuda12x]', {_INSTEAD}"
    if len(found.packages) > 1:
        names = " and ".join(found.packages)
        return f"{names} are both installed and overwrite each other; pip uninstall both, then install one"
    if found.driver is None:
        return f"no NVIDIA driver is installed (libcuda.so.1 was not found); install it, {_INSTEAD}"
    if found.major is not None and found.driver < 1000 * found.major:
        runs = f"{found.driver // 1000}.{found.driver % 1000 // 10}"
        needed = DRIVERS.get(found.major, "a newer one")
        other = f"pip install 'deepmath[cuda{found.driver // 1000}x]' instead, {_INSTEAD}"
        return (
            f"the driver runs CUDA {runs}, and {found.packages[0]} needs CUDA {found.major}; "
            f"install driver {needed} or newer, {other}"
        )
    if not found.devices:
        why = f" (CUDA_VISIBLE_DEVICES={found.hidden!r} hides them)" if found.hidden is not None else ""
        return f"the driver finds no CUDA device{why}; see nvidia-smi, {_INSTEAD}"
    if index >= len(found.devices):
        names = ", ".join(f"cuda:{i} {name}" for i, name in enumerate(found.devices))
        return f"there is no device cuda:{index}; there {'is' if len(found.devices) == 1 else 'are'} {names}"
    return None


def index_of(device: Any) -> int:
    """The number of a device given as "cuda", "cuda:N", a CuPy device, or None for the first.

    >>> index_of("cuda:1"), index_of(None)
    (1, 0)
    """
    if device is None:
        return 0
    if isinstance(device, str):
        matched = _CUDA.fullmatch(device)
        if matched:
            return int(matched.group(1) or 0)
    elif isinstance(getattr(device, "id", None), int):
        return int(device.id)
    raise ConfigError(f"backend 'cupy': device must be 'cuda' or 'cuda:N'; got {device!r}")


@functools.cache
def opened(index: int) -> Runtime:
    """The device of this number. Raises DeviceError where it can't be used."""
    found = facts()
    wrong = fault(found, index)
    if wrong is not None:
        raise DeviceError(f"backend 'cupy': {wrong}")
    from deepmath_cupy.device import CudaDevice

    try:
        return CudaDevice(index, found.major)
    except ImportError as error:
        reason = str(error).splitlines()[0]
        raise DeviceError(f"backend 'cupy': CuPy can't be imported ({reason}); install it anew, {_INSTEAD}") from error


def _name(distribution: Any) -> str:
    return str(distribution.metadata["Name"] or "").lower()


def _driver() -> tuple[int | None, tuple[str, ...]]:
    """The version of CUDA that the driver runs, and the names of its devices."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None, ()
    version, count = ctypes.c_int(), ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(version)):
        return None, ()
    if library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count)):
        return version.value, ()
    names = []
    for i in range(count.value):
        device, buffer = ctypes.c_int(), ctypes.create_string_buffer(256)
        library.cuDeviceGet(ctypes.byref(device), i)
        library.cuDeviceGetName(buffer, 256, device)
        names.append(buffer.value.decode(errors="replace"))
    return version.value, tuple(names)
