"""The cache folder for what backends compile: one that only the user can write, or none that lasts.

What is kept lies under the SHA-256 of all that it depends on, so a name never stands for anything else.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import stat
import tempfile
from pathlib import Path

logger = logging.getLogger("deepmath")


def directory() -> Path:
    """Where compiled code should lie; it may not be there yet, or not writable."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deepmath"


@functools.cache
def folder() -> tuple[Path, bool]:
    """The cache folder, and whether it outlives the process. One that can't be used safely is replaced by a new one."""
    wanted = directory()
    try:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_private(wanted):
            probe = tempfile.NamedTemporaryFile(dir=wanted)  # noqa: SIM115 - only to see whether it can be made
            probe.close()
            return wanted, True
        reason = "others can write to it"
    except OSError as error:
        reason = str(error.strerror)
    fresh = Path(tempfile.mkdtemp(prefix="deepmath-"))
    logger.info("the kernel cache %s can't be used (%s); compiled code is kept for this process only", wanted, reason)
    return fresh, False


def is_private(path: Path) -> bool:
    """Whether nobody but the user could have written here."""
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@functools.cache
def announce(directory: Path) -> None:
    """Say once that kernels are compiled: it takes seconds, and only the first time."""
    logger.info("compiling kernels for this model; they are kept in %s", directory)


def write(path: Path, content: bytes) -> None:
    """Write a file of the cache in one piece: another process sees all of it, or what was there before.

    Raises OSError, and leaves nothing behind, where it can't be written whole.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
