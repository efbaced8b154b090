"""The part of an ONNX graph that takes tables: an input [rows, 1] for each column, and the labels of classes behind it.

Numbers and booleans come as double, categories as string, dates as int64, which no precision of the network changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from deepmath.errors import ConfigError
from deepmath.export.chain import Chain, Classes
from deepmath.export.codes import coded
from deepmath.export.meaning import missing_cells, number_meant, numbers_of, outputs_of, unseen
from deepmath.printers.onnx import Printer
from deepmath.tables import TableEncoding
from deepmath.tables.encoders import BooleanColumn, CategoryColumn, EncodedColumn, NumberColumn

ML_OPSET = 4
"""The operators of the domain ai.onnx.ml, of which LabelEncoder is used where a column holds text."""


def input_names(encoding: TableEncoding) -> list[str]:
    """The names of the graph's inputs: those of the columns, but for a name without letters, which ONNX can't have."""
    names = list(encoding.features)
    return [name or free("column", names) for name in names]


def inputs(encoding: TableEncoding) -> list[Any]:
    """The graph's inputs. Raises ConfigError for names or categories that are no Unicode."""
    from onnx import helper

    for column in encoding.used:
        _check_unicode(f"column {column.name!r}", [column.name, *getattr(column, "categories", ())])
    return [
        helper.make_tensor_value_info(name, _type(column), ["rows", 1], doc_string=takes(column))
        for name, column in zip(input_names(encoding), encoding.used, strict=True)
    ]


def description(chain: Chain, output: str) -> str:
    """What each input takes and what the output is about, one a line; empty where there is nothing to say."""
    lines = []
    if chain.encoding is not None:
        names = input_names(chain.encoding)
        lines = ["Each input is a column of a table, [rows, 1]."]
        lines += [f"{name!r}: {takes(column)}" for name, column in zip(names, chain.encoding.used, strict=True)]
    if chain.classes is not None:
        lines.append(f"output {output!r}: {outputs_of(chain.classes, chain.outputs)}")
    return "\n".join(lines)


def encoded(printer: Printer, encoding: TableEncoding) -> str:
    """The name of the network's inputs, float64 [rows, outputs]."""
    parts: list[str] = []
    for number, (name, column) in enumerate(zip(input_names(encoding), encoding.used, strict=True)):
        found = coded(column)
        arguments = [
            printer.constant(value, "int64" if kind.endswith("int") else "float64")
            for kind, value in zip(found.kinds[1:], found.constants, strict=False)
        ]
        if isinstance(column, CategoryColumn):
            numbers = numbers_of(column)
            name = _codes(printer, column, name) if numbers is None else name
            values = range(len(column.categories)) if numbers is None else numbers
            arguments = [printer.array(f"column{number}.categories", np.asarray(values, np.float64))]
        parts += printer.formula(found.formula, found.kinds, [name, *arguments], "float64")
    return printer.emit("Concat", *parts, axis=1)


def takes(column: EncodedColumn) -> str:
    """What an input takes, in words.

    >>> takes(CategoryColumn("city", ("Nice", "Rome"), missing=True))
    "one of 'Nice', 'Rome'; others count as none of them; empty: missing cells are a category of their own"
    """
    if isinstance(column, CategoryColumn):
        shown = ", ".join(map(repr, column.categories) if numbers_of(column) is None else column.categories)
        empty = "empty" if numbers_of(column) is None else "NaN"
        return f"one of {shown}; {unseen(column)}; {empty}: {missing_cells(column)}"
    if isinstance(column, BooleanColumn):
        return f"0 for {column.no!r}, 1 for {column.yes!r}; NaN: {missing_cells(column)}"
    if column.kind == "date":
        return f"microseconds since 1970 in UTC; the least int64, which is NaT: {missing_cells(column)}"
    assert isinstance(column, NumberColumn)
    return f"{number_meant(column)}; NaN: {missing_cells(column)}"


def label(printer: Printer, classes: Classes, p: str, outputs: int, precision: str) -> str:
    """The name of the labels [rows] of outputs p [rows, outputs]: string, int64, double or bool."""
    _check_unicode("the target", [c for c in classes.labels if isinstance(c, str)])
    count, int64 = len(classes.labels), np.int64
    if outputs == 1:
        yes = printer.cast(printer.emit("Greater", p, printer.constant(classes.above, precision)), "int64")
        codes = printer.emit("Squeeze", yes, printer.array("label.axis", np.asarray([1], int64)))
    else:
        ends = [
            printer.array(f"label.{n}", np.asarray([v], int64)) for n, v in (("from", 0), ("to", count), ("axis", 1))
        ]
        codes = printer.emit("ArgMax", printer.emit("Slice", p, *ends), axis=1, keepdims=0)
    return printer.emit("Gather", printer.array("label.classes", label_array(classes)), codes)


def label_array(classes: Classes) -> Any:
    """The labels [classes] as an array of one type."""
    return np.array(classes.labels, dtype=object if isinstance(classes.labels[0], str) else None)


def prefix_of(names: Iterable[str]) -> str:
    """What no column's name begins with.

    >>> prefix_of(["age", "_x"])
    '__'
    """
    prefix = "_"
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    return prefix


def free(name: str, taken: Iterable[str]) -> str:
    """The name, made longer until it is none of those taken."""
    known = set(taken)
    while name in known:
        name += "_"
    return name


def _type(column: EncodedColumn) -> int:
    from onnx import TensorProto

    if isinstance(column, CategoryColumn) and numbers_of(column) is None:
        return int(TensorProto.STRING)
    return int(TensorProto.INT64 if column.kind == "date" else TensorProto.DOUBLE)


def _codes(printer: Printer, column: CategoryColumn, name: str) -> str:
    """Text [rows, 1] as codes: the place of a category, NaN where it is empty, -1 for any other."""
    tensor = printer.onnx.numpy_helper.from_array
    values = np.array([*range(len(column.categories)), np.nan])
    return printer.emit(
        "LabelEncoder", name, domain="ai.onnx.ml",
        keys_tensor=tensor(np.array([*column.categories, ""], dtype=object), "keys"),
        values_tensor=tensor(values, "values"), default_tensor=tensor(np.array([-1.0]), "default"),
    )  # fmt: skip


def _check_unicode(who: str, texts: Iterable[str]) -> None:
    for text in texts:
        if any(0xD800 <= ord(letter) < 0xE000 for letter in text):
            raise ConfigError(
                f"export: {who} holds {text!r}, which is no Unicode, as ONNX needs; export to python instead"
            )
