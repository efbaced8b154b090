"""How compiled code goes through the rows of a prediction, as LLVM IR: in chunks, alone or with other threads.

All functions take a table, an array of int64 words: `WORDS` says where each lies. A table belongs to one set of work
arrays, so it serves one thread at a time.

* `call(X, out, table)` reads the rows of one Python object and writes into another, both C-contiguous buffers. The
  caller holds the interpreter's lock; while many rows are predicted others get it. Answers 0, or 1 where the buffers
  don't fit or a number isn't finite.
* `run(table)` predicts `rows` rows from `x` on, and returns when all of them are done, by whomever.
* `help(table)` takes part in that with a table of its own, in another thread: who is free takes the next rows. The
  first of the two `counters` says which rows are free, the second how many are done; they lie 128 bytes apart.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from deepmath_numpy.driver_ir import I64, POINTER, VOID, Builder, relax_of
from deepmath_numpy.lowering import ROWS

__all__ = ["COUNTERS", "WORDS", "module"]

WORDS = {
    name: i
    for i, name in enumerate((
        "execute", "job", "launch", "numbers", "inputs", "input_count", "outputs", "output_count", "input_bytes",
        "output_bytes", "rank", "chunk", "bad", "few", "get_buffer", "release_buffer", "clear_error", "save_thread",
        "restore_thread", "x", "out", "rows", "counters",
    ))
}  # fmt: skip
"""Where a table's words lie. `execute` and `job`: the driver's. `launch`, `numbers`: what its one launch reads.

`inputs`, `outputs`: addresses of the words that say where rows begin, so many. `input_bytes`, `output_bytes`: of a row.
`rank`: axes of the inputs. `chunk`: rows at a time. `bad`: the address of a word that becomes 1 where a number isn't
finite. `few`: rows up to which `call` keeps the interpreter's lock. Five functions of Python's. The last four tell what
`run` and `help` work on.
"""
COUNTERS = 32
"""How many words `counters` has."""
DONE = 16

I32, DOUBLE = ir.IntType(32), ir.DoubleType()
VIEW, RANK_OF_VIEW = 10, 9
"""A `Py_buffer` has so many words; its number of axes is an int32 that lies so many of them from the beginning."""
READ, WRITE = 0x38, 0x39
"""Python's flags for a C-contiguous buffer with its shape, to be read or to be written."""


def module() -> str:
    """The text of the module."""
    text = ir.Module("prediction")
    text.triple = llvm.get_process_triple()
    chunk = _chunk(text)
    helps = _help(text, chunk)
    _run(text, helps, relax_of(text))
    _call(text, chunk)
    return str(text)


def _word(b: Builder, table: Any, name: str) -> Any:
    return b.get(table, WORDS[name])


def _pointer(b: Builder, table: Any, name: str) -> Any:
    return b.inttoptr(_word(b, table, name), POINTER)


def _chunk(text: Any) -> Any:
    """chunk(table, x, out, n): predict n rows that lie at these addresses."""
    b = Builder(text, "chunk", [POINTER, I64, I64, I64])
    table, x, out, n = b.made.args
    for address, name, count in ((x, "inputs", "input_count"), (out, "outputs", "output_count")):
        places = _pointer(b, table, name)
        with b.loop(I64(0), _word(b, table, count), I64(1)) as i:
            b.store(address, b.pointer(places, i))
    b.put(n, _pointer(b, table, "launch"), 2)
    rows = b.word(_pointer(b, table, "numbers"), ROWS)
    b.store(b.sitofp(n, DOUBLE), b.bitcast(rows, DOUBLE.as_pointer()))
    execute = b.inttoptr(_word(b, table, "execute"), ir.FunctionType(VOID, [POINTER]).as_pointer())
    b.call(execute, [_pointer(b, table, "job")])
    b.ret_void()
    return b.made


