"""How classes are told apart: confusion matrix, ROC curve, and the shares that a classifier gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmath import metrics
from deepmath.errors import ConfigError
from deepmath.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def confusion_matrix(matrix: Any, ax: Axes | None = None, names: Sequence[str] | None = None) -> Axes:
    """Rows by class (down) and predicted class (across), as `metrics.ConfusionMatrix` counts them.

    A field is as dark as its share of the class's rows; numbers stand in it for up to 20 classes.

    Raises:
        ConfigError: the matrix is not [classes, classes] of numbers >= 0, or the names are not as many.
        MissingExtra: matplotlib is not installed.
    """
    counts = np.asarray(matrix, np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not np.all(counts >= 0.0):
        raise ConfigError(f"confusion_matrix: matrix must be [classes, classes], each >= 0; got shape {counts.shape}")
    classes = len(counts)
    names = [str(k) for k in range(classes)] if names is None else list(names)
    if len(names) != classes:
        raise ConfigError(f"confusion_matrix: names must be {classes}, one for each class; got {len(names)}")
    side = float(np.clip(0.5 * classes + 1.6, 3.4, 9.0))
    ax = style.new_axes(side + 0.4, side)[0] if ax is None else ax
    total = counts.sum(axis=1, keepdims=True)
    shares = counts / np.where(total > 0.0, total, 1.0)
    base, paper = style.palette(style.is_dark(ax))[0], ax.get_facecolor()
    shown = np.array([[style.mix(base, paper, 0.92 * s) for s in row] for row in shares])
    ax.imshow(shown, interpolation="nearest")
    if classes <= 20:
        for i, j in np.ndindex(classes, classes):
            if counts[i, j]:
                ax.text(j, i, f"{counts[i, j]:g}", ha="center", va="center", fontsize=9, color=_on(shown[i, j]))
    every = range(0, classes, max(1, classes // 20))
    ax.set_xticks(every, [names[i] for i in every], rotation=90 if max(map(len, names)) > 3 else 0)
    ax.set_yticks(every, [names[i] for i in every])
    ax.set_xlabel("predicted class")
    ax.set_ylabel("class")
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0)
    return ax


def _on(field: Any) -> str:
    """Dark or light ink, whichever reads better on a field."""
    return "#FFFFFF" if float(np.dot((0.2126, 0.7152, 0.0722), np.asarray(field) ** 2.2)) < 0.18 else "#000000"


def roc_points(p: Any, d: Any) -> tuple[Any, Any]:
    """Shares of false and of true alarms, from (0, 0) to (1, 1), as the threshold on the scores p [rows] falls.

    Labels d [rows] are 0 or 1. Equal scores are passed together, so the area below the straight lines between the
    points is `metrics.AUC`.

    >>> [a.tolist() for a in roc_points([0.9, 0.4, 0.4, 0.1], [1, 1, 0, 0])]
    [[0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0]]
    """
    scores, labels = np.asarray(p, np.float64).ravel(), np.asarray(d).ravel()
    if len(scores) != len(labels) or not np.isin(labels, (0, 1)).all() or len(np.unique(labels)) != 2:
        raise ConfigError("roc: needs scores p [rows] and labels d [rows] with both 0 and 1 among them")
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = labels[order] == 1
    true, false = np.cumsum(hits)[ends], np.cumsum(~hits)[ends]
    return np.append(0.0, false / false[-1]), np.append(0.0, true / true[-1])


def roc(p: Any, d: Any, ax: Axes | None = None, name: str = "model") -> Axes:
    """The ROC curve of scores p [rows] for labels d [rows] of 0 and 1, with the area below it."""
    false, true = roc_points(p, d)
    ax = style.new_axes(4.6, 4.4)[0] if ax is None else ax
    colours = style.palette(style.is_dark(ax))
    area = metrics.AUC().of(np.ravel(p), np.ravel(d))
    colour = colours[len(ax.lines) % 7]
    if not ax.lines:
        ax.plot((0, 1), (0, 1), color=style.ink(ax), linewidth=0.9, linestyle=(0, (4, 3)), label="chance, area 0.5")
        colour = colours[0]
    ax.plot(false, true, color=colour, label=f"{name}, area {area:.4f}", clip_on=False)
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(0.0, 1.0)
    ax.set_aspect("equal")
    ax.set_xlabel("share of class 0 taken for 1 (false alarms)")
    ax.set_ylabel("share of class 1 found (recall)")
    ax.grid(axis="both")
    ax.legend(loc="lower right")
    return ax


def shares(p: Any, target: Any, ax: Axes | None = None, names: Sequence[str] | None = None) -> Axes:
    """One row's predicted shares p [classes] beside its one-hot target [classes], as bars."""
    p, target = np.asarray(p, np.float64).ravel(), np.asarray(target, np.float64).ravel()
    if p.shape != target.shape:
        raise ConfigError(f"shares: p and target must have the same classes; got {len(p)} and {len(target)}")
    names = [str(k) for k in range(len(p))] if names is None else list(names)
    ax = style.new_axes(5.0, 3.2)[0] if ax is None else ax
    colours = style.palette(style.is_dark(ax))
    place = np.arange(len(p))
    ax.bar(place - 0.2, p, 0.4, color=colours[0], label="predicted")
    ax.bar(place + 0.2, target, 0.4, facecolor="none", edgecolor=colours[1], linewidth=1.6, label="target", hatch="//")
    ax.set_xticks(place, names)
    ax.set_xlabel("class")
    ax.set_ylabel("share")
    ax.set_ylim(0.0, 1.05)
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return ax
