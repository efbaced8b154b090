"""Tables of numbers in files as plain arrays."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepmath.errors import ConfigError, FormatError
from deepmath.tables import Frame, read_table
from deepmath.tables.columns import Numbers, Texts, as_texts
from deepmath.tables.places import place_of
from deepmath.tables.spelling import PLAIN
from deepmath.tables.words import is_missing_word


@dataclass(frozen=True, eq=False)
class Table:
    """What `read_csv` returns."""

    X: NDArray[np.float64]
    """The features [rows, features]; NaN where a cell is missing."""

    y: NDArray[np.float64] | NDArray[np.int64]
    """The target [rows]: float64 as written, or int64 places in `classes`; float64 [rows, targets] for several."""

    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]

    classes: tuple[str, ...] | None
    """The labels in sorted order where the target is text, else None."""

    @property
    def target_name(self) -> str:
        """The target's name, the first one's where there are several."""
        return self.target_names[0]


def read_csv(
    path: str | os.PathLike[str],
    *,
    target: str | int | Sequence[str | int] | None = None,
    header: bool = True,
    na: str | Collection[str] = (),
) -> Table:
    """A CSV or Parquet file of numbers as arrays; a target of words becomes 0 ... k - 1 in the order of the words.

    It goes with the next version. `deepmath.tables.read_table` gives a table with categories, dates and missing cells,
    which `Sequential.fit(table, "target")` and the estimators take as it is.

    Args:
        path, header, na: as of `read_table`.
        target: name or place (from 0; negative ones count from the end) of the target column, by default the last;
            a list of them gives y [rows, targets].

    Raises:
        FormatError: the file is no table, or a feature isn't numbers, or is infinite; a label is missing.
        ConfigError: there is no such target column, it is named twice, or no column is left as a feature.
        OSError: the file is missing or can't be read.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "flowers.csv")
    ...     _ = path.write_text("length,width,kind\\n5.1,3.5,setosa\\n6.2,?,virginica\\n4.9,3.0,setosa\\n")
    ...     table = read_csv(path, na=["?"])
    >>> table.X.tolist(), table.y.tolist(), table.classes
    ([[5.1, 3.5], [6.2, nan], [4.9, 3.0]], [0, 1, 0], ('setosa', 'virginica'))
    """
    frame = read_table(path, header=header, na=na)
    file, names = os.fspath(path), frame.names
    if len(names) < 2:
        raise FormatError(f"{file}: 1 column, expected at least a feature and a target")
    several = isinstance(target, Sequence) and not isinstance(target, str)
    places = [place_of("read_csv", file, names, one) for one in (target if several else [target])]  # type: ignore[union-attr]
    if not places or len(set(places)) < len(places) or len(places) == len(names):
        fault = "names no column" if not places else "leaves no feature"
        fault = "names a column twice" if len(set(places)) < len(places) else fault
        raise ConfigError(f"read_csv: target={list(target or ())!r} {fault}; {file} has {len(names)} columns")  # type: ignore[call-overload]
    features = [name for i, name in enumerate(names) if i not in places]
    targets = [names[i] for i in places]
    X = np.stack([_numbers(frame, name, file) for name in features], axis=1)
    if several:
        return Table(
            X, np.stack([_numbers(frame, n, file) for n in targets], axis=1), *map(tuple, (features, targets)), None
        )
    cells = frame.column(targets[0])
    written = [] if isinstance(cells, Numbers) else [PLAIN.number(level) for level in as_texts(cells).levels]
    if isinstance(cells, Numbers) or any(number is not None and not number.is_integer() for number in written):
        return Table(X, _numbers(frame, targets[0], file), tuple(features), tuple(targets), None)
    missing = np.flatnonzero(cells.missing)
    if len(missing):
        raise FormatError(f"{file}: column '{targets[0]}', row {missing[0]}: a label is missing; remove the row")
    labels = as_texts(cells)
    classes, codes = np.unique(np.array(labels.levels), return_inverse=True)
    return Table(X, codes[labels.codes].astype(np.int64), tuple(features), tuple(targets), tuple(classes.tolist()))


def _numbers(frame: Frame, name: str, file: str) -> NDArray[np.float64]:
    """A column as finite numbers, or NaN where a cell is missing."""
    cells = frame.column(name)
    if isinstance(cells, Texts) and all(map(is_missing_word, cells.levels)):
        return np.full(frame.rows, np.nan)
    if not isinstance(cells, Numbers):
        found = as_texts(cells)
        word = next((level for level in found.levels if PLAIN.number(level) is None), found.levels[0])
        row = int(np.argmax(found.codes == found.levels.index(word)))
        raise FormatError(
            f"{file}: column '{name}', row {row}: {word[:40]!r} is not a number; read_csv takes numbers. Use "
            f"deepmath.tables.read_table, or na=[{word[:40]!r}] where it means missing"
        )
    infinite = np.flatnonzero(np.isinf(cells.values))
    if len(infinite):
        raise FormatError(f"{file}: column '{name}', row {infinite[0]}: infinite as a 64-bit number; correct the row")
    return cells.values
