"""Matrices as fields of numbers, with signs between them: an equation in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmath.errors import ConfigError
from deepmath.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def matrices(terms: Sequence[tuple[str, Any] | str], ax: Axes | None = None) -> Axes:
    """Terms side by side: (name, matrix) with each number in its field, and signs such as "+" between.

    Fields are of the first colour above 0 and of the second below, darker the larger the number in its matrix.
    """
    shown = [(t[0], np.atleast_2d(np.asarray(t[1], np.float64))) for t in terms if not isinstance(t, str)]
    if not shown or any(m.ndim != 2 for _, m in shown):
        raise ConfigError("matrices: terms must be (name, matrix) and signs, one matrix at least")
    tallest = max(m.shape[0] for _, m in shown)
    wide = sum(m.shape[1] + 0.3 for _, m in shown) + 0.7 * (len(terms) - len(shown))
    ax = style.new_axes(0.62 * wide + 0.4, 0.5 * tallest + 1.2)[0] if ax is None else ax
    x = 0.0
    for term in terms:
        if isinstance(term, str):
            ax.text(x + 0.3, 0.0, term, ha="center", va="center", fontsize=13)
            x += 0.7
            continue
        name, matrix = term[0], np.atleast_2d(np.asarray(term[1], np.float64))
        _fields(ax, matrix, x)
        rows, columns = matrix.shape
        ax.text(x + columns / 2, rows / 2 + 0.3, name, ha="center", va="bottom", fontsize=10, fontweight="bold")
        ax.text(x + columns / 2, -rows / 2 - 0.25, f"[{rows}, {columns}]", ha="center", va="top", fontsize=8)
        x += columns + 0.3
    ax.set_xlim(-0.3, x)
    ax.set_ylim(-tallest / 2 - 0.8, tallest / 2 + 0.9)
    ax.set_axis_off()
    return ax


def _fields(ax: Axes, matrix: Any, x: float) -> None:
    from matplotlib.patches import Rectangle

    colours, paper = style.palette(style.is_dark(ax)), ax.get_facecolor()
    largest = float(np.abs(matrix).max()) or 1.0
    rows = matrix.shape[0]
    for (i, j), value in np.ndenumerate(matrix):
        tint = style.mix(colours[0 if value >= 0 else 1], paper, 0.06 + 0.34 * abs(value) / largest)
        corner = (x + j, rows / 2 - i - 1)
        ax.add_patch(Rectangle(corner, 1.0, 1.0, facecolor=tint, edgecolor=style.faint(ax), linewidth=0.8))
        ax.text(x + j + 0.5, rows / 2 - i - 0.5, f"{value:.2f}", ha="center", va="center", fontsize=8)
