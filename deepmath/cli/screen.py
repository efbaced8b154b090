"""What people see: aligned lines, in a frame on a terminal."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence

import click

Rows = Sequence[tuple[str, str]]


def show(rows: Rows, title: str | None = None) -> None:
    """Names and values. A terminal gets a frame with rich, a pipe plain lines that are never broken."""
    if title is not None and sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        _panel(rows, title)
        return
    for line in lines(rows):
        click.echo(line)


def lines(rows: Rows) -> list[str]:
    """Values under each other.

    >>> lines([("data", "circles"), ("network", "2-4-1")])
    ['data     circles', 'network  2-4-1']
    """
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{name:<{width}}  {value}" for name, value in rows]


def _panel(rows: Rows, title: str) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(Text(name), Text(value))
    Console(highlight=False).print(Panel(grid, title=Text(title), title_align="left", expand=False))


def percent(share: float) -> str:
    """A share with two digits; only a whole is 100 %.

    >>> percent(1.0), percent(0.97216), percent(0.99996)
    ('100 %', '97.22 %', '99.99 %')
    """
    return "100 %" if share == 1.0 else f"{min(100 * share, 99.99):.2f} %"


def count(number: int, one: str) -> str:
    """A number with its noun.

    >>> count(1, "row"), count(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def in_options(text: str) -> str:
    """A message of the library with options in the place of Python's arguments.

    >>> in_options("say kinds={'a': 'number'} or kinds={'a': 'date'} (--column 'a=number')")
    "say --column 'a=number' or --column 'a=date'"
    >>> in_options("if they are not: kind='number' (--column 'y=number')")
    "if they are not: --column 'y=number'"
    """
    text = re.sub(r"kinds=\{'(.*?)': '(.*?)'\}", r"--column '\1=\2'", text).replace("kinds: ", "--column: ")
    text = re.sub(r"kind='[^']*' \((--column '.*?')\)", r"\1", text)
    text = re.sub(r"na=\[.*?\] \((--na '.*?')\)", r"\1", text)
    return re.sub(r"(--column '.*?'.*?)(?: \(--column '.*?'\)|, or --column '.*?'(?=\)))", r"\1", text)
