"""Which rows train, and how much each counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepmath.arrays import is_array, to_numpy
from deepmath.descriptions import check_number
from deepmath.errors import ConfigError


def held_out(
    X: Any, y: Any, weight: Any, validation_data: tuple[Any, ...] | None, split: float
) -> tuple[Any, Any, Any, tuple[Any, Any, Any] | None]:
    """(X, y, weights, validation data as such a triple or None).

    A split takes the last share of the rows, before anything is shuffled.
    """
    check_number("fit", "validation_split", split, low=0.0, high=1.0, open_high=True)
    if validation_data is not None:
        if split:
            raise ConfigError("fit: give validation_data or validation_split, not both")
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
            raise ConfigError("fit: validation_data must be (X, y) or (X, y, sample_weight)")
        return X, y, weight, (validation_data[0], validation_data[1], [*validation_data[2:], None][0])
    if not split:
        return X, y, weight, None
    if y is None:
        raise ConfigError("fit: validation_split needs arrays; for data that come in pieces give validation_data")
    X, y = (v if is_array(v) else np.asarray(v) for v in (X, y))
    rows = int(X.shape[0])
    kept = rows - round(rows * split)
    if not 0 < kept < rows:
        raise ConfigError(f"fit: validation_split={split} of {rows} rows leaves no rows on one side")
    held = (X[kept:, ...], y[kept:, ...], None if weight is None else to_numpy(weight)[kept:])
    return X[:kept, ...], y[:kept, ...], None if weight is None else to_numpy(weight)[:kept], held


def combined_weights(y: Any, sample_weight: Any, class_weight: Mapping[Any, float] | None) -> Any:
    """Sample weights times the weights of the rows' classes; y is labels [rows], or one-hot rows."""
    if class_weight is None:
        return sample_weight
    labels = to_numpy(y)
    if labels.ndim == 2:
        labels = labels[:, 0] if labels.shape[1] == 1 else np.argmax(labels, axis=1)
    missing = sorted(set(np.unique(labels).tolist()) - set(class_weight))
    if missing:
        raise ConfigError(f"class_weight has no weight for class {missing[0]!r}; it has {sorted(class_weight)}")
    by_class = np.asarray([float(class_weight[label]) for label in labels.tolist()])
    return by_class if sample_weight is None else by_class * np.asarray(to_numpy(sample_weight), np.float64)


def taken_over(given: Sequence[Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Copies of the given arrays in float64, by the names of the present ones, whose shapes they must have."""
    if len(given) != len(now):
        raise ConfigError(f"set_weights: the model has {len(now)} arrays of weights; got {len(given)}")
    values = {name: np.array(to_numpy(v), np.float64) for name, v in zip(now, given, strict=True)}
    for name, value in values.items():
        if value.shape != now[name].shape:
            short = name.partition(".")[2]
            raise ConfigError(f"set_weights: {short} has shape {now[name].shape}; got {value.shape}")
    return values
