"""What the columns of an exported model's table hold, in words for who calls it."""

from __future__ import annotations

from deepmath.export.chain import Classes
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
    known = (
        ""
        if isinstance(column, CategoryColumn) or not getattr(column, "indicator", False)
        else ", and an input of its own says so"
    )
    return f"missing cells {column.instead.removeprefix('they ')}{known}"


def numbers_of(column: CategoryColumn) -> tuple[float, ...] | None:
    """The categories as numbers, where the column holds numbers and each category is one."""
    numbers = [PLAIN.number(category) for category in column.categories]
    if not column.numeric or any(
        n is None or number_text(n) != c for n, c in zip(numbers, column.categories, strict=True)
    ):
        return None
    return tuple(n for n in numbers if n is not None)


def number_meant(column: NumberColumn) -> str:
    """What a column's numbers are where they come as numbers, not as text.

    >>> from deepmath.tables.spelling import Spelling
    >>> number_meant(NumberColumn("rent", 700.0, spelling=Spelling(",", ".", "€")))
    'a number, of €'
    """
    return "a number" + (f", of {column.spelling.sign}" if column.spelling.sign else "")


def outputs_of(classes: Classes, outputs: int) -> str:
    """What a classifier's outputs are about.

    >>> outputs_of(Classes(("no", "yes"), 0.5), 1), outputs_of(Classes((1, 2, 3), 0.5), 3)
    ("of 'yes', with 'no' for the rest", 'of the classes 1, 2, 3')
    """
    shown = [repr(label) for label in classes.labels]
    return f"of the classes {', '.join(shown)}" if outputs > 1 else f"of {shown[1]}, with {shown[0]} for the rest"
