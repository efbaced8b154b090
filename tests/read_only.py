"""NumPy with arrays that can't be written: every in-place operation raises."""

from __future__ import annotations

from typing import Any

import array_api_compat.numpy as xnp
import numpy as np


class ReadOnly(np.ndarray):
    """An array whose every result is as read-only as itself."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **settings: Any) -> Any:
        if out is not None or method == "at":
            raise TypeError(f"{ufunc.__name__} writes to a read-only array")
        return frozen(getattr(ufunc, method)(*map(_plain, inputs), **settings))

    def __array_function__(self, function: Any, types: Any, arguments: Any, settings: Any) -> Any:
        if settings.get("out") is not None:
            raise TypeError(f"{function.__name__} writes to a read-only array")
        return frozen(function(*_plain(arguments), **_plain(settings)))

    def __setitem__(self, place: Any, value: Any) -> None:
        raise TypeError("item assignment to a read-only array")

    def astype(self, *arguments: Any, **settings: Any) -> Any:
        return frozen(np.asarray(self).astype(*arguments, **settings))


def frozen(value: Any) -> Any:
    """The value with every array in it read-only."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(frozen, value))
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    view = np.asarray(value).view(ReadOnly)
    view.flags.writeable = False
    return view


def _plain(value: Any) -> Any:
    if isinstance(value, ReadOnly):
        return value.view(np.ndarray)
    if isinstance(value, (tuple, list)):
        return type(value)(map(_plain, value))
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


class Namespace:
    """The Array API namespace whose functions give read-only arrays."""

    __name__ = "read_only"

    def __getattr__(self, name: str) -> Any:
        found = getattr(xnp, name)
        if not callable(found) or isinstance(found, type):
            return found
        return lambda *arguments, **settings: frozen(found(*_plain(arguments), **_plain(settings)))
