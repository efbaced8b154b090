"""Boxes and arrows: what goes forward through a network, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from deepmath.errors import ConfigError
from deepmath.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Box(NamedTuple):
    """A quantity at a place, with lines of text under its name."""

    name: str
    x: float
    y: float
    lines: tuple[str, ...] = ()
    backward: bool = False


class Arrow(NamedTuple):
    """From one box to another, by number, with a label; `backward` ones have the second colour and are dashed."""

    source: int
    target: int
    label: str = ""
    backward: bool = False


def flow(boxes: Sequence[Box], arrows: Sequence[Arrow], ax: Axes | None = None, unit: float = 0.62) -> Axes:
    """Boxes at their places, joined by arrows: forward ones solid, backward ones dashed and of the second colour.

    Raises:
        ConfigError: there is no box, or an arrow names one that isn't there.
        MissingExtra: matplotlib is not installed.
    """
    if not boxes or any(not 0 <= end < len(boxes) for a in arrows for end in (a.source, a.target)):
        raise ConfigError(f"flow: needs boxes, and arrows between numbers 0 to {len(boxes) - 1}")
    xs, ys = [b.x for b in boxes], [b.y for b in boxes]
    if ax is None:
        ax = style.new_axes(unit * (max(xs) - min(xs) + 3.4), unit * (max(ys) - min(ys) + 2.4))[0]
    colours, paper = style.palette(style.is_dark(ax)), ax.get_facecolor()
    ax.set_xlim(min(xs) - 1.5, max(xs) + 1.5)
    ax.set_ylim(min(ys) - 1.0, max(ys) + 1.0)
    ax.set_aspect("equal")
    ax.set_axis_off()
    drawn = []
    for box in boxes:
        colour = colours[1] if box.backward else colours[0]
        text = "\n".join((box.name, *box.lines))
        frame = {
            "boxstyle": "round,pad=0.45", "facecolor": style.mix(colour, paper, 0.14), "edgecolor": colour,
            "linestyle": (0, (3, 1.5)) if box.backward else "-",
        }  # fmt: skip
        drawn.append(ax.text(box.x, box.y, text, ha="center", va="center", fontsize=9, bbox=frame, zorder=3))
    for arrow in arrows:
        _arrow(ax, drawn, boxes, arrow, colours)
    return ax


def _arrow(ax: Axes, drawn: Sequence[object], boxes: Sequence[Box], arrow: Arrow, colours: Sequence[str]) -> None:
    source, target = boxes[arrow.source], boxes[arrow.target]
    colour = colours[1] if arrow.backward else colours[0]
    patches = [drawn[i].get_bbox_patch() for i in (arrow.source, arrow.target)]  # type: ignore[attr-defined]
    # Arrows between the same boxes, there and back, bend apart.
    both = arrow.backward == source.backward == target.backward or not arrow.backward
    rad = 0.0 if both or source.backward or target.backward else -0.28
    ax.annotate(
        "", (target.x, target.y), (source.x, source.y), zorder=2,
        arrowprops={
            "arrowstyle": "-|>", "color": colour, "linewidth": 1.4, "patchA": patches[0], "patchB": patches[1],
            "linestyle": (0, (3, 1.5)) if arrow.backward else "-", "connectionstyle": f"arc3,rad={rad}",
            "shrinkA": 2, "shrinkB": 2,
        },
    )  # fmt: skip
    if arrow.label:
        dx, dy = target.x - source.x, target.y - source.y
        # The label stands on the outside of the bend.
        x = (source.x + target.x) / 2 + rad * 0.62 * dy
        y = (source.y + target.y) / 2 - rad * 0.62 * dx
        paper = {"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 1.0}
        ax.text(x, y, arrow.label, ha="center", va="center", fontsize=8.5, color=colour, bbox=paper, zorder=4)
