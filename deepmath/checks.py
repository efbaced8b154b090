"""Whether values are numbers, finite, labels, or weights of rows: one place each, for all that takes data.

Messages begin with the name that the caller gives, such as "X" or "accuracy: predictions".
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.arrays import is_array, is_finite, is_frame, is_series, namespace_of, to_numpy
from deepmath.errors import ConfigError, LabelError, NumericError

RowName = Callable[[int], Any]
"""What messages call the row of this number in the arrays at hand: another number where they are a part of a whole."""

_CURES = {
    "O": "Encode text as numbers, or give a data frame",
    "U": "Encode text as numbers, or give a data frame",
    "S": "Encode text as numbers, or give a data frame",
    "T": "Encode text as numbers, or give a data frame",
    "M": "Give a data frame, or make numbers of dates, such as the days since the first one",
    "m": "Divide durations by a unit: durations / numpy.timedelta64(1, 's')",
    "c": "Give real and imaginary parts as columns of their own",
    "V": "Give a data frame, or one array of numbers",
}


def is_sparse(values: Any) -> bool:
    """Whether values are a sparse matrix or array of SciPy; nothing is imported for it."""
    module = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(values))


def real_numbers(values: Any, name: str) -> Any:
    """An array of real numbers or booleans: a library's own as it is, anything else as NumPy takes it.

    Data frames give their columns, and series theirs; missing cells are NaN.

    Raises ConfigError for text, dates, complex numbers, masked values and sparse matrices, with what to do.
    """
    if is_sparse(values):
        raise ConfigError(f"{name} is a sparse matrix, which isn't taken here. Give {name}.toarray()")
    if is_frame(values) or is_series(values):
        return _of_columns(values, name)
    if isinstance(values, np.ma.MaskedArray):
        masked = int(np.sum(np.ma.getmaskarray(values)))
        if masked:
            raise ConfigError(
                f"{name} has {masked} masked value{'s' * (masked > 1)}, which would count as if they weren't. "
                "Fill them, such as by their column's median: numpy.ma.filled(values, fill_value)"
            )
        values = values.data
    if is_array(values) and not isinstance(values, np.ndarray):
        if str(getattr(values, "layout", "torch.strided")) != "torch.strided":
            raise ConfigError(f"{name} is a sparse tensor, which isn't taken here. Give {name}.to_dense()")
        if not namespace_of(values).isdtype(values.dtype, ("bool", "integral", "real floating")):
            raise ConfigError(f"{name} has dtype {values.dtype}; expected real numbers. {_CURES['c']}.")
        return values
    array = _as_numpy(values, name)
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind == "O":
        return _unboxed(array, name)
    sample = next((v for v in array.reshape(-1)[:1].tolist() if isinstance(v, (str, bytes))), None)
    what = "" if sample is None else f"; it holds text ({sample!r})"
    raise ConfigError(f"{name} has dtype {array.dtype}; expected real numbers{what}. {_CURES[array.dtype.kind]}.")


def real_sparse(values: Any, name: str) -> Any:
    """Sparse rows of real numbers or booleans, csr; ConfigError for complex ones."""
    if values.dtype.kind not in "biuf":
        raise ConfigError(
            f"{name} has dtype {values.dtype}; expected real numbers. {_CURES.get(values.dtype.kind, '')}."
        )
    return values.tocsr()


def _of_columns(values: Any, name: str) -> Any:
    """The numbers of a data frame [rows, columns] or a series [rows]."""
    from deepmath.tables.frames import frame_of, numbers_of, values_of  # only who has frames pays for them

    return frame_of(values, name).numbers(name) if is_frame(values) else numbers_of(values_of(values, name), name)


def _as_numpy(values: Any, name: str) -> Any:
    try:
        return np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ConfigError(f"{name} must be an array of numbers whose rows have one length; {error}") from error


def _unboxed(array: Any, name: str) -> Any:
    """Numbers that lie in an array of Python objects."""
    if array.ndim == 0:
        raise ConfigError(f"{name} must be an array or a list; got a {type(array.item()).__name__}")
    for place, value in zip(np.ndindex(array.shape), array.reshape(-1).tolist(), strict=True):
        if value is None or isinstance(value, (str, bytes)) or not _is_real(value):
            what = f"text ({value!r})" if isinstance(value, str) else f"{value!r}"
            where = ", ".join(f"{axis} {n}" for axis, n in zip(("row", "column"), place, strict=False))
            cure = "Impute or drop it" if value is None else _CURES["O"]
            raise ConfigError(f"{name} has dtype object; expected real numbers; it holds {what} at {where}. {cure}.")
    return array.astype(np.float64)


def _is_real(value: Any) -> bool:
    import decimal
    import numbers

    return isinstance(value, (numbers.Real, decimal.Decimal, np.bool_))


def check_finite(x: Any, name: str, row: RowName = int, *, dtype: str = "", cure: str = "Impute or drop it.") -> None:
    """Raise NumericError that names the first NaN or infinity in x [rows, ...], and how many there are.

    `dtype` is the precision that x was rounded to, where a number may have become infinite by that.
    """
    if is_finite(x.data if is_sparse(x) else x):
        return
    if is_sparse(x):
        bad = np.flatnonzero(~np.isfinite(x.data))
        row_found = int(np.searchsorted(x.indptr, bad[0], side="right")) - 1
        place, count, value = (row_found, int(x.indices[bad[0]])), len(bad), x.data[bad[0]]
    else:
        host = to_numpy(x)
        bad = ~np.isfinite(host)
        place, count = tuple(np.argwhere(bad)[0].tolist()), int(np.sum(bad))
        value = host[place]
    column = f", column {place[1]}" if len(place) > 1 else ""
    where = (
        f"first at row {row(int(place[0]))}{column}; {count} value{'s' * (count > 1)}" if len(place) else "its value"
    )
    if np.isnan(value):
        raise NumericError(f"{name} contains NaN ({where}). {cure}")
    what = f"infinity or a value too large for dtype('{dtype}')" if dtype else "infinity"
    if dtype == "float32":
        cure = "Scale the data or use precision='float64'."
    elif cure == "Impute or drop it.":
        cure = "Clip or drop it."
    raise NumericError(f"{name} contains {what} ({where}). {cure}")


@dataclass(frozen=True)
class LabelCures:
    """What to do about a label that is a fraction, negative or too large, for who raises LabelError.

    "{label}" and "{classes}", one more than the largest label, are filled in.
    """

    fraction: str = "Number the classes from 0."
    negative: str = "Number the classes from 0."
    large: str = "Number the classes from 0, or raise the number of classes to {classes}."


def whole_labels(
    values: Any, classes: int | None, name: str = "", row: RowName = int, cures: LabelCures | None = None
) -> Any:
    """Labels [rows] as int64 from 0 to classes - 1; without `classes` any that are not negative.

    Raises LabelError that names the first row that has another value.
    """
    cures = cures or LabelCures()
    host = to_numpy(values)
    before = f"{name}: " if name else ""
    if host.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(host))
        if len(bad):
            raise LabelError(
                f"{before}label {host[bad[0]]} at row {row(int(bad[0]))} is not a number. "
                "Drop the row or give it a label."
            )
        bad = np.flatnonzero((host != np.floor(host)) | (np.abs(host) > 2.0**53))
        if len(bad):
            raise LabelError(
                f"{before}labels must be whole numbers; row {row(int(bad[0]))} is {host[bad[0]]:g}. {cures.fraction}"
            )
    elif host.size and host.max() > 2**53:
        raise LabelError(f"{before}label {host.max()} at row {row(int(host.argmax()))} is too large for a label.")
    whole = host.astype(np.int64)
    allowed = ">= 0" if classes is None else f"0..{classes - 1}"
    bad = np.flatnonzero(whole < 0)
    if len(bad):
        cure = cures.negative.format(label=whole[bad[0]])
        raise LabelError(
            f"{before}label {whole[bad[0]]} at row {row(int(bad[0]))} is negative; class labels must be {allowed}. "
            f"{cure}"
        )
    if classes is not None:
        bad = np.flatnonzero(whole >= classes)
        if len(bad):
            cure = cures.large.format(label=whole[bad[0]], classes=whole.max() + 1)
            raise LabelError(f"{before}label {whole[bad[0]]} at row {row(int(bad[0]))} is outside {allowed}. {cure}")
    return whole


def hot_rows(values: Any) -> Any:
    """Which rows of numbers [rows, classes] are one 1 among zeros: booleans [rows]."""
    return ((values == 0) | (values == 1)).all(axis=1) & (np.count_nonzero(values, axis=1) == 1)


def row_weights(given: Any, rows: int, name: str = "sample_weight", row: RowName = int) -> Any:
    """Weights [rows] as float64 on the host, finite and >= 0; None where none were given. Raises ConfigError."""
    if given is None:
        return None
    weights = np.asarray(to_numpy(real_numbers(given, name)), np.float64)
    if weights.shape != (rows,):
        raise ConfigError(f"{name} must have shape ({rows},), one number for each row; got {tuple(weights.shape)}")
    bad = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
    if len(bad):
        raise ConfigError(f"{name} must be finite and >= 0; got {weights[bad[0]]} at row {row(int(bad[0]))}")
    return weights


def weights_like(given: Sequence[Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Copies of a model's weights in float64, by the names of the present ones, whose shapes they must have."""
    if len(given) != len(now):
        raise ConfigError(f"set_weights: the model has {len(now)} arrays of weights; got {len(given)}")
    values = {}
    for (name, present), value in zip(now.items(), given, strict=True):
        short = name.partition(".")[2]
        values[name] = np.array(to_numpy(real_numbers(value, f"set_weights: {short}")), np.float64)
        if values[name].shape != present.shape:
            raise ConfigError(f"set_weights: {short} has shape {present.shape}; got {values[name].shape}")
    return values
