"""Whether a table fits into memory, by the size of its file."""

from __future__ import annotations

import os
from pathlib import Path

SHARE = 4
"""A file larger than one such part of the free memory is gone through in chunks."""
PACKED = 5
"""How much larger a table is than its file where that is compressed."""


def is_large(path: str) -> bool:
    """Whether a table is to be gone through in chunks. Raises OSError where there is no such file."""
    size = os.stat(path).st_size
    packed = path.lower().endswith((".gz", ".parquet", ".pq"))
    return SHARE * size * (PACKED if packed else 1) > free_memory()


def free_memory() -> int:
    """Bytes that this process may still take: what the system has left, and less where its group is limited."""
    found = [_available(), _group_left()]
    return min(n for n in found if n is not None) if any(n is not None for n in found) else 1 << 32


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _group_left() -> int | None:
    """What Linux's control group of this process still allows."""
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text(encoding="ascii") for name in ("max", "current"))
        return max(0, int(limit) - int(used))
    except (OSError, ValueError):  # no such group, or no limit: "max"
        return None
