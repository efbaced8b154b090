"""A network drawn: a circle for each unit, a line for each weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmath.errors import ConfigError
from deepmath.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 12
"""The most units of a layer that are drawn; of a wider one the first and last are, with dots between."""


def network(
    kernels: Sequence[Any], ax: Axes | None = None, *, names: Sequence[str] = (), values: Sequence[Any] | None = None,
    numbers: bool = False, dropped: Sequence[Any] | None = None, biases: Sequence[Any] | None = None,
) -> Axes:  # fmt: skip
    """Units in columns, from the inputs on the left, joined by the weights of `kernels`, each [inputs, units].

    A line is as wide as its weight is large, solid and of the first colour above 0, dashed and of the second below.

    Args:
        names: under the columns, one more than kernels.
        values: a number in each unit, one array for each column.
        numbers: whether each weight stands on its line, and each bias (of `biases`) below its unit; for small networks.
        dropped: for each column, truth values [units] of units that are crossed out and joined to nothing.

    Raises:
        ConfigError: the shapes don't fit together.
        MissingExtra: matplotlib is not installed.
    """
    weights = [np.asarray(k, np.float64) for k in kernels]
    if not weights or any(w.ndim != 2 for w in weights):
        raise ConfigError("network: kernels must be a list of arrays [inputs, units], such as get_weights()[::2]")
    widths = [weights[0].shape[0], *(w.shape[1] for w in weights)]
    if any(w.shape[0] != n for w, n in zip(weights, widths[:-1], strict=True)):
        raise ConfigError(f"network: each kernel's inputs must be the units before; got {[w.shape for w in weights]}")
    if names and len(names) != len(widths):
        raise ConfigError(f"network: names must be {len(widths)}, one for each column; got {len(names)}")
    tallest = min(max(widths), MOST)
    ax = style.new_axes(1.9 * len(widths) + 0.6, max(2.6, 0.55 * tallest + 1.2))[0] if ax is None else ax
    places = [_places(n, i, tallest) for i, n in enumerate(widths)]
    out = [np.zeros(n, bool) if dropped is None else np.asarray(dropped[i], bool) for i, n in enumerate(widths)]
    for i, w in enumerate(weights):
        _lines(ax, w, places[i], places[i + 1], numbers, (out[i], out[i + 1]))
    for i, column in enumerate(places):
        for unit, (x, y) in column.items():
            text = "" if values is None else f"{float(np.ravel(values[i])[unit]):.3g}"
            _unit(ax, x, y, text, bool(out[i][unit]))
            if numbers and biases is not None and i:
                bias = float(np.ravel(biases[i - 1])[unit])
                ax.text(x, y - 0.52, f"b {bias:.3g}", ha="center", va="center", fontsize=8)
        if len(column) < widths[i]:
            x = next(iter(column.values()))[0]
            ax.text(x, 0.0, "⋮", ha="center", va="center", fontsize=14)
        if names:
            ax.text(3.0 * i, -tallest / 2 - 0.45, names[i], ha="center", va="top", fontsize=9)
    ax.set_xlim(-0.8, 3.0 * (len(widths) - 1) + 0.8)
    ax.set_ylim(-tallest / 2 - (1.3 if names else 0.5), tallest / 2 + 0.3)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax


def _places(units: int, column: int, tallest: int) -> dict[int, tuple[float, float]]:
    """Where the units that are drawn stand, by number."""
    shown = list(range(units)) if units <= MOST else [*range(5), *range(units - 5, units)]
    slots = len(shown) if units <= MOST else len(shown) + 1
    gap = min(tallest / slots, 1.6)
    found = {}
    for place, unit in enumerate(shown):
        slot = place if units <= MOST or place < 5 else place + 1
        found[unit] = 3.0 * column, gap * ((slots - 1) / 2 - slot)
    return found


def _lines(ax: Axes, w: Any, left: dict[int, Any], right: dict[int, Any], numbers: bool, out: tuple[Any, Any]) -> None:
    largest = float(np.abs(w).max()) or 1.0
    colours = style.palette(style.is_dark(ax))
    for i, (x0, y0) in left.items():
        for j, (x1, y1) in right.items():
            if out[0][i] or out[1][j]:
                continue
            share = abs(w[i, j]) / largest
            ax.plot(
                (x0, x1), (y0, y1), zorder=0, linewidth=0.4 + 2.8 * share,
                color=style.mix(colours[0 if w[i, j] >= 0 else 1], ax.get_facecolor(), 0.25 + 0.75 * share),
                linestyle="-" if w[i, j] >= 0 else (0, (3, 1.5)),
            )  # fmt: skip
            if numbers:
                t = 0.34 if len(right) > 1 and (i + j) % 2 else 0.62
                ax.text(
                    x0 + t * (x1 - x0), y0 + t * (y1 - y0), f"{w[i, j]:.3g}", ha="center", va="center", fontsize=8,
                    bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 0.8}, zorder=1,
                )  # fmt: skip


def _unit(ax: Axes, x: float, y: float, text: str, dropped: bool) -> None:
    from matplotlib.patches import Circle

    ink = style.ink(ax)
    edge = style.faint(ax) if dropped else ink
    radius = 0.36
    ax.add_patch(Circle((x, y), radius, facecolor=ax.get_facecolor(), edgecolor=edge, linewidth=1.3, zorder=2))
    if dropped:
        reach = 0.7 * radius
        for sign in (-1, 1):
            ax.plot((x - reach, x + reach), (y - sign * reach, y + sign * reach), color=ink, linewidth=1.4, zorder=3)
    elif text:
        ax.text(x, y, text, ha="center", va="center", fontsize=8, zorder=3)
