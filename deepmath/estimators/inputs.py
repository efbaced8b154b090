"""What comes in: frames as tables, all else checked by scikit-learn, on the library it came in or on NumPy."""

from __future__ import annotations

import warnings
from typing import Any

import array_api_compat
import numpy as np
from sklearn import get_config
from sklearn.model_selection import train_test_split
from sklearn.utils import check_X_y
from sklearn.utils.validation import validate_data

from deepmath.arrays import from_numpy, is_array, is_frame, is_series, namespace_of, to_numpy
from deepmath.checks import is_sparse, real_numbers
from deepmath.errors import ConfigError
from deepmath.estimators import settings

SPARSE = ("csr", "csc")


_NO_TARGET: Any = object()


def admitted(estimator: Any, X: Any, y: Any = _NO_TARGET, *, reset: bool, numeric: bool = False) -> tuple[Any, Any]:
    """(X, y): X as floating numbers, in its own library where array-API dispatch is on or sparse rows, y on the host.

    A frame that is more than plain numbers stays one, a `Frame`; y may be the name of its column. With `reset` the
    estimator takes over the columns, and by scikit-learn's own checks it is held to their names and order from then on.
    """
    native = X
    if is_frame(X):
        X, y = _without_target(X, y)
        native = X.native
    if isinstance(y, str):
        raise ConfigError(f"y={y!r} is the name of a column, so X must be a data frame; got {type(X).__name__}")
    if reset:
        estimator._takes_frames = is_frame(X) and (_takes_frames(estimator) or not _is_plain(X))
        estimator._columns = None
    names = X.names if reset and is_frame(X) else None
    known = y is not _NO_TARGET
    y = _target(y, numeric) if known else None
    if estimator._takes_frames:
        validate_data(estimator, native, skip_check_array=True, reset=reset)
        X = X if is_frame(X) else np.asarray(X)
        if known:
            _, y = check_X_y(np.zeros((len(X), 1)), y, multi_output=True, y_numeric=numeric)
        return X, y
    _refuse(native, "X")
    rules: dict[str, Any] = {"accept_sparse": SPARSE, "dtype": _floats(X), "reset": reset}
    if known:
        X, y = validate_data(estimator, native, y, multi_output=True, y_numeric=numeric, **rules)
        y = y.toarray() if is_sparse(y) else to_numpy(y)
    else:
        X = validate_data(estimator, native, **rules)
    if names is not None:
        estimator._columns = _plain_columns(names, X)
    return X.tocsr() if is_sparse(X) else X, y


def _without_target(X: Any, y: Any) -> tuple[Any, Any]:
    """A frame, and its target taken out of it where that was given by the name of its column."""
    from deepmath.tables import frame_of  # only who has frames pays for them

    frame = frame_of(X)
    if not isinstance(y, str):
        return frame, y
    import narwhals.stable.v2 as nw

    rest = frame.drop(y)
    return rest, nw.from_native(frame.native, eager_only=True)[y].to_native()


def _plain_columns(names: Any, X: Any) -> Any:
    """The encoding of a table of plain numbers, by which a model knows its columns; medians are those of a sample."""
    from deepmath.tables import TableEncoding
    from deepmath.tables.encoders import NumberColumn

    medians = np.median(X[:: max(1, len(X) // 10_000)], axis=0)
    return TableEncoding(tuple(NumberColumn(n, float(m)) for n, m in zip(names, medians, strict=True)))


def _takes_frames(estimator: Any) -> bool:
    return bool(getattr(settings.scaling(estimator), "takes_frames", False))


def _is_plain(frame: Any) -> bool:
    """Whether a frame holds nothing but numbers and booleans, none of them missing: that is an array with names."""
    import narwhals.stable.v2 as nw

    types = nw.from_native(frame.native, eager_only=True).schema.values()
    if not all(dtype.is_numeric() or dtype == nw.Boolean for dtype in types):
        return False
    columns = (frame.column(name) for name in frame.names)
    return all(column.type in ("number", "boolean") and not column.missing.any() for column in columns)


def _target(y: Any, numeric: bool) -> Any:
    """Targets as scikit-learn takes them: a series or a frame as an array of its cells' type."""
    if is_frame(y) or is_series(y):
        import narwhals.stable.v2 as nw

        given = nw.from_native(y, allow_series=True, eager_only=True)
        y = _cells(given) if is_series(y) else np.stack([_cells(given[:, i]) for i in range(given.shape[1])], axis=1)
    _refuse(y, "y", ("M", "m") if numeric else ())
    return y


def _cells(series: Any) -> Any:
    from deepmath.tables.targets import check_present

    check_present(np.asarray(series.is_null().to_numpy(), bool), "y")
    return series.to_numpy()


def _refuse(values: Any, name: str, kinds: Any = ("M", "m")) -> None:
    """Raise ConfigError for arrays that scikit-learn would take for what they are not: masked ones, and dates."""
    masked = isinstance(values, np.ma.MaskedArray) and bool(np.ma.getmaskarray(values).any())
    if masked or (isinstance(values, np.ndarray) and values.dtype.kind in kinds):
        real_numbers(values, name)


def _floats(X: Any) -> Any:
    xp = namespace_of(X) if dispatches() and is_array(X) else np
    return xp.float64, xp.float32


def dispatches() -> bool:
    """Whether scikit-learn lets arrays of other libraries through."""
    return bool(get_config()["array_api_dispatch"])


def placer(X: Any) -> Any:
    """A function that puts NumPy arrays of numbers where X is; others stay NumPy's."""
    if isinstance(X, np.ndarray) or not is_array(X):
        return np.asarray
    xp, device = namespace_of(X), array_api_compat.device(X)
    return lambda array: array if array.dtype.kind in "OUS" else from_numpy(xp, array, None, device)


def check_same_place(estimator: Any, X: Any, method: str) -> None:
    """Raise ConfigError where dispatch is on and X lies elsewhere than what the estimator was fitted on."""
    if not dispatches():
        return
    fitted = estimator.coefs_[0]
    here, there = namespace_of(X), namespace_of(fitted)
    if not is_array(X) or isinstance(X, np.ndarray):
        same = isinstance(fitted, np.ndarray)
    else:
        same = here is there and array_api_compat.device(X) == array_api_compat.device(fitted)
    if not same:
        raise ConfigError(
            f"Inputs passed to {type(estimator).__name__}.{method}() must use the same namespace and the same device "
            f"as those passed to fit(): {there.__name__}; got {here.__name__}. Move the inputs, or fit on such arrays"
        )


def batch_rows(estimator: Any, rows: int) -> int:
    """The rows of a batch: `batch_size`, or 200 where it is "auto", or all rows where there are fewer."""
    size = estimator.batch_size
    if size == "auto":
        return min(200, rows)
    if size > rows:
        warnings.warn(
            f"batch_size={size} is larger than the number of samples, {rows}; all make one batch", stacklevel=2
        )
    return min(int(size), rows)


def split(rows: int, share: float, rng: Any, stratify: Any) -> tuple[Any, Any]:
    """Numbers of the rows that train, and of those held out: scikit-learn's split of the same `rng`."""
    kept, held = train_test_split(np.arange(rows), random_state=rng, test_size=float(share), stratify=stratify)
    if len(held) < 2:
        raise ConfigError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your dataset; "
            f"got {len(held)} of {rows} rows"
        )
    return kept, held
