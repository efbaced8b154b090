"""The part of a Python file that takes tables: from columns by name to the numbers that the network takes.

How cells become numbers is deepmath's own code, copied into the file with what it uses.
"""

from __future__ import annotations

from typing import NamedTuple

from deepmath.export.chain import Chain
from deepmath.export.meaning import cells_of, missing_cells
from deepmath.export.standalone import standalone
from deepmath.tables import TableEncoding
from deepmath.tables.encoders import EncodedColumn, Place
from deepmath.tables.frames import column_of_array

_HEAD = '''"""{name}: predictions of a network that deepmath trained. It needs Python 3.11 and NumPy, and nothing else.

`predict(table)` takes a data frame, or a dict of lists or arrays, with the columns that COLUMNS explains. They may
stand in any order, and other columns are passed over. None, NaN, NaT and empty text are missing cells.
"""

from __future__ import annotations

{imports}

OUTPUTS = {outputs}{classes}
COLUMNS = {{
{columns}
}}


def predict(table):
    """Predictions [rows, {outputs}] for a table, computed in {precision}."""
    x = _encoded(table)
'''

_TAIL = '''

def _encoded(table):
    """The inputs of the network: float64 [rows, {width}]."""
    cells = _columns(table)
    out, start = np.zeros((_rows(cells), {width})), 0
    for column, outputs in _ENCODED:
        column.write(cells[column.name], out[:, start : start + outputs], Place("predict"))
        start += outputs
    return out


def _columns(table):
    """The cells of each column, by name."""
{array}    found = getattr(table, "column_names", getattr(table, "columns", None))
    if found is None and not hasattr(table, "keys"):
        raise ValueError(f"predict: {takes}; got {{type(table).__name__}}")
    names = list(table.keys() if found is None else found)
    labels = {{str(name): name for name in names}}
    absent = [name for name in COLUMNS if name not in labels]
    if absent:
        raise ValueError(f"predict: the table has no column {{str(absent)[1:-1]}}; it needs {{list(COLUMNS)}}")
    twice = [name for name in COLUMNS if sum(str(other) == name for other in names) > 1]
    if twice:
        raise ValueError(f"predict: two columns are called {{twice[0]!r}}; rename one")
    return {{name: column_of_array(_array_of(table[labels[name]], name), name) for name in COLUMNS}}


def _array_of(cells, name):
    """A column's cells as an array [rows]; of objects where another array would round whole numbers."""
    array = cells if isinstance(cells, np.ndarray) else np.asarray(cells) if hasattr(cells, "__array__") else None
    if array is not cells and (array is None or (array.dtype.kind == "f" and (np.abs(array) >= EXACT).any())):
        if isinstance(cells, (str, bytes)) or not hasattr(cells, "__iter__"):
            raise ValueError(f"predict: column {{name!r}} must be a list or an array of cells; got {{cells!r:.60}}")
        listed = cells.to_pylist() if hasattr(cells, "to_pylist") else list(cells)
        array = np.array([*listed, None], dtype=object)[:-1]
    if array.ndim != 1:
        raise ValueError(f"predict: column {{name!r}} must have one cell a row; got shape {{array.shape}}")
    return array


def _rows(cells):
    """How many rows the columns have."""
    rows = {{name: len(column.missing) for name, column in cells.items()}}
    if len(set(rows.values())) > 1:
        raise ValueError(f"predict: the columns must have one length; got {{rows}}")
    return min(rows.values())


# How cells become numbers: the code of deepmath itself.


{code}

_ENCODED = [
{encoded}
]
"""What each column becomes, and how many numbers that is."""
'''

_ARRAY = """    if isinstance(table, (list, tuple, np.ndarray)):
        x = np.asarray(table)
        if x.ndim != 2 or x.shape[1] != len(COLUMNS):
            raise ValueError(f"predict: an array must be [rows, {len(COLUMNS)}]; got shape {x.shape}")
        return {name: Numbers(x[:, i].astype(np.float64)) for i, name in enumerate(COLUMNS)}
"""


class PythonTable(NamedTuple):
    """The text in front of `predict`'s first stage, and the text behind the function."""

    head: str
    tail: str


def python_table(chain: Chain, name: str, classes: str) -> PythonTable:
    """The text for the table that a chain takes; names and categories stand in it as Python's own literals."""
    assert chain.encoding is not None
    used = chain.encoding.used
    spellings = [column.spelling for column in used if hasattr(column, "spelling")]
    roots = {type(thing) for thing in (*used, *spellings)}
    code = standalone([*sorted(roots, key=lambda c: c.__name__), Place, column_of_array], ["write"])
    columns = [f"    {c.name!r}: {f'{cells_of(c)}; {missing_cells(c)}'!r}," for c in used]
    head = _HEAD.format(
        name=name, imports="\n".join(sorted({"import base64", *code.imports}, key=lambda i: (i[:4] == "from", i))),
        columns="\n".join(columns), outputs=chain.outputs, precision=chain.precision, classes=classes,
    )  # fmt: skip
    plain = takes_arrays(chain.encoding)
    takes = "the table must be a data frame or a dict of columns"
    tail = _TAIL.format(
        width=chain.width, array=_ARRAY if plain else "", code=code.text.strip(), encoded=_encoded(used),
        takes=f"{takes}, or an array of numbers" if plain else takes,
    )  # fmt: skip
    return PythonTable(head, tail)


def takes_arrays(encoding: TableEncoding) -> bool:
    """Whether an array says all that a table does: its columns are numbers or booleans, and not written in a way of
    their own.
    """
    return all(c.kind in ("number", "boolean") and (c.kind == "boolean" or not c.as_text) for c in encoding.used)


def _encoded(used: tuple[EncodedColumn, ...]) -> str:
    return "\n".join(f"    ({column!r}, {len(column.output_names)})," for column in used)
