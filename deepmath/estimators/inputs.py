"""What comes in at an estimator's door: checked by scikit-learn, on the library it came in or on NumPy."""

from __future__ import annotations

import warnings
from typing import Any

import array_api_compat
import numpy as np
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import validate_data

from deepmath.arrays import from_numpy, is_array, namespace_of, to_numpy
from deepmath.errors import ConfigError

SPARSE = ("csr", "csc")


def admitted(
    estimator: Any, X: Any, y: Any = "no_validation", *, reset: bool, numeric: bool = False
) -> tuple[Any, Any]:
    """(X, y) as dense floating X, in its own library where array-API dispatch is on, and y on the host."""
    rules: dict[str, Any] = {"accept_sparse": SPARSE, "dtype": _floats(X), "reset": reset}
    if isinstance(y, str):
        return _dense(validate_data(estimator, X, **rules)), None
    X, y = validate_data(estimator, X, y, multi_output=True, y_numeric=numeric, **rules)
    return _dense(X), np.asarray(_dense(to_numpy(y)))


def _floats(X: Any) -> Any:
    xp = namespace_of(X) if dispatches() and is_array(X) else np
    return xp.float64, xp.float32


def _dense(X: Any) -> Any:
    return X.toarray() if issparse(X) else X


def dispatches() -> bool:
    """Whether scikit-learn lets arrays of other libraries through."""
    return bool(get_config()["array_api_dispatch"])


def placer(X: Any) -> Any:
    """A function that puts NumPy arrays of numbers where X is; others stay NumPy's."""
    if isinstance(X, np.ndarray):
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
    kept, held = train_test_split(np.arange(rows), random_state=rng, test_size=share, stratify=stratify)
    if len(held) < 2:
        raise ConfigError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your dataset; "
            f"got {len(held)} of {rows} rows"
        )
    return kept, held
