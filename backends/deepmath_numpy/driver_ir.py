"""The driver's code, as LLVM IR: `execute(job)` for the main thread, `worker(job)` for those that help it.

Both take a job, an array of int64 words: `WORDS` says where each lies. The tables that it points to are told in
`driver.py`.

How a phase is shared. The main thread writes down the phase and then, with release, how many shares are `left`. Who
takes part counts `left` down by one, with acquire, and has a share only if it was above zero. Which share that is gets
read after it, never before: the main thread doesn't touch that again until all shares are done. So a worker that comes
late, or slept since it looked at an earlier phase, either finds nothing or takes a true share of the phase that runs
now; `left` may fall below zero, the next phase sets it anew. Each worker adds what it did to `done`, with release; the
main thread waits, with acquire, until `done` counts all that it hasn't done itself. So no share is lost or done twice,
and every phase sees what the phases before it wrote.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

__all__ = ["JOB_WORDS", "WORDS", "Builder", "module", "relax_of"]

WORDS = {
    "calls": 0, "groups": 1, "phases": 2, "launches": 3, "count": 4, "c": 5, "numbers": 6, "width": 7, "threads": 8,
    "due": 9, "flush": 10, "left": 32, "phase": 33, "n": 34, "total": 35, "done": 48, "over": 64,
}  # fmt: skip
"""Where a job's words lie. What several threads write lies 128 bytes apart: two cache lines are fetched at once."""
JOB_WORDS = 80
SPINS = 64
"""How often a thread that waits looks again at once, for a few microseconds at most, before it lets others run."""
PATIENCE = 1 << 21
"""How often a worker looks before it believes that its main thread never comes: about a second."""

I64, VOID = ir.IntType(64), ir.VoidType()
POINTER, BYTES = I64.as_pointer(), ir.IntType(8).as_pointer()
KERNEL = ir.FunctionType(VOID, [POINTER, POINTER, *[I64] * 5]).as_pointer()


def module() -> str:
    """The text of the module."""
    text = ir.Module("driver")
    text.triple = llvm.get_process_triple()
    relax = relax_of(text)
    block = _block(text)
    alone, share, count = _alone(text, block), _share(text, block), _count(text)
    take_part = _take_part(text, share)
    shared = _shared(text, alone, count, take_part, relax)
    _execute(text, alone, shared)
    _worker(text, take_part, relax)
    return str(text)


class Builder(ir.IRBuilder):  # type: ignore[misc]
    """Writes one function, with the few forms that the driver is made of."""

    def __init__(self, text: Any, name: str, kinds: Sequence[Any], result: Any = VOID, public: bool = False) -> None:
        self.made = ir.Function(text, ir.FunctionType(result, list(kinds)), name)
        if not public:
            self.made.linkage = "internal"
        super().__init__(self.made.append_basic_block("entry"))

    def word(self, table: Any, place: Any) -> Any:
        """The address of a word: its place in a table, or its name in a job."""
        if isinstance(place, str):
            place = WORDS[place]
        return self.gep(table, [I64(place) if isinstance(place, int) else place])

    def get(self, table: Any, place: Any) -> Any:
        return self.load(self.word(table, place))

    def put(self, value: Any, table: Any, place: Any) -> None:
        self.store(value, self.word(table, place))

    def pointer(self, table: Any, place: Any) -> Any:
        """A word that is an address."""
        return self.inttoptr(self.get(table, place), POINTER)

    def row(self, table: Any, index: Any, width: int) -> Any:
        """The address of a table's row."""
        return self.gep(table, [self.mul(index, I64(width))])

    def variable(self, value: Any) -> Any:
        with self.goto_entry_block():  # in a loop it would take new stack each time
            place = self.alloca(I64)
        self.store(value, place)
        return place

    def increase(self, variable: Any, by: Any) -> None:
        self.store(self.add(self.load(variable), by), variable)

    def least(self, x: Any, y: Any) -> Any:
        return self.select(self.icmp_signed("<", x, y), x, y)

    def unless_negative(self, x: Any, otherwise: Any) -> Any:
        return self.select(self.icmp_signed("<", x, I64(0)), otherwise, x)

    def blocks(self, size: Any, block: Any) -> Any:
        """How many blocks cover a size."""
        return self.sdiv(self.add(size, self.sub(block, I64(1))), block)

    @contextlib.contextmanager
    def loop(self, start: Any, end: Any, step: Any) -> Iterator[Any]:
        """for (i = start; i < end; i += step)"""
        i = self.variable(start)
        with self.forever() as leave:
            now = self.load(i)
            self.leave_if(self.icmp_signed(">=", now, end), leave)
            yield now
            self.increase(i, step)

    @contextlib.contextmanager
    def forever(self) -> Iterator[Any]:
        """A loop; it ends by `leave_if` with what this gives."""
        again, leave = self.append_basic_block("again"), self.append_basic_block("leave")
        self.branch(again)
        self.position_at_end(again)
        yield leave
        self.branch(again)
        self.position_at_end(leave)

    def leave_if(self, condition: Any, leave: Any) -> None:
        stay = self.append_basic_block("stay")
        self.cbranch(condition, leave, stay)
        self.position_at_end(stay)


