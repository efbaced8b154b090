"""Predictions and targets at the border of the metrics: checked, and as float64 on the host."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from deepmath.arrays import to_numpy
from deepmath.checks import check_finite, hot_rows, real_numbers, row_weights, whole_labels
from deepmath.errors import ConfigError, LabelError


class Batch(NamedTuple):
    """p [rows, outputs], d [rows, outputs] or labels [rows], weight [rows]; rows of weight 0 are left out."""

    p: Any
    d: Any
    weight: Any


def admit(who: str, p: Any, d: Any, weight: Any, outputs: int | None = None) -> Batch:
    """The arguments of `update` as float64 NumPy; `outputs` is what the batches before had."""
    p, d = _numbers(f"{who}: p", p), _numbers(f"{who}: d", d)
    if p.ndim == 1:
        p = p[:, None]
    if p.ndim != 2 or p.shape[1] < 1:
        raise ConfigError(f"{who}: predictions must be [rows, outputs] or [rows]; got shape {p.shape}")
    if outputs is not None and p.shape[1] != outputs:
        raise ConfigError(f"{who}: predictions had {outputs} outputs in the batches before; got {p.shape[1]}")
    given = d.shape
    if d.ndim == 2 and d.shape[1] == 1:
        d = d[:, 0]
    if d.ndim == 1 and p.shape[1] == 1:
        d = d[:, None]
    if d.shape[:1] != p.shape[:1] or d.shape not in (p.shape, p.shape[:1]):
        raise ConfigError(
            f"{who}: targets must be [rows, outputs] or [rows] for predictions of shape {p.shape}; got shape {given}"
        )
    given = row_weights(weight, len(p), f"{who}: weight")
    w = np.ones(len(p)) if given is None else given
    if w.all():
        return Batch(p, d, w)
    counts = w > 0.0
    return Batch(p[counts], d[counts], w[counts])


def rows_of_targets(who: str, batch: Batch) -> Any:
    """Targets [rows, outputs]; labels become one-hot rows."""
    return batch.d if batch.d.ndim == 2 else np.eye(batch.p.shape[1])[labels(who, batch)]


def answers(who: str, batch: Batch) -> Any:
    """Whether each output should say yes: booleans [rows, outputs]; labels become rows with a single yes.

    Raises LabelError for targets that are neither labels nor 0 and 1.
    """
    d = batch.d
    if d.ndim == 1:
        return np.eye(batch.p.shape[1], dtype=bool)[labels(who, batch)]
    bad = np.argwhere((d != 0.0) & (d != 1.0))
    if len(bad):
        row, column = bad[0].tolist()
        raise LabelError(f"{who}: targets must be 0 or 1 for each output; row {row} has {d[row, column]:g}")
    return d == 1.0


def labels(who: str, batch: Batch) -> Any:
    """The class of each row, int64 [rows]. One output tells class 0 from 1; one-hot rows tell theirs.

    Raises LabelError for anything but whole labels in range, or rows with a single 1.
    """
    d, classes = batch.d, max(2, batch.p.shape[1])
    if d.ndim == 2 and d.shape[1] > 1:
        bad = np.flatnonzero(~hot_rows(d))
        if len(bad):
            row = bad[0]
            raise LabelError(
                f"{who}: each row needs one class, as a label or a row of 0s with a single 1; "
                f"row {row} is {d[row].tolist()}. Where rows may have several labels, use F1, Precision or Recall with "
                "yes_above=0.5"
            )
        return np.argmax(d, axis=1)
    return whole_labels(d.reshape(-1), classes, who)


def predicted(p: Any, yes_above: float = 0.5) -> Any:
    """The class that each row of p [rows, outputs] says, int64 [rows].

    One output says 1 above a number, several the first of the largest.
    """
    return (p[:, 0] > yes_above).astype(np.int64) if p.shape[1] == 1 else np.argmax(p, axis=1)


def _numbers(name: str, values: Any) -> Any:
    x = np.array(to_numpy(real_numbers(values, name)), np.float64, order="C")
    check_finite(x, name, cure="Look for what made it.")
    return x
