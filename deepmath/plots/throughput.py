"""Throughput against batch size and width: how the cost of training grows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deepmath.errors import ConfigError
from deepmath.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS = {"batch": "batch size", "width": "width n"}
_BOUND = "products alone"


def throughput(result: Mapping[str, Any], axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Samples per second of each candidate over batch sizes and over widths, on logarithmic axes.

    `result` is what `deepmath bench --json` wrote, with its sweeps. Bars reach from the slowest round to the
    fastest; the dashed line is the matrix products alone.

    Args:
        axes: where to draw, one for each sweep; by default a new figure.

    Returns:
        The axes, one for each sweep.

    Raises:
        ConfigError: the result holds no sweeps, or `axes` has another length.
        MissingExtra: matplotlib is not installed.
    """
    sweeps = {axis: rows for axis, rows in result.get("sweeps", {}).items() if rows}
    if not sweeps:
        raise ConfigError("throughput: result must hold sweeps, got none; measure with deepmath bench --sweeps")
    drawn = style.new_axes(5.2 * len(sweeps) + 1.6, 4.2, len(sweeps)) if axes is None else list(axes)
    if len(drawn) != len(sweeps):
        raise ConfigError(f"throughput: axes must be {len(sweeps)} ({', '.join(sweeps)}), got {len(drawn)}")
    names = dict.fromkeys(row["candidate"] for rows in sweeps.values() for row in rows)
    palette = style.palette(style.is_dark(drawn[0]))
    colours = dict(zip([name for name in names if name != _BOUND], itertools.cycle(palette), strict=False))
    for ax, (axis, rows) in zip(drawn, sweeps.items(), strict=True):
        _panel(ax, axis, rows, colours)
    drawn[0].set_ylabel("samples / s")
    shown = {name: handle for ax in drawn for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    kept = [name for name in names if name in shown]
    # Beside the panels: lines may run anywhere within them.
    drawn[-1].legend([shown[name] for name in kept], kept, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return drawn


def size_of(axis: str, row: Mapping[str, Any]) -> int:
    """Where a row of a sweep stands on its axis."""
    return int(row["batch"] if axis == "batch" else row["widths"][0])


def network_of(axis: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """What stays the same in a sweep.

    >>> network_of("width", [{"widths": [16, 16, 10], "batch": 8}])
    'n-n-10, batch 8'
    """
    first = rows[0]
    if axis == "batch":
        return str(first["network"])
    *hidden, last = first["widths"]
    return "-".join([*("n" for _ in hidden), str(last)]) + f", batch {first['batch']}"


def _panel(ax: Axes, axis: str, rows: Sequence[Mapping[str, Any]], colours: Mapping[str, str]) -> None:
    names = list(dict.fromkeys(row["candidate"] for row in rows))
    for name in names:
        points = sorted((size_of(axis, r), *_rates(r)) for r in rows if r["candidate"] == name and r["samples_per_s"])
        if not points:
            continue
        sizes, rates, lows, highs = zip(*points, strict=True)
        if name == _BOUND:
            ax.plot(sizes, rates, color=style.ink(ax), linestyle=(0, (4, 3)), linewidth=1.2, label=name)
            continue
        reach = [
            [r - low for r, low in zip(rates, lows, strict=True)],
            [h - r for r, h in zip(rates, highs, strict=True)],
        ]
        colour = colours[name]
        ax.errorbar(sizes, rates, yerr=reach, color=colour, label=name, marker="o", markersize=4, elinewidth=1)
    ax.set_title(f"{network_of(axis, rows)}")
    ax.set_xlabel(_LABELS[axis])
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ticks = sorted({size_of(axis, row) for row in rows})
    ax.set_xticks(ticks[:: 2 if len(ticks) > 9 else 1])
    ax.get_xaxis().set_major_formatter(lambda value, _: f"{value:g}")
    ax.minorticks_off()
    ax.grid(axis="both")


def _rates(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """Median, lowest and highest samples per second."""
    each = row["samples_per_s"] / row["steps_per_s"]
    return row["samples_per_s"], each * row["steps_per_s_low"], each * row["steps_per_s_high"]
