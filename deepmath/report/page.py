"""The page: sections of one self-contained HTML file."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, NamedTuple

from deepmath.report.charts import line_chart
from deepmath.report.record import Frame, LayerNumbers, Record
from deepmath.report.views import View
from deepmath.training.history import RATE

Rows = Sequence[tuple[str, str]]


class Finding(NamedTuple):
    """What an examination found: `kind` is "fault", "warning" or "good"."""

    kind: str
    title: str
    text: str


@dataclass(frozen=True)
class Report:
    """All that the page shows, ready to be read. `history` and `epochs` are those of `fit`.

    `findings` is None where nobody has examined the training: then the page has no such section.
    """

    title: str
    results: Rows
    settings: Rows
    machine: Rows
    epochs: Sequence[int]
    history: Mapping[str, Sequence[float]]
    view: View
    record: Record
    commands: Sequence[str]
    config: str = ""
    findings: Sequence[Finding] | None = None
    notes: Sequence[str] = field(default=())


def page(report: Report) -> str:
    """The page as HTML: light or dark as the reader's system is, usable by keyboard, on paper and on a phone."""
    style, script = (_text(f"page.{kind}") for kind in ("css", "js"))
    sections = [(name, body) for name, body in _sections(report) if body]
    contents = "".join(f'<li><a href="#{_anchor(name)}">{name}</a></li>' for name, _ in sections)
    body = "\n".join(
        f'<section aria-labelledby="{_anchor(name)}"><h2 id="{_anchor(name)}">{name}</h2>\n{text}</section>'
        for name, text in sections
    )
    title = html.escape(report.title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n'
        f'<script type="application/json" id="data">{_json(_data(report))}</script>\n<script>\n{script}</script>\n'
        "</body>\n</html>\n"
    )


def _sections(report: Report) -> list[tuple[str, str]]:
    return [
        ("Result", _table(report.results) + "".join(f"<p>{html.escape(n)}</p>" for n in report.notes)),
        ("Findings", _findings(report.findings)),
        ("Curves", _curves(report)),
        ("Epoch by epoch", _scrubber(report)),
        ("Settings", _table(report.settings)),
        ("Machine", _table([*report.machine, *_throughput(report.record)])),
        ("How to reproduce it", _reproduce(report)),
    ]


def _table(rows: Rows) -> str:
    body = "".join(f'<tr><th scope="row">{html.escape(n)}</th><td>{html.escape(v)}</td></tr>' for n, v in rows)
    return f'<table class="facts">{body}</table>' if rows else ""


def _findings(findings: Sequence[Finding] | None) -> str:
    """The one place where the examination of a training stands."""
    if findings is None:
        return ""
    if not findings:
        return "<p>Nothing was found that is wrong with this training.</p>"
    items = (
        f'<li class="{html.escape(f.kind)}"><strong>{html.escape(f.kind)}: {html.escape(f.title)}.</strong> '
        f"{html.escape(f.text)}</li>"
        for f in findings
    )
    return f'<ul class="findings">{"".join(items)}</ul>'


def _curves(report: Report) -> str:
    """A chart for each measure with its validation, the learning rate's, and the layers' over the recorded epochs."""
    epochs = [e + 1 for e in report.epochs]
    names = [n for n in report.history if not n.startswith("val_") and n not in ("cost", RATE)]
    charts = []
    for name in sorted(names, key=lambda n: (n != "loss", n != "accuracy", n)):
        lines = {"training": report.history[name]}
        if "val_" + name in report.history:
            lines["validation"] = report.history["val_" + name]
        charts.append(line_chart(name.replace("_", " ").capitalize(), epochs, lines))
    if RATE in report.history:
        charts.append(line_chart("Learning rate", epochs, {"of each epoch's last step": report.history[RATE]}))
    frames, layers = report.record.frames, report.record.layers
    seen = [f.epoch for f in frames]
    gradients = {name: [f.layers[i].gradient for f in frames] for i, name in enumerate(layers)}
    spread = {name: [f.layers[i].outputs[1] for f in frames] for i, name in enumerate(layers)}
    own = {name: values for name, values in gradients.items() if any(v is not None for v in values)}
    charts.append(line_chart("Norm of each layer's gradient", seen, _some(own), log=True))
    charts.append(line_chart("Spread of each layer's outputs", seen, _some(spread), log=True))
    return f'<div class="charts">{"".join(charts)}</div>'


