"""Line charts as SVG that take their colours from the page's style sheet."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 40
MOST = 600
"""The most points of a line: of more, every so many are drawn, and the last."""


def line_chart(name: str, x: Sequence[float], lines: Mapping[str, Sequence[float | None]], *, log: bool = False) -> str:
    """A figure with a chart of the lines over x (epochs), and a legend as its caption.

    Values that are None or not finite (or <= 0 where `log`) leave a gap. "" where nothing is left to draw.
    """
    good = {k: [v if v is not None and math.isfinite(v) and (v > 0 or not log) else None for v in ys] for k, ys in lines.items()}
    found = [v for ys in good.values() for v in ys if v is not None]
    if not found or not x:
        return ""
    low, high = _range(min(found), max(found), log)
    x0, x1 = (min(x), max(x)) if max(x) > min(x) else (min(x) - 0.5, max(x) + 0.5)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(v: float) -> float:
        return LEFT + (v - x0) / (x1 - x0) * (right - LEFT)

    def up(v: float) -> float:
        share = (math.log(v / low) / math.log(high / low)) if log else (v - low) / (high - low)
        return bottom - share * (bottom - TOP)

    parts = [f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{up(t):.1f}" y2="{up(t):.1f}"/>'
             f'<text class="tick end" x="{LEFT - 8}" y="{up(t) + 4:.1f}">{t:g}</text>' for t in ticks(low, high, log)]  # fmt: skip
    whole = [t for t in ticks(x0, x1, False, 7) if t == int(t)]
    parts += [f'<text class="tick mid" x="{across(t):.1f}" y="{bottom + 18}">{t:g}</text>' for t in whole]
    parts.append(f'<text class="tick mid" x="{(LEFT + right) / 2}" y="{HEIGHT - 4}">epoch</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    for i, ys in enumerate(good.values()):
        parts.append(f'<path class="line s{i % 7}" d="{_path(x, ys, across, up)}"/>')
    now = f'<line class="now" data-x0="{x0:g}" data-x1="{x1:g}" data-left="{LEFT}" data-right="{right}" y1="{TOP}" y2="{bottom}"/>'
    ends = "; ".join(f"{k} ends at {[v for v in ys if v is not None][-1]:.4g}" for k, ys in good.items() if any(v is not None for v in ys))
    label = html.escape(f"{name} over the epochs. {ends}", quote=True)
    legend = "".join(f'<li><svg viewBox="0 0 28 8" aria-hidden="true"><path class="line s{i % 7}" d="M0 4H28"/></svg>{html.escape(k)}</li>' for i, k in enumerate(good))
    return (
        f'<figure><h3>{html.escape(name)}</h3><svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f'{"".join(parts)}{now}</svg><figcaption><ul class="legend">{legend}</ul></figcaption></figure>'
    )


def ticks(low: float, high: float, log: bool, most: int = 6) -> list[float]:
    """Round numbers within a range, at most so many; powers of ten on a logarithmic axis.

    >>> ticks(0.0, 0.7, False), ticks(0.005, 20.0, True)
    ([0.0, 0.2, 0.4, 0.6], [0.01, 0.1, 1.0, 10.0])
    """
    if log:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        step = max(1, math.ceil((last - first + 1) / most))
        return [float(f"1e{e}") for e in range(first, last + 1, step)]
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _range(low: float, high: float, log: bool) -> tuple[float, float]:
    """A range with both in it: whole powers of ten, or from 0 where nothing is below."""
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return 10.0**first, 10.0 ** max(last, first + 1)
    low = min(low, 0.0) * 1.05
    return low, 1.05 * high if high > low else low + 1.0


def _path(x, ys, across, up) -> str:  # type: ignore[no-untyped-def]
    step = max(1, math.ceil(len(ys) / MOST))
    chosen = sorted({*range(0, len(ys), step), len(ys) - 1})
    parts, pen = [], "M"
    for i in chosen:
        y = ys[i]
        if y is None:
            pen = "M"
            continue
        parts.append(f"{pen}{across(x[i]):.1f} {up(y):.1f}")
        if pen == "M" and (i + step >= len(ys) or ys[min(i + step, len(ys) - 1)] is None):
            parts.append("h0.1")  # a point alone is drawn as a dot by the line's round ends
        pen = "L"
    return "".join(parts)
