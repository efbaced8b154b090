"""Compiled objects on disk: each lies under the SHA-256 of all that it depends on and is checked before it is used.

What can't be read, is damaged, or could have been written by somebody else counts as not there; what can't be
written is compiled again next time. Neither ever stops the program.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from pathlib import Path

from deepmath.cache import directory, is_private
from deepmath.cache import write as write_whole

__all__ = ["read", "write"]

logger = logging.getLogger("deepmath")
_MAGIC = b"deepmath object 1\n"
_DIGEST = hashlib.sha256().digest_size


def read(key: str) -> bytes | None:
    """The object kept under this key, or None."""
    path = _path(key)
    try:
        if not (is_private(path.parent) and is_private(path)):
            return None
        content = path.read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST
    object_code = content[start:]
    return object_code if object_code and content[:start] == _header(key, object_code) else None


def write(key: str, object_code: bytes) -> bool:
    """Keep an object under this key, in one piece: whoever reads meanwhile gets all of it or what was there before.

    Answers whether it is kept.
    """
    path = _path(key)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_private(path.parent):
            _complain(path.parent, "others can write to it")
            return False
        write_whole(path, _header(key, object_code) + object_code)
    except OSError as error:
        _complain(path.parent, error.strerror or str(error))
        return False
    return True


def _path(key: str) -> Path:
    return directory() / f"{key}.object"


def _header(key: str, object_code: bytes) -> bytes:
    """What stands in front of the object: the key is in the digest, so a renamed file is not taken for another."""
    return _MAGIC + hashlib.sha256(key.encode() + object_code).digest()


@functools.cache
def _complain(folder: Path, reason: str) -> None:
    """Say once why nothing is kept."""
    logger.info("the kernel cache %s can't be used (%s); compiled code is kept for this process only", folder, reason)
