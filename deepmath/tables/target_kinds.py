"""Whether a target is labels or numbers, found from the training rows.

Which it is, where nobody says:

| the cells | target |
|---|---|
| text, categories, booleans | classes; text that writes numbers is treated as those, but its labels stay text |
| text that is mostly numbers, or hardly ever the same | refused: another kind may be meant, or another column |
| numbers with fractions, dates | numbers; dates are refused |
| two different whole numbers | classes |
| whole numbers from 0 or 1 to `MOST_CODES` at most, with few gaps, `ROWS_PER_CLASS` rows a value | classes, told |
| at most `FEW_VALUES` different whole numbers below 1000, 2 rows a value | classes, told |
| other whole numbers: ages, years, prices | numbers, told unless there are more than `DOUBTFUL` |
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepmath.errors import ConfigError, LabelError
from deepmath.tables.columns import EXACT, Booleans, Column, Dates, Numbers, Texts, as_texts
from deepmath.tables.frames import name_of, values_of
from deepmath.tables.kinds import wanted
from deepmath.tables.spelling import PLAIN, Spelling, looks_like_number, spelling_of
from deepmath.tables.targets import ClassTarget, Label, NumberTarget, Target, numbers_of
from deepmath.tables.words import Doubt, is_missing_word

logger = logging.getLogger("deepmath")

MOST_CODES = 50
"""Whole numbers up to this, without many gaps, are codes of classes."""
ROWS_PER_CLASS = 5
"""Codes of classes come in at least so many rows each, on average."""
FEW_VALUES = 10
"""So few different whole numbers are classes wherever they begin."""
_SMALL = 1000
DOUBTFUL = 200
"""More different whole numbers than this are no classes that anybody means."""
MIXED_SHARE = 0.9
"""Text of which at least this share of the cells are numbers may be meant as numbers."""


def target_of(values: Any, name: str | None = None, kind: str | None = None, *, scale: bool = False) -> Target:
    """The target that a column of training rows is, by the table above or as `kind` says.

    Args:
        values: a series, an array [rows] or a list. Rows without a value don't count; `missing_rows` finds them.
        name: the column's name, by default the series' own, or "y".
        kind: "category" (classes) or "number"; also "number:1.234,5" for text written so.
        scale: whether numbers are trained on with mean 0 and deviation 1.

    Raises:
        LabelError: no row has a value, all have the same label, or cells aren't of that kind.
        ConfigError: another kind.
    """
    name = name or name_of(values) or "y"
    column = values_of(values, name)
    if kind is not None and wanted(name, kind).kind not in ("category", "number"):
        raise ConfigError(f"the target '{name}' can be a category or a number; got {kind!r}")
    if isinstance(column, Dates):
        raise LabelError(f"the target '{name}' holds dates; turn them into a number, such as days")
    if bool(column.missing.all()):
        raise LabelError(f"the target '{name}' is missing in every row")
    given = None if kind is None else wanted(name, kind)
    found: Spelling | None = PLAIN if given is None or given.numbers is None else given.numbers
    if isinstance(column, Texts) and (given is None or (given.kind == "number" and given.numbers is None)):
        found, doubt = spelling_of([level for level in column.levels if not is_missing_word(level)])
        if found is None and given is None:
            _check_labels(column, name, doubt)
    if found is None or not (given.kind == "number" if given else _are_numbers(column, found, name)):
        if given is not None and given.kind == "number":
            raise LabelError(f"the target '{name}' can't be a number: it holds {_some(column)}")
        return ClassTarget(_labels(column, name), name)
    target = NumberTarget(name, spelling=found)
    return scaled_to(target, numbers_of(column, found, name, 0)) if scale else target


def scaled_to(target: NumberTarget, numbers: NDArray[np.float64]) -> NumberTarget:
    """The same target, trained on with mean 0 and deviation 1 over these numbers, of which those count that are finite.

    >>> scaled_to(NumberTarget("price"), np.array([90.0, 110.0]))
    NumberTarget(name='price', origin=100.0, size=10.0, spelling=Spelling(decimal='.', group='', sign=''))
    """
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return target
    unit = 2.0 ** (int(np.frexp(np.abs(numbers).max())[1]) - 1)  # sums of numbers near 1e308 would overflow
    size = float((numbers / unit).std()) * unit
    return replace(target, origin=float((numbers / unit).mean()) * unit, size=size if size > 0 else 1.0)


def missing_rows(values: Any, name: str = "y", target: Target | None = None) -> NDArray[np.int64]:
    """The numbers of the rows whose target is missing: int64. To a target of numbers, words such as NA are missing."""
    column = values_of(values, name)
    if isinstance(target, NumberTarget):
        return np.flatnonzero(np.isnan(numbers_of(column, target.spelling, name, 0)))
    return np.flatnonzero(column.missing)


def _are_numbers(column: Column, spelling: Spelling, name: str) -> bool:
    """Whether a target is numbers where nobody says; whole numbers may be classes."""
    if isinstance(column, Booleans):
        return False
    values = numbers_of(column, spelling, name, 0)
    return not _classes(values[~np.isnan(values)], name)


def _classes(values: NDArray[np.float64], name: str) -> bool:
    """Whether whole numbers are classes, by the table above; where that isn't plain, the log says so."""
    if not bool((np.isfinite(values) & (values == np.floor(values))).all()):
        return False
    distinct = np.unique(values)
    count, low, high, rows = len(distinct), distinct[0], distinct[-1], len(values)
    if count <= 2:
        return True
    codes = low in (0, 1) and high <= MOST_CODES and 2 * count >= high - low + 1 and rows >= ROWS_PER_CLASS * count
    few = count <= FEW_VALUES and max(abs(low), abs(high)) < _SMALL and rows >= 2 * count
    taken, other = ("classes", "number") if codes or few else ("numbers", "category")
    told = (
        "the target '%s' holds %d different whole numbers, taken as %s; if they are not: kind='%s' (--column '%s=%s')"
    )
    if count <= DOUBTFUL:
        level = logging.INFO if codes and few else logging.WARNING
        logger.log(level, told, name, count, taken, other, name, other)
    return codes or few


