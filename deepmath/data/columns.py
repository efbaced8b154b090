"""Columns of frames: targets and weights that are called by their names, and rows that go together."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath.arrays import is_frame, is_series
from deepmath.checks import is_sparse
from deepmath.data.rows import Rows, kind_of
from deepmath.errors import ConfigError


def columns_taken(rows: Rows, who: str) -> Rows:
    """The rows of a frame, with targets and weights that were given by their columns' names taken out of it.

    Rows go together by their places. Raises ConfigError where that can't be meant: names without a frame, and an
    index of pandas that has the same labels in another order.
    """
    if isinstance(rows.X, (dict, str, bytes)) and not is_sparse(rows.X):  # a dictionary of keys is a dict
        raise ConfigError(f"{who}: X is {kind_of(rows.X)}; give an array or a data frame, such as pandas.DataFrame(X)")
    if not is_frame(rows.X):
        for name, given in (("y", rows.y), ("sample_weight", rows.weights)):
            if isinstance(given, str):
                raise ConfigError(f"{who}: {name}={given!r} names a column, and X is {kind_of(rows.X)}, which has none")
        return rows._replace(y=_cells(rows.y), weights=_cells(rows.weights))
    check_index(rows, who)
    frame = frame_of(rows.X)
    names = _names(rows.y, frame)
    of_weights = _names(rows.weights, frame) or []
    if len(of_weights) > 1:
        raise ConfigError(f"{who}: sample_weight is one number for each row; got the columns {', '.join(of_weights)}")
    y, weights = rows.y, rows.weights
    if names is not None:
        columns = [_cells(frame.column(name)) for name in names]
        y = np.stack(columns, axis=1) if isinstance(rows.y, list) or len(names) > 1 else columns[0]
    for name in of_weights:
        if name in (names or ()):
            raise ConfigError(f"{who}: '{name}' can't be both the target and sample_weight")
        weights = frame.column(name)
    frame = frame.select(n for n in frame.names if n not in (names or ()) and n not in of_weights)
    if not frame.names:
        raise ConfigError(f"{who}: no column is left as an input")
    if not frame.rows:
        raise ConfigError(f"{who}: X has no rows")
    return Rows(frame, _cells(y), _cells(weights))


def _names(given: Any, frame: Any) -> list[str] | None:
    """The columns that a name, or a list of names, calls; None for values. Raises ConfigError for a name twice.

    A list of text as long as the frame are values, unless all are names of columns.
    """
    from deepmath.tables.frames import no_column

    if isinstance(given, str) or (isinstance(given, (int, np.integer)) and str(given) in frame.names):
        return [str(given)]
    if isinstance(given, tuple) and str(given) in frame.names:  # the name of a column of several levels
        return [str(given)]
    if not isinstance(given, (list, tuple)) or not given or not isinstance(given[0], str):
        return None
    missing = [name for name in given if name not in frame.names]
    if missing and len(given) == frame.rows:
        return None
    if missing:
        no_column([str(name) for name in missing], frame.names)
    twice = next((name for i, name in enumerate(given) if name in given[:i]), None)
    if twice is not None:
        raise ConfigError(f"y: the column '{twice}' is named twice; leave one out")
    return list(given)


def check_index(rows: Rows, who: str) -> None:
    """Raise ConfigError where pandas would pair the rows of X with others than those at the same places."""
    index: Any = getattr(rows.X, "index", None)
    for name, given in (("y", rows.y), ("sample_weight", rows.weights)):
        other: Any = getattr(given, "index", None)
        if not hasattr(index, "equals") or not hasattr(other, "equals") or len(index) != len(other):
            continue
        if not index.equals(other) and index.is_unique and other.is_unique and other.isin(index).all():
            raise ConfigError(
                f"{who}: X and {name} have the same index in another order, and rows go together by their places. "
                f"Give {name}.loc[X.index], or {name}.to_numpy() if the places are right"
            )


def frame_of(X: Any) -> Any:
    """A data frame of any library as a `tables.Frame`."""
    from deepmath.tables import frame_of as found  # only who has frames pays for them

    return found(X)


def _cells(given: Any) -> Any:
    """A series, or a column of a table, as an array [rows], where missing numbers are NaN; anything else as it is."""
    if is_frame(given):
        frame = frame_of(given)
        columns = [_cells(frame.column(name)) for name in frame.names]
        return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
    if is_series(given):
        from deepmath.tables.frames import values_of

        given = values_of(given)
    if getattr(given, "type", None) == "boolean" and given.missing.any():
        return np.where(given.missing, np.nan, given.values)
    return given.values if hasattr(given, "missing") else given


def name_of(y: Any) -> str | None:
    """The name of a target: that of its column or its series, where it has one."""
    name = y if isinstance(y, str) else getattr(y, "name", None) if is_series(y) else None
    return None if name is None else str(name)
