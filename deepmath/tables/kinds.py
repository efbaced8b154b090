"""The kind of each column, found from the rows of the training part, with what is doubtful about it.

The rules, in this order; the first that holds decides. Words for missing (NA, null, ?; `words.MISSING_WORDS`) count
as missing in columns of numbers, dates and booleans, and as categories in columns of other text.

| kind | the cells, apart from missing ones | becomes |
|---|---|---|
| empty | there are none, or only words for missing | left out |
| constant | one value, and none missing | left out |
| boolean | True and False; or yes and no, y and n, true and false, t and f, on and off | a number 0 or 1 |
| row number | whole numbers, all different, none missing, at least `IDENTIFIER_ROWS`, spread over at most `DENSITY` times as many as there are rows; or called id, and whole and all different | left out |
| number | numbers; or text that writes numbers in one way (1.5, 1,5, 1.234,56, 1,234.56, 12 %, $5); or at least `MIXED_SHARE` of such cells, with more than `FEW` different numbers, among words that count as missing | a number |
| date | dates; or text that writes dates in known ways | a number and parts |
| text | at least `TEXT_WORDS` words a cell, and `TEXT_SHARE` of the cells different | left out |
| name | at least `IDENTIFIER_ROWS` cells, and `IDENTIFIER_SHARE` of them different; whole numbers beyond 2^53 too | left out |
| category | any other text, and one value beside missing cells | a column for each category |

Text that may be read in two ways (1,250 or 01/02/2020 throughout) is not read as a number or a date: it becomes a
category or a name, and the notice asks which is meant. Numbers written with zeros in front (00501) are text. Whole
numbers stay numbers, however few there are: `kinds={"class": "category"}` says that they are not.
"""  # noqa: E501 - a table

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deepmath.errors import ConfigError
from deepmath.tables.columns import Column, Numbers
from deepmath.tables.dates import ANY_DATES, DateSpelling, check_format, dates_of
from deepmath.tables.seen import Seen, proper_words
from deepmath.tables.spelling import PLAIN, Spelling, looks_like_number, spelling_from, spelling_of
from deepmath.tables.words import Doubt, boolean_words

IDENTIFIER_ROWS = 20
"""In a table of fewer rows nothing counts as a name or a row number."""
IDENTIFIER_SHARE = 0.95
"""A column of which at least this share of the cells is different is one of names."""
DENSITY = 2
"""Row numbers are spread over at most so many times the rows: half the rows of a table may be in another part."""
TEXT_WORDS = 4
"""Free text has at least so many words a cell."""
TEXT_SHARE = 0.5
"""Free text has at least this share of different cells."""
MIXED_SHARE = 0.9
"""Where at least this share of the cells are numbers, the words among them count as missing."""
FEW = 10
"""Numbers among words must be of more than so many values; otherwise all are categories."""

USED = ("number", "category", "boolean", "date")
"""Kinds that become inputs."""
LEFT_OUT = ("text", "name", "row number", "out")
"""Kinds that can be asked for to leave a column out; "out" says no more than that."""
_IDENTIFIER = re.compile(r"(?:.*[\s_.-])?(?i:id|ids|uuid|guid)|.*[a-z](?:Id|ID)")


@dataclass(frozen=True)
class Wanted:
    """A kind that the caller gives to a column, with how its numbers or dates are written."""

    kind: str
    numbers: Spelling | None = None
    dates: DateSpelling | None = None

    @property
    def as_text(self) -> bool:
        """Whether a file's cells must be read as text, whatever they look like."""
        return self.kind in ("category", "boolean") or self.numbers is not None or self.dates is not None

    def takes_as_text(self, column: Column) -> bool:
        """Whether a column of another type is seen as text."""
        digits = self.dates is not None and isinstance(column, Numbers)
        return digits or self.kind in ("category", "boolean")


NUMBER = Wanted("number")


