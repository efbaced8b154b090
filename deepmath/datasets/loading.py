"""A data set by its name or its path."""

from __future__ import annotations

import difflib
import inspect
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmath.datasets.handwritten import digits, mnist
from deepmath.datasets.housing import HOUSE_FEATURES, HOUSE_TARGETS, houses
from deepmath.datasets.npz import read_npz
from deepmath.datasets.synthetic import circles, moons, spirals, xor
from deepmath.datasets.tables import read_csv
from deepmath.errors import ConfigError, FormatError


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set as arrays, with the names of what they hold."""

    name: str

    X: NDArray[np.float64] | NDArray[np.float32]
    """The features [rows, features]."""

    y: NDArray[Any]
    """The target [rows]: int64 labels, places in `classes` where that is given, or float numbers [rows] or
    [rows, targets]."""

    classes: tuple[str, ...] | None
    """The names of the labels, or None where the target is numbers."""

    feature_names: tuple[str, ...]
    target_names: tuple[str, ...] = ("y",)


def _points(arrays: tuple[Any, Any], name: str, *classes: str) -> Dataset:
    return Dataset(name, *arrays, classes, ("x1", "x2"))


def _images(arrays: tuple[Any, Any], name: str) -> Dataset:
    side = math.isqrt(arrays[0].shape[1])
    pixels = tuple(f"pixel_{i}_{j}" for i in range(side) for j in range(side))
    return Dataset(name, *arrays, tuple("0123456789"), pixels, ("digit",))


def _xor(arrays: tuple[Any, Any]) -> Dataset:
    return Dataset("xor", *arrays, ("false", "true"), ("a", "b"))


def _spirals(arrays: tuple[Any, Any]) -> Dataset:
    return _points(arrays, "spirals", *(f"arm {k}" for k in range(int(arrays[1].max()) + 1)))


def _houses(arrays: tuple[Any, Any]) -> Dataset:
    return Dataset("houses", *arrays, None, HOUSE_FEATURES, HOUSE_TARGETS[: 2 if arrays[1].ndim == 2 else 1])


TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".pq")
"""How the names of tables' files end."""

_NAMED: dict[str, tuple[Callable[..., Any], Callable[[Any], Dataset]]] = {
    "circles": (circles, lambda a: _points(a, "circles", "outer", "inner")),
    "moons": (moons, lambda a: _points(a, "moons", "upper", "lower")),
    "spirals": (spirals, _spirals),
    "xor": (xor, _xor),
    "houses": (houses, _houses),
    "digits": (digits, lambda a: _images(a, "digits")),
    "mnist": (mnist, lambda a: _images(a, "mnist")),
}
"""What makes the arrays of a set, and what names them."""


def load(name_or_path: str | os.PathLike[str], *, seed: int = 0, **options: Any) -> Dataset:
    """The data set of that name, or the one in that file: CSV (`.tsv`, `.gz` too) or Parquet of numbers, or NPZ.

    `options` go to the function that makes or reads it: `n`, `noise` and `factor` of `circles`, say, `data_dir`
    and `part` of `mnist`, `target`, `header` and `na` of `read_csv`, or `x` and `y` of `read_npz`. `seed` is for
    the sets that are drawn. Further axes of X in an NPZ file become features, row by row, as for images.

    Raises:
        ConfigError: there is no such data set or no such option, or `mnist` without `data_dir`.
        FormatError: a file can't be read as what its name says.
        OSError: a file is missing.

    >>> load("xor").y.tolist()
    [0, 1, 1, 0]
    >>> load("circles", n=10).X.shape
    (10, 2)
    """
    name = os.fspath(name_or_path)
    if name.lower().endswith(TABLES):
        _check_options(name, read_csv, options)
        table = read_csv(name, **options)
        return Dataset(stem(name), table.X, table.y, table.classes, table.feature_names, table.target_names)
    if name.lower().endswith(".npz"):
        _check_options(name, read_npz, options)
        return _arrays(name, *read_npz(name, **options), options.get("y", "y"))
    if name not in _NAMED:
        close = difflib.get_close_matches(name, _NAMED, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else "."
        msg = f"load: no data set '{name}'{hint} Known: {', '.join(_NAMED)}, or a path that ends in .csv, .parquet or .npz"
        raise ConfigError(msg)
    make, describe = _NAMED[name]
    allowed = _check_options(name, make, options)
    if "data_dir" in allowed and options.get("data_dir") is None:
        msg = f"load: '{name}' needs data_dir, the folder of its files, such as train-images-idx3-ubyte.gz"
        raise ConfigError(msg)
    return describe(make(**options, seed=seed) if "seed" in allowed else make(**options))


def stem(path: str) -> str:
    """A file's name without folder and ending.

    >>> stem("data/people.csv.gz")
    'people'
    """
    name = Path(path).name
    ending = next((e for e in TABLES if name.lower().endswith(e)), Path(name).suffix)
    return name[: len(name) - len(ending)]


def _arrays(name: str, X: NDArray[Any], y: NDArray[Any], target: str) -> Dataset:
    """The arrays of an NPZ file as a data set: whole numbers are int64 as targets and float64 as features."""
    X = X.reshape(len(X), -1)
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    if y.dtype.kind in "bui":
        if y.max() > np.iinfo(np.int64).max:
            msg = f"{name}: array '{target}' holds {y.max()}, which is too large for a label"
            raise FormatError(msg)
        y = y.astype(np.int64)
    elif y.dtype == np.float16:
        y = y.astype(np.float64)
    if y.ndim > 2:
        msg = f"{name}: array '{target}' is {'×'.join(map(str, y.shape))}; [rows] or [rows, targets] is expected"
        raise FormatError(msg)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    targets = (target,) if y.ndim == 1 else tuple(f"{target}{i}" for i in range(y.shape[1]))
    return Dataset(Path(name).stem, X, y, None, tuple(f"x{i}" for i in range(X.shape[1])), targets)


def _check_options(name: str, make: Callable[..., Any], options: dict[str, Any]) -> tuple[str, ...]:
    """The arguments of `make`; an option that is none of them is an error."""
    arguments = tuple(inspect.signature(make).parameters)
    allowed = [a for a in arguments if a not in ("path", "seed")]
    for option in options:
        if option not in allowed:
            msg = f"load: '{name}' has no option '{option}'; its options: {', '.join(allowed) or 'none'}"
            raise ConfigError(msg)
    return arguments
