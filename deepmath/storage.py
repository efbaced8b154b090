"""Files of values: one safetensors file with settings inside and one SHA-256 over all of it.

A file is written beside its place, synced, read back and renamed, so that its name always stands for a
whole file. The hash stands in the header; it is taken with sixty-four zeros in its own place.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepmath.errors import FormatError

FORMAT = "deepmath-1"
_BLANK = "0" * 64
_ENTRY = "deepmath"
"""The one entry of the header's metadata; several would stand in a different order each time."""
_FOREIGN = {b"PK\x03\x04": "a zip archive (PyTorch and npz files are)", b"\x80": "a pickle", b"\x89HDF": "an HDF5 file"}


class Stored(NamedTuple):
    """What a file held: arrays by name, and settings as plain data."""

    values: dict[str, Any]
    settings: dict[str, Any]


def save(path: str | os.PathLike[str], values: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write arrays and settings to one file, whole or not at all. Raises OSError where the folder can't be written."""
    from safetensors.numpy import save as to_bytes

    target = Path(path)
    arrays = {name: np.ascontiguousarray(v).reshape(np.shape(v)) for name, v in values.items()}
    text = json.dumps({"format": FORMAT, "sha256": _BLANK, "settings": settings}, allow_nan=False)
    blank = to_bytes(arrays, {_ENTRY: text})
    digest = hashlib.sha256(blank).hexdigest()
    write_whole(target, blank.replace(_hash_field(_BLANK), _hash_field(digest), 1))


def write_whole(target: Path, content: bytes) -> None:
    """Temporary file, write, sync, read back, rename, sync the folder: after a crash the old file or the new.

    Raises OSError whose text says what could not be saved, and why.
    """
    name = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.tmp.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if Path(name).read_bytes() != content:
            raise OSError(errno.EIO, "what was written can't be read back")
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise type(error)(error.errno, f"cannot save {target}: {_reason(error, target, len(content))}") from error
    finally:
        if name is not None:
            with contextlib.suppress(OSError):
                os.unlink(name)


def check_writable(target: Path) -> None:
    """Raise the OSError that `write_whole` would, but for one of space; makes the folder where it is missing."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=f".{target.name}.tmp.", dir=target.parent):
            pass
    except OSError as error:
        raise type(error)(error.errno, f"cannot save {target}: {_reason(error, target, 0)}") from error


def _reason(error: OSError, target: Path, size: int) -> str:
    """Why a file can't be written, with what would have to change."""
    place = target.parent
    while not place.exists():
        place = place.parent
    mount = place.resolve()
    while not mount.is_mount():
        mount = mount.parent
    if error.errno == errno.ENOSPC:
        return f"no space on {mount} (need {_bytes(size)}, {_bytes(shutil.disk_usage(place).free)} free)"
    if error.errno == errno.EDQUOT:
        return f"your quota on {mount} is used up (need {_bytes(size)})"
    if error.errno == errno.EFBIG:
        return f"the system allows no file of {_bytes(size)} (see ulimit -f)"
    if error.errno == errno.EROFS:
        return f"{mount} is read-only"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"{place if place.is_file() else target.parent} is a file and no folder"
    return error.strerror or str(error)


def _bytes(count: int) -> str:
    """A size as people read it.

    >>> _bytes(999), _bytes(1500), _bytes(512 * 10**6)
    ('999 bytes', '1.5 kB', '512 MB')
    """
    if count < 1000:
        return f"{count} bytes"
    power = min(int(math.log10(count) / 3 + 1e-9), 4)
    size, unit = count / 1000.0**power, ("bytes", "kB", "MB", "GB", "TB")[power]
    return f"{size:.2g} {unit}" if size < 10 else f"{size:.0f} {unit}"


def load(path: str | os.PathLike[str]) -> Stored:
    """Read a file that `save` wrote. Raises FileNotFoundError, and FormatError for anything but a whole such file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    content = _read(Path(path))
    name = str(path)
    for start, what in _FOREIGN.items():
        if content.startswith(start) and content[8:9] != b"{":  # a header's length may begin with the same bytes
            raise FormatError(
                f"{name} is {what}. deepmath reads only its own safetensors files "
                "and never pickle, because pickle can run code."
            )
    entry = _entry(name, content)
    if entry.get("format") != FORMAT:
        raise FormatError(
            f"{name} is not a deepmath file of this version (format {entry.get('format')!r}, expected {FORMAT!r})"
        )
    stored_hash = str(entry.get("sha256"))
    blank = content.replace(_hash_field(stored_hash), _hash_field(_BLANK), 1)
    if len(stored_hash) != 64 or hashlib.sha256(blank).hexdigest() != stored_hash:
        raise FormatError(f"{name} fails its SHA-256 check; the file was changed or damaged after saving.")
    try:
        values = from_bytes(content)
    except (SafetensorError, ValueError) as error:
        raise FormatError(f"{name} can't be read: {error}") from error
    if not isinstance(entry.get("settings"), dict):
        raise FormatError(f"{name}: its settings are not a table")
    return Stored(values, entry["settings"])


def _read(path: Path) -> bytes:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise FormatError(f"{path} is not a regular file")
    return path.read_bytes()


def _entry(name: str, content: bytes) -> dict[str, Any]:
    """Our entry in the metadata of a safetensors header, without trusting any of it."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 10 or size > len(content) - 8:
        raise FormatError(f"{name} is incomplete: its header needs {size + 8:,} bytes, the file has {len(content):,}.")
    try:
        entry = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][_ENTRY])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{name} is not a deepmath file: its header can't be read") from error
    if not isinstance(entry, dict):
        raise FormatError(f"{name} is not a deepmath file: its metadata are not a table")
    return entry


def _hash_field(digest: str) -> bytes:
    """How the hash stands in the file: JSON inside a JSON text."""
    return json.dumps(f'"sha256": "{digest}"')[1:-1].encode()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
