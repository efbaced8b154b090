"""Functions of a user's own, checked when they are handed over: called once, and judged by what comes out.

Such a function is a loss, a metric or an activation. Called with symbols it shows along which axes its result varies;
one that can't be traced is called with small arrays instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepmath.derivative import pullback
from deepmath.errors import ConfigError, TraceError
from deepmath.graph import Node, needed
from deepmath.trace import Formula, called

BATCH, UNITS = 5, 3
"""The rows of the small arrays, and their columns where nobody says how many outputs there are."""

ROWS, ELEMENTS = "[batch, 1]", "[batch, units]"
"""What a result may have to be: one number for each row, or one for each element."""

_MEANING = {ROWS: "one number for each row", ELEMENTS: "one number for each element"}
_CURES = {
    ROWS: "reduce over the last axis with keepdims=True, as xp.mean(e, axis=-1, keepdims=True) does",
    ELEMENTS: "work element by element, or along rows as softmax does",
}
_OF_AXES = {
    (True, True): ELEMENTS,
    (True, False): ROWS,
    (False, True): "[1, units]",
    (False, False): "one number for the whole batch",
}


def check_function(
    who: str, formula: Formula, arguments: Sequence[str], wanted: str, *, constants: Sequence[float] = (),
    units: int | None = None, derived: bool = False,
) -> None:  # fmt: skip
    """Raise ConfigError unless formula(xp, *arguments, *constants) gives numbers of the wanted shape.

    `who` is how messages call it. `arguments` names what it takes, all [batch, units] but "index", [1, units]. One
    that can't be traced is called with NumPy arrays that have so many `units`; None says that they aren't known yet.
    `derived` says that its derivative by the first argument is taken from its graph: then one that can't be traced
    raises TraceError, and one that doesn't depend on that argument ConfigError.

    >>> check_function("loss 'f'", lambda xp, p, d: xp.abs(p - d), ("p", "d"), ROWS)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    deepmath.errors.ConfigError: loss 'f' must give [batch, 1], one number for each row; got [batch, units]: reduce ...
    """
    _check_signature(who, formula, [*arguments, *(f"constant {i + 1}" for i in range(len(constants)))])
    kinds = [*("column:int" if a == "index" else "element" for a in arguments), *["scalar"] * len(constants)]
    try:
        _, symbols, result = called(formula, kinds, [f"a{i}" for i in range(len(kinds))])
    except TraceError as error:
        shape = _shape_on_arrays(who, formula, arguments, constants, units, None if derived else error)
        if shape is not None:
            _check(who, shape, wanted, units)
        if derived:
            msg = f"{who} can't be traced, and without a slope that is needed to differentiate it: {error}"
            raise TraceError(msg) from error
        return
    except Exception as error:
        raise ConfigError(f"{who} failed when it was called once: {type(error).__name__}: {error}") from error
    _check(who, _OF_AXES[result.axes] if isinstance(result, Node) else _kind_of(result), wanted, units)
    if result.dtype != "float":
        raise ConfigError(f"{who} gives {_DTYPES[result.dtype]}; make them numbers: xp.astype(result, p.dtype)")
    if derived and symbols[0].number not in {n.number for n in needed([result])}:
        raise ConfigError(f"{who} doesn't depend on {arguments[0]}, so that nothing could be learnt from it")
    if derived:
        try:
            pullback(formula, kinds)
        except TraceError as error:
            raise TraceError(f"{who}: {error}") from error


_DTYPES = {"bool": "true or false", "int": "integers"}


def _check_signature(who: str, formula: Formula, arguments: Sequence[str]) -> None:
    """Raise ConfigError for a function that takes another number of arguments."""
    try:
        signature = inspect.signature(formula)
    except (TypeError, ValueError):  # written in C
        return
    try:
        signature.bind(None, *arguments)
    except TypeError:
        taken = ", ".join(["xp", *arguments])
        raise ConfigError(f"{who} must be a function of ({taken}); it is one of {signature}") from None


def _check(who: str, shape: str, wanted: str, units: int | None) -> None:
    if shape != wanted:
        shape = shape.replace("units", str(units)) if units is not None and units > 1 else shape
        raise ConfigError(f"{who} must give {wanted}, {_MEANING[wanted]}; got {shape}: {_CURES[wanted]}")


def _shape_on_arrays(
    who: str,
    formula: Formula,
    arguments: Sequence[str],
    constants: Sequence[float],
    units: int | None,
    untraced: TraceError | None,
) -> str | None:
    """The shape that comes out for small arrays, in words; None where they don't tell.

    It may fail where it needn't run, or where the units aren't known. `untraced` is why it can't be traced, where it
    must run on arrays therefore.

    Predictions are shares of a row, targets one-hot rows: what every loss is defined for.
    """
    columns = units or UNITS
    rows = BATCH + (columns == BATCH)
    grid = 1.0 + np.arange(rows)[:, None] + np.arange(columns)[None, :]
    first, others = grid / grid.sum(axis=1, keepdims=True), np.eye(columns)[np.arange(rows) % columns]
    index = np.arange(columns)[None, :]
    values = [index if a == "index" else (others if i else first) for i, a in enumerate(arguments)]
    try:
        with np.errstate(all="ignore"):
            result = formula(np, *values, *constants)
    except Exception as error:
        if units is None or untraced is None:
            return None
        shape = f"arrays of shape ({rows}, {columns})"
        raise ConfigError(
            f"{who} failed when it was called with {shape}: {type(error).__name__}: {error}. "
            f"To be traced, it must be written otherwise too: {untraced}"
        ) from error
    if not isinstance(result, (np.ndarray, np.generic)):
        return _kind_of(result)
    if result.shape == (rows, columns):
        return None if columns == 1 else ELEMENTS  # one column is right for either
    names = {rows: "batch", columns: "units", 1: "1"}
    return f"[{', '.join(names.get(n, str(n)) for n in result.shape)}]" if result.shape else _kind_of(0.0)


def _kind_of(result: Any) -> str:
    """What came out that is no array of numbers."""
    if isinstance(result, (int, float)):
        return "one number for the whole batch"
    return "nothing" if result is None else f"a {type(result).__name__}"