def _block(text: Any) -> Any:
    """block(job, group, n, r0, c0): the group's calls, one after the other, on the block that begins at (r0, c0)."""
    b = Builder(text, "block", [POINTER, POINTER, I64, I64, I64])
    job, group, n, r0, c0 = b.made.args
    first, end, rows, row_block, columns, column_block = (b.get(group, i) for i in range(6))
    rows, whole = b.unless_negative(rows, n), b.icmp_signed("<=", columns, column_block)
    r1, c1 = b.least(b.add(r0, row_block), rows), b.add(c0, column_block)
    calls, c = b.pointer(job, "calls"), b.pointer(job, "c")
    with b.loop(first, end, I64(1)) as i:
        call = b.row(calls, i, 5)
        kernel, a, m, own_columns, own_rows = (b.get(call, place) for place in range(5))
        own_rows = b.unless_negative(own_rows, b.mul(n, m))
        own_r0, own_r1 = (b.least(b.mul(r, m), own_rows) for r in (r0, r1))
        own_c0, own_c1 = b.least(c0, own_columns), b.least(b.select(whole, own_columns, c1), own_columns)
        with b.if_then(b.icmp_signed("<", own_r0, own_r1)):
            b.call(b.inttoptr(kernel, KERNEL), [b.inttoptr(a, POINTER), c, n, own_r0, own_r1, own_c0, own_c1])
    b.ret_void()
    return b.made


def _alone(text: Any, block: Any) -> Any:
    """alone(job, phase, n): all blocks of a phase in this thread; without divisions, which would take half the time."""
    b = Builder(text, "alone", [POINTER, POINTER, I64])
    job, phase, n = b.made.args
    groups = b.pointer(job, "groups")
    with b.loop(b.get(phase, 0), b.get(phase, 1), I64(1)) as i:
        group = b.row(groups, i, 6)
        rows = b.unless_negative(b.get(group, 2), n)
        with (
            b.loop(I64(0), b.get(group, 4), b.get(group, 5)) as c0,
            b.loop(I64(0), rows, b.get(group, 3)) as r0,
        ):
            b.call(block, [job, group, n, r0, c0])
    b.ret_void()
    return b.made


def _count(text: Any) -> Any:
    """count(group, n): the number of a group's shares."""
    b = Builder(text, "count", [POINTER, I64], I64)
    group, n = b.made.args
    rows = b.blocks(b.unless_negative(b.get(group, 2), n), b.get(group, 3))
    b.ret(b.mul(rows, b.blocks(b.get(group, 4), b.get(group, 5))))
    return b.made


