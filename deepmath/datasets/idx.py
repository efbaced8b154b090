"""IDX files, the format of MNIST: a magic number, the length of each axis, and the values, all big-endian."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from deepmath.errors import FormatError
from deepmath.files import check_shape, check_unpacked, known_kind, open_regular, product, read_exactly

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The array in an IDX file, plain or compressed by gzip (told by its first bytes, not by its name).

    The values keep their type (uint8, int8, int16, int32, float32 or float64) in this machine's byte order.

    Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST database", section "The IDX file format".

    Raises:
        FormatError: the file isn't IDX, is cut or damaged, holds no values, or holds more or less than it says.
        OSError: the file is missing or can't be read.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels.idx")
    ...     _ = path.write_bytes(b"\\0\\0\\x08\\x01" + b"\\0\\0\\0\\x03" + bytes([7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    return _read(os.fspath(path), None)


def read_bytes(path: str, axes: int) -> NDArray[np.uint8]:
    """An IDX file of bytes with this number of axes, such as MNIST's labels (1) and images (3).

    Raises as `read_idx` does, and FormatError for another type or number of axes.
    """
    return _read(path, 0x0800 | axes)


def _read(name: str, magic: int | None) -> NDArray[Any]:
    with open_regular(name, "an IDX file") as file:
        packed = os.fstat(file.fileno()).st_size
        zipped = file.read(2) == _GZIP
        file.seek(0)
        if not zipped:
            return _parse(name, file, magic, packed, zipped=False)
        with gzip.GzipFile(fileobj=file) as unpacked:
            try:
                return _parse(name, unpacked, magic, packed, zipped=True)
            except EOFError as error:
                msg = f"{name}: the compressed data end too early; the file is cut: fetch it again"
                raise FormatError(msg) from error
            except (gzip.BadGzipFile, zlib.error) as error:
                msg = f"{name}: the compressed data are damaged ({error}); fetch the file again"
                raise FormatError(msg) from error


def _parse(name: str, file: BinaryIO | gzip.GzipFile, magic: int | None, packed: int, *, zipped: bool) -> NDArray[Any]:
    """The array of an open file. `packed` is the file's size, which bounds what it may promise."""
    kind, shape = read_header(name, file, magic)
    axes = len(shape)
    promised = check_shape(f"{name}: header says", shape) * kind.itemsize
    if zipped:
        check_unpacked(f"{name}: header", promised, packed, deflated=True)
        data = read_exactly(file.read, promised)
        more = len(file.read(1))  # reaching the end is also what checks gzip's sum
        held = f"more than {len(data):,}" if more else f"{len(data):,}"
    else:
        more = packed - (4 + 4 * axes) - promised
        data = read_exactly(file.read, promised) if more == 0 else bytearray()
        held = f"{promised + more:,}"
    if more or len(data) < promised:
        unit = f" of {kind.newbyteorder('=').name}" if kind.itemsize > 1 else ""
        msg = f"{name}: header says {product(shape)}{unit} = {promised:,} bytes, file has {held}."
        raise FormatError(msg)
    values = np.frombuffer(data, kind).reshape(shape)
    return values.astype(kind.newbyteorder("="), copy=False)


def read_header(
    name: str, file: BinaryIO | gzip.GzipFile, magic: int | None = None
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape of the values that follow in an open file. Raises FormatError for anything but IDX."""
    start = file.read(4)
    _check_magic(name, start, magic)
    axes = start[3]
    header = file.read(4 * axes)
    if len(header) < 4 * axes:
        msg = f"{name}: the header of {axes} axes takes {4 + 4 * axes} bytes, file has {4 + len(header)}."
        raise FormatError(msg)
    return np.dtype(TYPES[start[2]]), struct.unpack(f">{axes}I", header)


def _check_magic(name: str, start: bytes, magic: int | None) -> None:
    expected = "0x0000TTAA: type and number of axes" if magic is None else f"0x{magic:08x}"
    if not start:
        msg = f"{name}: the file is empty, not IDX (expected {expected})"
        raise FormatError(msg)
    shown = f"0x{start.hex()}"
    kind = known_kind(start)
    if kind is not None or len(start) < 4 or start[:2] != b"\0\0":
        what = f" is {kind}, not IDX" if kind else " is not IDX"
        msg = f"{name}: magic {shown}{what} (expected {expected})."
        raise FormatError(msg)
    if start[2] not in TYPES:
        known = ", ".join(f"0x{code:02x} ({np.dtype(t).newbyteorder('=').name})" for code, t in TYPES.items())
        msg = f"{name}: magic {shown} names the type 0x{start[2]:02x}; the types of IDX: {known}."
        raise FormatError(msg)
    if start[3] == 0:
        msg = f"{name}: magic {shown} says no axes; at least one is expected."
        raise FormatError(msg)
    if magic is not None and int.from_bytes(start, "big") != magic:
        what = f"{start[3]} axes of {np.dtype(TYPES[start[2]]).newbyteorder('=').name}"
        msg = f"{name}: magic {shown} means {what} (expected {expected}); are images and labels swapped?"
        raise FormatError(msg)