def _help(text: Any, chunk: Any) -> Any:
    """help(table): predict the next rows that nobody has taken, until there are none."""
    b = Builder(text, "help", [POINTER], public=True)
    (table,) = b.made.args
    counters, rows, step = _pointer(b, table, "counters"), _word(b, table, "rows"), _word(b, table, "chunk")
    with b.forever() as leave:
        start = b.atomic_rmw("add", b.word(counters, 0), step, "monotonic")
        b.leave_if(b.icmp_signed(">=", start, rows), leave)
        n = b.least(step, b.sub(rows, start))
        x, out = (
            b.add(_word(b, table, name), b.mul(start, _word(b, table, size)))
            for name, size in (("x", "input_bytes"), ("out", "output_bytes"))
        )
        b.call(chunk, [table, x, out, n])
        b.atomic_rmw("add", b.word(counters, DONE), n, "release")
    b.ret_void()
    return b.made


def _run(text: Any, helps: Any, relax: Any) -> None:
    b = Builder(text, "run", [POINTER], public=True)
    (table,) = b.made.args
    counters, rows = _pointer(b, table, "counters"), _word(b, table, "rows")
    b.call(helps, [table])
    looks = b.variable(I64(0))
    with b.forever() as leave:
        done = b.load_atomic(b.word(counters, DONE), "acquire", 8)
        b.leave_if(b.icmp_signed("==", done, rows), leave)
        b.call(relax, [b.load(looks)])
        b.increase(looks, I64(1))
    b.ret_void()


def _call(text: Any, chunk: Any) -> None:
    b = Builder(text, "call", [POINTER, POINTER, POINTER], I32, public=True)
    inputs, outputs, table = b.made.args
    given, taken = (b.alloca(I64, VIEW) for _ in range(2))
    get = b.inttoptr(_word(b, table, "get_buffer"), ir.FunctionType(I32, [POINTER, POINTER, I32]).as_pointer())
    release = b.inttoptr(_word(b, table, "release_buffer"), ir.FunctionType(VOID, [POINTER]).as_pointer())
    clear = b.inttoptr(_word(b, table, "clear_error"), ir.FunctionType(VOID, []).as_pointer())

    def need(array: Any, view: Any, flags: int, held: Any = None) -> None:
        with b.if_then(b.icmp_signed("!=", b.call(get, [array, view, I32(flags)]), I32(0))):
            if held is not None:
                b.call(release, [held])
            b.call(clear, [])
            b.ret(I32(1))

    need(inputs, given, READ)
    need(outputs, taken, WRITE, given)
    status = b.variable(I64(1))
    rank = b.load(b.gep(b.bitcast(given, I32.as_pointer()), [I64(RANK_OF_VIEW)]))
    with b.if_then(b.icmp_signed("==", b.sext(rank, I64), _word(b, table, "rank"))):
        rows = b.get(b.pointer(given, 6), 0)
        x, out = b.get(given, 0), b.get(taken, 0)
        input_bytes, output_bytes = (_word(b, table, name) for name in ("input_bytes", "output_bytes"))
        fits = b.and_(*(
            b.icmp_signed("==", b.get(view, 2), b.mul(rows, size))
            for view, size in ((given, input_bytes), (taken, output_bytes))
        ))  # fmt: skip
        with b.if_then(fits):
            bad, step = _pointer(b, table, "bad"), _word(b, table, "chunk")
            b.put(I64(0), bad, 0)
            is_long = b.icmp_signed(">", rows, _word(b, table, "few"))
            state = b.variable(I64(0))
            with b.if_then(is_long):
                save = b.inttoptr(_word(b, table, "save_thread"), ir.FunctionType(I64, []).as_pointer())
                b.store(b.call(save, []), state)
            with b.loop(I64(0), rows, step) as start:
                places = (b.add(at, b.mul(start, size)) for at, size in ((x, input_bytes), (out, output_bytes)))
                b.call(chunk, [table, *places, b.least(step, b.sub(rows, start))])
            with b.if_then(is_long):
                restore = b.inttoptr(_word(b, table, "restore_thread"), ir.FunctionType(VOID, [I64]).as_pointer())
                b.call(restore, [b.load(state)])
            b.store(b.get(bad, 0), status)
    b.call(release, [taken])
    b.call(release, [given])
    b.ret(b.trunc(b.load(status), I32))