@dataclass(frozen=True)
class Found:
    """What a column is. `notice` says what is doubtful, and for a column that is left out, why.

    `words` are cells that count as missing beside the usual words.
    """

    kind: str
    notice: str | None = None
    numbers: Spelling = PLAIN
    dates: DateSpelling = ANY_DATES
    words: tuple[str, ...] = ()


def wanted(name: str, given: str) -> Wanted:
    """What the text of an override means: a kind, or "date:FORMAT" or "number:EXAMPLE".

    Raises ConfigError for anything else.

    >>> wanted("d", "date:%d/%m/%Y").dates
    DateSpelling(order='', format='%d/%m/%Y')
    >>> wanted("price", "number:1.234,5").numbers
    Spelling(decimal=',', group='.', sign='')
    """
    kind, colon, detail = given.partition(":") if isinstance(given, str) else ("", "", "")
    if kind == "date" and colon:
        check_format(name, detail)
        return Wanted(kind, dates=DateSpelling(format=detail))
    if kind == "number" and colon:
        return Wanted(kind, numbers=spelling_from(detail))
    if colon or kind not in (*USED, *LEFT_OUT):
        known = ", ".join((*USED, "date:%d/%m/%Y", "number:1.234,5", *LEFT_OUT))
        raise ConfigError(f"kinds: '{name}' can be one of {known}; got {given!r}")
    return Wanted(kind)


def kind_of(seen: Seen, given: Wanted | None = None) -> Found:
    """The kind of a column, by the table above or as given. Raises ConfigError where the cells aren't of that kind."""
    if given is not None and given.kind in LEFT_OUT:
        return Found(given.kind)
    words = proper_words(seen)
    if seen.type is None or (seen.type == "text" and not words and not seen.others and given is None):
        return Found("empty", "all cells are missing")
    if given is not None:
        return _as_given(seen, given, words)
    if _constant(seen):
        return Found("constant", f"all cells are {seen.examples[0]!r}" if seen.examples else None)
    if seen.type in ("text", "boolean"):
        return _kind_of_text(seen, words)
    if seen.present == seen.rows or seen.low != seen.high:
        return _kind_of_numbers(seen) if seen.type == "number" else Found("date")
    return Found("category", "one value beside missing cells")


def _constant(seen: Seen) -> bool:
    if seen.missing:
        return False
    return seen.distinct == 1 if seen.type in ("text", "boolean") else seen.low == seen.high


def _kind_of_numbers(seen: Seen) -> Found:
    values = seen.sample.values()
    whole = bool((values == np.floor(values)).all()) and seen.high - seen.low >= 1
    if seen.missing or seen.rows < IDENTIFIER_ROWS or not whole or len(np.unique(values)) < len(values):
        return Found("number")
    if seen.high - seen.low + 1 <= DENSITY * seen.rows:
        return Found("row number", "whole numbers that count the rows")
    if _IDENTIFIER.fullmatch(seen.name):
        return Found("row number", "all different, and called an identifier")
    return Found("number")


def _kind_of_text(seen: Seen, words: Mapping[str, int]) -> Found:
    if len(words) <= 4 and not seen.others and boolean_words(set(words)):
        if len(words) == 2:
            return Found("boolean")
        return Found("category", "one value beside missing cells")
    if len(words) > 1 or not seen.missing:
        numbers, doubt = spelling_of(words)
        if numbers is not None:
            return Found("number", None if numbers.plain else f"numbers written as {numbers.example}", numbers)
        if doubt is not None:
            return _undecided(seen, doubt)
        dates, doubt = dates_of(words)
        if dates is not None:
            return Found("date", dates=dates)
        mixed = _mixed(seen, words)
        if mixed is not None:
            return mixed
        if doubt is not None:
            return _undecided(seen, doubt)
    return _kind_of_words(seen)


