"""Predictions: rows in, rows out, from a single row to millions, in any number of threads at once.

A `Forward` is one set of tables and work arrays, for one thread at a time. Rows are cut into chunks whose work arrays
stay in the cache, and one call of compiled code takes the Python objects as they are. Threads that share many rows each
take the next chunk with a set of their own. Where the weights don't fit the cache, threads share each product instead,
and where a layer runs by Python, one thread does all. A row's bits depend on none of this.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import functools
import math
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepmath.program import ColumnMap, Recipe
from deepmath.step_graph import prediction_graph
from deepmath_numpy import compiler, prediction_ir
from deepmath_numpy.driver import execute_address
from deepmath_numpy.hooks import CHUNK, Hooks, dense_rows
from deepmath_numpy.inputs import Inputs
from deepmath_numpy.lowering import LAUNCH, ROWS
from deepmath_numpy.memory import Memory
from deepmath_numpy.schedule import ALL, IN_CACHE
from deepmath_numpy.section import Section, calls_in, nodes_named
from deepmath_numpy.threads import Choice, Threads, available

LEAST, NEAR = 64, 3 << 14
"""Elsewhere a chunk has so many rows at least, and work arrays of about so many bytes, which near caches hold."""
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
        self.row_shape = recipe.parts[0].shape

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
        calls = inputs.calls(section.placeholder(source), section.places[node.number].address, node.number)
        phases = section.phases([*calls, *section.items])
        if self.chunk < CHUNK:  # all of it is one block of rows
            for group in (g for phase in phases for g in phase.groups if g.rows == -1):
                group.row_block = ALL
        section.finish(phases)
        return section, source

    @property
    def few(self) -> int:
        """Rows that take no longer than others can wait."""
        return max(1, int(FEW / self.work))

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
        words |= {"numbers": self.numbers.ctypes.data, "rank": 1 + len(self.row_shape)}
        words |= {"chunk": self.chunk, "few": self.few}
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

    @functools.cached_property
    def address(self) -> int:
        """Where the table lies."""
        return int(self.table.ctypes.data)


class Predicting:
    """Predictions of a recipe, with the values in `memory`. Threads may call it at once while nobody changes these."""

    def __init__(self, recipe: Recipe, memory: Memory, maps: Sequence[ColumnMap] = ()) -> None:
        last = recipe.parts[-1]
        self._rows, self._result = recipe.parts[0].shape, last.layer.output_shape(last.shape)
        self._dtype, self._rank = np.dtype(recipe.precision), 1 + len(self._rows)
        self._float32, self._float64 = (_Kind(recipe, memory, given, maps) for given in ("float32", "float64"))
        self._own = self._float32 if recipe.precision == "float32" else self._float64
        self._threads, self._choice, self._choosing = Threads(), Choice(available()), threading.Lock()

    def __call__(self, x: Any) -> Any:
        """Predictions of a NumPy array [rows, ...]; None unless it has rows of the right shape and finite floats."""
        dtype = x.dtype
        kind = self._float32 if dtype is _FLOAT32 else self._float64 if dtype is _FLOAT64 else self._kind(dtype)
        if kind is None or x.ndim != self._rank:
            return None
        rows = len(x)
        if not 0 < rows <= kind.few:
            if x.shape[1:] != self._rows or not rows:
                return None
            out, is_bad = self._predicted(kind, np.ascontiguousarray(x))
            return None if is_bad else out
        out, forward = np.empty((rows, *self._result), self._dtype), kind.take()
        status = kind.call(x, out, forward.address)
        kind.free.append(forward)
        return None if status else out

    def run(self, x: Any) -> Any:
        """Predictions [rows, outputs] of checked inputs: sparse rows, or an array of the recipe's precision."""
        if hasattr(x, "toarray"):
            rows = dense_rows(x.shape[1])
            pieces = (x[i : i + rows].toarray() for i in range(0, x.shape[0], rows))
            found = [self._predicted(self._own, np.ascontiguousarray(p, self._dtype))[0] for p in pieces]
            return np.concatenate(found) if found else np.empty((0, *self._result), self._dtype)
        return self._predicted(self._own, np.ascontiguousarray(x, self._dtype))[0]

    def plan(self) -> list[tuple[str, str]]:
        """How each part runs."""
        forward = self._own.take()
        self._own.free.append(forward)
        return [("predictions", "compiled"), *forward.section.plan()]

    def _kind(self, dtype: Any) -> _Kind | None:
        """What predicts rows of this type, which needn't be NumPy's own object; None for a type that isn't taken."""
        return self._float32 if dtype == _FLOAT32 else self._float64 if dtype == _FLOAT64 else None

    def _predicted(self, kind: _Kind, x: Any) -> tuple[Any, bool]:
        """Predictions, and whether a number wasn't finite; x is contiguous."""
        rows = len(x)
        out = np.empty((rows, *self._result), self._dtype)
        forward = kind.take()
        try:
            if forward.in_cache and not forward.has_hooks:
                if rows * forward.work < SHARED or rows <= forward.chunk or not self._choosing.acquire(blocking=False):
                    return out, bool(kind.call(x, out, forward.address))
                try:
                    return out, self._shared(kind, forward, x.ctypes.data, out.ctypes.data, rows)
                finally:
                    self._choosing.release()
            forward.begin()
            for i in range(0, rows, forward.chunk):
                source, to = (a.ctypes.data + i * n for a, n in zip((x, out), forward.row_bytes, strict=True))
                forward.run(source, to, min(forward.chunk, rows - i), self._threads)
            return out, forward.is_bad
        finally:
            kind.free.append(forward)

    def _shared(self, kind: _Kind, forward: Forward, x: int, out: int, rows: int) -> bool:
        """Predict rows in as many threads as are quickest; gives whether a number wasn't finite."""
        begin = time.perf_counter()
        count = min(self._choice.threads, -(-rows // forward.chunk))
        run, helps = _code()[:2]
        counters, helpers = np.zeros(prediction_ir.COUNTERS, np.int64), [kind.take() for _ in range(count - 1)]
        try:
            for helper in helpers:
                table = helper.table_for(x, out, rows, counters)
                with contextlib.suppress(RuntimeError):  # a thread that the system doesn't give isn't needed
                    _thread.start_new_thread(_help, (helps, table, counters))
            table = forward.table_for(x, out, rows, counters)
            run(table.ctypes.data)
            is_bad = forward.is_bad or any(helper.is_bad for helper in helpers)
        finally:
            kind.free.extend(helpers)
        self._choice.record(rows, time.perf_counter() - begin)
        return is_bad


class _Kind:
    """What predicts rows of one type. Others can wait for the interpreter's lock while `few` rows are predicted."""

    few = 0
    call: Any = None

    def __init__(self, recipe: Recipe, memory: Memory, given: str, maps: Sequence[ColumnMap]) -> None:
        self._make = functools.partial(Forward, recipe, memory, given, maps)
        self.free: list[Forward] = []

    def take(self) -> Forward:
        """Tables and work arrays that nobody else uses until they are put back among the free."""
        try:
            return self.free.pop()
        except IndexError:
            made = self._make()
            self.call = _code()[2]
            if not made.has_hooks and len(made.row_shape) == 1:
                self.few = made.few
            return made


_FLOAT32, _FLOAT64 = np.dtype("float32"), np.dtype("float64")


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
        "clear_error": python.PyErr_Clear, "save_thread": python.PyEval_SaveThread,
        "restore_thread": python.PyEval_RestoreThread,
    }  # fmt: skip
    return {name: int(ctypes.cast(f, ctypes.c_void_p).value or 0) for name, f in found.items()}
