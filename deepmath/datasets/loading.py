"""A data set by its name or its path."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmath.datasets.handwritten import digits
from deepmath.datasets.synthetic import circles, moons, xor
from deepmath.datasets.tables import read_csv
from deepmath.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set as arrays, with the names of what they hold."""

    name: str

    X: NDArray[np.float64]
    """The features [rows, features]."""

    y: NDArray[np.float64] | NDArray[np.int64]
    """The target [rows]: int64 labels, places in `classes`, or float64 numbers."""

    classes: tuple[str, ...] | None
    """The names of the labels, or None where the target is numbers."""

    feature_names: tuple[str, ...]


_NAMED: dict[str, tuple[Callable[..., Any], tuple[str, ...], tuple[str, ...]]] = {
    "circles": (circles, ("outer", "inner"), ("x1", "x2")),
    "moons": (moons, ("upper", "lower"), ("x1", "x2")),
    "xor": (xor, ("false", "true"), ("a", "b")),
    "digits": (digits, tuple("0123456789"), tuple(f"pixel_{i}_{j}" for i in range(8) for j in range(8))),
}


def load(name_or_path: str | os.PathLike[str], *, seed: int = 0, **options: Any) -> Dataset:
    """The data set of that name, or the table in that CSV file.

    `options` go to the function that makes or reads it: `n`, `noise` and `factor` of `circles`, say, or
    `target`, `header` and `na` of `read_csv`. `seed` is for the sets that are drawn.

    Raises:
        ConfigError: there is no such data set or no such option.
        FormatError: the file can't be read as a table.
        OSError: the file is missing.

    >>> load("xor").y.tolist()
    [0, 1, 1, 0]
    >>> load("circles", n=10).X.shape
    (10, 2)
    """
    name = os.fspath(name_or_path)
    if name.lower().endswith(".csv"):
        _check_options(name, read_csv, options)
        table = read_csv(name, **options)
        return Dataset(Path(name).stem, table.X, table.y, table.classes, table.feature_names)
    if name not in _NAMED:
        close = difflib.get_close_matches(name, _NAMED, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else "."
        msg = f"load: no data set '{name}'{hint} Known: {', '.join(_NAMED)}, or a path that ends in .csv"
        raise ConfigError(msg)
    make, classes, features = _NAMED[name]
    allowed = _check_options(name, make, options)
    X, y = make(**options, seed=seed) if "seed" in allowed else make(**options)
    return Dataset(name, X, y, classes, features)


def _check_options(name: str, make: Callable[..., Any], options: dict[str, Any]) -> tuple[str, ...]:
    """The arguments of `make`; an option that is none of them is an error."""
    arguments = tuple(inspect.signature(make).parameters)
    allowed = [a for a in arguments if a not in ("path", "seed")]
    for option in options:
        if option not in allowed:
            msg = f"load: '{name}' has no option '{option}'; its options: {', '.join(allowed) or 'none'}"
            raise ConfigError(msg)
    return arguments
