"""Where in the plane a classifier decides for which class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmath.errors import ConfigError, NumericError
from deepmath.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "os^DvPX*"
_SHADES = (0.16, 0.24, 0.32, 0.40, 0.48)
_MARGIN = 0.08


def decision_regions(
    predict: Callable[[Any], Any],
    X: Any,
    y: Any,
    ax: Axes | None = None,
    resolution: int = 200,
    names: Sequence[str] | None = None,
) -> Axes:
    """The regions of the classes, their boundary, and the points.

    A region is shaded by its margin: the class's probability less the largest of the others, darker
    where the classifier is surer. The line is where the margin is 0: for two classes, probability 0.5.

    Args:
        predict: maps points [m, 2] to the probability of class 1 [m, 1], or of each class [m, classes].
        X: the points [n, 2].
        y: their classes, whole numbers from 0: [n] or [n, 1].
        ax: where to draw; by default a new figure.
        resolution: grid points along each axis, at least 2.
        names: names of the classes in the legend; by default "class 0" and so on; () leaves the legend out.

    Returns:
        The axes.

    Raises:
        ConfigError: a shape, `resolution` or the number of names doesn't fit.
        NumericError: X, y or a predicted probability is not finite.
        MissingExtra: matplotlib is not installed.
    """
    points, labels = _points(X, y)
    if resolution < 2:
        msg = f"decision_regions: resolution must be at least 2, got {resolution}"
        raise ConfigError(msg)
    across, up = (_ticks(points[:, i], resolution) for i in (0, 1))
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    margins = _margins(predict(grid), len(grid)).reshape(resolution, resolution, -1)
    classes = margins.shape[-1]
    if labels.max() >= classes:
        msg = (
            f"decision_regions: y holds class {labels.max()}, but predict gives {classes} classes (0 to {classes - 1})"
        )
        raise ConfigError(msg)
    names = [f"class {k}" for k in range(classes)] if names is None else list(names)
    if names and len(names) != classes:
        msg = f"decision_regions: names must be {classes}, one for each class, got {len(names)}"
        raise ConfigError(msg)

    ax = style.new_axes(6.6, 5.0)[0] if ax is None else ax
    _draw_regions(ax, across, up, margins)
    draw_points(ax, points, labels, classes)
    ax.set_xlim(across[0], across[-1])
    ax.set_ylim(up[0], up[-1])
    ax.set_xlabel(ax.get_xlabel() or "$x_1$")
    ax.set_ylabel(ax.get_ylabel() or "$x_2$")
    if names:
        _legend(ax, names)
    return ax


def _points(X: Any, y: Any) -> tuple[Any, Any]:
    points, labels = np.asarray(X, dtype=np.float64), np.asarray(y)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        msg = f"decision_regions: X must have shape (n, 2) with n >= 1, got {points.shape}; pick two features"
        raise ConfigError(msg)
    if labels.shape not in ((len(points),), (len(points), 1)):
        msg = f"decision_regions: y must have shape ({len(points)},) or ({len(points)}, 1), got {labels.shape}"
        raise ConfigError(msg)
    labels = labels.reshape(-1).astype(np.float64)
    if not (np.isfinite(points).all() and np.isfinite(labels).all()):
        msg = "decision_regions: X and y must be finite, got NaN or infinity; drop those rows"
        raise NumericError(msg)
    if (labels < 0).any() or (labels % 1 != 0).any():
        wrong = labels[(labels < 0) | (labels % 1 != 0)][0]
        msg = f"decision_regions: y must hold classes as whole numbers from 0, got {wrong:g}"
        raise ConfigError(msg)
    return points, labels.astype(np.int64)


def _ticks(values: Any, resolution: int) -> Any:
    """The grid along one axis, a little wider than the points; points on one line still get a region."""
    low, high = float(values.min()), float(values.max())
    pad = _MARGIN * (high - low) or 1.0
    return np.linspace(low - pad, high + pad, resolution)


def _margins(predicted: Any, rows: int) -> Any:
    """Each class's probability less the largest of the others: [rows, classes]."""
    p = np.asarray(predicted, dtype=np.float64)
    if p.ndim == 1:
        p = p[:, None]
    if p.ndim != 2 or p.shape[0] != rows or p.shape[1] < 1:
        msg = f"decision_regions: predict must give shape ({rows}, 1) or ({rows}, classes), got {p.shape}"
        raise ConfigError(msg)
    if not np.isfinite(p).all():
        msg = f"decision_regions: predict gave {int((~np.isfinite(p)).sum())} values that are NaN or infinite"
        raise NumericError(msg)
    if p.shape[1] == 1:
        p = np.concatenate([1.0 - p, p], axis=1)
    others = [np.delete(p, k, axis=1).max(axis=1) for k in range(p.shape[1])]
    return p - np.stack(others, axis=1)


def _colour(ax: Axes, k: int) -> str:
    colours = style.palette(style.is_dark(ax))
    return colours[k % len(colours)]


def _marker(k: int) -> str:
    """A marker of its own for each class; after eight classes colours come again with other markers."""
    return _MARKERS[(k + k // len(_MARKERS)) % len(_MARKERS)]


def _draw_regions(ax: Axes, across: Any, up: Any, margins: Any) -> None:
    levels = np.linspace(0.0, 1.0, len(_SHADES) + 1)
    levels[-1] = np.inf  # outputs that aren't probabilities may have larger margins
    classes = margins.shape[-1]
    for k in range(classes):
        tints = [style.mix(_colour(ax, k), ax.get_facecolor(), share) for share in _SHADES]
        ax.contourf(across, up, margins[..., k], levels=levels, colors=tints, zorder=0)
    for k in range(classes - 1):
        # Where a class wins nowhere or everywhere there is no line, and matplotlib would warn.
        if margins[..., k].min() < 0.0 < margins[..., k].max():
            ax.contour(across, up, margins[..., k], levels=[0.0], colors=[style.ink(ax)], linewidths=1.4, zorder=1)


def draw_points(ax: Axes, points: Any, labels: Any, classes: int) -> None:
    """Points [rows, 2], with a colour and a marker for each class."""
    size = float(np.clip(9000.0 / len(points), 12.0, 60.0))
    for k in range(classes):
        chosen = points[labels == k]
        ax.scatter(
            chosen[:, 0],
            chosen[:, 1],
            s=size,
            c=[_colour(ax, k)],
            marker=_marker(k),
            edgecolors=[ax.get_facecolor()],
            linewidths=0.5,
            zorder=2,
        )


def _legend(ax: Axes, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", marker=_marker(k), color=_colour(ax, k), markersize=6, label=name)
        for k, name in enumerate(names)
    ]
    if len(names) == 2:
        handles.append(Line2D([], [], color=style.ink(ax), linewidth=1.4, label="probability 0.5"))
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0)