def _check_labels(column: Texts, name: str, doubt: Doubt | None) -> None:
    """Raise LabelError for text that may not be meant as labels; `doubt` is about numbers that it may be."""
    if doubt is not None and doubt.ask:
        ways = " or ".join(f"kind='{kind}' (--column '{name}={kind}')" for kind in (*doubt.ask, "category"))
        raise LabelError(f"the target '{name}': {doubt.what}; say which: {ways}")
    cells = np.bincount(column.codes[column.codes >= 0], minlength=len(column.levels))
    proper = np.array([not is_missing_word(level) for level in column.levels])
    figures = np.array([looks_like_number(level) for level in column.levels])
    words = np.flatnonzero(proper & ~figures)
    rows, distinct = int(cells[proper].sum()), int(proper.sum())
    if len(words) and figures.sum() > FEW_VALUES and cells[figures].sum() >= MIXED_SHARE * rows:
        word, row = column.levels[words[0]][:40], int(np.argmax(column.codes == words[0]))
        raise LabelError(
            f"the target '{name}' holds numbers, and words among them such as {word!r} in row {row}; correct them, or "
            f"make them missing: na=[{word!r}] (--na {word!r}). If they are labels: kind='category' "
            f"(--column '{name}=category')"
        )
    if distinct > MOST_CODES and 2 * distinct > rows:
        raise LabelError(
            f"the target '{name}' is text with {distinct:,} different values in {rows:,} rows, which are no labels to "
            f"learn; choose another column. If they are: kind='category' (--column '{name}=category')"
        )


def _labels(column: Column, name: str) -> tuple[Label, ...]:
    labels: list[Label]
    if isinstance(column, Booleans):
        labels = [bool(v) for v in np.unique(column.values[~column.missing])]
    elif isinstance(column, Numbers):
        distinct = np.unique(column.values[~column.missing]).tolist()
        labels = [int(v) if v == np.floor(v) and abs(v) <= EXACT else v for v in distinct]
    else:
        texts = as_texts(column)
        present = {texts.levels[code] for code in np.unique(texts.codes[texts.codes >= 0])}
        order = {category: i for i, category in enumerate(texts.order or ())}
        labels = [*sorted(present, key=lambda level: (order.get(level, len(order)), level))]
    if len(labels) < 2:
        raise LabelError(f"the target '{name}' is {labels[0]!r} in every row; there is nothing to tell apart")
    return tuple(labels)


def _some(column: Column) -> str:
    return ", ".join(repr(level[:40]) for level in as_texts(column).levels[:3])
