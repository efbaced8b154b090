"""Surfaces of a loss over two parameters, and the paths that optimisers take on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from deepmath import optimizers
from deepmath.derivative import pullback
from deepmath.errors import ConfigError
from deepmath.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Height: TypeAlias = Callable[[Any, Any], Any]
"""height(xp, w) -> [rows, 1] for points w [rows, parameters]: a formula that can be traced."""


def descent_path(height: Height, start: Any, optimizer: Any, steps: int) -> Any:
    """The points [steps + 1, parameters] that an optimiser visits on a surface, float64, from `start`.

    The gradient is the derivative that deepmath takes on the formula's graph, the update the optimiser's own. The
    path ends early, before a point that is not finite.

    >>> bowl = lambda xp, w: xp.sum(w * w, axis=-1, keepdims=True)
    >>> descent_path(bowl, [1.0, -2.0], optimizers.SGD(0.25), 2).tolist()
    [[1.0, -2.0], [0.5, -1.0], [0.25, -0.5]]
    """
    rule, derivative = optimizers.get(optimizer), pullback(height, ["element"])
    w = np.asarray(start, np.float64).reshape(1, -1)
    slots = tuple(np.zeros(w.size) for _ in rule.slots)
    path, one = [w[0]], np.ones((1, 1))
    with np.errstate(all="ignore"):
        for step in range(steps):
            gradient = np.broadcast_to(derivative(np, w, one), w.shape).ravel()
            new, *rest = rule.update(np, w.ravel(), gradient, *slots, *rule.coefficients(step))
            if not np.isfinite(new).all():
                break
            w, slots = new.reshape(1, -1), tuple(rest)
            path.append(w[0])
    return np.stack(path)


def contours(
    height: Callable[[Any], Any], ax: Axes | None = None, *, x: tuple[float, float], y: tuple[float, float],
    levels: int = 14, resolution: int = 160,
) -> Axes:  # fmt: skip
    """Lines of equal height of height(points [rows, 2]) -> [rows] or [rows, 1], closer together near the least.

    Raises:
        ConfigError: a range is empty, or the heights are not finite.
        MissingExtra: matplotlib is not installed.
    """
    if x[0] >= x[1] or y[0] >= y[1]:
        raise ConfigError(f"contours: x and y must be ranges (low, high); got {x} and {y}")
    ax = style.new_axes(5.4, 4.6)[0] if ax is None else ax
    across, up = (np.linspace(*r, resolution) for r in (x, y))
    points = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    z = np.asarray(height(points), np.float64).reshape(resolution, resolution)
    if not np.isfinite(z).all():
        raise ConfigError("contours: height must be finite in the range; choose a smaller one")
    low, high = float(z.min()), float(z.max())
    spaced = low + (high - low) * np.linspace(0.0, 1.0, levels + 1)[1:] ** 2
    # Grey, so that every colour is left for paths.
    tints = [style.mix(style.ink(ax), ax.get_facecolor(), 0.55 - 0.4 * i / len(spaced)) for i in range(len(spaced))]
    if high > low:
        ax.contour(across, up, z, levels=spaced, colors=tints, linewidths=1.0, zorder=0)
    ax.set_xlim(*x)
    ax.set_ylim(*y)
    return ax


def paths(found: Mapping[str, Any], ax: Axes | None = None) -> Axes:
    """Paths [points, 2] by name over what the axes show, each with its own colour, marker and line; dots end them."""
    ax = style.new_axes(5.4, 4.6)[0] if ax is None else ax
    colours, dashes = style.lines(ax), ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1.5, 1, 1.5)))
    for i, (name, path) in enumerate(found.items()):
        points = np.asarray(path, np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ConfigError(f"paths: '{name}' must be [points, 2]; got shape {points.shape}")
        colour = colours[i % 7]
        ax.plot(points[:, 0], points[:, 1], color=colour, linestyle=dashes[i % 4], linewidth=1.8, label=name, zorder=2)
        ax.plot(*points[-1], marker="osD^vP"[i % 6], color=colour, markersize=6, zorder=3)
    starts = {tuple(np.asarray(path)[0]) for path in found.values()}
    for start in starts:
        ax.plot(*start, marker="x", color=style.ink(ax), markersize=8, markeredgewidth=2, zorder=4)
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return ax


def hill(
    height: Callable[[Any], Any], ax: Any = None, *, x: tuple[float, float], y: tuple[float, float],
    found: Mapping[str, Any] | None = None, resolution: int = 60,
) -> Any:  # fmt: skip
    """The surface in space, with paths [points, 2] on it; `ax` must have projection "3d"."""
    if ax is None:
        ax = style.new_axes(6.2, 5.0, projection="3d")[0]
    across, up = (np.linspace(*r, resolution) for r in (x, y))
    grid = np.stack(np.meshgrid(across, up), axis=-1)
    z = np.asarray(height(grid.reshape(-1, 2)), np.float64).reshape(resolution, resolution)
    dark = style.is_dark(ax)
    colours = style.palette(dark)
    ax.plot_surface(
        grid[..., 0], grid[..., 1], z, color=colours[0], alpha=0.35, linewidth=0.3, edgecolor=style.faint(ax),
        rcount=40, ccount=40,
    )  # fmt: skip
    lift = 0.02 * float(z.max() - z.min())
    for i, (name, path) in enumerate((found or {}).items()):
        points = np.asarray(path, np.float64)
        heights = np.asarray(height(points), np.float64).reshape(-1) + lift
        ax.plot(points[:, 0], points[:, 1], heights, color=colours[1 + i % 6], label=name, zorder=5, marker="o", ms=2.5)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.pane.set_facecolor(ax.get_facecolor())
        axis.pane.set_edgecolor(style.faint(ax))
        axis._axinfo["grid"]["color"] = style.faint(ax)
    ax.view_init(elev=42, azim=-60)
    if found:
        ax.legend(loc="upper left")
    return ax