def _kind_of_words(seen: Seen, notice: str | None = None) -> Found:
    behind = f"; {notice}" if notice else ""
    cells = seen.sample.values()
    spaces = sum(map(len, map(str.split, cells.tolist())))
    share = seen.distinct / seen.present
    if seen.distinct > 2 and share >= TEXT_SHARE and spaces >= TEXT_WORDS * len(cells):
        return Found("text", "free text" + behind)
    if seen.present >= IDENTIFIER_ROWS and share >= IDENTIFIER_SHARE:
        return Found("name", ("all" if seen.distinct == seen.present else "almost all") + " different" + behind)
    return Found("category", notice)


def _undecided(seen: Seen, doubt: Doubt) -> Found:
    """Words whose kind the caller should say."""
    if not doubt.ask:
        return _kind_of_words(seen, doubt.what)
    ways = " or ".join(f"kinds={{'{seen.name}': '{kind}'}}" for kind in doubt.ask)
    return _kind_of_words(seen, f"{doubt.what}; say which: {ways} (--column '{seen.name}={doubt.ask[0]}')")


def _mixed(seen: Seen, words: Mapping[str, int]) -> Found | None:
    """Numbers with a few words among them."""
    figures = {word for word in words if looks_like_number(word)}
    cells = sum(words[word] for word in figures)
    if len(figures) <= FEW or cells < MIXED_SHARE * sum(words.values()) or seen.others:
        return None
    numbers, _ = spelling_of(figures)
    if numbers is None:
        return None
    others = tuple(sorted(words.keys() - figures))
    return Found("number", _words_missing(others), numbers, words=others)


def _words_missing(words: tuple[str, ...]) -> str:
    shown = ", ".join(repr(word) for word in words[:3]) + (", ..." if len(words) > 3 else "")
    return f"these words among the numbers count as missing: {shown}"


def _as_given(seen: Seen, given: Wanted, words: Mapping[str, int]) -> Found:
    who = f"kinds: column '{seen.name}' can't be a {given.kind}"
    if given.kind == "category":
        return Found("category")
    if given.kind == "boolean":
        if len(words) != 2 or seen.others:
            raise ConfigError(f"{who}: a boolean has two values; got {seen.distinct}, such as {_shown(seen)}")
        return Found("boolean")
    if given.kind == "number":
        return _given_number(seen, given, words, who)
    if seen.type == "date":
        return Found("date")
    if seen.type in ("number", "boolean") and given.dates is None:
        cure = f"say how the date is written, such as kinds={{'{seen.name}': 'date:%Y%m%d'}}"
        raise ConfigError(f"{who}: it holds {seen.type}s; {cure}")
    dates, doubt = dates_of(words) if given.dates is None else (given.dates, None)
    wrong = [w for w, bad in zip(words, np.isnat(dates.read(list(words))), strict=True) if bad] if dates else []
    if dates is None or wrong:
        held = doubt.what if doubt is not None else f"it holds {_shown(seen)}"
        why = f"{wrong[0]!r} is not written so" if wrong else held
        raise ConfigError(f"{who}: {why}; correct it, or give the format: kinds={{'{seen.name}': 'date:%d/%m/%Y'}}")
    return Found("date", dates=dates)


def _given_number(seen: Seen, given: Wanted, words: Mapping[str, int], who: str) -> Found:
    if seen.type in ("number", "boolean") and given.numbers is None:
        return Found("number")
    if seen.type == "date":
        raise ConfigError(f"{who}: it holds dates, which become numbers and parts by themselves")
    figures = [word for word in words if looks_like_number(word)]
    numbers, doubt = (given.numbers, None) if given.numbers is not None else spelling_of(figures)
    if given.numbers is not None:
        figures = [word for word in words if given.numbers.number(word) is not None]
    if numbers is None or not figures:
        cure = f"show how they are written: kinds={{'{seen.name}': 'number:1.234,5'}}"
        raise ConfigError(f"{who}: {doubt.what if doubt is not None else f'it holds {_shown(seen)}'}; {cure}")
    others = tuple(sorted(words.keys() - set(figures)))
    return Found("number", _words_missing(others) if others else None, numbers, words=others)


def _shown(seen: Seen) -> str:
    return ", ".join(repr(example) for example in seen.examples) or "nothing"
