"""NPZ files, NumPy's zip archives of arrays, read without pickle, in bounded memory, and without running any text.

NumPy itself parses an array's header as Python text, reads whatever size it claims, and takes the last of two
members of one name. Here the header is matched piece by piece, and sizes are compared before anything is read.
"""

from __future__ import annotations

import errno
import os
import re
import struct
import zipfile
import zlib
from collections import Counter
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepmath.errors import FormatError
from deepmath.files import check_shape, check_unpacked, known_kind, open_regular, product, read_exactly, size

_NO_PICKLE = "only numbers are allowed (pickle is never read)"
_DESCR = re.compile(r"[<>|=][biuf][1248]")
_ITEM = re.compile(
    r"""\s*(['"])(\w+)\1\s*:\s*('[^']*'|"[^"]*"|True|False|\((?:\s*\d+L?\s*,)*\s*(?:\d+L?\s*)?\)|\[)\s*(?:,|(?=\}))"""
)
_LONGEST_HEADER = 10_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
)
"""What the zip reader raises for files that are damaged in one way or another."""


def read_npz(path: str | os.PathLike[str], x: str = "X", y: str = "y") -> tuple[NDArray[Any], NDArray[Any]]:
    """Features and targets from an NPZ file, as `numpy.savez` and `numpy.savez_compressed` write it.

    Args:
        path: the file.
        x: name of the array of features [rows, ...].
        y: name of the array of targets [rows, ...].

    Returns:
        Both arrays with the type they were saved in (booleans, integers or floats of at most 64 bits), in
        this machine's byte order, in C order.

    Raises:
        FormatError: the file is no such archive or damaged, an array is missing or holds anything but
            numbers, sizes contradict each other, or X and y differ in their number of rows.
        OSError: the file is missing or can't be read.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "data.npz")
    ...     np.savez(path, X=[[1.0, 2.0], [3.0, 4.0]], y=[0, 1])
    ...     X, y = read_npz(path)
    >>> X.tolist(), y.tolist()
    ([[1.0, 2.0], [3.0, 4.0]], [0, 1])
    """
    name = os.fspath(path)
    with open_regular(name, "an NPZ file") as file:
        start, held = file.read(8), os.fstat(file.fileno()).st_size
        if not start.startswith(b"PK"):
            kind = known_kind(start) or "not a zip file"
            unsafe = "; pickle is never read, because it can run code" if kind == "a pickle" else ""
            msg = f"{name}: this is {kind if start else 'an empty file'}, not an NPZ file{unsafe}"
            raise FormatError(msg)
        try:
            with zipfile.ZipFile(file) as archive:
                _check_names(name, archive)
                X, labels = (_array(name, archive, key, held) for key in (x, y))
        except FormatError:
            raise
        except _BROKEN as error:
            msg = f"{name}: the archive is cut or damaged ({_first_line(error)}); save it again"
            raise FormatError(msg) from error
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            msg = f"{name}: the archive is cut or damaged (a member lies outside the file); save it again"
            raise FormatError(msg) from error
    if len(X) != len(labels):
        msg = f"{name}: array '{x}' has {len(X)} rows, '{y}' has {len(labels)}."
        raise FormatError(msg)
    return X, labels


def _check_names(name: str, archive: zipfile.ZipFile) -> None:
    for member, count in Counter(archive.namelist()).items():
        if count > 1:
            msg = f"{name}: {count} members are called {_shown(member)}; which one counts is anyone's guess: refused"
            raise FormatError(msg)
        if member.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", member):
            msg = f"{name}: member {_shown(member)} points outside the archive; refused"
            raise FormatError(msg)


def _array(name: str, archive: zipfile.ZipFile, key: str, held: int) -> NDArray[Any]:
    """An array of the archive, which is a file of `held` bytes."""
    where = f"{name}: array '{key}'"
    try:
        info = archive.getinfo(f"{key}.npy")
    except KeyError:
        names = [_shown(n.removesuffix(".npy")) for n in archive.namelist()]
        shown = ", ".join(names[:10]) + (f", ... ({len(names)} in all)" if len(names) > 10 else "")
        msg = f"{name}: there is no array '{key}'; the file holds: {shown or 'nothing'}. Name the arrays by x= and y="
        raise FormatError(msg) from None
    if info.flag_bits & 0x41:
        msg = f"{where} is encrypted; save it without a password"
        raise FormatError(msg)
    if info.compress_type not in _METHODS:
        msg = f"{where} is compressed by method {info.compress_type}; numpy.savez_compressed uses deflate (8)"
        raise FormatError(msg)

    def check_size(declared: int) -> None:
        check_unpacked(f"{name}: '{key}'", declared, held, deflated=info.compress_type == zipfile.ZIP_DEFLATED)

    check_size(info.file_size)
    with archive.open(info) as member:
        header = read_npy_header(where, member)
        if not header.shape:
            msg = f"{where} is a single number; rows are expected"
            raise FormatError(msg)
        promised = check_shape(f"{where} is", header.shape) * header.dtype.itemsize
        check_size(promised)
        values_size = info.file_size - header.length
        data = read_exactly(member.read, promised) if values_size == promised else bytearray()
    if len(data) < promised:
        what = f"{product(header.shape)} of {_native(header.dtype).name} = {promised:,} bytes"
        msg = f"{where}: header says {what}, its member has {max(values_size, 0):,}."
        raise FormatError(msg)
    return _values(data, header)


