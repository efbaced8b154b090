"""Words that stand in tables: for what is missing, and for yes and no."""

from __future__ import annotations

from typing import NamedTuple

_NO_VALUE = ("na", "n/a", "n.a.", "nan", "-nan", "+nan", "null", "none", "nil", "?", "-", "--", ".", "<na>")
_SPREADSHEET = ("#n/a", "#na", "#div/0!", "#name?", "#null!", "#num!", "#ref!", "#value!")
MISSING_WORDS = frozenset([*_NO_VALUE, *_SPREADSHEET])
"""Words, in small letters, that mean "missing" where all other cells of a column are numbers, dates or booleans.

In a column of other text they are categories: somebody may be called None, and NA is Namibia.
"""

BOOLEANS = {"true": "false", "yes": "no", "y": "n", "t": "f", "on": "off"}
"""Words for yes, each with its word for no, in small letters."""


class Doubt(NamedTuple):
    """What is unclear about a column's cells, and the kinds that the caller may say they are."""

    what: str
    ask: tuple[str, ...] = ()


def is_missing_word(cell: str) -> bool:
    """Whether a cell of text is a word for missing.

    >>> is_missing_word("N/A"), is_missing_word("unknown")
    (True, False)
    """
    return cell.lower() in MISSING_WORDS


def boolean_of(cell: str) -> bool | None:
    """What a word for yes or no, or 1 or 0, means.

    >>> boolean_of("Yes"), boolean_of("0"), boolean_of("maybe")
    (True, False, None)
    """
    small = cell.lower()
    if small in BOOLEANS or small == "1":
        return True
    return False if small in BOOLEANS.values() or small == "0" else None


def boolean_words(cells: set[str]) -> bool:
    """Whether cells are words of one pair, such as yes and no, or one of them alone.

    >>> boolean_words({"Yes", "no"}), boolean_words({"yes", "false"})
    (True, False)
    """
    small = {cell.lower() for cell in cells}
    return bool(small) and any(small <= {yes, no} for yes, no in BOOLEANS.items())
