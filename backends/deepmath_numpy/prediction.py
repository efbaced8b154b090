"""Predictions: rows in, rows out, from a single row to millions, in any number of threads at once.

A `Forward` is one set of tables and work arrays, for one thread at a time. Few rows are predicted by one call of compiled
code that takes the Python objects as they are. Many rows are cut into chunks whose work arrays stay in the cache; the
threads that share them each take the next chunk with a set of their own. Where the weights don't fit the cache, threads
share each product instead, and where a layer runs by Python, one thread does all. A row's bits depend on none of this.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import functools
import math
import sysconfig
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from deepmath.program import ColumnMap, Recipe
from deepmath.step_graph import prediction_graph
from deepmath_numpy import compiler, prediction_ir
from deepmath_numpy.driver import execute_address
from deepmath_numpy.hooks import Hooks
from deepmath_numpy.inputs import Inputs
from deepmath_numpy.lowering import LAUNCH, ROWS
from deepmath_numpy.memory import Memory
from deepmath_numpy.schedule import ALL, IN_CACHE
from deepmath_numpy.section import Section, calls_in, nodes_named
from deepmath_numpy.threads import Choice, Threads, available

CHUNK = 1024
"""Rows that are predicted at a time where threads share products, or Python runs a layer."""
LEAST, NEAR = 64, 3 << 14
"""Elsewhere a chunk has so many rows at least, and work arrays of about so many bytes, which the nearest caches hold."""
FEW = 1 << 20
"""Multiplications up to which rows are predicted under the interpreter's lock: about 20 microseconds."""
SHARED = 1 << 23
"""Multiplications from which on more threads than one can help."""


