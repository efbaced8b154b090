"""Data sets for the command: by name, or from a CSV file whose columns are found again by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath import datasets
from deepmath.checks import check_finite
from deepmath.cli.settings import Settings
from deepmath.data.fingerprint import digest
from deepmath.errors import ConfigError, LabelError
from deepmath.program import Data


@dataclass(frozen=True)
class Source:
    """A data set as it was read: X [rows, features], y [rows], and the names of what they hold."""

    name: str
    X: Any
    y: Any
    features: tuple[str, ...]
    target: str | None
    classes: tuple[str, ...] | None

    @property
    def digest(self) -> str:
        """A short hash of the values: the same rows, wherever the file lies."""
        return digest(Data(self.X, self.y, None))

    def labels(self) -> tuple[str, ...] | None:
        """The label of each row as text, or None where the target holds numbers with fractions."""
        if self.classes is not None:
            return tuple(self.classes[code] for code in self.y.tolist())
        if np.all(self.y == np.floor(self.y)):
            return tuple(str(int(value)) for value in self.y.tolist())
        return None


def load(settings: Settings) -> Source:
    """The data that the settings name, checked to be finite.

    Raises:
        ConfigError: no such data set or column.
        FormatError, NumericError: the file is not a table of finite numbers.
        OSError: the file is missing.
    """
    if settings.is_file:
        table = _read(settings, settings.target)
        source = Source(settings.data, table.X, table.y, table.feature_names, table.target_name, table.classes)
    else:
        if settings.data == "mnist" and settings.data_dir is None:
            raise ConfigError("mnist needs --data-dir DIR, the folder of its files")
        options = {} if settings.data_dir is None else {"data_dir": settings.data_dir}
        d = datasets.load(settings.data, seed=settings.seed, **options)
        if d.y.ndim != 1:
            raise ConfigError(f"{settings.data} has {d.y.shape[1]} targets; the command learns one")
        source = Source(d.name, d.X, d.y, d.feature_names, None, d.classes)
    check_finite(source.X, f"X of {source.name}")
    if source.y.dtype.kind == "f":
        check_finite(source.y, f"y of {source.name}")
    return source


def load_features(settings: Settings, names: tuple[str, ...] | None, target: str | None) -> Any:
    """X [rows, features] with the features of these names; a CSV file may lack the target.

    Without names a CSV file is taken to hold features and a target, as in training.
    """
    if not settings.is_file or names is None:
        return load(settings).X
    columns, X = _with_target(settings, target)
    if not _holds(columns, names, settings.header):
        columns, X = _all_columns(settings)
    X = chosen_columns(settings.data, columns, X, names, settings.header)
    check_finite(X, f"X of {settings.data}")
    return X


def chosen_columns(file: str, columns: tuple[str, ...], X: Any, names: tuple[str, ...], header: bool) -> Any:
    """The columns that a model was trained on, in its order: by name, or by place where the file has no names."""
    if not _holds(columns, names, header):
        missing = next((name for name in names if name not in columns), names[-1])
        raise ConfigError(
            f"{file} has no column '{missing}', on which the model was trained; its columns: {', '.join(columns)}"
        )
    return X[:, [columns.index(name) for name in names]] if header else X


def codes_of(source: Source, classes: tuple[str, ...]) -> Any:
    """The labels as places in a model's classes."""
    place = {name: code for code, name in enumerate(classes)}
    labels = source.labels()
    if labels is None:
        raise LabelError(f"{source.name}: the target holds numbers with fractions; the model knows {_some(classes)}")
    for row, label in enumerate(labels):
        if label not in place:
            raise LabelError(f"{source.name}: row {row} has label '{label}'; the model knows {_some(classes)}")
    return np.array([place[label] for label in labels], np.int64)


def _holds(columns: tuple[str, ...], names: tuple[str, ...], header: bool) -> bool:
    return set(names) <= set(columns) if header else len(names) == len(columns)


def _with_target(settings: Settings, target: str | None) -> tuple[tuple[str, ...], Any]:
    try:
        table = _read(settings, target)
    except ConfigError:  # there is no such column, so all of them are features
        return (), None
    return table.feature_names, table.X


def _all_columns(settings: Settings) -> tuple[tuple[str, ...], Any]:
    """Every column of a file as a feature. The reader wants a target; the last one is put back."""
    table = _read(settings, None)
    if table.classes is not None:
        return table.feature_names, table.X
    return (*table.feature_names, table.target_name), np.column_stack([table.X, table.y])


def _read(settings: Settings, target: str | None) -> Any:
    """A CSV file; a target that is a number names a place if no column is called so."""
    options: dict[str, Any] = {"header": settings.header, "na": settings.na}
    try:
        return datasets.read_csv(settings.data, target=target, **options)
    except ConfigError:
        if target is None or not target.lstrip("-").isdecimal():
            raise
        return datasets.read_csv(settings.data, target=int(target), **options)


def _some(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:10]) + (f", ... ({len(classes)} in all)" if len(classes) > 10 else "")
