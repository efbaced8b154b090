"""Backends: who compiles a recipe into a program. A backend is a value that is passed down, never a global.

`load_backend` finds one by name: "reference", an installed entry point of the group "deepmath.backends"
(ours are "numpy" and "cupy"; a third party's looks the same), or any importable Array API namespace, which
then runs the reference.
"""

from __future__ import annotations

import abc
import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import array_api_compat
import numpy as np

from deepmath.arrays import from_numpy, is_array, namespace_of
from deepmath.checks import is_sparse
from deepmath.descriptions import unknown
from deepmath.errors import ConfigError, DeviceError
from deepmath.program import Data, Program, Recipe
from deepmath.reference import ReferenceProgram

GROUP = "deepmath.backends"
PRECISIONS = ("float32", "float64")


class Backend(abc.ABC):
    """Moves arrays to where it computes, and compiles recipes into programs."""

    name: str
    precisions: tuple[str, ...] = PRECISIONS
    takes_sparse: bool = False
    """Whether inputs may be sparse rows, csr of SciPy, which `put` leaves so; else they come dense, piece by piece."""

    @abc.abstractmethod
    def put(self, x: Any, dtype: str) -> Any:
        """An array of this backend with x's values, from NumPy or from its own library."""

    @abc.abstractmethod
    def compile(self, recipe: Recipe, values: Mapping[str, Any], data: Data | None = None) -> Program:
        """A program that starts from these values (`Program.state` names them) and trains on these data."""


@dataclass(frozen=True)
class ReferenceBackend(Backend):
    """The reference on a namespace, and on one of its devices."""

    name: str
    xp: Any
    device: Any = None
    takes_sparse: bool = True

    def put(self, x: Any, dtype: str) -> Any:
        if is_sparse(x):
            return x.astype(dtype, copy=False)
        if isinstance(x, np.ndarray) or not is_array(x):
            return from_numpy(self.xp, x, dtype, self.device)
        wanted = getattr(self.xp, dtype)
        return x if x.dtype == wanted else self.xp.astype(x, wanted)

    def compile(self, recipe: Recipe, values: Mapping[str, Any], data: Data | None = None) -> Program:
        return ReferenceProgram(recipe, values, self.xp, self.device, data)


def load_backend(name: str | Backend | None = None, device: Any = None, like: Any = None) -> Backend:
    """The backend of a name; without one, that of the array `like`, on its device.

    `device` is "cpu", "cuda", "cuda:N" or a device of the library. "cuda" without a name means "cupy". Raises
    ConfigError for an unknown name or a contradiction, DeviceError for a device that isn't there.
    """
    if isinstance(name, Backend):
        return name
    cuda = isinstance(device, str) and device.startswith("cuda")
    if name is None:
        if is_array(like) and not isinstance(like, np.ndarray):
            xp, where = namespace_of(like), device if device is not None else array_api_compat.device(like)
            if not array_api_compat.is_cupy_array(like):
                return ReferenceBackend(_short(xp), xp, where)
            name, device = "cupy", where
        else:
            name = "cupy" if cuda else "numpy"
    if name == "reference":
        xp = namespace_of(like)
        return ReferenceBackend("reference", xp, None if device == "cpu" else device)
    if name == "numpy" and cuda:
        raise ConfigError(
            f"backend 'numpy' computes on the CPU; got device {device!r}. Use backend='cupy', or device='cpu'"
        )
    if name == "cupy" and device == "cpu":
        raise ConfigError("backend 'cupy' computes on a CUDA device; got device 'cpu'. Use backend='numpy'")
    factory = _factory(name)
    if factory is not None:
        backend: Backend = factory(device)
        return backend
    return ReferenceBackend(name, _namespace(name), None if device == "cpu" else device)


def backends() -> dict[str, str]:
    """Every backend by name, with "usable" or the reason why it is not. Nothing but entry points is imported.

    >>> backends()["reference"]
    'usable'
    """
    found = {"reference": "usable"}
    for entry in _entry_points():
        try:
            entry.load()(None)
            found[entry.name] = "usable"
        except Exception as error:
            found[entry.name] = str(error)
    for name in ("torch", "jax", "array_api_strict"):
        found[name] = "usable" if find_spec(name) else f"not installed: pip install {name}"
    return found


@functools.cache
def _entry_points() -> Any:
    """Read once: looking through every installed package takes 10 ms, and every `predict` comes by here."""
    from importlib import metadata  # 25 ms that `import deepmath` needn't take

    return metadata.entry_points(group=GROUP)


@functools.cache
def _factory(name: str) -> Any:
    """What makes the backend that a package brings under this name, if one does."""
    return next((entry.load() for entry in _entry_points() if entry.name == name), None)


def _short(xp: Any) -> str:
    return str(xp.__name__).removeprefix("array_api_compat.").removesuffix(".numpy")


def _namespace(name: str) -> Any:
    """The Array API namespace of a library that is installed."""
    for module in (f"array_api_compat.{name}", f"{name}.numpy", name):
        try:
            xp = importlib.import_module(module)
        except ImportError:
            continue
        if hasattr(xp, "asarray") and hasattr(xp, "matmul"):
            return xp
    if name == "cupy":
        raise DeviceError(
            "backend 'cupy': CuPy is not installed; pip install 'deepmath[cuda13x]' or 'deepmath[cuda12x]', "
            "or use backend='numpy'"
        )
    return unknown("backend", name, backends())
