"""The look of the pictures: colours that colour-blind readers can tell apart, on white or on dark paper."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepmath.errors import ConfigError, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
"""Okabe and Ito's colours (2008)."""

_LIGHT = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, YELLOW, "#4D4D4D")
_DARK = (SKY, ORANGE, GREEN, PURPLE, VERMILLION, YELLOW, BLUE, "#B3B3B3")

_PAPER = {False: "#FFFFFF", True: "#14181F"}
_INK = {False: "#1F2328", True: "#E6E8EB"}
_FAINT = {False: "#D9DCE1", True: "#323944"}
_DPI = 150


def palette(dark: bool = False) -> tuple[str, ...]:
    """Eight colours in the order of use, the strongest against the paper first.

    >>> palette()[0], palette(dark=True)[0]
    ('#0072B2', '#56B4E9')
    """
    return _DARK if dark else _LIGHT


def theme(dark: bool = False) -> AbstractContextManager[None]:
    """matplotlib's settings for deepmath's pictures, within a `with` block.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    ink, paper, faint = _INK[dark], _PAPER[dark], _FAINT[dark]
    settings: dict[str, Any] = {
        "figure.facecolor": paper,
        "figure.dpi": 100,
        "savefig.facecolor": "auto",
        "axes.facecolor": paper,
        "axes.edgecolor": ink,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.titlesize": 11,
        "axes.titlepad": 10,
        "axes.labelsize": 10,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": faint,
        "grid.linewidth": 0.7,
        "xtick.color": ink,
        "ytick.color": ink,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "legend.labelcolor": ink,
        "text.color": ink,
        "font.size": 10,
        "lines.linewidth": 1.8,
    }
    return _matplotlib().rc_context(settings)


def save(fig: Figure, path: str | os.PathLike[str]) -> Path:
    """Write the figure as a PNG of 150 dots per inch, close it, and return the path.

    Raises:
        ConfigError: the path doesn't end in .png.
        OSError: the folder is missing or can't be written.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        msg = f"save: path must end in .png, got '{target}'"
        raise ConfigError(msg)
    # Without the software's version the same picture gives the same bytes.
    fig.savefig(target, format="png", dpi=_DPI, metadata={"Software": None})
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(fig)
    return target


def new_axes(width: float, height: float, panels: int = 1, projection: str | None = None, rows: int = 1) -> list[Axes]:
    """The axes of a new figure of so many inches, `panels` side by side in each row, on a canvas without a display."""
    _matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    fig = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.04))
    FigureCanvasAgg(fig)
    return [fig.add_subplot(rows, panels, i + 1, projection=projection) for i in range(rows * panels)]


def is_dark(ax: Axes) -> bool:
    """Whether the axes' paper is darker than middle grey."""
    return _luminance(_rgb(ax.get_facecolor())) < 0.5


def mix(colour: Any, paper: Any, share: float) -> tuple[float, float, float]:
    """A colour laid on paper so that it has this share of the whole."""
    (r, g, b), (pr, pg, pb) = _rgb(colour), _rgb(paper)
    return share * r + (1 - share) * pr, share * g + (1 - share) * pg, share * b + (1 - share) * pb


def ink(ax: Axes) -> str:
    """The colour of lines and text that reads best on the axes' paper."""
    return _INK[is_dark(ax)]


def lines(ax: Axes) -> list[str]:
    """Colours of lines, in the order of use: the palette without the one that is weak on this paper, and ink."""
    colours = palette(is_dark(ax))
    return [*colours[:5], ink(ax), colours[5]]


def faint(ax: Axes) -> str:
    """The colour of lines that should stay in the background."""
    return _FAINT[is_dark(ax)]


def _matplotlib() -> Any:
    return require("matplotlib", "plot", "pictures")


def _rgb(colour: Any) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)


def _luminance(rgb: tuple[float, float, float]) -> float:
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]
