"""Sphinx's maths as MathML, which browsers show by themselves, offline."""

from __future__ import annotations

import html
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def converted(latex: str, display: str) -> str:
    """LaTeX as a MathML element; `display` is "inline" or "block"."""
    return convert(latex, display=display)


def inline(writer: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    writer.body.append(f'<span class="math">{converted(node.astext(), "inline")}</span>')
    raise nodes.SkipNode


def block(writer: Any, node: nodes.math_block) -> None:
    """Write a formula of its own, which scrolls by itself where the screen is narrower."""
    label = html.escape(node.astext(), quote=True)
    shown = converted(node.astext(), "block")
    writer.body.append(f'<div class="math scroll" tabindex="0" role="math" aria-label="{label}">{shown}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
