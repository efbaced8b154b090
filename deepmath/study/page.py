"""A document as one HTML page: formulas as MathML, which browsers show by themselves, and nothing from a network."""

from __future__ import annotations

import functools
import html
from collections.abc import Sequence
from importlib import resources

from deepmath.errors import require
from deepmath.study.document import Block, Cell, Document, Equations, Formula, Heading, Prose
from deepmath.study.notebook import Math


def page(document: Document) -> str:
    """The page, light or dark as the reader's system is. Raises MissingExtra without latex2mathml."""
    require("latex2mathml", "study", "formulas in HTML")
    style = resources.files("deepmath.study").joinpath("page.css").read_text(encoding="utf-8")
    sections = [(i, b) for i, b in enumerate(document.blocks) if isinstance(b, Heading) and b.level == 2]
    contents = "".join(f'<li><a href="#s{i}">{html.escape(b.text)}</a></li>' for i, b in sections)
    body = "\n".join(_block(i, block) for i, block in enumerate(document.blocks))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(document.title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n<main>\n{body}\n</main>\n</body>\n</html>\n'
    )


def _block(number: int, block: Block) -> str:
    if isinstance(block, Heading):
        return f'<h{block.level} id="s{number}">{html.escape(block.text)}</h{block.level}>'
    if isinstance(block, Prose):
        return f"<p>{''.join(_cell(p) for p in block.parts)}</p>"
    if isinstance(block, Formula):
        return f'<div class="scroll formula" tabindex="0">{mathml(block.math.latex)}</div>'
    if isinstance(block, Equations):
        return "\n".join(_chain(chain) for chain in block.chains)
    head = "".join(f'<th scope="col">{html.escape(h)}</th>' for h in block.head)
    rows = "".join(f"<tr>{''.join(f'<td>{_cell(c)}</td>' for c in row)}</tr>" for row in block.rows)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _chain(chain: Sequence[Math]) -> str:
    left, *steps = chain
    lines = [f'<div class="step">{mathml(f"= {{{step.latex}}}")}</div>' for step in steps[:-1]]
    lines.append(f'<div class="step result">{mathml(f"= {{{steps[-1].latex}}}")}</div>')
    return f'<div class="scroll equation" tabindex="0">{mathml(left.latex)}<div>{"".join(lines)}</div></div>'


def _cell(cell: Cell) -> str:
    return html.escape(cell) if isinstance(cell, str) else mathml(cell.latex)


@functools.lru_cache(maxsize=4096)
def mathml(latex: str) -> str:
    """LaTeX as an inline MathML element in the size of displayed formulas."""
    from latex2mathml.converter import convert

    return convert(latex).replace("<math ", '<math displaystyle="true" ', 1)
