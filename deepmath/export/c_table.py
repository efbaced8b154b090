"""The part of a C header that takes tables: what each column's code is, and the statements that turn it into inputs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from deepmath.export.chain import Chain
from deepmath.export.codes import Coded, coded
from deepmath.export.meaning import missing_cells, number_meant, outputs_of, unseen
from deepmath.tables.encoders import BooleanColumn, CategoryColumn, EncodedColumn, NumberColumn

MICROSECONDS = """static inline long long {prefix}microseconds(double seconds) {{
  /* the least number stands for a missing date */
  return seconds > -9e12 && seconds < 9e12 ? llround(seconds * 1e6) : -9223372036854775807LL;
}}"""
"""From the seconds of a date to the code that formulas take."""


class CTable(NamedTuple):
    """Arrays of text, and statements of `predict`."""

    arrays: list[str]
    calls: list[str]


def c_table(chain: Chain, prefix: str, target: str, function_of: Callable[[Coded], str]) -> CTable:
    """What turns the codes `x` of a row into the network's inputs, in the array `target` of doubles.

    `function_of` gives the name of the function that computes a formula.
    """
    assert chain.encoding is not None
    table, place = CTable([], []), 0
    for number, column in enumerate(chain.encoding.used):
        found, code = coded(column), f"x + {number}"
        if isinstance(column, CategoryColumn):
            table.arrays.append(c_strings(f"{prefix}categories_{number}", column.categories))
        if column.kind == "date":
            code = f"&time_{number}"
            table.calls.append(f"const long long time_{number} = {prefix}microseconds(x[{number}]);")
        constants = [f"{value!r}{'LL' if isinstance(value, int) else ''}" for value in found.constants]
        ends = [f"{target} + {p}" for p in itertools.accumulate(found.widths[:-1], initial=place)]
        passed = ", ".join([code, *constants, *ends, "1", str(found.widths[0])])
        table.calls.append(f"{function_of(found)}({passed});")
        place += sum(found.widths)
    return table


def notes(chain: Chain, prefix: str) -> str:
    """Lines of a comment: what x and y hold; empty where they are plain numbers."""
    lines = []
    if chain.encoding is not None:
        lines = ["x has a number for each column of a table:", ""]
        lines += [
            f"  x[{i}]  {c_string(c.name)}: {c_text(_code(c, i, prefix))}" for i, c in enumerate(chain.encoding.used)
        ]
        lines.append("")
    if chain.classes is not None:
        lines += [f"y is {c_text(outputs_of(chain.classes, chain.outputs))}; {prefix}classes has their names.", ""]
    return "".join(f" * {line}".rstrip() + "\n" for line in lines)


def _code(column: EncodedColumn, number: int, prefix: str) -> str:
    missing = f"NAN: {missing_cells(column)}"
    if isinstance(column, CategoryColumn):
        return f"the index of its category in {prefix}categories_{number}; {unseen(column)}; {missing}"
    if isinstance(column, BooleanColumn):
        return f"0 for {column.no!r}, 1 for {column.yes!r}; {missing}"
    if isinstance(column, NumberColumn):
        return f"{number_meant(column)}; {missing}"
    return f"a date as seconds since 1970 in UTC; {missing}"


def c_strings(name: str, texts: Sequence[str]) -> str:
    """An array of texts, by name."""
    body = ",\n  ".join(map(c_string, texts))
    return f"static const char *const {name}[{len(texts)}] = {{\n  {body}\n}};"


def c_string(text: str) -> str:
    """Text as a string of C, in UTF-8, that may also stand in a comment.

    >>> print(c_string('a "b" */ é'))
    "a \\042b\\042 \\052/ \\303\\251"
    """
    return f'"{c_text(text)}"'


def c_text(text: str) -> str:
    """Text in which all that could end a string or a comment is its number in octal, with three digits as C needs.

    >>> print(c_text("why??/"))
    why\\077\\077/
    """
    letters = text.encode("utf-8", "surrogatepass")
    return "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?*' else f"\\{b:03o}" for b in letters)
