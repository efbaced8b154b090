"""What was found of each column of a table, in lines."""

from __future__ import annotations

import click

from deepmath.cli.data import DataSet
from deepmath.cli.screen import count, in_options
from deepmath.tables import ClassTarget, ColumnSummary, NumberTarget

MOST = 30
"""So many columns are shown before a training; `--columns` shows all."""
WIDE = 32
"""Longer names and cells are cut."""


def lines(data: DataSet, most: int | None = None) -> list[str]:
    """A line for each column: its name, kind, what it becomes, missing cells, and a notice; the target's last."""
    shown = data.summary if most is None else data.summary[:most]
    rows = [_row(column) for column in shown]
    rows.append((data.target.name, *_target(data), f"{data.dropped:,}" if data.dropped else "", _dropped(data)))
    head = "column", "kind", "becomes", "missing", "notice"
    rows = [
        tuple(cell if i == 4 or len(cell) <= WIDE else f"{cell[: WIDE - 3]}..." for i, cell in enumerate(row))
        for row in rows
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(4)]
    text = [_line(row, widths) for row in (head, *rows)]
    left = len(data.summary) - len(shown)
    if left:
        text.insert(-1, f"... {count(left, 'more column')}; --columns shows all")
    return text


def show(data: DataSet, most: int | None = None) -> None:
    """Write the lines to the screen."""
    for line in lines(data, most):
        click.echo(line)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    name, kind, becomes, missing, notice = row
    cells = f"{name:<{widths[0]}}", f"{kind:<{widths[1]}}", f"{becomes:<{widths[2]}}", f"{missing:>{widths[3]}}", notice
    return "  ".join(cells).rstrip()


def _row(column: ColumnSummary) -> tuple[str, ...]:
    missing = f"{column.missing:,}" if column.missing else ""
    return column.name, column.kind, column.becomes, missing, in_options(column.notice or "")


def _target(data: DataSet) -> tuple[str, str]:
    """The target's kind, and what it becomes."""
    target = data.target
    if isinstance(target, ClassTarget):
        names = ", ".join(str(c) for c in target.classes[:3]) + (", ..." if len(target.classes) > 3 else "")
        return "target", f"{len(target.classes)} classes: {names}"
    assert isinstance(target, NumberTarget)
    scaled = (target.origin, target.size) != (0.0, 1.0)
    return "target", f"a number{f', {target.origin:.4g} ± {target.size:.4g}' if scaled else ''}"


def _dropped(data: DataSet) -> str:
    return (
        f"{count(data.dropped, 'row')} without it {'is' if data.dropped == 1 else 'are'} left out"
        if data.dropped
        else ""
    )
