"""What is learnt of a column by going through its rows once, in bounded memory and however the rows are cut."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath.errors import ConfigError
from deepmath.tables.columns import Booleans, Column, Numbers, Texts, as_texts, date_text, number_text
from deepmath.tables.words import MISSING_WORDS

SAMPLE = 1 << 18
"""At most so many rows, evenly spread over all, give medians and show whether values repeat (2 MB a column)."""
DISTINCT = 1 << 18
"""At most so many distinct texts of a column are counted one by one; those that appear later are counted together."""
EXAMPLES = 3


class Sample:
    """The values of every 2^k-th row, missing ones left out, with the smallest k that keeps `SAMPLE` rows at most.

    Which rows these are depends on nothing but the number of rows.
    """

    def __init__(self) -> None:
        self._stride, self._next = 1, 0
        self._rows: list[Any] = []
        self._values: list[Any] = []

    def add(self, values: Any, missing: Any) -> None:
        """The values of the next rows."""
        first = -self._next % self._stride
        places = np.arange(first, len(values), self._stride)
        self._next += len(values)
        kept = places[~missing[places]]
        self._rows.append(kept + self._next - len(values))
        self._values.append(values[kept])
        while -(-self._next // self._stride) > SAMPLE:
            self._stride *= 2
            rows, found = np.concatenate(self._rows), np.concatenate(self._values)
            keep = rows % self._stride == 0
            self._rows, self._values = [rows[keep]], [found[keep]]

    def values(self) -> Any:
        """All values kept: [sample]."""
        return np.concatenate(self._values) if self._values else np.empty(0)


class Seen:
    """The rows of a column seen so far.

    Attributes: `rows`, `missing`; `type`, that of its `Column`, None while all cells are missing; `numeric`, whether
    it came as numbers; `low`, `high` and
    `infinite` (the row) of numbers; `counts` of texts, `others` of texts beyond `DISTINCT`; `order` of categories.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.type: str | None = None
        self.numeric = False
        self.rows = self.missing = self.others = 0
        self.low, self.high = np.inf, -np.inf
        self.infinite: int | None = None
        self.counts: dict[str, int] = {}
        self.order: tuple[str, ...] | None = None
        self.sample = Sample()
        self.examples: list[str] = []

    def add(self, column: Column, as_text: bool = False, numbers: Any = None) -> None:
        """The next rows, perhaps as text, with their numbers where they aren't the next ones.

        Raises ConfigError where their type is another than before.
        """
        kind = "text" if as_text else column.type
        self.numeric = self.numeric or isinstance(column, Numbers)
        if as_text or isinstance(column, Booleans):
            column = as_texts(column)
        missing = column.missing
        count = int(np.count_nonzero(missing))
        if count < len(missing) and self.type not in (None, kind):
            raise ConfigError(
                f"column '{self.name}' holds {self.type}s in rows 0 to {self.rows - 1} and {kind}s behind them; "
                f"give it one type, or take it as text: kinds={{'{self.name}': 'category'}}"
            )
        if count < len(missing):
            self.type = kind
            if isinstance(column, Texts):
                self._count(column)
            else:
                self._bounds(column, missing, numbers)
            self._show(column, missing)
        self.sample.add(column.values, missing)
        self.rows += len(missing)
        self.missing += count

    @property
    def present(self) -> int:
        """How many cells are not missing."""
        return self.rows - self.missing

    @property
    def distinct(self) -> int:
        """How many different texts there are; at most so many, where there are more than `DISTINCT`."""
        return len(self.counts) + self.others

    def _count(self, column: Texts) -> None:
        self.order = column.order or self.order
        tally = np.bincount(column.codes[column.codes >= 0], minlength=len(column.levels)).tolist()
        if not self.counts and all(tally):
            self.counts = dict(zip(column.levels[:DISTINCT], tally, strict=False))
            self.others = sum(tally[DISTINCT:])
            return
        for level, count in zip(column.levels, tally, strict=True):
            if level in self.counts or (count and len(self.counts) < DISTINCT):
                self.counts[level] = self.counts.get(level, 0) + count
            else:
                self.others += count

    def _bounds(self, column: Column, missing: Any, numbers: Any) -> None:
        values = column.values[~missing]
        if isinstance(column, Numbers):
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
            if self.infinite is None and not np.isfinite(self.low + self.high):
                found = np.flatnonzero(np.isinf(column.values))
                if len(found):
                    self.infinite = self.rows + int(found[0]) if numbers is None else int(numbers[found[0]])
        else:
            times = values.astype(np.int64)
            self.low, self.high = min(self.low, int(times.min())), max(self.high, int(times.max()))

    def _show(self, column: Column, missing: Any) -> None:
        if len(self.examples) >= EXAMPLES:
            return
        for value in column.values[np.flatnonzero(~missing)[:50]]:
            text = number_text(value) if isinstance(value, float) else str(value)
            text = date_text(value) if isinstance(value, np.datetime64) else text
            if text not in self.examples and len(self.examples) < EXAMPLES:
                self.examples.append(text)


def proper_words(seen: Seen) -> dict[str, int]:
    """A column's texts with their counts, without the words for missing."""
    return {level: count for level, count in seen.counts.items() if level.lower() not in MISSING_WORDS}
