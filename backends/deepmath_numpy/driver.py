"""The driver of a program: it walks through tables of kernel calls, in one thread or shared among several.

Tables are int64 arrays in C order:

* `calls` [calls, 5]: kernel's address, address of its `a`, row multiplier m, columns, rows (-1: n m).
* `groups` [groups, 6]: first call, one past the last, rows (-1: n), row block, columns, column block.
* `phases` [phases, 3]: first group, one past the last, may_share.
* `launches` [launches, 4]: first phase, one past the last, n, row of `numbers` that is copied to the front of `c`.

A launch runs its phases one after the other. A phase is cut into shares, one for each block of rows and columns of
each of its groups; a share runs all calls of its group on its block. All shares of a phase are independent.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import functools
from typing import Any

import numpy as np

from deepmath_numpy import compiler

__all__ = ["Driver", "execute_address"]


class Driver:
    """Runs launches of one program. `c` is its float64 buffer of numbers; `flush`: subnormal numbers count as zero.

    It keeps the tables and `c` alive; the arrays that calls use are the caller's. A driver runs one call of `run` at a
    time; several drivers may run in several threads at once.
    """

    def __init__(self, calls: Any, groups: Any, phases: Any, c: Any, flush: bool = False) -> None:
        for name, table, width in (("calls", calls, 5), ("groups", groups, 6), ("phases", phases, 3)):
            _check(name, table, np.int64, width)
        if groups[:, [3, 5]].min(initial=1) < 1:
            raise ValueError(f"groups: blocks must have a row and a column at least; got {groups.tolist()}")
        _check("c", c[None], np.float64, len(c))
        self._tables = calls, groups, phases, c
        self._job, self._words, self._execute, self._worker = _code()
        self._job = self._job.copy()
        for name, table in zip(("calls", "groups", "phases", "c"), self._tables, strict=True):
            self._job[self._words[name]] = table.ctypes.data
        self._job[self._words["flush"]] = flush

    def run(self, launches: Any, numbers: Any, threads: int = 1) -> None:
        """Run launches, int64 [launches, 4], with rows of `numbers`, float64 [rows, width], in up to so many threads.

        The caller's thread is one of them. What is computed doesn't depend on their number.
        """
        job, words = self.job(launches, numbers), self._words
        job[words["threads"]] = threads
        try:
            # Workers live for this call alone: nothing spins while nothing runs, and a forked child misses nobody.
            # One that the system doesn't give isn't needed.
            with contextlib.suppress(RuntimeError):
                for _ in range(threads - 1):
                    _thread.start_new_thread(_help, (self._worker, job))
            self._execute(job.ctypes.data)
        finally:
            job[words["over"]] = 1

    def job(self, launches: Any, numbers: Any) -> Any:
        """What `execute` takes to run these in one thread, as often as it is called; the caller keeps all alive."""
        _check("launches", launches, np.int64, 4)
        _check("numbers", numbers, np.float64, numbers.shape[-1])
        job, words = self._job.copy(), self._words
        job[words["launches"]], job[words["count"]] = launches.ctypes.data, len(launches)
        job[words["numbers"]], job[words["width"]] = numbers.ctypes.data, numbers.shape[1]
        job[words["threads"]] = 1
        return job

    def shares(self, launches: Any) -> bool:
        """Whether a phase of the first of these launches may be shared among threads."""
        first, end = launches[0, :2]
        return bool(self._tables[2][first:end, 2].any())


def _help(worker: Any, job: Any) -> None:
    """A worker thread. It keeps the job alive: it may come to run when all is over."""
    worker(job.ctypes.data)


def _check(name: str, table: Any, dtype: Any, width: int) -> None:
    if table.dtype != dtype or table.ndim != 2 or table.shape[1] != width or not table.flags.c_contiguous:
        raise TypeError(
            f"{name} must be a C-contiguous {np.dtype(dtype)} array [rows, {width}]; got {table.dtype} {table.shape}"
        )


def execute_address() -> int:
    """Where the function lies that runs a job."""
    return _module().address("execute")


@functools.cache
def _module() -> Any:
    from deepmath_numpy import driver_ir

    return compiler.load(driver_ir.module())


@functools.cache
def _code() -> tuple[Any, dict[str, int], Any, Any]:
    """An empty job, where its words lie, and the functions that take a job's address."""
    from deepmath_numpy import driver_ir

    code, kind = _module(), ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    execute, worker = (kind(code.address(name)) for name in ("execute", "worker"))
    return np.zeros(driver_ir.JOB_WORDS, np.int64), driver_ir.WORDS, execute, worker
