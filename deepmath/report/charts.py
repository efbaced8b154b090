"""Line charts as SVG that take their colours from the page's style sheet."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 546, 12, 260
"""The chart's size, and where its axes lie."""

MOST = 600
"""The most points of a line: of more, every so many are drawn, and the last."""

LOOKS = 7
"""How many lines the style sheet tells apart."""

Values = Sequence[float | None]


@dataclass(frozen=True)
class Scale:
    """Where numbers stand on the chart."""

    x: tuple[float, float]
    y: tuple[float, float]
    log: bool

    def across(self, v: float) -> float:
        """From the left."""
        return LEFT + (v - self.x[0]) / (self.x[1] - self.x[0]) * (RIGHT - LEFT)

    def down(self, v: float) -> float:
        """From the top."""
        low, high = self.y
        share = (math.log(v / low) / math.log(high / low)) if self.log else (v - low) / (high - low)
        return BOTTOM - share * (BOTTOM - TOP)


def line_chart(name: str, x: Sequence[float], lines: Mapping[str, Values], *, log: bool = False) -> str:
    """A figure with a chart of the lines over x (epochs), and a legend as its caption.

    Values that are None or not finite (or <= 0 where `log`) leave a gap. "" where nothing is left to draw.
    """
    good = {line: [_drawable(v, log) for v in values] for line, values in lines.items()}
    good = {line: values for line, values in good.items() if any(v is not None for v in values)}
    if not good or not x:
        return ""
    found = [v for values in good.values() for v in values if v is not None]
    reach = (min(x), max(x)) if max(x) > min(x) else (min(x) - 0.5, max(x) + 0.5)
    scale = Scale(reach, _range(min(found), max(found), log), log)
    drawn = "".join(
        f'<path class="line s{i % LOOKS}" d="{_path(scale, x, values)}"/>' for i, values in enumerate(good.values())
    )
    ends = "; ".join(f"{line} ends at {[v for v in values if v is not None][-1]:.4g}" for line, values in good.items())
    label = html.escape(f"{name} over the epochs. {ends}", quote=True)
    return (
        f"<figure><h3>{html.escape(name)}</h3>"
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{_axes(scale)}{drawn}</svg>'
        f'<figcaption><ul class="legend">{_legend(list(good))}</ul></figcaption></figure>'
    )


def ticks(low: float, high: float, log: bool, most: int = 6) -> list[float]:
    """Round numbers within a range, at most so many; powers of ten on a logarithmic axis.

    >>> ticks(0.0, 0.7, False), ticks(0.005, 20.0, True)
    ([0.0, 0.2, 0.4, 0.6], [0.01, 0.1, 1.0, 10.0])
    """
    if log:
        lowest, highest = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        every = max(1, math.ceil((highest - lowest + 1) / most))
        return [float(f"1e{e}") for e in range(lowest, highest + 1, every)]
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def _drawable(value: float | None, log: bool) -> float | None:
    """The value, or None where it has no place on the axis."""
    return value if value is not None and math.isfinite(value) and (value > 0 or not log) else None


def _range(low: float, high: float, log: bool) -> tuple[float, float]:
    """A range with both in it: whole powers of ten, or from 0 where nothing is below."""
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return 10.0**first, 10.0 ** max(last, first + 1)
    low = min(low, 0.0) * 1.05
    return low, max(high, high * 1.05) if high > low else low + 1.0


def _axes(scale: Scale) -> str:
    """Grid, numbers and the line that the script puts at the chosen epoch."""
    parts = []
    for t in ticks(*scale.y, scale.log):
        y = scale.down(t)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick end" x="{LEFT - 8}" y="{y + 4:.1f}">{t:g}</text>')
    for t in ticks(*scale.x, False, 7):
        if t == int(t):
            parts.append(f'<text class="tick mid" x="{scale.across(t):.1f}" y="{BOTTOM + 18}">{t:g}</text>')
    parts.append(f'<text class="tick mid" x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 4}">epoch</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{RIGHT}" y1="{BOTTOM}" y2="{BOTTOM}"/>')
    place = f'data-x0="{scale.x[0]:g}" data-x1="{scale.x[1]:g}" data-left="{LEFT}" data-right="{RIGHT}"'
    parts.append(f'<line class="now" {place} y1="{TOP}" y2="{BOTTOM}"/>')
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    items = []
    for i, name in enumerate(names):
        look = f'<path class="line s{i % LOOKS}" d="M0 4H28"/>'
        items.append(f'<li><svg viewBox="0 0 28 8" aria-hidden="true">{look}</svg>{html.escape(name)}</li>')
    return "".join(items)


def _path(scale: Scale, x: Sequence[float], values: Values) -> str:
    """The line's points; a new stroke begins after each gap."""
    step = max(1, math.ceil(len(values) / MOST))
    chosen = sorted({*range(0, len(values), step), len(values) - 1})
    parts, pen = [], "M"
    for place, i in enumerate(chosen):
        value = values[i]
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{scale.across(x[i]):.1f} {scale.down(value):.1f}")
        alone = place + 1 == len(chosen) or values[chosen[place + 1]] is None
        if pen == "M" and alone:
            parts.append("h0.1")  # round ends make a dot of it
        pen = "L"
    return "".join(parts)
