"""What a column of a known kind becomes: its median, its categories, the parts of its dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.errors import NumericError
from deepmath.tables.columns import date_text
from deepmath.tables.date_column import PARTS, UNITS, DateColumn, turn_of
from deepmath.tables.encoders import BooleanColumn, CategoryColumn, EncodedColumn, LeftOut, NumberColumn
from deepmath.tables.kinds import FEW, USED, Found
from deepmath.tables.seen import Seen
from deepmath.tables.spelling import PLAIN
from deepmath.tables.words import boolean_of, is_missing_word

RARE_SHARE, RARE_LEAST, RARE_MOST = 1000, 2, 10
"""In a column of more than `FEW` categories one is rare in fewer rows than a 1000th of all (but 2 to 10)."""


@dataclass(frozen=True)
class Learnt:
    """What a column becomes, what is doubtful about it, and how many of its cells are missing."""

    column: EncodedColumn | LeftOut
    notice: str | None
    missing: int


def learnt(seen: Seen, found: Found, max_categories: int) -> Learnt:
    """What a column becomes. Raises NumericError for an infinite number."""
    if found.kind not in USED:
        return Learnt(LeftOut(seen.name, found.kind, found.notice or "asked for"), found.notice, seen.missing)
    if found.kind == "category":
        return _category(seen, found, max_categories)
    words = sum(n for word, n in seen.counts.items() if is_missing_word(word) or word in found.words)
    missing = seen.missing + (words if seen.type != "number" else 0)
    if found.kind == "number":
        return Learnt(_number(seen, found, missing), found.notice, missing)
    if found.kind == "boolean":
        return Learnt(_boolean(seen, missing), found.notice, missing)
    return Learnt(_date(seen, found, missing), found.notice, missing)


def _number(seen: Seen, found: Found, missing: int) -> NumberColumn:
    values = seen.sample.values()
    if values.dtype == object:
        read = [found.numbers.number(cell) for cell in values.tolist()]
        values = np.array([value for value in read if value is not None])
        infinite = np.isinf(values).any()
    else:
        infinite = seen.infinite is not None
    if infinite:
        where = "" if seen.infinite is None else f", row {seen.infinite}"
        raise NumericError(f"column '{seen.name}'{where}: the number is infinite; correct it, or make it missing")
    return NumberColumn(seen.name, _median(values), missing > 0, found.numbers, found.words)


def _median(values: Any) -> float:
    """The median of finite numbers, where the mean of the middle two may overflow; 0 of none."""
    if not len(values):
        return 0.0
    middle = np.sort(values)[[(len(values) - 1) // 2, len(values) // 2]]
    with np.errstate(over="ignore"):
        mean = float(middle.sum()) / 2
    return mean if np.isfinite(mean) else float(middle[0] / 2 + middle[1] / 2)


def _category(seen: Seen, found: Found, most: int) -> Learnt:
    counts = seen.counts or {seen.examples[0]: seen.present}  # numbers and dates are counted where there is one value
    few = len(counts) <= FEW
    rare = 1 if few else max(RARE_LEAST, min(RARE_MOST, seen.rows // RARE_SHARE))
    distinct = len(counts) + seen.others
    ranks = _ranks(seen, counts)
    frequent = sorted((c for c, n in counts.items() if n >= rare), key=lambda c: (-counts[c], ranks[c]))
    kept = tuple(sorted(frequent[:most], key=ranks.__getitem__))
    if not kept:
        reason = f"each of its {distinct:,} categories is in fewer than {rare} rows"
        return Learnt(LeftOut(seen.name, "category", reason), reason, seen.missing)
    others = distinct - len(kept)
    notice = found.notice
    if others:
        why = f"the most frequent {len(kept)} have an output each" if len(frequent) > most else f"{others:,} are rare"
        notice = f"{distinct:,} categories: {why}; the others are one" + (f"; {notice}" if notice else "")
    column = CategoryColumn(seen.name, kept, others > 0, seen.missing > 0, seen.numeric)
    return Learnt(column, notice, seen.missing)


def _ranks(seen: Seen, counts: Mapping[str, int]) -> dict[str, int]:
    """The order of a column's categories: its own, or that of the numbers that they are, or of the alphabet."""
    own = {category: i for i, category in enumerate(seen.order or ())}
    numbers = {category: PLAIN.number(category) for category in counts}
    numeric = all(number is not None for number in numbers.values())

    def key(category: str) -> tuple[int, float, str]:
        number = numbers[category]
        return own.get(category, len(own)), number if numeric and number is not None else 0.0, category

    return {category: i for i, category in enumerate(sorted(counts, key=key))}


def _boolean(seen: Seen, missing: int) -> BooleanColumn:
    words = sorted(word for word in seen.counts if not is_missing_word(word))
    if all(boolean_of(word) is not None for word in words):
        words.sort(key=lambda word: bool(boolean_of(word)))
        ones = sum(n for word, n in seen.counts.items() if boolean_of(word))
    else:
        ones = seen.counts[words[-1]]
    cells = seen.rows - missing
    return BooleanColumn(seen.name, 2 * ones > cells, missing > 0, words[0], words[-1])


def _date(seen: Seen, found: Found, missing: int) -> DateColumn:
    dates = seen.sample.values()
    if dates.dtype == object:
        dates = found.dates.read(dates.tolist())
        dates = dates[~np.isnat(dates)]
    times = np.sort(dates.astype(np.int64))
    origin = np.datetime64(int(times[len(times) // 2]), "us").astype("datetime64[D]")
    seconds = float(times[-1] - times[0]) / 1e6
    unit = next((unit for unit, size in UNITS.items() if 2 * seconds >= size), "second")
    if unit in ("hour", "minute", "second"):
        origin = np.datetime64(int(times[len(times) // 2]), "us").astype("datetime64[s]")
    parts = [part for part in PARTS if _varies(part, dates)]
    origin_text = date_text(origin.astype("datetime64[us]"))
    return DateColumn(seen.name, origin_text, unit, tuple(parts), missing > 0, found.dates)


def _varies(part: str, dates: Any) -> bool:
    if part == "season":
        months = dates.astype("datetime64[M]").astype(np.int64) % 12
        return bool((months != months[0]).any())
    turns = turn_of(part, dates)
    return bool((turns != turns[0]).any())
