"""What the columns of an exported model's table hold, in words for who calls it."""

from __future__ import annotations

from deepmath.tables.columns import number_text
from deepmath.tables.date_column import DateColumn
from deepmath.tables.encoders import BooleanColumn, CategoryColumn, EncodedColumn, NumberColumn
from deepmath.tables.spelling import PLAIN


def cells_of(column: EncodedColumn) -> str:
    """What the cells of a column are where they come as in the table that trained.

    >>> cells_of(NumberColumn("size", 50.0)), cells_of(BooleanColumn("lift", True, no="no", yes="yes"))
    ('a number', "'no' or 'yes'")
    """
    if isinstance(column, NumberColumn):
        return "a number" if column.spelling.plain else f"text such as {column.spelling.example!r}, or a number"
    if isinstance(column, BooleanColumn):
        return f"{column.no!r} or {column.yes!r}"
    if isinstance(column, DateColumn):
        written = f"text as {column.spelling.format!r} reads" if column.spelling.format else "text such as 2020-01-31"
        return f"a date, or {written}"
    assert isinstance(column, CategoryColumn)
    return f"one of {len(column.categories)} categories; {unseen(column)}"


def unseen(column: CategoryColumn) -> str:
    """What a category that training hadn't counts as."""
    return f"others count as {'one more' if column.other else 'none of them'}"


def missing_cells(column: EncodedColumn) -> str:
    """What becomes of missing cells.

    >>> missing_cells(NumberColumn("size", 50.0))
    'missing cells count as the median, 50'
    """
    if isinstance(column, CategoryColumn) and column.missing:
        return "missing cells are a category of their own"
    known = "" if isinstance(column, CategoryColumn) or not getattr(column, "indicator", False) else ", and are told"
    return f"missing cells {column.instead.removeprefix('they ')}{known}"


def numbers_of(column: CategoryColumn) -> tuple[float, ...] | None:
    """The categories as numbers, where the column holds numbers and each category is one."""
    numbers = [PLAIN.number(category) for category in column.categories]
    if not column.numeric or any(n is None or number_text(n) != c for n, c in zip(numbers, column.categories, strict=True)):
        return None
    return tuple(n for n in numbers if n is not None)