def _share(text: Any, block: Any) -> Any:
    """share(job, index): a share of the phase that runs; blocks of rows count fastest, so columns stay in the cache."""
    b = Builder(text, "share", [POINTER, I64])
    job, index = b.made.args
    n, groups = b.get(job, "n"), b.pointer(job, "groups")
    number, ahead = b.variable(b.get(b.pointer(job, "phase"), 0)), b.variable(index)
    with b.forever() as leave:
        group = b.row(groups, b.load(number), 6)
        rows = b.blocks(b.unless_negative(b.get(group, 2), n), b.get(group, 3))
        shares = b.mul(rows, b.blocks(b.get(group, 4), b.get(group, 5)))
        before = b.load(ahead)
        with b.if_then(b.icmp_signed("<", before, shares)):
            r0 = b.mul(b.srem(before, rows), b.get(group, 3))
            c0 = b.mul(b.sdiv(before, rows), b.get(group, 5))
            b.call(block, [job, group, n, r0, c0])
        b.leave_if(b.icmp_signed("<", before, shares), leave)
        b.increase(ahead, b.neg(shares))
        b.increase(number, I64(1))
    b.ret_void()
    return b.made


def _take_part(text: Any, share: Any) -> Any:
    """take_part(job): do shares of the phase that runs until none is left; answers how many."""
    b = Builder(text, "take_part", [POINTER], I64)
    (job,) = b.made.args
    mine = b.variable(I64(0))
    with b.forever() as leave:
        left = b.atomic_rmw("sub", b.word(job, "left"), I64(1), "acquire")
        b.leave_if(b.icmp_signed("<=", left, I64(0)), leave)
        b.call(share, [job, b.sub(b.get(job, "total"), left)])
        b.increase(mine, I64(1))
    b.ret(b.load(mine))
    return b.made


def _shared(text: Any, alone: Any, count: Any, take_part: Any, relax: Any) -> Any:
    """shared(job, phase, n): a phase that workers may help with; returns when all of it is done."""
    b = Builder(text, "shared", [POINTER, POINTER, I64])
    job, phase, n = b.made.args
    groups, shares = b.pointer(job, "groups"), b.variable(I64(0))
    with b.loop(b.get(phase, 0), b.get(phase, 1), I64(1)) as i:
        b.increase(shares, b.call(count, [b.row(groups, i, 6), n]))
    total = b.load(shares)
    with b.if_then(b.icmp_signed("<=", total, I64(1))):
        b.call(alone, [job, phase, n])
        b.ret_void()
    for value, name in ((b.ptrtoint(phase, I64), "phase"), (n, "n"), (total, "total")):
        b.put(value, job, name)
    b.store_atomic(total, b.word(job, "left"), "release", 8)
    mine = b.call(take_part, [job])
    due = b.add(b.get(job, "due"), b.sub(total, mine))
    b.put(due, job, "due")
    looks = b.variable(I64(0))
    with b.forever() as leave:
        b.leave_if(b.icmp_signed("==", b.load_atomic(b.word(job, "done"), "acquire", 8), due), leave)
        b.call(relax, [b.load(looks)])
        b.increase(looks, I64(1))
    b.ret_void()
    return b.made


@contextlib.contextmanager
def _flushed(b: Builder, text: Any, job: Any) -> Iterator[None]:
    """Where the job says so, numbers below the smallest normal one count as zero in this thread, and then no more.

    Processors need many times as long for them, and the moments of a weight that has stopped learning pass through
    them. Elsewhere than on x86 nothing changes.
    """
    if not text.triple.startswith("x86_64"):
        yield
        return
    bits = ir.IntType(32)
    store, load = (
        text.declare_intrinsic(f"llvm.x86.sse.{n}mxcsr", (), ir.FunctionType(VOID, [BYTES])) for n in ("st", "ld")
    )
    word = b.bitcast(b.variable(I64(0)), bits.as_pointer())
    b.call(store, [b.bitcast(word, BYTES)])
    before = b.load(word)
    zeroing = b.select(b.icmp_signed("!=", b.get(job, "flush"), I64(0)), bits(0x8040), bits(0))
    b.store(b.or_(before, zeroing), word)  # flush what results, and take what comes for zero
    b.call(load, [b.bitcast(word, BYTES)])
    yield
    b.store(before, word)
    b.call(load, [b.bitcast(word, BYTES)])