class Header(NamedTuple):
    """What an array's header says; `length` is its own, up to the first value."""

    dtype: np.dtype[Any]
    fortran: bool
    shape: tuple[int, ...]
    length: int


def _values(data: bytearray, header: Header) -> NDArray[Any]:
    """The array of these bytes, in C order and this machine's byte order."""
    if header.dtype.kind == "b":
        flat: NDArray[Any] = np.frombuffer(data, np.uint8) != 0  # a byte that is neither 0 nor 1 is no boolean
    else:
        flat = np.frombuffer(data, header.dtype).astype(_native(header.dtype), copy=False)
    return np.ascontiguousarray(flat.reshape(header.shape, order="F" if header.fortran else "C"))


def read_npy_header(where: str, member: IO[bytes]) -> Header:
    """What stands before the values: a magic number, a version, a length, and a text of three entries."""
    start = member.read(8)
    if start[:6] != b"\x93NUMPY" or len(start) < 8:
        kind = known_kind(start)
        msg = f"{where} is {kind}; {_NO_PICKLE}" if kind == "a pickle" else f"{where} is not in NumPy's .npy format"
        raise FormatError(msg)
    major, minor = start[6], start[7]
    if major not in (1, 2, 3) or minor != 0:
        msg = f"{where} has version {major}.{minor} of the .npy format; known: 1.0, 2.0, 3.0"
        raise FormatError(msg)
    width = 2 if major == 1 else 4
    length = int.from_bytes(member.read(width), "little")
    if length > _LONGEST_HEADER:
        msg = f"{where} has a header of {size(length)}; at most {_LONGEST_HEADER:,} bytes are read"
        raise FormatError(msg)
    entries = _entries(member.read(length).decode("latin-1"))
    if entries.keys() != {"descr", "fortran_order", "shape"}:
        msg = f"{where} has a header that can't be read; save it by numpy.savez"
        raise FormatError(msg)
    dtype = _dtype(where, entries["descr"])
    lengths = re.findall(r"\d+", entries["shape"])
    if not entries["shape"].startswith("(") or entries["fortran_order"] not in ("True", "False"):
        msg = f"{where} has a header that can't be read; save it by numpy.savez"
        raise FormatError(msg)
    if any(len(number) > 20 for number in lengths):
        msg = f"{where} has an axis longer than 2^64; refused"
        raise FormatError(msg)
    return Header(dtype, entries["fortran_order"] == "True", tuple(map(int, lengths)), 8 + width + length)


def _entries(text: str) -> dict[str, str]:
    """The entries of a header; {} where it is anything but a dictionary of a few plain values, closed in order.

    >>> _entries("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }")
    {'descr': '<f8', 'fortran_order': 'False', 'shape': '(2, 3)'}
    >>> _entries("{'descr': __import__('os')}")
    {}
    """
    found: dict[str, str] = {}
    place = 1 if text.startswith("{") else len(text)
    while match := _ITEM.match(text, place):
        if match[2] in found:
            return {}
        found[match[2]] = match[3].strip("'\"")
        place = match.end()
    if text[place:].strip() == "}":
        return found
    structured = re.match(r"\{\s*'descr'\s*:\s*\[", text)
    return {"descr": "[", "fortran_order": "", "shape": ""} if structured else {}


def _dtype(where: str, descr: str) -> np.dtype[Any]:
    if _DESCR.fullmatch(descr):
        try:
            return np.dtype(descr)
        except TypeError:  # f1 and b2 are well formed and don't exist
            pass
    letter = descr.lstrip("<>|=")[:1]
    if letter == "O":
        msg = f"{where} holds Python objects; {_NO_PICKLE}."
    elif letter in ("[", "V"):
        msg = f"{where} has a structured dtype; save each of its fields as a plain array"
    elif letter in ("U", "S"):
        msg = f"{where} holds text; only numbers are allowed: save labels as whole numbers"
    else:
        msg = f"{where} has dtype {_shown(descr)}; booleans, integers and floats of at most 64 bits are read"
    raise FormatError(msg)


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("=")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _first_line(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if len(text) <= 100 else text[:97] + "..."
