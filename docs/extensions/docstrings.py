"""Docstrings, which are plain text with code between backticks, as the reStructuredText that autodoc expects."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

CODE = re.compile(r"(`[^`]+`)")
SIGN = re.compile(r"(?<!\\)([*|\\]|(?<=\w)_(?!\w))")
HEAD = re.compile(r"^ *(?:\* |:[^:`]+: ?)")
TYPE = re.compile(r"^( *:(?:(?:var)?type [^:]+|rtype):) (.+)$")
DIRECTIVE = re.compile(r"^ *\.\. ")


def escaped(line: str) -> str:
    r"""A line in which signs of reStructuredText stand for themselves, but for bullets, fields and directives.

    >>> print(escaped("(|z| + w_) * 2, see `coef_`"))
    (\|z\| + w\_) \* 2, see `coef_`
    >>> print(escaped(":param coef_: a * b"))
    :param coef_: a \* b
    """
    if DIRECTIVE.match(line):
        return line
    if TYPE.match(line):
        return TYPE.sub(r"\1 ``\2``", line)  # words such as "array of shape (n,)" are no names of ours
    head = HEAD.match(line)
    start = head.end() if head else 0
    parts = CODE.split(line[start:])
    return line[:start] + "".join(part if i % 2 else SIGN.sub(r"\\\1", part) for i, part in enumerate(parts))


def as_plain_text(app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Escape all lines but those of examples."""
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            lines[i] = escaped(line)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls. Napoleon, which has the usual priority, comes first: it reads the text as it is."""
    app.connect("autodoc-process-docstring", as_plain_text, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
