"""Labels as whole numbers and as one-hot rows, and weights that make rare classes count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmath.arrays import to_numpy
from deepmath.checks import LabelCures, hot_rows, whole_labels
from deepmath.data.weights import balanced
from deepmath.datasets import arguments
from deepmath.errors import LabelError

_CURES = LabelCures(large="Fix it or set classes={classes}.")


def one_hot(labels: Any, classes: int | None = None) -> NDArray[np.float64]:
    """Rows of zeros with a one in the place of the label.

    Args:
        labels: whole numbers [rows] from 0 to classes - 1, of any library and any numeric type.
        classes: the number of classes, by default one more than the largest label.

    Returns:
        float64 [rows, classes], on the host.

    Raises:
        LabelError: a label is not a whole number, negative or too large, or there are none.
        ConfigError: `classes` is not a whole number from 1 to 2^24.

    >>> one_hot([1, 0, 2]).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    codes = _codes(labels)
    count = int(codes.max()) + 1 if classes is None else arguments.whole("one_hot", "classes", classes, 1, 1 << 24)
    if count > 1 << 24:
        row = int(codes.argmax())
        msg = f"one_hot: label {codes[row]} at row {row} would make {count} classes; at most {1 << 24} are possible"
        raise LabelError(msg)
    whole_labels(codes, count, "one_hot", cures=_CURES)
    rows = np.zeros((len(codes), count))
    rows[np.arange(len(codes)), codes] = 1.0
    return rows


def to_labels(one_hot: Any) -> NDArray[np.int64]:
    """The place of the one in each one-hot row: int64 [rows].

    Raises:
        LabelError: not [rows, classes], no rows, or a row that isn't one 1 among zeros. For probabilities take
            `argmax` along the last axis.

    >>> to_labels([[0, 1, 0], [1, 0, 0]]).tolist()
    [1, 0]
    """
    rows = to_numpy(one_hot)
    if rows.ndim != 2 or 0 in rows.shape or rows.dtype.kind not in "biuf":
        msg = f"to_labels: one-hot rows must be numbers [rows, classes], got shape {rows.shape} of {rows.dtype}"
        raise LabelError(msg)
    good = hot_rows(rows)
    if not good.all():
        row = int(np.argmin(good))
        cure = "for probabilities use their argmax"
        msg = f"to_labels: row {row} must be one 1 among zeros, got {_shown(rows[row])}; {cure}"
        raise LabelError(msg)
    return rows.argmax(axis=1).astype(np.int64)


def balanced_class_weight(y: Any) -> dict[Any, float]:
    """Weights that give every class the same say: rows / (classes x rows of the class).

    The rows' mean weight is 1. It is what scikit-learn calls "balanced" (G. King and L. Zeng, "Logistic
    regression in rare events data", 2001), ready for `fit(class_weight=...)`.

    Args:
        y: labels [rows] or [rows, 1], numbers or text, or one-hot rows [rows, classes], whose classes are
            numbered; a class without rows gets no weight.

    Raises:
        LabelError: there are no rows, or y has another shape, or holds NaN.

    >>> balanced_class_weight(["a", "a", "a", "b"])
    {'a': 0.6666666666666666, 'b': 2.0}
    """
    labels = to_numpy(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = to_labels(labels)
    if labels.size == 0 or labels.ndim not in (1, 2):
        msg = f"balanced_class_weight: y must be labels [rows] or one-hot rows, got shape {labels.shape}"
        raise LabelError(msg)
    labels = labels.reshape(-1)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int(np.argmin(np.isfinite(labels)))
        msg = f"balanced_class_weight: row {row} is {labels[row]}, which is no label"
        raise LabelError(msg)
    classes, counts = np.unique(labels, return_counts=True)
    return balanced(dict(zip(classes.tolist(), counts.tolist(), strict=True)))


def _codes(labels: Any) -> NDArray[np.int64]:
    """Labels [rows] as int64, none of them negative."""
    values = to_numpy(labels)
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "biuf":
        cure = "; number text by numpy.unique(labels, return_inverse=True)" if values.dtype.kind in "OUS" else ""
        msg = f"one_hot: labels must be whole numbers [rows], got shape {values.shape} of {values.dtype}{cure}"
        raise LabelError(msg)
    return whole_labels(values, None, "one_hot", cures=_CURES)


def _shown(row: NDArray[Any]) -> str:
    values = [f"{value:g}" for value in row[:10].astype(np.float64)]
    return f"[{', '.join(values)}{', ...' if len(row) > 10 else ''}]"
