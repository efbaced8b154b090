"""Checks of single settings, the same for the command line (text) and a file (TOML values).

Each check takes the name to complain about and the value, and gives the value in its final form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from deepmath.errors import ConfigError
from deepmath.training.nonfinite import CHOICES

Check = Callable[[str, Any], Any]


def whole(low: int, high: int | None = None) -> Check:
    """A whole number within bounds.

    >>> whole(1)("--epochs", "20")
    20
    >>> whole(1)("--epochs", "many")
    Traceback (most recent call last):
    ...
    deepmath.errors.ConfigError: --epochs must be a whole number >= 1; got 'many'
    """
    allowed = f"a whole number >= {low}" if high is None else f"a whole number from {low} to {high}"

    def check(name: str, value: Any) -> int:
        number = _read(int, value)
        if number is None or number < low or (high is not None and number > high):
            raise _error(name, allowed, value)
        return int(number)

    return check


def number(allowed: str, good: Callable[[float], bool]) -> Check:
    """A finite number for which `good` holds."""

    def check(name: str, value: Any) -> float:
        result = _read(float, value)
        if result is None or not math.isfinite(result) or not good(result):
            raise _error(name, f"a number {allowed}", value)
        return float(result)

    return check


def text(name: str, value: Any) -> str:
    """Any text but the empty one."""
    if not isinstance(value, str) or not value:
        raise _error(name, "text", value)
    return value


def one_of(*choices: str) -> Check:
    """One of a few words.

    >>> one_of("stop", "skip")("--on-nan", "skip")
    'skip'
    """

    def check(name: str, value: Any) -> str:
        if value not in choices:
            raise _error(name, f"{', '.join(choices[:-1])} or {choices[-1]}", value)
        return str(value)

    return check


def flag(name: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise _error(name, "true or false", value)
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Any number of texts."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
        raise _error(name, "a list of texts", value)
    return tuple(value)


def columns(name: str, value: Any) -> tuple[str, ...]:
    """Any number of NAME=KIND; what the kinds are, the table says.

    >>> columns("--column", ["age=number"])
    ('age=number',)
    """
    for given in texts(name, value):
        before, _, kind = given.rpartition("=")
        if not before or not kind:
            raise _error(name, "NAME=KIND, such as age=number or born=date:%d/%m/%Y", given)
    return texts(name, value)


def widths(name: str, value: Any) -> tuple[int, ...]:
    """Widths of layers: 64,32 or a list; "none" or an empty list is no hidden layer.

    >>> widths("--hidden", "64,32"), widths("--hidden", "none"), widths("hidden", [4])
    ((64, 32), (), (4,))
    """
    parts = value.split(",") if isinstance(value, str) else value
    if value == "none":
        return ()
    numbers = [_read(int, part) for part in parts] if isinstance(parts, (list, tuple)) else [None]
    if any(n is None or not 1 <= n <= 1 << 24 for n in numbers):
        raise _error(name, f"widths from 1 to {1 << 24}, such as 64,32, or none", value)
    return tuple(int(n) for n in numbers if n is not None)


def batch_size(name: str, value: Any) -> int | str:
    """A number of rows, or "full"."""
    rows = "full" if value == "full" else _read(int, value)
    if rows is None or (rows != "full" and int(rows) < 1):
        raise _error(name, 'a whole number >= 1, or "full" for all rows', value)
    return rows if rows == "full" else int(rows)


def scale(name: str, value: Any) -> str | float:
    """What is done to inputs: "none", "standard" (mean 0, deviation 1), "smooth" (also clipped), or a divisor."""
    if value in ("none", "standard", "smooth"):
        return str(value)
    result = _read(float, value)
    if result is None or not 0.0 < result < math.inf:
        raise _error(name, "none, standard, smooth, or a number > 0", value)
    return float(result)


def _read(kind: Any, value: Any) -> Any:
    """Text or a TOML number as an int or a float, None where it is neither."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if kind is int and isinstance(value, float):
        return None
    try:
        return kind(value)
    except (ValueError, OverflowError):
        return None


def _error(name: str, allowed: str, value: Any) -> ConfigError:
    return ConfigError(f"{name} must be {allowed}; got {value!r}")


_POSITIVE = number("> 0", lambda x: x > 0.0)
_SHARE = number(">= 0 and < 1", lambda x: 0.0 <= x < 1.0)

CHECKS: dict[str, Check] = {
    "data": text,
    "target": text,
    "column": columns,
    "header": flag,
    "na": texts,
    "data_dir": text,
    "scale": scale,
    "hidden": widths,
    "activation": text,
    "batch_norm": flag,
    "dropout": _SHARE,
    "l2": number(">= 0", lambda x: x >= 0.0),
    "loss": text,
    "optimizer": text,
    "learning_rate": _POSITIVE,
    "decay": one_of("none", "cosine"),
    "clip_norm": _POSITIVE,
    "epochs": whole(1),
    "batch_size": batch_size,
    "accumulate": whole(1),
    "test": _SHARE,
    "validation_split": _SHARE,
    "keep": one_of("best", "last"),
    "patience": whole(1),
    "seed": whole(0, 2**32 - 1),
    "backend": text,
    "device": text,
    "precision": text,
    "on_nan": one_of(*CHOICES),
    "checkpoint_every": whole(1),
    "checkpoint_seconds": _POSITIVE,
}
"""What each setting may be."""