def _execute(text: Any, alone: Any, shared: Any) -> None:
    """execute(job): all launches; then workers may go, at once and not only when Python has its lock again."""
    b = Builder(text, "execute", [POINTER], public=True)
    (job,) = b.made.args
    phases, launches, numbers, c = (b.pointer(job, name) for name in ("phases", "launches", "numbers", "c"))
    width, together = b.get(job, "width"), b.icmp_signed(">", b.get(job, "threads"), I64(1))
    with _flushed(b, text, job), b.loop(I64(0), b.get(job, "count"), I64(1)) as i:
        launch = b.row(launches, i, 4)
        first, end, n, row = (b.get(launch, place) for place in range(4))
        start = b.mul(row, width)
        with b.loop(I64(0), width, I64(1)) as j:
            b.put(b.get(numbers, b.add(start, j)), c, j)
        with b.loop(first, end, I64(1)) as number:
            phase = b.row(phases, number, 3)
            with b.if_else(b.and_(together, b.icmp_signed("!=", b.get(phase, 2), I64(0)))) as (several, one):
                with several:
                    b.call(shared, [job, phase, n])
                with one:
                    b.call(alone, [job, phase, n])
    b.store_atomic(I64(1), b.word(job, "over"), "release", 8)
    b.ret_void()


def _worker(text: Any, take_part: Any, relax: Any) -> None:
    """worker(job): help with every phase that has shares left, until the job is over."""
    b = Builder(text, "worker", [POINTER], public=True)
    (job,) = b.made.args
    looks = b.variable(I64(0))
    with _flushed(b, text, job), b.forever() as leave:
        with b.if_then(b.icmp_signed(">", b.load_atomic(b.word(job, "left"), "monotonic", 8), I64(0))):
            mine = b.call(take_part, [job])
            with b.if_then(b.icmp_signed(">", mine, I64(0))):
                b.atomic_rmw("add", b.word(job, "done"), mine, "release")
                b.store(I64(0), looks)
        over = b.load_atomic(b.word(job, "over"), "monotonic", 8)
        waited = b.load(looks)
        tired = b.icmp_signed(">", waited, I64(PATIENCE))
        b.leave_if(b.or_(b.icmp_signed("!=", over, I64(0)), tired), leave)
        b.call(relax, [waited])
        b.increase(looks, I64(1))
    b.ret_void()


def relax_of(text: Any) -> Any:
    """relax(looks): what a thread does between two looks; at first it only pauses, then others get the core."""
    lets_run = ir.Function(
        text,
        ir.FunctionType(ir.IntType(32), []),
        "SwitchToThread" if sys.platform == "win32" else "sched_yield",
    )
    b = Builder(text, "relax", [I64])
    (looks,) = b.made.args
    with b.if_else(b.icmp_signed("<", looks, I64(SPINS))) as (early, late):
        with early:
            _pause(b, text)
        with late:
            b.call(lets_run, [])
    b.ret_void()
    return b.made


def _pause(b: Builder, text: Any) -> None:
    """The processor's own word for a short wait, where it has one."""
    if text.triple.startswith(("x86_64", "i686")):
        b.call(ir.Function(text, ir.FunctionType(VOID, []), "llvm.x86.sse2.pause"), [])
    elif text.triple.startswith(("aarch64", "arm64")):
        whole = ir.IntType(32)
        b.call(ir.Function(text, ir.FunctionType(VOID, [whole]), "llvm.aarch64.isb"), [whole(15)])
