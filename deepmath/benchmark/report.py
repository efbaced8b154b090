"""A result as tables: aligned text, or Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from deepmath.plots.throughput import network_of, size_of


class Sheet(NamedTuple):
    """A table: its title, the heads of its columns, and cells of text."""

    title: str
    heads: Sequence[str]
    cells: Sequence[Sequence[str]]


NOTHING = "-"
COLUMNS = (
    ("us/step", "us_per_step"),
    ("steps/s", "steps_per_s"),
    ("samples/s", "samples_per_s"),
    ("GFLOP/s", "gflops"),
    ("of peak", "share_of_peak"),
    ("of products", "share_of_products"),
    ("inference/s", "inference_samples_per_s"),
    ("row us", "row_median_us"),
    ("p95", "row_p95_us"),
    ("start s", "first_step_s"),
    ("again s", "first_step_cached_s"),
    ("peak MB", "peak_memory_mb"),
)
SWEEPS = {"batch": "batch", "width": "width"}


def text(result: Mapping[str, Any]) -> str:
    """The result for a terminal or a pipe."""
    return "\n\n".join([_facts(result, ""), *map(_text, sheets(result)), *_notes(result)])


def markdown(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    parts = ["# Measured", _facts(result, "* "), *map(_markdown, sheets(result))]
    return "\n\n".join([*parts, *(f"* {note}" for note in _notes(result))]) + "\n"


def sheets(result: Mapping[str, Any]) -> list[Sheet]:
    """All tables: one for each network, the ratios, the control, one for each sweep, and those of the suites."""
    found = []
    for network, batch in dict.fromkeys((row["network"], row["batch"]) for row in result["rows"]):
        rows = [row for row in result["rows"] if (row["network"], row["batch"]) == (network, batch)]
        found.append(_network(f"{network}, batch {batch}", rows))
    if result["ratios"]:
        found.append(_ratios("deepmath against each peer's best (time of theirs / time of ours)", result["ratios"]))
    if result["controls"]:
        found.append(_ratios("control: one candidate against itself; what differs from 1 is noise", result["controls"]))
    found += [_sweep(axis, rows) for axis, rows in result["sweeps"].items() if rows]
    return found + [_suite(table) for tables in result["suites"].values() for table in tables]


def number(value: float | None) -> str:
    """Three digits, more for whole numbers, which get separators.

    >>> number(0.012345), number(12.345), number(1234567.8), number(None)
    ('0.0123', '12.3', '1,234,568', '-')
    """
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _network(title: str, rows: Sequence[Mapping[str, Any]]) -> Sheet:
    used = [(head, key) for head, key in COLUMNS if any(row[key] is not None for row in rows)]
    cells = []
    for row in rows:
        cell = [row["candidate"]]
        for _, key in used:
            value = row[key]
            cell.append(f"{100 * value:.1f} %" if value is not None and key.startswith("share") else number(value))
        cells.append([*cell, _spread(row)])
    return Sheet(title, ["candidate", *(head for head, _ in used), "spread"], cells)


def _spread(row: Mapping[str, Any]) -> str:
    """How far the fastest and the slowest round lie apart, as a share of the median."""
    if row["steps_per_s"] is None:
        return NOTHING
    return f"{100 * (row['steps_per_s_high'] - row['steps_per_s_low']) / row['steps_per_s']:.0f} %"


def _ratios(title: str, ratios: Sequence[Mapping[str, Any]]) -> Sheet:
    cells = [
        [
            f"{r['network']}, {r['batch']}",
            r["work"],
            r["candidate"],
            r["against"],
            f"{number(r['ratio'])} x",
            f"{number(r['low'])} to {number(r['high'])}",
        ]
        for r in ratios
    ]
    return Sheet(title, ["network, batch", "work", "candidate", "against", "ratio", "rounds"], cells)


def _sweep(axis: str, rows: Sequence[Mapping[str, Any]]) -> Sheet:
    names = list(dict.fromkeys(row["candidate"] for row in rows))
    cells = []
    for size in dict.fromkeys(size_of(axis, row) for row in rows):
        found = {row["candidate"]: row["samples_per_s"] for row in rows if size_of(axis, row) == size}
        cells.append([str(size), *(number(found.get(name)) for name in names)])
    return Sheet(f"samples/s over {axis} sizes, {network_of(axis, rows)}", [SWEEPS[axis], *names], cells)


def _suite(table: Mapping[str, Any]) -> Sheet:
    """Medians, and in brackets how many times as much as the first candidate's, or as the first column's."""
    cells = [[row["candidate"], *map(_figure, row["cells"])] for row in table["rows"]]
    title = f"{table['title']}: {table['unit']} (times the {table['against']}'s)"
    return Sheet(title, ["candidate", *table["columns"]], cells)


def _figure(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return NOTHING
    ratio = cell["ratio"]
    return number(cell["median"]) + (f" ({number(ratio)} x)" if ratio is not None else "")


def _facts(result: Mapping[str, Any], mark: str) -> str:
    machine, versions = result["machine"], result["versions"]
    lines = [
        f"machine: {', '.join(str(v) for v in (machine['processor'], machine['vectors']))}, {machine['cores']} cores",
        f"processes that ran already: {number(machine.get('load')).strip(NOTHING)}",
        f"versions: {', '.join(f'{name} {v}' for name, v in versions.items())}",
        f"commit: {result['commit'] or 'not a checkout'}",
        f"before: {result['before'] or ''}",
        f"command: {result['command']}",
        f"date: {result['date']}",
        "peak of matrix products: "
        + ", ".join(f"{number(v)} GFLOP/s beside {n}" for n, v in result["peak_gflops"].items() if v),
    ]
    lines = [line for line in lines if not line.endswith(": ")]
    return "\n".join(mark + line for line in lines)


def _notes(result: Mapping[str, Any]) -> list[str]:
    """What was not measured, and why."""
    notes = [f"{name}: not installed: {', '.join(needs)}" for name, needs in result["not_installed"].items()]
    swept = [row for rows in result["sweeps"].values() for row in rows]
    for row in (*result["rows"], *swept):
        if row["failure"]:
            notes.append(f"{row['candidate']} on {row['network']}, batch {row['batch']}: {row['failure']}")
    for name, tables in result["suites"].items():
        said = {who: why for table in tables for who, why in table["failures"].items()}
        notes += [f"{name}: {who}: {why}" for who, why in said.items()]
    return notes


def _text(sheet: Sheet) -> str:
    table = [sheet.heads, *sheet.cells]
    widths = [max(len(line[i]) for line in table) for i in range(len(sheet.heads))]
    lines = [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in table
    ]
    return "\n".join([sheet.title, *(f"  {line}".rstrip() for line in lines)])


def _markdown(sheet: Sheet) -> str:
    rule = ["---", *("---:" for _ in sheet.heads[1:])]
    return f"## {sheet.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in [sheet.heads, rule, *sheet.cells])
