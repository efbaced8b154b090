"""Data as a saved model takes them: a table's columns by name, in any order, as the numbers that they became."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from deepmath.checks import check_finite
from deepmath.cli import data as reading
from deepmath.cli.data import DataSet
from deepmath.cli.folder import Trained
from deepmath.cli.memory import is_large
from deepmath.cli.settings import Settings
from deepmath.datasets import TableSource
from deepmath.datasets.table_source import CHUNK_ROWS
from deepmath.errors import ConfigError
from deepmath.preprocessing import without_table
from deepmath.tables import Frame, TableEncoding, read_table, scan_table, target_of
from deepmath.tables.frames import no_column
from deepmath.tables.places import table_names

logger = logging.getLogger("deepmath")


def takes_numbers(trained: Trained) -> Any:
    """The model without its table: it takes what this module gives."""
    trained.model.preprocessing = without_table(trained.model.preprocessing)
    return trained.model


def measured(trained: Trained, settings: Settings) -> DataSet:
    """Rows with targets, to measure the model on. Rows of a table that have no target are left out."""
    target, encoding = trained.model.target, trained.encoding
    if not settings.is_table:
        data = reading.named(settings, lambda y, name: target or target_of(y, name))
        if target is None and data.classes is not None:  # a model that was trained on codes
            return replace(data, y=data.codes())
        return data if target is None else replace(data, target=target)
    if encoding is None or target is None:
        return _plain(trained, settings)
    names = table_names(settings.data, header=settings.header)
    name = target.name if settings.target is None else reading.target_name(settings)
    if name not in names:
        no_column(name, names, settings.data, ", the target on which the model was trained")
    _check_columns(settings.data, names, encoding, name)
    if is_large(settings.data):
        source = TableSource(settings.data, like=trained.model, target=name, header=settings.header, na=settings.na)
        outputs = encoding.output_names
        return DataSet(settings.data, None, None, outputs, target, encoding, dropped=source.dropped, source=source)
    table = reading.table(settings, name, text=encoding.text, na=encoding.na)
    return table.known(target).numbers(encoding, target)


def inputs(trained: Trained, settings: Settings) -> Iterator[Any]:
    """The inputs of all rows as numbers [rows, inputs]; of a large table piece by piece."""
    encoding = trained.encoding
    if not settings.is_table:
        yield reading.named(settings, target_of).X
        return
    if encoding is None:
        yield _numbers(trained, settings)[0]
        return
    header, path = settings.header, settings.data
    found = table_names(path, header=header)
    names = _by_place(found, encoding) if not header else found
    _check_columns(path, names, encoding, getattr(trained.model.target, "name", None))
    text = [old for old, new in zip(found, names, strict=True) if new in encoding.text]
    na, first = {*settings.na, *encoding.na}, 0
    for frame in _frames(path, header, na, text):
        yield encoding.apply(frame.renamed(names).select(encoding.features), who=path, first_row=first)
        first += frame.rows


def _frames(path: str, header: bool, na: set[str], text: Sequence[str]) -> Iterator[Frame]:
    if is_large(path):
        yield from scan_table(path, CHUNK_ROWS, header=header, na=na, text=text)
    else:
        yield read_table(path, header=header, na=na, text=text)


def _by_place(names: tuple[str, ...], encoding: TableEncoding) -> tuple[str, ...]:
    """A file without names that lacks the target: its columns are those that were trained on, in their order."""
    trained = tuple(column.name for column in encoding.columns)
    lacking = any(name not in names for name in encoding.features)
    return trained if lacking and len(names) == len(trained) else names


def _check_columns(path: str, names: Sequence[str], encoding: TableEncoding, target: str | None) -> None:
    """Raise ConfigError that names all columns which the model needs and the file lacks; tell those it has besides."""
    lacking = [name for name in encoding.features if name not in names]
    if lacking:
        no_column(lacking, names, path, ", on which the model was trained")
    known = {column.name for column in encoding.columns} | {target}
    extra = [name for name in names if name not in known]
    if extra:
        told = ", ".join(f"'{name}'" for name in extra[:5]) + (f", ... ({len(extra)} in all)" if len(extra) > 5 else "")
        logger.warning("%s: columns on which the model wasn't trained are passed over: %s", path, told)


def _plain(trained: Trained, settings: Settings) -> DataSet:
    """A table of numbers for a model that was trained on arrays."""
    X, table = _numbers(trained, settings)
    if table is None:
        raise ConfigError(
            f"{settings.data} has no column beside the model's {X.shape[1]} inputs, which would be the target"
        )
    target = trained.model.target or target_of(table.y, table.target)
    data = DataSet(settings.data, X, table.y.values, table.inputs.names, target)
    return replace(data, y=data.codes()) if trained.model.target is None and data.classes is not None else data


def _numbers(trained: Trained, settings: Settings) -> tuple[Any, reading.Table | None]:
    """Inputs for a model of arrays, from a file with as many columns, or with the target beside them."""
    model, path = trained.model, settings.data
    wanted = model.preprocessing.features if model.preprocessing is not None else model.input_shape[-1]
    frame = read_table(path, header=settings.header, na=settings.na)
    table = None
    if len(frame.names) == wanted + 1 or settings.target is not None:
        name = reading.target_name(settings)
        table = reading.Table(path, frame.drop(name), name, frame.column(name))
        frame = table.inputs
    if len(frame.names) != wanted:
        raise ConfigError(
            f"{path} has {len(frame.names)} columns; the model was trained on arrays of {wanted} features, so it needs "
            f"as many, and perhaps the target"
        )
    X = frame.numbers(path)
    check_finite(X, f"X of {path}")
    return X, table
