"""The shapes that annotations promise, checked in every call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_args, get_type_hints


def checks_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, checking in each call that axes of one name have one length.

    Names come from the `Annotated` aliases of `deepmath.typing`; "1" stands for that length. Axes are matched
    from the last: those in front of the named ones are free, and an array may have fewer. Raises AssertionError
    that names the argument. Symbols pass unchecked.

    >>> import numpy as np
    >>> from deepmath.formulas.losses import mse
    >>> checks_shapes(mse)(np, np.zeros((2, 3)), np.zeros((2, 1)))
    Traceback (most recent call last):
    ...
    AssertionError: mse: d has units = 1, but p has units = 3
    """
    axes = {n: a for n, hint in get_type_hints(function, include_extras=True).items() if (a := _axes(hint)) is not None}
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        known: dict[str, tuple[int, str]] = {}
        for name, value in [*zip(names, args, strict=False), *kwargs.items()]:
            if name in axes:
                _bind(function.__name__, name, value, axes[name], known)
        result = function(*args, **kwargs)
        if "return" in axes:
            _bind(function.__name__, "the result", result, axes["return"], known)
        return result

    return checked


def _axes(hint: Any) -> list[str] | None:
    """The names of the axes in an annotation, if it has any."""
    names = [extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, str)]
    if not names and type(None) in get_args(hint):
        return next((a for h in get_args(hint) if (a := _axes(h)) is not None), None)
    return names[0].split() if names else None


def _bind(function: str, name: str, value: Any, axes: list[str], known: dict[str, tuple[int, str]]) -> None:
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or not all(isinstance(n, int) for n in shape):
        return
    for axis, length in zip(reversed(axes), reversed(shape), strict=False):
        wanted, owner = (1, "its annotation") if axis == "1" else known.setdefault(axis, (length, name))
        assert length == wanted, f"{function}: {name} has {axis} = {length}, but {owner} has {axis} = {wanted}"
