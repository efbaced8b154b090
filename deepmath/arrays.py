"""Arrays at the border: which library they belong to, and their way from and to NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import array_api_compat
import numpy as np

from deepmath.errors import ConfigError

_PIECE = 1 << 16
"""How many numbers are looked at in one go: more is slower, as fresh memory is."""

FLOATS = {"float32": np.float32, "float64": np.float64}


_FRAMES = {
    "deepmath": ("Frame",),
    "cudf": ("DataFrame",),
    "modin": ("DataFrame",),
    "narwhals": ("DataFrame", "LazyFrame"),
    "pandas": ("DataFrame",),
    "polars": ("DataFrame", "LazyFrame"),
    "pyarrow": ("Table",),
}
"""Classes that are data frames, by library; one that derives from them is one too."""
_SERIES = {
    "cudf": ("Series",),
    "modin": ("Series",),
    "narwhals": ("Series",),
    "pandas": ("Series",),
    "polars": ("Series",),
    "pyarrow": ("ChunkedArray",),
}


def is_array(x: Any) -> bool:
    """Whether x is an array of some library, not a list, a table or a number."""
    return isinstance(x, np.ndarray) or bool(array_api_compat.is_array_api_obj(x))


def is_frame(x: Any) -> bool:
    """Whether x is a data frame that `frame_of` takes; nothing is imported to find out.

    >>> is_frame([[1.0, 2.0]]), is_frame(np.ones((2, 2)))
    (False, False)
    """
    return _is_a(x, _FRAMES) or hasattr(type(x), "__narwhals_dataframe__")


def is_series(x: Any) -> bool:
    """Whether x is one column of a data frame's library; nothing is imported to find out."""
    return _is_a(x, _SERIES) or hasattr(type(x), "__narwhals_series__")


def _is_a(x: Any, classes: Mapping[str, tuple[str, ...]]) -> bool:
    return any(c.__name__ in classes.get(c.__module__.partition(".")[0], ()) for c in type(x).__mro__)


def namespace_of(x: Any) -> Any:
    """The namespace of an array; NumPy's own, which follows the standard, for anything else."""
    return np if isinstance(x, np.ndarray) or not is_array(x) else array_api_compat.array_namespace(x)


def to_numpy(x: Any) -> Any:
    """A NumPy array with x's values: the one way from a device to the host."""
    if isinstance(x, np.ndarray) or not is_array(x):
        return np.asarray(x)
    if array_api_compat.is_torch_array(x):
        return x.detach().cpu().numpy()
    if array_api_compat.is_cupy_array(x):
        return x.get()
    host = getattr(array_api_compat.array_namespace(x), "Device", None)
    if host is not None:  # array_api_strict refuses to hand out arrays of any device but this
        x = x.to_device(host("CPU_DEVICE"))
    return np.asarray(x)


def from_numpy(xp: Any, x: Any, dtype: str | None = None, device: Any = None) -> Any:
    """An array of the namespace with a NumPy array's values: the one way from the host to a device.

    Raises ConfigError where the library hasn't got the dtype (JAX lacks float64 unless x64 is enabled).
    """
    x = np.array(x, dtype=dtype)  # a copy: libraries may share memory with what they are given
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Explicitly requested dtype.*")
        y = xp.asarray(x, device=device) if device is not None else xp.asarray(x)
    if dtype == "float64" and "float64" not in str(y.dtype):
        cure = "enable it (jax: jax.config.update('jax_enable_x64', True)) or use precision='float32'"
        msg = f"precision 'float64': {xp.__name__} holds no float64; {cure}"
        raise ConfigError(msg)
    return y


def has_int64(xp: Any) -> bool:
    """Whether the namespace computes with 64-bit integers, as the random numbers need."""
    info = namespace_of(xp.asarray([0])).__array_namespace_info__()
    return "int64" in info.dtypes(kind="signed integer")


def is_finite(x: Any) -> bool:
    """Whether an array holds nothing but finite numbers; looks at NumPy's in pieces that stay in the cache."""
    if not isinstance(x, np.ndarray):
        xp = namespace_of(x)
        return bool(xp.all(xp.isfinite(x)))
    if x.size <= _PIECE or not x.flags.c_contiguous:
        return bool(np.isfinite(x).all())
    flat, found = x.reshape(-1), np.empty(_PIECE, bool)
    for i in range(0, x.size, _PIECE):
        piece = flat[i : i + _PIECE]
        if not np.isfinite(piece, out=found[: piece.size]).all():
            return False
    return True


def all_finite(values: Iterable[Any]) -> bool:
    """Whether arrays hold nothing but finite numbers."""
    return all(is_finite(value) for value in values)
