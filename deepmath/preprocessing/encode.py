"""Tables as a preprocessing: the columns of data frames become numbers in front of all other steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from deepmath.descriptions import described
from deepmath.errors import ConfigError, FormatError
from deepmath.preprocessing.chain import Chain, Chained
from deepmath.preprocessing.inputs import Input
from deepmath.preprocessing.transform import Fitted, Transform
from deepmath.tables import TableEncoder, TableEncoding, frame_of

PLAIN = TableEncoder(keep_numbers=True)
"""How frames are encoded where nobody says: a table of numbers stays one, with the names of its columns."""


@described
@dataclass(frozen=True)
class EncodeTable(Transform):
    """The columns of a data frame as numbers: a `TableEncoder` as a preprocessing.

    `encoding` is what it learnt where this description is saved; `fit` learns anew.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": [1.0, 2.0], "colour": ["red", "blue"]})
    >>> EncodeTable().fit(frame).apply(frame)
    array([[1., 0., 1.],
           [2., 1., 0.]])
    """

    encoder: TableEncoder = PLAIN
    encoding: TableEncoding | None = None
    takes_frames = True

    def fit(self, X: Any) -> TableColumns:
        return self.fit_batches([X])

    def fit_batches(self, batches: Iterable[Any]) -> TableColumns:
        fitted = self.encoder.fit_chunks(frame_of(X) for X in batches)
        fitted.tell()
        return TableColumns(replace(self, encoding=fitted.encoding))

    def fitted_to(self, given: Input) -> NoReturn:
        raise ConfigError(
            "EncodeTable needs the names of columns: fit it to a data frame, as the first step of a chain"
        )

    def from_values(self, values: Mapping[str, Any]) -> TableColumns:
        if values or self.encoding is None:
            raise FormatError("EncodeTable: expected an encoding and no arrays")
        return TableColumns(self)


@dataclass(frozen=True, eq=False)
class TableColumns(Fitted):
    """A fitted `EncodeTable`: it knows the columns of its table."""

    transform: EncodeTable
    takes_frames = True

    @property
    def encoding(self) -> TableEncoding:
        """What each column becomes."""
        assert self.transform.encoding is not None
        return self.transform.encoding

    @property
    def features(self) -> int:
        return len(self.encoding.features)

    @property
    def outputs(self) -> int:
        return self.encoding.outputs

    def apply(self, X: Any) -> Any:
        """A data frame as float64 [rows, outputs]; or of numbers alone an array with the columns in their order."""
        return self.encoding.apply(X)

    def mapped(self, given: Input) -> Any:
        return self.encoding.apply(given.x)

    def unmapped(self, given: Input) -> NoReturn:
        raise ConfigError("EncodeTable can't be inverted: numbers don't tell the cells that they were")

    def joined(self, other: TableColumns) -> NoReturn:
        raise ConfigError("EncodeTable can't be fitted further, because new rows change its columns; fit it to all")

    def values(self) -> dict[str, Any]:
        return {}


def encoded_first(given: Any, frames: Iterable[Any]) -> Any:
    """A preprocessing that takes frames: `EncodeTable`, fitted to them where the preprocessing is, and then `given`."""
    if given is None:
        return EncodeTable()
    if isinstance(given, Transform):
        return Chain([EncodeTable(), *(given.steps if isinstance(given, Chain) else [given])])
    if not isinstance(given, Fitted):
        return given
    fitted = (EncodeTable().fit_batches(frames), *(given.fitted if isinstance(given, Chained) else [given]))
    return Chained(Chain([f.transform for f in fitted]), fitted)


def without_table(given: Any) -> Any:
    """What a preprocessing, fitted or not, does behind its table; all of it where it takes no frames, None for nothing.

    >>> without_table(Chain([EncodeTable()])) is None
    True
    """
    if isinstance(given, (EncodeTable, TableColumns)):
        return None
    if given is None or not given.takes_frames:
        return given
    assert isinstance(given, (Chain, Chained))
    rest: Any = given.steps[1:] if isinstance(given, Chain) else given.fitted[1:]
    if len(rest) < 2:
        return rest[0] if rest else None
    return Chain(rest) if isinstance(given, Chain) else Chained(Chain(given.transform.steps[1:]), rest)


def behind_table(encoding: TableEncoding, rest: Fitted | None, encoder: TableEncoder = PLAIN) -> Fitted:
    """A fitted preprocessing: columns encoded so, and then `rest`."""
    table = TableColumns(EncodeTable(encoder, encoding))
    if rest is None:
        return table
    fitted = (table, *(rest.fitted if isinstance(rest, Chained) else [rest]))
    return Chained(Chain([f.transform for f in fitted]), fitted)


def preprocessing_of(given: Any) -> Any:
    """What somebody calls a preprocessing: one, a `TableEncoder`, or a list of them, as one; None is none."""
    if isinstance(given, TableEncoder):
        return EncodeTable(given)
    if isinstance(given, TableEncoding):
        return TableColumns(EncodeTable(encoding=given))
    if isinstance(given, (list, tuple)):
        return Chain([preprocessing_of(step) for step in given])
    if not isinstance(given, Transform) and not callable(getattr(given, "apply", None)):
        raise ConfigError(
            f"preprocessing must be one such as Standardize() or TableEncoder(), or a list of them; got {given!r:.60}"
        )
    return given
