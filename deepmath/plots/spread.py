"""How numbers are spread: in layers over time and over depth, and around a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmath.errors import ConfigError
from deepmath.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def histograms(
    values: Sequence[Any], ax: Axes | None = None, *, labels: Sequence[Any] | None = None, bins: int = 48,
    title: str = "", low: float | None = None, high: float | None = None,
) -> Axes:  # fmt: skip
    """Histograms of arrays of any shape, one above the other from the first at the bottom: a layer over time.

    All have the same bins, from the least number to the largest unless `low` and `high` are given; each is as high
    as its largest bin. `labels` stand at the left, such as epochs.

    Raises:
        ConfigError: there is nothing to draw, or the labels are not as many as the arrays.
        MissingExtra: matplotlib is not installed.
    """
    rows = [np.asarray(v, np.float64).ravel() for v in values]
    labels = range(len(rows)) if labels is None else labels
    if not rows or any(not len(r) or not np.isfinite(r).all() for r in rows):
        raise ConfigError("histograms: values must be arrays of finite numbers, none of them empty")
    if len(labels) != len(rows):
        raise ConfigError(f"histograms: labels must be {len(rows)}, one for each array; got {len(labels)}")
    ax = style.new_axes(3.6, 4.0)[0] if ax is None else ax
    low = min(float(r.min()) for r in rows) if low is None else low
    high = max(float(r.max()) for r in rows) if high is None else high
    edges = np.linspace(low, high, bins + 1) if high > low else np.linspace(low - 0.5, high + 0.5, bins + 1)
    dark, paper = style.is_dark(ax), ax.get_facecolor()
    base, ink = style.palette(dark)[0], style.ink(ax)
    for i, row in reversed(list(enumerate(rows))):
        counts = np.histogram(row, edges)[0]
        heights = i + 1.7 * counts / max(int(counts.max()), 1)
        share = 0.2 + 0.6 * i / max(len(rows) - 1, 1)
        # One behind the other: what is above lies further back.
        ax.stairs(heights, edges, baseline=i, fill=True, color=style.mix(base, paper, share), zorder=len(rows) - i)
        ax.stairs(heights, edges, baseline=i, color=ink, linewidth=0.6, zorder=len(rows) - i)
    ax.set_yticks(range(len(rows)), [str(t) for t in labels])
    ax.set_ylim(-0.1, len(rows) + 1.0)
    ax.set_xlim(edges[0], edges[-1])
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set_title(title)
    return ax


def depth(outputs: Mapping[str, Sequence[Any]], ax: Axes | None = None, what: str = "outputs") -> Axes:
    """Root mean square of each layer's numbers over the depth, by name, on a logarithmic axis.

    `outputs` maps a name to arrays, one for each layer from the first. Layers of nothing but zeros are left out.
    """
    if not outputs:
        raise ConfigError("depth: outputs must map names to the arrays of their layers; got none")
    from matplotlib.ticker import MaxNLocator

    ax = style.new_axes(6.2, 4.0)[0] if ax is None else ax
    colours = style.lines(ax)
    for i, (name, layers) in enumerate(outputs.items()):
        sizes = np.array([np.sqrt(np.mean(np.square(np.asarray(a, np.float64)))) for a in layers])
        shown = np.where(sizes > 0.0, sizes, np.nan)
        label = f"{name} (all zero)" if np.isnan(shown).all() else name
        ax.plot(np.arange(1, len(sizes) + 1), shown, color=colours[i % 7], label=label, marker="osD^vPX"[i % 7], ms=4)
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    ax.set_xlabel("layer")
    ax.set_ylabel(f"root mean square of the {what}")
    ax.grid(axis="y")
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return ax


def dart_board(hits: Any, ax: Axes | None = None, title: str = "") -> Axes:
    """Throws [throws, 2] at the middle of a board: their mean's distance is bias, their spread variance."""
    points = np.asarray(hits, np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ConfigError(f"dart_board: hits must be [throws, 2]; got shape {points.shape}")
    from matplotlib.patches import Circle

    ax = style.new_axes(3.0, 3.2)[0] if ax is None else ax
    colours, paper = style.palette(style.is_dark(ax)), ax.get_facecolor()
    for i, radius in enumerate((1.0, 0.75, 0.5, 0.25)):
        tint = style.mix(colours[0], paper, 0.12 + 0.1 * i)
        ax.add_patch(Circle((0, 0), radius, facecolor=tint, edgecolor=style.faint(ax), zorder=0))
    ax.scatter(points[:, 0], points[:, 1], s=18, color=colours[1], edgecolors=[paper], linewidths=0.4, zorder=2)
    ax.plot(*points.mean(axis=0), marker="x", color=style.ink(ax), markersize=9, markeredgewidth=2, zorder=3)
    ax.set_xlim(-1.05, 1.05)
    ax.set_ylim(-1.05, 1.05)
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.set_title(title)
    return ax


def bias_variance(
    complexity: Sequence[float], squared_bias: Any, variance: Any, noise: float, ax: Axes | None = None,
    label: str = "complexity",
) -> Axes:  # fmt: skip
    """Squared bias, variance, noise and their sum, the expected error, over the complexity of a model."""
    bias, spread = np.asarray(squared_bias, np.float64), np.asarray(variance, np.float64)
    if not len(complexity) == len(bias) == len(spread):
        raise ConfigError(f"bias_variance: lengths differ: {len(complexity)}, {len(bias)} and {len(spread)}")
    ax = style.new_axes(5.8, 4.0)[0] if ax is None else ax
    colours = style.palette(style.is_dark(ax))
    total = bias + spread + noise
    ax.plot(complexity, bias, color=colours[0], marker="o", ms=4, label="bias²")
    ax.plot(complexity, spread, color=colours[1], marker="s", ms=4, label="variance")
    ax.axhline(noise, color=style.ink(ax), linewidth=1.0, linestyle=(0, (4, 3)), label="noise")
    ax.plot(complexity, total, color=colours[2], marker="D", ms=4, label="expected error")
    best = int(np.argmin(total))
    ax.axvline(complexity[best], color=style.faint(ax), zorder=0)
    ax.set_yscale("log")
    ax.set_xlabel(label)
    ax.set_ylabel("mean squared error")
    ax.grid(axis="y")
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return ax