class Forward:
    """The tables and work arrays of one thread, for inputs of the type `given`."""

    def __init__(self, recipe: Recipe, memory: Memory, given: str, maps: Sequence[ColumnMap]) -> None:
        step = prediction_graph(recipe, memory.params.shapes, memory.states.shapes)
        item = np.dtype(recipe.precision).itemsize
        columns = math.prod(recipe.parts[0].shape)
        outputs = math.prod(step.outputs["predictions"].dims[1:])
        self.in_cache = sum(math.prod(s) for s in memory.params.shapes.values()) * item <= IN_CACHE
        row = item * (outputs + sum(2 * math.prod(part.shape) for part in recipe.parts))
        near = max(LEAST, min(CHUNK, NEAR // row // 16 * 16))
        self.chunk = near if self.in_cache and not step.reasons else CHUNK
        self.row_bytes = columns * np.dtype(given).itemsize, outputs * item
        self._inputs = Inputs(given, recipe.precision, columns, self.chunk, maps)
        self.section, self.source = self._laid_out(recipe, memory, step)
        self._hooks = Hooks(self.section, "state", training=False)
        self.numbers, self.launches = np.zeros((1, LAUNCH)), np.zeros((1, 4), np.int64)
        self.launches[0, 1] = len(self.section.tables.phases)
        self.has_hooks = bool(self.section.tables.hooks)
        self.work = sum(c.work for c in calls_in(self.section.items)) or 1.0
        self.rank = 1 + len(recipe.parts[0].shape)

    def _laid_out(self, recipe: Recipe, memory: Memory, step: Any) -> tuple[Section, str]:
        """The section, whose calls begin with those of the inputs, and the name of what is filled in for the inputs."""
        inputs = self._inputs
        given = {"x": None} if inputs.in_place else {} if inputs.address is None else {"x": inputs.address}
        section = Section(recipe, memory, step, self.chunk, "state", given, {"predictions": None})
        node = nodes_named(step).get("x")
        if node is None or node.number not in section.places:  # a network may read no inputs
            section.finish(section.phases(section.items))
            return section, "x"
        source = "x" if inputs.in_place else "source"
        calls = inputs.calls(section._opened(source), section.places[node.number].address, node.number)
        phases = section.phases([*calls, *section.items])
        if self.chunk < CHUNK:  # all of it is one block of rows
            for group in (g for phase in phases for g in phase.groups if g.rows == -1):
                group.row_block = ALL
        section.finish(phases)
        return section, source

    @property
    def is_bad(self) -> bool:
        """Whether a number of the last run wasn't finite."""
        return bool(self._inputs.bad[0])

    def begin(self) -> None:
        """Forget what numbers the last run met."""
        self._inputs.bad[0] = 0

    def run(self, x: int, out: int, n: int, threads: Threads) -> None:
        """Predict n rows, at most a chunk, that lie at these addresses."""
        self.numbers[0, ROWS] = self.launches[0, 2] = n
        self.section.fill(self.source, x)
        self.section.fill("predictions", out)
        if self.has_hooks:
            self.section.run(self.launches, self.numbers, self._hooks)
        else:
            threads.run(self.section.driver, self.launches, self.numbers)

    @functools.cached_property
    def table(self) -> Any:
        """The table by which compiled code goes through rows."""
        self._job = self.section.driver.job(self.launches, self.numbers)
        self._places = {
            name: np.asarray(self.section.filled_in(opened), np.int64)
            for name, opened in (("input", self.source), ("output", "predictions"))
        }
        words = {"execute": execute_address(), "job": self._job.ctypes.data, "launch": self.launches.ctypes.data}
        words |= {"numbers": self.numbers.ctypes.data, "rank": self.rank, "chunk": self.chunk}
        words |= {f"{name}s": p.ctypes.data for name, p in self._places.items()}
        words |= {f"{name}_count": len(p) for name, p in self._places.items()}
        words |= dict(zip(("input_bytes", "output_bytes"), self.row_bytes, strict=True))
        words |= {"bad": self._inputs.bad.ctypes.data} | _python()
        table = np.zeros(len(prediction_ir.WORDS), np.int64)
        for name, value in words.items():
            table[prediction_ir.WORDS[name]] = value
        return table

    def table_for(self, x: int, out: int, rows: int, counters: Any) -> Any:
        """A table that says what rows to predict, together with others."""
        self.begin()
        table = self.table.copy()
        table[-4:] = x, out, rows, counters.ctypes.data
        return table


class Predicting:
    """Predictions of a recipe, with the values in `memory`. Threads may call it at once while nobody changes these."""

    def __init__(self, recipe: Recipe, memory: Memory, maps: Sequence[ColumnMap] = ()) -> None:
        self._recipe, self._memory, self._maps = recipe, memory, maps
        last = recipe.parts[-1]
        self._rows, self._result = recipe.parts[0].shape, last.layer.output_shape(last.shape)
        self._dtype = np.dtype(recipe.precision)
        self._free: dict[str, list[Forward]] = {"float32": [], "float64": []}
        self._threads, self._choice, self._choosing = Threads(), Choice(available()), threading.Lock()
        self._float32: _Few | None = None
        self._float64: _Few | None = None

    def __call__(self, x: Any) -> Any:
        """Predictions of a NumPy array [rows, ...]; None unless it has rows of the right shape and finite floats."""
        dtype = x.dtype
        few = self._float32 if dtype is _FLOAT32 else self._float64 if dtype is _FLOAT64 else None
        if few is None:
            few = self._opened(dtype)
        if few is None or x.ndim != few.rank:
            return None
        rows = len(x)
        if not 0 < rows <= few.rows:
            return self._many(x)
        out = np.empty((rows, *self._result), self._dtype)
        return None if few.call(x, out, few.table) else out

    def run(self, x: Any) -> Any:
        """Predictions [rows, outputs] of checked inputs: sparse rows, or an array of the recipe's precision."""
        if hasattr(x, "toarray"):
            pieces = (x[i : i + CHUNK].toarray() for i in range(0, x.shape[0], CHUNK))
            found = [self._predicted(np.ascontiguousarray(p, self._dtype))[0] for p in pieces]
            return np.concatenate(found) if found else np.empty((0, *self._result), self._dtype)
        return self._predicted(np.ascontiguousarray(x, self._dtype))[0]

    def plan(self) -> list[tuple[str, str]]:
        """How each part runs."""
        with self._forward(self._dtype.name) as forward:
            return [("predictions", "compiled"), *forward.section.plan()]

    def _many(self, x: Any) -> Any:
        """`__call__` for any number of rows of any layout."""
        if x.shape[1:] != self._rows or not len(x):
            return None
        out, is_bad = self._predicted(np.ascontiguousarray(x))
        return None if is_bad else out

    def _predicted(self, x: Any) -> tuple[Any, bool]:
        """Predictions, and whether a number wasn't finite; x is contiguous."""
        out = np.empty((len(x), *self._result), self._dtype)
        start, to = x.ctypes.data, out.ctypes.data
        with self._forward(x.dtype.name) as forward:
            if forward.in_cache and not forward.has_hooks:
                return out, self._shared(forward, start, to, len(x), x.dtype.name)
            forward.begin()
            for i in range(0, len(x), forward.chunk):
                places = (at + i * size for at, size in zip((start, to), forward.row_bytes, strict=True))
                forward.run(*places, min(forward.chunk, len(x) - i), self._threads)
            return out, forward.is_bad

    def _shared(self, forward: Forward, x: int, out: int, rows: int, given: str) -> bool:
        """Predict rows in as many threads as are quickest; gives whether a number wasn't finite."""
        run, helps = _code()[:2]
        counters = np.zeros(prediction_ir.COUNTERS, np.int64)
        several = rows * forward.work >= SHARED and rows > forward.chunk and self._choosing.acquire(blocking=False)
        with contextlib.ExitStack() as stack:
            helpers = []
            if several:
                stack.callback(self._choosing.release)
                count = min(self._choice.threads, -(-rows // forward.chunk))
                helpers = [stack.enter_context(self._forward(given)) for _ in range(count - 1)]
            begin = time.perf_counter()
            for helper in helpers:
                table = helper.table_for(x, out, rows, counters)
                with contextlib.suppress(RuntimeError):  # a thread that the system doesn't give isn't needed
                    _thread.start_new_thread(_help, (helps, table, counters))
            table = forward.table_for(x, out, rows, counters)
            run(table.ctypes.data)
            if several:
                self._choice.record(rows, time.perf_counter() - begin)
            return forward.is_bad or any(helper.is_bad for helper in helpers)

    @contextlib.contextmanager
    def _forward(self, given: str) -> Iterator[Forward]:
        """Tables and work arrays that nobody else uses meanwhile."""
        free = self._free[given]
        try:
            found = free.pop()
        except IndexError:
            found = Forward(self._recipe, self._memory, given, self._maps)
        try:
            yield found
        finally:
            free.append(found)

    def _opened(self, dtype: Any) -> _Few | None:
        """What predicts few rows of this type; None for a type that isn't taken."""
        if dtype == _FLOAT32:
            if self._float32 is None:
                self._float32 = _Few(Forward(self._recipe, self._memory, "float32", self._maps))
            return self._float32
        if dtype == _FLOAT64:
            if self._float64 is None:
                self._float64 = _Few(Forward(self._recipe, self._memory, "float64", self._maps))
            return self._float64
        return None


class _Few:
    """What predicts up to `rows` rows of arrays with `rank` axes, under the interpreter's lock."""

    def __init__(self, forward: Forward) -> None:
        self.rank, self.rows, self.table, self.call = forward.rank, 0, 0, _code()[2]
        if not forward.has_hooks and not _FREE_THREADED:
            self._forward = forward
            self.rows, self.table = max(1, int(FEW / forward.work)), int(forward.table.ctypes.data)


_FLOAT32, _FLOAT64 = np.dtype("float32"), np.dtype("float64")
_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
"""Whether threads run Python at once, so that no lock keeps them from the same work arrays."""


def _help(helps: Any, table: Any, counters: Any) -> None:
    """A thread that helps. It may come to run when all is over: `counters` says so, and it keeps them alive."""
    helps(table.ctypes.data)


@functools.cache
def _code() -> tuple[Any, Any, Any]:
    """The functions `run`, `help` and `call`."""
    code = compiler.load(prediction_ir.module())
    plain = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    held = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.py_object, ctypes.c_void_p)
    return plain(code.address("run")), plain(code.address("help")), held(code.address("call"))


@functools.cache
def _python() -> dict[str, int]:
    """Addresses of Python's functions for buffers, by the words of a table."""
    python = ctypes.pythonapi
    found = {
        "get_buffer": python.PyObject_GetBuffer, "release_buffer": python.PyBuffer_Release,
        "clear_error": python.PyErr_Clear,
    }  # fmt: skip
    return {name: int(ctypes.cast(f, ctypes.c_void_p).value or 0) for name, f in found.items()}