def _some(lines: dict[str, Any]) -> dict[str, Any]:
    """At most seven lines, the first and the last among them: there are seven looks."""
    names = list(lines)
    if len(names) <= 7:
        return lines
    return {names[round(i * (len(names) - 1) / 6)]: lines[names[round(i * (len(names) - 1) / 6)]] for i in range(7)}


def _scrubber(report: Report) -> str:
    frames = report.record.frames
    if not frames:
        return ""
    last = frames[-1]
    return (
        '<div class="scrubber"><label for="epoch">Epoch</label>'
        f'<input type="range" id="epoch" min="0" max="{len(frames) - 1}" value="{len(frames) - 1}" step="1" '
        f'aria-valuetext="epoch {last.epoch}"><button type="button" id="play">Play</button>'
        f'<output id="told" for="epoch">epoch {last.epoch}: {html.escape(last.text)}</output></div>'
        "<noscript><p>The pictures by epoch need JavaScript; the table shows the last epoch.</p></noscript>"
        f'<div id="view" class="{report.view.kind}"></div>{_layers(report.record.layers, last)}'
    )


HEADS = (
    "layer",
    "weights: mean ± deviation",
    "weights",
    "outputs: mean ± deviation",
    "outputs",
    "zeros",
    "idle units",
    "gradient",
)


def _layers(names: Sequence[str], frame: Frame) -> str:
    """The layers' numbers at an epoch; the script writes those of others into the same cells."""
    head = "".join(f'<th scope="col">{h}</th>' for h in HEADS)
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>{"".join(f"<td>{c}</td>" for c in _cells(numbers))}</tr>'
        for name, numbers in zip(names, frame.layers, strict=True)
    )
    return (
        '<h3 id="layers-title">Layers at this epoch</h3><div class="scroll" role="region" tabindex="0" '
        f'aria-labelledby="layers-title"><table id="layers"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        '</div><p class="small">Outputs are those of the rows shown, at most 256. An idle unit is 0 for every one '
        "of them; the gradient is the norm of the next step's.</p>"
    )


def _cells(n: LayerNumbers) -> list[str]:
    """The cells of a layer's row; the two for histograms are left to the script."""
    return [
        _pair(n.weights), "", _pair(n.outputs), "", f"{100 * n.zeros:.0f} %", f"{100 * n.idle:.0f} %",
        "–" if n.gradient is None else f"{n.gradient:.3g}",
    ]  # fmt: skip


def _pair(moments: tuple[float, float] | None) -> str:
    return "–" if moments is None else f"{moments[0]:.3g} ± {moments[1]:.3g}"


def _throughput(record: Record) -> Rows:
    speed = record.samples_per_second
    if speed is None:
        return []
    return [
        ("throughput", f"{speed:,.0f} samples/s, {record.steps / record.seconds:,.0f} steps/s"),
        ("training time", f"{record.seconds:.3g} s for {record.steps:,} steps, without what this report took"),
    ]


def _reproduce(report: Report) -> str:
    commands = "\n".join(html.escape(c) for c in report.commands)
    config = html.escape(report.config)
    kept = (
        f'<p>with this config.toml:</p><pre tabindex="0" aria-label="config.toml">{config}</pre>'
        if report.config
        else ""
    )
    return f'<pre tabindex="0" aria-label="Commands">{commands}</pre>{kept}'


def _data(report: Report) -> dict[str, Any]:
    frames = [
        {
            "epoch": f.epoch, "text": f.text, "view": f.view,
            "layers": [{"cells": _cells(n), "bins": [n.weight_bins, n.output_bins]} for n in f.layers],
        }
        for f in report.record.frames
    ]  # fmt: skip
    return {"kind": report.view.kind, "fixed": report.view.fixed(), "frames": frames}


def _json(value: Any) -> str:
    """JSON that can stand within a script element, whatever names the data bring."""
    text = json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    """Floats with five digits: a page has no use for more."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _text(name: str) -> str:
    return resources.files("deepmath.report").joinpath(name).read_text(encoding="utf-8")
