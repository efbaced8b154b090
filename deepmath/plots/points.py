"""Points in the plane: data with classes, and a function with what a network makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmath.errors import ConfigError
from deepmath.plots import style
from deepmath.plots.regions import draw_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def scatter(X: Any, y: Any = None, ax: Axes | None = None, title: str = "", equal: bool = True) -> Axes:
    """Points X [rows, 2], with a colour and a marker for each of the classes y [rows], whole numbers from 0."""
    points = np.asarray(X, np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ConfigError(f"scatter: X must be [rows, 2]; got shape {points.shape}")
    labels = np.zeros(len(points), np.int64) if y is None else np.asarray(y).ravel().astype(np.int64)
    ax = style.new_axes(4.4, 4.2)[0] if ax is None else ax
    draw_points(ax, points, labels, int(labels.max()) + 1)
    if equal:
        ax.set_aspect("equal")
    ax.set_xlabel("$x_1$")
    ax.set_ylabel("$x_2$")
    ax.set_title(title)
    return ax


def fits(x: Any, y: Any, found: Mapping[str, Any], ax: Axes | None = None) -> Axes:
    """A function y over x, both [points], and what models make of it, [points] by name."""
    x = np.asarray(x, np.float64).ravel()
    ax = style.new_axes(6.4, 3.8)[0] if ax is None else ax
    colours, dashes = style.lines(ax), ((0, (1, 1)), (0, (4, 1.5)), (0, (4, 1.5, 1, 1.5)), "-")
    ax.plot(x, np.ravel(y), color=style.mix(style.ink(ax), ax.get_facecolor(), 0.3), linewidth=5, label="function")
    for i, (name, line) in enumerate(found.items()):
        ax.plot(x, np.ravel(line), color=colours[i % 7], linestyle=dashes[i % 4], label=name)
    ax.set_xlabel("x")
    ax.set_xlim(x.min(), x.max())
    ax.grid(axis="y")
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return ax


def learning_curve(
    sizes: Sequence[int], training: Any, validation: Any, ax: Axes | None = None, what: str = "loss",
    names: tuple[str, str] = ("training", "validation"),
) -> Axes:  # fmt: skip
    """A loss over the number of training rows, in training and in validation; [sizes, runs] also shows the spread."""
    ax = style.new_axes(5.2, 3.6)[0] if ax is None else ax
    colours = style.palette(style.is_dark(ax))
    for values, name, colour, marker in (
        (training, names[0], colours[0], "o"), (validation, names[1], colours[1], "s"),
    ):  # fmt: skip
        runs = np.asarray(values, np.float64).reshape(len(sizes), -1)
        ax.plot(sizes, runs.mean(axis=1), color=colour, label=name, marker=marker, ms=4)
        ax.fill_between(sizes, runs.min(axis=1), runs.max(axis=1), color=colour, alpha=0.18, linewidth=0)
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(sizes), [f"{s:,}" for s in sizes])
    ax.minorticks_off()
    ax.set_xlabel("training rows")
    ax.set_ylabel(what)
    ax.set_ylim(bottom=0.0)
    ax.grid(axis="y")
    ax.legend(loc="best")
    return ax
