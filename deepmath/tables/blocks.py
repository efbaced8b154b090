"""The records of a CSV file in blocks of bytes, checked for their form before a library reads them.

A library's reader fills short rows with nothing and doesn't say which line is at fault. Here NumPy looks at the bytes
of each block first: quotes, line ends and the number of separators in each record.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import itertools
import logging
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, NoReturn

import numpy as np

from deepmath.errors import ConfigError, FormatError
from deepmath.files import DENSE, LARGE, known_kind, open_regular, size

logger = logging.getLogger("deepmath")

BLOCK = 1 << 22
"""About how many bytes are looked at in one go."""
LIMIT = 1_000_000
"""The longest record in bytes: a file without line ends is refused before it fills the memory."""
SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma"}
"""What may separate cells; where several would do, the first: commas stand in numbers and in text too."""
SAMPLE = 100
"""How many records show which separator is meant."""
UNCLOSED = "a quote is opened and never closed"
QUOTE, LINE, RETURN, SPACE = b'"\n\r '


class Block(NamedTuple):
    """Whole records without blank lines, and how many."""

    data: bytes
    records: int


class CsvBlocks:
    """A CSV file in blocks, as often as needed. Gzip is unpacked on the way; a byte-order mark is passed over.

    Attributes: `names` of the columns; without a header x0, x1, ...; `separator`, found from the first records.

    Raises:
        FormatError: not a regular file; empty; UTF-16, NUL bytes, not UTF-8; a quote that is not closed or stands
            within a cell; a record over 1 MB; records of different lengths; two columns of one name.
        ConfigError: `separator` is not one character of tab, semicolon, bar or comma.
        OSError: the file is missing or can't be read.
    """

    def __init__(self, path: str | os.PathLike[str], *, header: bool = True, separator: str | None = None) -> None:
        if separator is not None and separator not in SEPARATORS:
            raise ConfigError(f"separator must be one of tab, ';', '|' or ','; got {separator!r}")
        self.name, self._header = os.fspath(path), header
        self._separator, self._width = b"", 0
        self.names: tuple[str, ...] = ()
        start, spans, line = self._start()
        counts = _counts(start, spans)
        self.separator = separator or _separator(counts)
        self._separator, self._width = self.separator.encode(), int(counts[self.separator][0]) + 1
        first = start[slice(*spans[0])].decode("utf-8").rstrip("\r")
        cells = next(csv.reader(io.StringIO(first, newline=""), delimiter=self.separator, skipinitialspace=True))
        self.names = self._names([cell.strip() for cell in cells], line)

    def __iter__(self) -> Iterator[Block]:
        """The blocks, without the header."""
        skip = self._header
        for data, line in self._pieces():
            block = self._checked(data, line)
            if skip and block.records:
                end = int(_ends(np.frombuffer(block.data, np.uint8))[0]) + 1
                block, skip = Block(block.data[end:], block.records - 1), False
            if block.records:
                yield block

    def _start(self) -> tuple[bytes, list[tuple[int, int]], int]:
        """Bytes with the first records, where those begin and end that aren't blank, and the line of the first."""
        for data, line in self._pieces():
            self._check_text(data, line)
            data = _closed(data)
            ends = _ends(np.frombuffer(data, np.uint8))
            if not len(ends):
                self._refuse(data, line, data.rfind(b'"'), UNCLOSED)
            all_spans = zip([0, *(ends[:-1] + 1).tolist()], ends.tolist(), strict=True)
            spans = list(itertools.islice((span for span in all_spans if data[slice(*span)].strip()), SAMPLE))
            if spans:
                return data, spans, line + data.count(b"\n", 0, spans[0][0])
        raise FormatError(f"{self.name}: the file is empty; a header and rows are expected")

    def _pieces(self) -> Iterator[tuple[bytes, int]]:
        """(whole records, the line of the first of them) from the file."""
        with self._opened() as read:
            rest, line = b"", 1
            while True:
                more = read(BLOCK)
                data = rest + more
                if line == 1 and not rest:
                    data = self._checked_start(data)
                if not more:
                    if data:
                        yield data, line
                    return
                cut = _end_of_records(data)
                if len(data) - cut > LIMIT:
                    self._too_long(line + data.count(b"\n", 0, cut))
                if cut:
                    yield data[:cut], line
                line += data.count(b"\n", 0, cut)
                rest = data[cut:]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        with open_regular(self.name, "a table") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not packed:
                yield file.read
                return
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield _Unpacked(self.name, file, unpacked).read

    def _checked_start(self, data: bytes) -> bytes:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise FormatError(f"{self.name}: the text is UTF-16; save it as UTF-8")
        if b"\0" in data[:LIMIT] and (kind := known_kind(data)) is not None:
            raise FormatError(f"{self.name}: this is {kind}, not a CSV or Parquet file; save the table as CSV (UTF-8)")
        return data.removeprefix(b"\xef\xbb\xbf")

    def _checked(self, data: bytes, line: int) -> Block:
        self._check_text(data, line)
        data = _closed(data)
        bytes_ = np.frombuffer(data, np.uint8)
        quotes = np.flatnonzero(bytes_ == QUOTE)
        if len(quotes):
            cleaned = self._checked_quotes(data, quotes, line)
            if cleaned is not data:
                data, bytes_ = cleaned, np.frombuffer(cleaned, np.uint8)
                quotes = np.flatnonzero(bytes_ == QUOTE)
        ends = _outside(np.flatnonzero(bytes_ == LINE), quotes)
        if b"\r" in data:
            returns = _outside(np.flatnonzero(bytes_ == RETURN), quotes)
            alone = returns[bytes_[returns + 1] != LINE]
            if len(alone):
                cure = "a carriage return inside the line; save the file with ordinary line ends"
                self._refuse(data, line, int(alone[0]), cure)
        starts = np.concatenate([[0], ends[:-1] + 1])
        long = np.flatnonzero(ends - starts > LIMIT)
        if len(long):
            self._too_long(line + data.count(b"\n", 0, int(starts[long[0]])))
        separators = _outside(np.flatnonzero(bytes_ == self._separator[0]), quotes)
        widths = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
        lengths = ends - starts
        blank = (lengths == 0) | ((lengths == 1) & (bytes_[starts] == RETURN))
        for i in np.flatnonzero((widths != self._width) & ~blank).tolist():
            blank[i] = not data[starts[i] : ends[i]].strip()
            if not blank[i]:
                count = f"{int(widths[i])} field{'s' * (int(widths[i]) != 1)}"
                self._refuse(data, line, int(starts[i]), f"{count}, expected {self._width}")
        if blank.any():
            kept = zip(starts[~blank].tolist(), ends[~blank].tolist(), strict=True)
            data = b"".join([data[start : end + 1] for start, end in kept])
        return Block(data, len(ends) - int(np.count_nonzero(blank)))

    def _check_text(self, data: bytes, line: int) -> None:
        if b"\0" in data:
            self._refuse(data, line, data.index(b"\0"), "a NUL byte; this is not a text file in UTF-8")
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            place = error.start - data.rfind(b"\n", 0, error.start)
            self._refuse(data, line, error.start, f"byte {place} is not UTF-8; save the file as UTF-8")

    def _checked_quotes(self, data: bytes, quotes: Any, line: int) -> bytes:
        """The bytes without blanks between a quoted cell and its separators. A quote within other text is refused."""
        bytes_ = np.frombuffer(data, np.uint8)
        if len(quotes) % 2:
            self._refuse(data, line, int(quotes[-1]), UNCLOSED)
        padded = np.frombuffer(b"\n" + data + b"\n", np.uint8)  # padded[i + 1] is byte i
        drop = np.zeros(len(bytes_), dtype=np.bool_)
        for places, step in ((quotes[0::2], -1), (quotes[1::2], 1)):
            here = places + step
            here = here[padded[here + 1] != QUOTE]  # a quote that is written twice
            while len(here):
                here = here[~np.isin(padded[here + 1], (self._separator[0], LINE, RETURN))]
                wrong = here[padded[here + 1] != SPACE]
                if len(wrong):
                    cure = "a quote within a cell; put the cell in quotes and write each quote in it twice"
                    self._refuse(data, line, int(wrong[0]), cure)
                drop[here] = True
                here = here + step
        return bytes_[~drop].tobytes() if drop.any() else data

    def _refuse(self, data: bytes, line: int, place: int, what: str) -> NoReturn:
        here = line + data.count(b"\n", 0, max(place, 0))
        raise FormatError(f"{self.name} line {here}: {what}")

    def _too_long(self, line: int) -> NoReturn:
        cure = "is this a CSV file, and are its quotes closed?"
        raise FormatError(f"{self.name} line {line}: a record of more than {LIMIT:,} bytes; {cure}")

    def _names(self, cells: list[str], line: int) -> tuple[str, ...]:
        if not self._header:
            return tuple(f"x{i}" for i in range(len(cells)))
        names = tuple(cell or f"x{i}" for i, cell in enumerate(cells))
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            cure = "rename one (or use --no-header if the line is data)"
            raise FormatError(f"{self.name} line {line}: two columns are called {twice[0][:40]!r}; {cure}")
        if all(_is_number(name) for name in names):
            told = "the first line holds only numbers and is taken as names (use --no-header if it is data)"
            logger.warning("%s: %s", self.name, told)
        return names


