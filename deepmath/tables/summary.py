"""What was found of each column, as rows for people."""

from __future__ import annotations

from dataclasses import dataclass

from deepmath.tables.date_column import DateColumn
from deepmath.tables.encoders import CategoryColumn, LeftOut, NumberColumn
from deepmath.tables.learning import Learnt
from deepmath.tables.seen import Seen


@dataclass(frozen=True)
class ColumnSummary:
    """A column's name, its kind, what it becomes, its missing cells, some of its values, and what is doubtful."""

    name: str
    kind: str
    becomes: str
    missing: int
    examples: tuple[str, ...]
    notice: str | None

    @property
    def told(self) -> str:
        """The notice as a sentence that stands alone."""
        left = " and is left out" if self.becomes == "left out" else ""
        cure = ""
        if left and self.kind not in ("empty", "constant") and "kinds=" not in (self.notice or ""):
            kind = "category" if self.kind in ("text", "name", "category") else "number"
            cure = f" (to use it: kinds={{'{self.name}': '{kind}'}}, or --column '{self.name}={kind}')"
        return f"column '{self.name}' is taken as {self.kind}{left}: {self.notice}{cure}"


def summarized(seen: Seen, learnt: Learnt) -> ColumnSummary:
    """The row of one column."""
    column = learnt.column
    examples = tuple(text if len(text) <= 40 else text[:37] + "..." for text in seen.examples)
    return ColumnSummary(column.name, column.kind, _becomes(learnt), learnt.missing, examples, learnt.notice)


def _becomes(learnt: Learnt) -> str:
    column = learnt.column
    if isinstance(column, LeftOut):
        return "left out"
    if isinstance(column, CategoryColumn):
        count = len(column.categories)
        more = [what for what in ("other", "missing") if getattr(column, what)]
        return ", ".join([f"{count} categor{'y' if count == 1 else 'ies'}", *more])
    if isinstance(column, DateColumn):
        return ", ".join([f"{column.unit}s", *column.parts, *(["missing"] if column.indicator else [])])
    what = "a number" if isinstance(column, NumberColumn) else "0 or 1"
    return what + (", missing" if len(column.output_names) > 1 else "")
