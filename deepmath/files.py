"""Files that nobody vouches for: opened only if regular, named by their first bytes, unpacked within bounds."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable
from typing import BinaryIO

from deepmath.errors import FormatError

CHUNK = 1 << 20
DEFLATE = 1032
"""No byte of deflate stands for more than this many: its longest copy takes two bits and gives 258."""
LARGE, DENSE = 1 << 30, 250
"""What unpacks to more than 1 GiB must not do so from less than a 250th of that."""

_STARTS = (
    (b"PK", "a zip file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x93NUMPY", "a single NumPy array (.npy)"),
    (b"\x80", "a pickle"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89PNG", "a picture"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"<", "a web page"),
)


def open_regular(name: str, kind: str) -> BinaryIO:
    """Open a regular file for reading. A pipe is opened without waiting for its writer, and then refused.

    Raises:
        FormatError: a directory, a pipe or a device stands there; `kind`, such as "a CSV file", is what should.
        OSError: the file is missing or can't be read.
    """
    descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return open(descriptor, "rb")
    os.close(descriptor)
    found = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
    msg = f"{name}: this is {found}, not {kind}"
    raise FormatError(msg)


def known_kind(start: bytes) -> str | None:
    """What a file with these first bytes is, where they tell.

    >>> known_kind(b"PK\\x03\\x04"), known_kind(b"\\0\\0\\x08\\x03")
    ('a zip file', None)
    """
    return next((kind for begin, kind in _STARTS if start.startswith(begin)), None)


def check_unpacked(where: str, declared: int, held: int, *, deflated: bool) -> None:
    """Refuse `declared` bytes that a file of `held` bytes can't hold, or holds only to fill the memory.

    >>> check_unpacked("data.npz: 'x'", 2**53, 214, deflated=True)
    Traceback (most recent call last):
    ...
    deepmath.errors.FormatError: data.npz: 'x' declares 8.0 PiB but the file is 214 bytes; refused.
    """
    possible = DEFLATE * held if deflated else held
    if declared > possible or (declared > LARGE and declared > DENSE * held):
        msg = f"{where} declares {size(declared)} but the file is {size(held)}; refused."
        raise FormatError(msg)


def read_exactly(read: Callable[[int], bytes], length: int) -> bytearray:
    """`length` bytes, or all there are; memory grows with what comes, not with what was promised.

    >>> import io
    >>> bytes(read_exactly(io.BytesIO(b"abc").read, 10**15))
    b'abc'
    """
    data = bytearray()
    while len(data) < length and (part := read(min(CHUNK, length - len(data)))):
        data += part
    return data


def size(count: int) -> str:
    """Bytes for people.

    >>> size(214), size(2**53), size(1536)
    ('214 bytes', '8.0 PiB', '1.5 KiB')
    """
    if count < 1024:
        return f"{count} bytes"
    power = min((count.bit_length() - 1) // 10, 6)
    return f"{count / 1024**power:.1f} {'KMGTPE'[power - 1]}iB" if count < 1 << 80 else "more than 2^80 bytes"


def product(shape: tuple[int, ...]) -> str:
    """A shape as people write it.

    >>> product((60000, 28, 28))
    '60000×28×28'
    """
    return "×".join(map(str, shape)) if shape else "1"


def check_shape(where: str, shape: tuple[int, ...]) -> int:
    """The number of values. A file without values, or with more axes than NumPy has, is refused.

    >>> check_shape("a.idx: header says", (2, 0))
    Traceback (most recent call last):
    ...
    deepmath.errors.FormatError: a.idx: header says 2×0, which holds no values
    """
    if 0 in shape:
        msg = f"{where} {product(shape)}, which holds no values"
        raise FormatError(msg)
    if len(shape) > 32:
        msg = f"{where} {len(shape)} axes; at most 32 are read"
        raise FormatError(msg)
    return math.prod(shape)
