"""A page with formulas: what is written, apart from how it is shown. Text and Markdown are written here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from deepmath.study.notebook import Math

Cell = str | Math
WIDTH = 110
"""Columns of plain text, where a formula can be broken."""


@dataclass(frozen=True)
class Heading:
    """A title of level 1, 2 or 3."""

    level: int
    text: str


@dataclass(frozen=True)
class Prose:
    """A paragraph of words and formulas."""

    parts: tuple[Cell, ...]


@dataclass(frozen=True)
class Formula:
    """One formula on a line of its own."""

    math: Math


@dataclass(frozen=True)
class Equations:
    """Chains left = step = ... = result, one under another."""

    chains: tuple[tuple[Math, ...], ...]


@dataclass(frozen=True)
class Table:
    """Columns with headings."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


Block = Heading | Prose | Formula | Equations | Table


@dataclass
class Document:
    """Blocks from top to bottom."""

    blocks: list[Block] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The first heading."""
        return next(b.text for b in self.blocks if isinstance(b, Heading))

    def heading(self, level: int, text: str) -> None:
        """Add a heading."""
        self.blocks.append(Heading(level, text))

    def prose(self, *parts: Cell) -> None:
        """Add a paragraph."""
        self.blocks.append(Prose(parts))

    def formulas(self, maths: Sequence[Math]) -> None:
        """Add formulas, each on its own line."""
        self.blocks += [Formula(m) for m in maths]

    def equations(self, chains: Sequence[Sequence[Math]]) -> None:
        """Add equations, if there are any."""
        if chains:
            self.blocks.append(Equations(tuple(tuple(c) for c in chains)))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Add a table, if it has rows."""
        if rows:
            self.blocks.append(Table(tuple(head), tuple(tuple(r) for r in rows)))


def text(document: Document) -> str:
    """Plain text for a terminal."""
    out: list[str] = []
    for block in document.blocks:
        if isinstance(block, Heading):
            out += ["", block.text, {1: "=", 2: "-"}.get(block.level, "") * len(block.text)]
            out = out if block.level < 3 else out[:-1]
        elif isinstance(block, Prose):
            out += ["", *_wrapped("".join(p if isinstance(p, str) else p.plain for p in block.parts))]
        elif isinstance(block, Formula):
            out += [f"    {block.math.plain}"]
        elif isinstance(block, Equations):
            out += ["", *(line for chain in block.chains for line in _chain(chain))]
        else:
            out += ["", *_columns(block)]
    return "\n".join(line.rstrip() for line in out).strip("\n") + "\n"


def _chain(chain: Sequence[Math]) -> list[str]:
    line = "  " + " = ".join(m.plain for m in chain)
    if len(line) <= WIDTH:
        return [line]
    left = f"  {chain[0].plain}"
    return [f"{left if i == 0 else ' ' * len(left)} = {m.plain}" for i, m in enumerate(chain[1:])]


def _wrapped(words: str) -> list[str]:
    lines, line = [], ""
    for word in words.split(" "):
        if line and len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def _columns(table: Table) -> list[str]:
    rows = [table.head, *([c if isinstance(c, str) else c.plain for c in row] for row in table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.head))]
    return ["  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows]


def markdown(document: Document) -> str:
    r"""Markdown with LaTeX between $ and $$, as GitHub, Jupyter and pandoc read it."""
    out: list[str] = []
    for block in document.blocks:
        if isinstance(block, Heading):
            out.append(f"{'#' * block.level} {_escaped(block.text)}")
        elif isinstance(block, Prose):
            out.append("".join(_escaped(p) if isinstance(p, str) else f"${p.latex}$" for p in block.parts))
        elif isinstance(block, Formula):
            out.append(f"$$\n{block.math.latex}\n$$")
        elif isinstance(block, Equations):
            out += [f"$$\n{aligned(chain)}\n$$" for chain in block.chains]
        else:
            rows = [table_row(row) for row in block.rows]
            out.append("\n".join([table_row(block.head), "|" + " --- |" * len(block.head), *rows]))
    return "\n\n".join(out) + "\n"


def aligned(chain: Sequence[Math]) -> str:
    """A chain as LaTeX with its steps one under another."""
    left, *steps = [m.latex for m in chain]
    lines = r" \\ ".join(f"&= {step}" for step in steps)
    return rf"\begin{{aligned}} {left} {lines} \end{{aligned}}"


def table_row(cells: Sequence[Cell]) -> str:
    """A row of a Markdown table: a bar inside a formula would end the cell."""
    shown = [_escaped(c) if isinstance(c, str) else f"${c.latex}$".replace("|", r"\vert ") for c in cells]
    return "| " + " | ".join(shown) + " |"


def _escaped(words: str) -> str:
    """Words in which Markdown's signs stand for themselves."""
    for sign in "\\`*_[]<>$":
        words = words.replace(sign, f"\\{sign}")
    return words
