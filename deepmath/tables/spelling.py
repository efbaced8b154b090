"""How numbers are written as text: decimal points and commas, thousands in groups, percent and currency signs."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from dataclasses import dataclass

from deepmath.descriptions import described
from deepmath.errors import ConfigError
from deepmath.tables.columns import EXACT
from deepmath.tables.words import Doubt

SIGNS = ("%", "$", "€", "£", "¥", "₹", "USD", "EUR", "GBP", "JPY", "CHF", "INR", "CNY")
"""What may stand in front of or behind a number; one and the same in all cells of a column."""
WAYS = ((".", ""), (",", "."), (",", " "), (".", ","), (".", "'"), (".", " "), (",", "'"))
"""Decimal sign and sign between groups of three digits; the first is how programs write numbers."""
_LIKELY = re.compile(r"[-+]?(?:[0-9$€£¥₹.A-Z\u2212]|inf)[-+0-9.,' eEA-Zfinty\u2212\u00a0\u202f%$€£¥₹]*")
_SIGN = "|".join(map(re.escape, SIGNS))
_NUMBER = re.compile(rf"[-+\u2212]?\s*(?:{_SIGN})?\s*[-+]?[0-9.,][-+0-9.,' eE\u00a0\u202f]*(?:{_SIGN})?")
INFINITE = {"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}


@described
@dataclass(frozen=True)
class Spelling:
    """How the numbers of a column are written. `sign` stands in front of each or behind it.

    >>> Spelling(",", ".", "€").number("-1.234,50 €")
    -1234.5
    >>> Spelling().number("1,5") is None
    True
    """

    decimal: str = "."
    group: str = ""
    sign: str = ""

    def number(self, cell: str) -> float | None:
        """The number that a cell stands for, or None if it isn't written so."""
        sign, rest = _split(cell) if self.sign or not cell.isascii() else ("", cell)
        if sign != self.sign:
            return None
        if _pattern(self.decimal, self.group).fullmatch(rest) is None:
            return float(rest) if rest.lower() in INFINITE else None
        if self.group:
            rest = rest.replace(self.group, "")
        return float(rest.replace(",", "."))

    @property
    def plain(self) -> bool:
        """Whether this is how programs write numbers."""
        return (self.decimal, self.group, self.sign) == (".", "", "")

    @property
    def example(self) -> str:
        """A number written so."""
        return f"1{self.group}234{self.decimal}5" + (f" {self.sign}" if self.sign else "")


PLAIN = Spelling()
"""How programs write numbers."""


def spelling_of(cells: Collection[str]) -> tuple[Spelling | None, Doubt | None]:
    """How the cells of a column write numbers, or None where some are no numbers; and what is doubtful, if anything.

    Zeros in front (00501) make a code of a number, and so does a whole number beyond 2^53.

    >>> spelling_of(["1,5", "2.300,25"])[0]
    Spelling(decimal=',', group='.', sign='')
    >>> spelling_of(["1,250", "2,500"])
    (None, Doubt(what="'1,250' may mean 1250 or 1.25", ask=('number:1.234,5', 'number:1,234.5')))
    """
    if not cells or not all(map(_LIKELY.fullmatch, cells)):
        return None, None
    parts = [_split(cell) for cell in cells]
    signs = {sign for sign, _ in parts}
    if any(_is_code(rest) for _, rest in parts):
        return None, None
    bare = [rest for _, rest in parts]
    ways = [Spelling(*way) for way in WAYS]
    fitting = [way for way in ways if all(way.number(cell) is not None for cell in bare)]
    if not fitting:
        return None, None
    if len(signs) > 1:
        shown = " and ".join(repr(next(c for c in cells if _split(c)[0] == s)) for s in sorted(signs)[:2])
        return None, Doubt(f"{shown} are not in one unit; write one in all cells")
    best = fitting[0]
    for other in fitting[1:] if not best.plain else ():
        for cell in bare:
            a, b = best.number(cell), other.number(cell)
            if a != b and a is not None and b is not None:
                unit = f" {max(signs)}".rstrip()
                ask = tuple(f"number:{way.example}{unit}" for way in (best, other))
                return None, Doubt(f"{cell!r} may mean {max(a, b):g} or {min(a, b):g}", ask)
    return Spelling(best.decimal, best.group, signs.pop()), None


def spelling_from(example: str) -> Spelling:
    """The spelling that an example such as 1.234,5 shows, with four digits in front of the decimal sign.

    >>> spelling_from("1.234,5"), spelling_from("1234,5")
    (Spelling(decimal=',', group='.', sign=''), Spelling(decimal=',', group='', sign=''))
    """
    sign, rest = _split(example)
    match = re.fullmatch(r"1([., ']?)234([.,])5", rest)
    if match is None or match[1] == match[2]:
        raise ConfigError(
            f"the spelling of numbers must be shown as 1234.5, 1234,5, 1.234,5, 1,234.5, 1 234,5 or 1'234.5, "
            f"with the sign that they carry; got {example!r}"
        )
    return Spelling(match[2], match[1], sign)


def _split(cell: str) -> tuple[str, str]:
    """A cell's sign of percent or currency, and its number."""
    cell = cell.replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", " ").replace("\u202f", " ")
    if cell[-1:].isdigit() and cell[:1].isdigit():
        return "", cell
    minus = cell[:1] if cell[:1] in "+-" else ""
    rest = cell[len(minus) :].strip()
    for sign in SIGNS:
        if rest.startswith(sign):
            return sign, minus + rest[len(sign) :].strip()
        if rest.endswith(sign):
            return sign, minus + rest[: -len(sign)].strip()
    return "", cell


def _is_code(rest: str) -> bool:
    digits = rest.lstrip("+-")
    if not digits.isdecimal():
        return False
    return (digits[0] == "0" and len(digits) > 1) or len(digits) > 16 or (len(digits) == 16 and int(digits) > EXACT)


@functools.cache
def _pattern(decimal: str, group: str) -> re.Pattern[str]:
    point = re.escape(decimal)
    whole = rf"(?:[0-9]{{1,3}}(?:{re.escape(group)}[0-9]{{3}})+|[0-9]+)" if group else "[0-9]+"
    return re.compile(rf"[+-]?(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?")


def looks_like_number(cell: str) -> bool:
    """Whether a cell is a number in some spelling.

    >>> looks_like_number("1.234,5 €"), looks_like_number("12 Main Street")
    (True, False)
    """
    if _NUMBER.fullmatch(cell) is None:
        return False
    rest = _split(cell)[1]
    return any(Spelling(*way).number(rest) is not None for way in WAYS)
