"""A document as one HTML page: formulas as MathML, which browsers show by themselves, and nothing from a network."""

from __future__ import annotations

import functools
import html
import re
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
    head = "".join(f'<th scope="col">{html.escape(h)}</th>' if h else "<td></td>" for h in block.head)
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

    text = re.sub(r"<mo>(max|min)</mo>", r"<mi>\1</mi>", convert(latex))  # names of functions, as ln is
    return _signed(text.replace("<math ", '<math displaystyle="true" ', 1))


SIGN = re.compile(r'<mo(?: stretchy="false")?>(&#x0007C;|&#x02212;)</mo>')
"""A bar or a minus."""

VALUE = re.compile(r"(</(mi|mn|mtext|msub|msup|msubsup|mfrac|msqrt|mrow)>|&#x00029;</mo>|\"postfix\">&#x0007C;</mo>)$")
"""What a MathML text ends with behind a value."""

LONGEST = 32
"""No such end has more characters."""


def _signed(text: str) -> str:
    """MathML whose bars open and close and whose minus signs belong to a number: else they are set as between two.

    A bar behind a value closes, any other opens; a minus that isn't behind a value is that of the next one.
    """
    found, place = "", 0
    for sign in SIGN.finditer(text):
        found, place = found + text[place : sign.start()], sign.end()
        form = "infix" if sign[1] == MINUS else "postfix"
        if not VALUE.search(found[-LONGEST:]):
            form = "prefix"
        fence = "" if sign[1] == MINUS else 'stretchy="false" fence="true" lspace="0" rspace="0" '
        found += f'<mo {fence}form="{form}">{sign[1]}</mo>'
    return found + text[place:]


MINUS = "&#x02212;"
