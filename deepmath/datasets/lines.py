"""The records of a CSV file one by one, in bounded memory and with their line numbers."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from types import TracebackType

from deepmath.errors import FormatError
from deepmath.files import open_regular

LIMIT = 1_000_000
"""The longest record in bytes: a file without line ends is refused before it fills the memory."""


class Records(Iterator[list[str]]):
    """The records of a CSV file, each a list of cells without the blanks around them; blank lines are passed over.

    A context manager that closes the file. `name` is the path, `line` the line on which the last record
    began (from 1), `where` both. `offset` is the byte from which the next record is read; with `start` and
    `line`, where an earlier reading stood, the records behind it come.

    Raises:
        FormatError: not a regular file, not UTF-8 text, a NUL byte, a record over 1 MB, or bad quoting.
        OSError: the file is missing or can't be read.
    """

    def __init__(self, path: str | os.PathLike[str], start: int = 0, line: int = 0) -> None:
        self.name = os.fspath(path)
        self.line = line
        self._file = open_regular(self.name, "a CSV file")
        self._file.seek(start)
        self._read = line
        self._length = 0
        self._reader = csv.reader(self._lines(), strict=True, skipinitialspace=True)

    @property
    def where(self) -> str:
        return f"{self.name} line {self.line}"

    @property
    def offset(self) -> int:
        """The byte behind the last record."""
        return self._file.tell()

    @property
    def lines_read(self) -> int:
        """How many lines lie in front of `offset`."""
        return self._read

    def __enter__(self) -> Records:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __next__(self) -> list[str]:
        while True:
            self.line, self._length = self._read + 1, 0
            try:
                cells = next(self._reader)
            except csv.Error as error:
                msg = f"{self.where}: {_meaning(error)}"
                raise FormatError(msg) from error
            cells = [cell.strip() for cell in cells]
            if cells and cells != [""]:
                return cells

    def _lines(self) -> Iterator[str]:
        while line := self._file.readline(LIMIT - self._length + 1):
            self._read += 1
            self._length += len(line)
            here = f"{self.name} line {self._read}"
            if self._read == 1 and line[:2] in (b"\xff\xfe", b"\xfe\xff"):
                msg = f"{self.name}: the text is UTF-16; save it as UTF-8"
                raise FormatError(msg)
            if b"\0" in line:
                msg = f"{here}: a NUL byte; this is not a text file in UTF-8"
                raise FormatError(msg)
            if self._length > LIMIT:
                msg = f"{here}: a record of more than {LIMIT:,} bytes; is this a CSV file, and are its quotes closed?"
                raise FormatError(msg)
            try:
                yield line.decode("utf-8-sig" if self._read == 1 else "utf-8")
            except UnicodeDecodeError as error:
                msg = f"{here}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
                raise FormatError(msg) from error


def _meaning(error: csv.Error) -> str:
    text = str(error)
    if text.startswith("unexpected end of data"):
        return "a quote is opened and never closed"
    if text.startswith("new-line character"):
        return "a carriage return inside the line; save the file with ordinary line ends"
    return text
