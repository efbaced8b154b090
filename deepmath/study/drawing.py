"""A computation graph as SVG, laid out in columns, and as Graphviz's DOT."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepmath.study.graphs import ComputationGraph

BOX, HIGH, GAP, ROW, EDGE = 132, 48, 170, 84, 24
"""Width and height of a box, the gap between columns, the height of a row, the margin."""

DIGIT, LABEL = 6.3, 27
"""How wide a digit of a label is, and how high its two lines are."""

ALONG = (0.26, 0.34, 0.42, 0.5, 0.58, 0.66, 0.74, 0.82, 0.18)
"""Where on its edge a label may stand: at the first of these places that is free, or the freest."""

STYLE = """
.paper { fill: #ffffff; } .box { fill: #f5f6f8; stroke: #8a919c; } .edge { fill: none; stroke: #8a919c; }
.arrow { fill: #8a919c; } text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.name { font-weight: 600; } .value { fill: #00664a; } .derivative { fill: #b34700; }
.label { font-size: 10.5px; paint-order: stroke; stroke: #ffffff; stroke-width: 3px; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #14181f; } .box { fill: #1b212b; } text { fill: #e6e8eb; }
  .value { fill: #4fd1a5; } .derivative { fill: #ffa05c; } .label { stroke: #14181f; }
}
"""


def dot(graph: ComputationGraph) -> str:
    """The graph in Graphviz's language: value and derivative in each node and on each edge."""
    lines = ["digraph computation {", '  rankdir="LR"; node [shape=box, style=rounded];']
    for v in graph.vertices:
        label = f"{v.name}\\n{v.value:.9g}\\nd{graph.result} {v.derivative:.9g}"
        lines.append(f"  {_quoted(v.name)} [label={_quoted(label)}];")
    for e in graph.edges:
        label = f"{e.value:.9g}\\n{e.derivative:.9g}"
        lines.append(f"  {_quoted(e.source)} -> {_quoted(e.target)} [label={_quoted(label)}];")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', r"\"") + '"'


def svg(graph: ComputationGraph) -> str:
    """The graph from left to right; values in green above, derivatives in orange below."""
    places = positions(graph)
    width = max(x for x, _ in places.values()) + BOX + EDGE
    high = max(y for _, y in places.values()) + HIGH + EDGE
    parts = [f'<rect class="paper" width="{width}" height="{high}"/>']
    labels: list[str] = []
    taken: list[tuple[float, float, float]] = []
    for e in graph.edges:
        (x, y), (x2, y2) = places[e.source], places[e.target]
        x, y, y2 = x + BOX, y + HIGH / 2, y2 + HIGH / 2
        middle = (x + x2) / 2
        parts.append(f'<path class="edge" d="M{x},{y:.1f} C{middle},{y:.1f} {middle},{y2:.1f} {x2 - 7},{y2:.1f}"/>')
        parts.append(f'<path class="arrow" d="M{x2},{y2:.1f} l-8,-4 v8 z"/>')
        above, below = f"{e.value:.6g}", f"{e.derivative:.6g}"
        half = DIGIT * max(len(above), len(below)) / 2
        ways = [_on_curve(t, x, middle, x2 - 7, y, y2) for t in ALONG]
        near = [other for other in taken if abs(other[0] - middle) < BOX + GAP]
        px, py = min(ways, key=lambda p: _covered(p[0], p[1], half, near))
        taken.append((px, py, half))
        labels += [_text(px, py - 3, above, "label value"), _text(px, py + 10, below, "label derivative")]
    for v in graph.vertices:
        x, y = places[v.name]
        tip = f"{v.name} = {v.formula} = {v.value:.12g}" if v.formula else f"{v.name} = {v.value:.12g}"
        tip = f"{tip}; d{graph.result}/d{v.name} = {v.derivative:.12g}"
        parts.append(f"<g><title>{html.escape(tip)}</title>")
        parts.append(f'<rect class="box" x="{x}" y="{y}" width="{BOX}" height="{HIGH}" rx="6"/>')
        middle = x + BOX / 2
        parts += [
            _text(middle, y + 14, _cut(v.name), "name"),
            _text(middle, y + 28, f"{v.value:.9g}", "value"),
            _text(middle, y + 42, f"{v.derivative:.9g}", "derivative"),
            "</g>",
        ]
    body = "\n".join([*parts, *labels])
    title = html.escape(f"Computation graph of {graph.result}: values forward, derivatives backward")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {high}" width="{width}" height="{high}" '
        f'role="img"><title>{title}</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n'
    )


def _covered(x: float, y: float, half: float, others: list[tuple[float, float, float]]) -> float:
    """How much of the labels that stand already a label of this half width would cover."""
    total = 0.0
    for ox, oy, other in others:
        across, down = half + other - abs(x - ox), LABEL - abs(y - oy)
        total += across * down if across > 0.0 and down > 0.0 else 0.0
    return total


def _cut(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:19]}…"


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{html.escape(text)}</text>'


def _on_curve(t: float, x: float, middle: float, x2: float, y: float, y2: float) -> tuple[float, float]:
    """A point of the cubic curve that an edge is drawn as."""
    a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
    return a * x + b * middle + c * middle + d * x2, (a + b) * y + (c + d) * y2


def positions(graph: ComputationGraph) -> dict[str, tuple[float, float]]:
    """The upper left corner of each box: columns by the longest way, rows by the neighbours' average."""
    columns = _columns(graph)
    depth = max(columns.values(), default=0)
    levels = [[v.name for v in graph.vertices if columns[v.name] == i] for i in range(depth + 1)]
    sources: dict[str, list[str]] = {v.name: [] for v in graph.vertices}
    targets: dict[str, list[str]] = {v.name: [] for v in graph.vertices}
    for e in graph.edges:
        sources[e.target].append(e.source)
        targets[e.source].append(e.target)
    row = {name: float(i) for level in levels for i, name in enumerate(level)}
    for sweep in range(8):
        near, order = (sources, levels) if sweep % 2 else (targets, levels[::-1])
        for level in order:
            level.sort(key=lambda name: _average(row, near[name], row[name]))
            row.update({name: float(i) for i, name in enumerate(level)})
    tallest = max(len(level) for level in levels)
    return {
        name: (EDGE + i * (BOX + GAP), EDGE + (j + (tallest - len(level)) / 2) * ROW)
        for i, level in enumerate(levels)
        for j, name in enumerate(level)
    }


def _average(row: dict[str, float], names: list[str], alone: float) -> float:
    return sum(row[n] for n in names) / len(names) if names else alone


def _columns(graph: ComputationGraph) -> dict[str, int]:
    """Each vertex behind all that it depends on; one that depends on nothing stands just before its first use."""
    column = {v.name: 0 for v in graph.vertices}
    for v in graph.vertices:  # each comes after what it depends on
        column[v.name] = max((column[e.source] + 1 for e in graph.edges if e.target == v.name), default=0)
    fed = {e.target for e in graph.edges}
    for v in graph.vertices:
        used = [column[e.target] for e in graph.edges if e.source == v.name]
        if v.name not in fed and used:
            column[v.name] = min(used) - 1
    return column