class _Unpacked:
    """Bytes of a gzip file, refused where they come from next to nothing."""

    def __init__(self, name: str, file: BinaryIO, unpacked: gzip.GzipFile) -> None:
        self._name, self._unpacked, self._given = name, unpacked, 0
        self._held = os.fstat(file.fileno()).st_size

    def read(self, count: int) -> bytes:
        """The next bytes. Raises FormatError for damage, and for more than 1 GiB out of less than a 250th of that."""
        try:
            data = self._unpacked.read(count)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FormatError(f"{self._name}: the gzip file is damaged or cut ({error})") from error
        self._given += len(data)
        if self._given > LARGE and self._given > DENSE * self._held:
            raise FormatError(f"{self._name}: {size(self._held)} unpack to more than {size(LARGE)}; refused")
        return data


def _closed(data: bytes) -> bytes:
    return data if data.endswith(b"\n") else data + b"\n"


def _end_of_records(data: bytes) -> int:
    """Behind the last line end that stands outside quotes."""
    cut = data.rfind(b"\n") + 1
    quotes = data.count(b'"', 0, cut)
    while cut and quotes % 2:
        before = data.rfind(b"\n", 0, cut - 1) + 1
        quotes -= data.count(b'"', before, cut)
        cut = before
    return cut


def _ends(bytes_: Any) -> Any:
    """Where records end: line ends outside quotes."""
    return _outside(np.flatnonzero(bytes_ == LINE), np.flatnonzero(bytes_ == QUOTE))


def _outside(places: Any, quotes: Any) -> Any:
    return places if not len(quotes) else places[np.searchsorted(quotes, places) % 2 == 0]


def _counts(start: bytes, spans: list[tuple[int, int]]) -> dict[str, Any]:
    """How often each possible separator stands in each of the first records."""
    bytes_ = np.frombuffer(start, np.uint8)
    quotes = np.flatnonzero(bytes_ == QUOTE)
    places = {s: _outside(np.flatnonzero(bytes_ == ord(s)), quotes) for s in SEPARATORS}
    return {s: np.diff(np.searchsorted(found, spans), axis=1)[:, 0] for s, found in places.items()}


def _separator(counts: dict[str, Any]) -> str:
    """The first that each record holds equally often, or else the one that the first record holds most often."""
    even = [s for s, found in counts.items() if found[0] and (found == found[0]).all()]
    if even:
        return even[0]
    return max(reversed(counts), key=lambda s: int(counts[s][0]))


def _is_number(text: str) -> bool:
    try:
        return "_" not in text and float(text) == float(text)
    except ValueError:
        return False
