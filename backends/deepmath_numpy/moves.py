"""Kernels that move numbers, printed as LLVM IR: rows by their numbers, blocks with strides, sums of results.

All have the signature of every kernel, `void (i64 *a, double *c, i64 n, i64 r0, i64 r1, i64 c0, i64 c1)`; what `a`
holds stands beside each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

I8, I64, DOUBLE, POINTER = ir.IntType(8), ir.IntType(64), ir.DoubleType(), ir.PointerType()
KERNEL = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, I64, I64, I64, I64, I64])
RANK = 4
"""The axes of a block that is copied, within a row of the batch."""


def module(precision: str) -> str:
    """The module of all these kernels for one precision."""
    made = ir.Module("moves")
    number = ir.FloatType() if precision == "float32" else DOUBLE
    _gather(made)
    _shares(made, number)
    _collect(made, number)
    _penalties(made, number)
    for bits in (8, 32, 64):
        _copy(made, bits)
    return str(made)


class _Writer:
    """A kernel under construction, and the words of `a`."""

    def __init__(self, module: Any, name: str) -> None:
        function = ir.Function(module, KERNEL, name)
        self.b = ir.IRBuilder(function.append_basic_block())
        self.a, self.c, self.n, self.r0, self.r1, _, _ = function.args

    def word(self, i: int) -> Any:
        return self.b.load(self.b.gep(self.a, [I64(i)], source_etype=I64), typ=I64)

    def number(self, place: Any) -> Any:
        """A whole number in c."""
        value = self.b.load(self.b.gep(self.c, [place], source_etype=DOUBLE), typ=DOUBLE)
        return self.b.fptosi(value, I64)

    def at(self, address: Any, index: Any, kind: Any) -> Any:
        return self.b.gep(self.b.inttoptr(address, POINTER), [index], source_etype=kind)

    def load(self, address: Any, index: Any, kind: Any) -> Any:
        return self.b.load(self.at(address, index, kind), typ=kind)

    @contextmanager
    def loop(self, start: Any, stop: Any) -> Iterator[Any]:
        """A loop over start, start + 1, ... below stop."""
        b = self.b
        before, body, after = b.block, b.append_basic_block(), b.append_basic_block()
        b.cbranch(b.icmp_signed("<", start, stop), body, after)
        b.position_at_end(body)
        index = b.phi(I64)
        index.add_incoming(start, before)
        yield index
        following = b.add(index, I64(1))
        index.add_incoming(following, b.block)
        b.cbranch(b.icmp_signed("<", following, stop), body, after)
        b.position_at_end(after)


def _gather(made: Any) -> None:
    """Rows by their numbers: a = [source, bytes between its rows, destination, bytes between its rows, bytes of a row,
    numbers of rows (int64), place in c of where they begin]."""
    w = _Writer(made, "gather")
    b = w.b
    source, apart, out, out_apart, size, rows, offset = (w.word(i) for i in range(7))
    first = w.number(offset)
    copy = made.declare_intrinsic("llvm.memcpy", [POINTER, POINTER, I64])
    with w.loop(w.r0, w.r1) as r:
        row = w.load(rows, b.add(first, r), I64)
        target, origin = w.at(out, b.mul(r, out_apart), I8), w.at(source, b.mul(row, apart), I8)
        b.call(copy, [target, origin, size, ir.IntType(1)(0)])
    b.ret_void()


def _shares(made: Any, number: Any) -> None:
    """The rows' shares in the program's precision: a = [shares (float64), destination, place in c of the first]."""
    w = _Writer(made, "shares")
    b = w.b
    source, out, offset = (w.word(i) for i in range(3))
    first = w.number(offset)
    with w.loop(w.r0, w.r1) as r:
        value = w.load(source, b.add(first, r), DOUBLE)
        b.store(value if number == DOUBLE else b.fptrunc(value, number), w.at(out, r, number))
    b.ret_void()


def _collect(made: Any, number: Any) -> None:
    """The sums of a launch's results, in float64 and row by row; a row whose share is 0 counts nowhere.

    a = [shares, weights (float64), sums (float64), place in c of where they begin, place in c of the row of `sums`,
    numbers in such a row, how many results, results, numbers between two results]. sums[row, 1 + k] = the sum of
    shares times result 0, of weights times the others.
    """
    w = _Writer(made, "collect")
    b = w.b
    shares, weights, out, offset, row, width, count, results, apart = (w.word(i) for i in range(9))
    first = w.number(offset)
    to = b.add(b.mul(w.number(row), width), I64(1))
    total = b.alloca(DOUBLE)
    with w.loop(I64(0), count) as k:
        b.store(DOUBLE(0.0), total)
        factors = b.select(b.icmp_signed("==", k, I64(0)), shares, weights)
        with w.loop(I64(0), w.n) as r:
            at = b.add(first, r)
            with b.if_then(b.fcmp_ordered(">", w.load(shares, at, DOUBLE), DOUBLE(0.0))):
                value = w.load(results, b.add(b.mul(k, apart), r), number)
                value = value if number == DOUBLE else b.fpext(value, DOUBLE)
                product = b.fmul(w.load(factors, at, DOUBLE), value)
                b.store(b.fadd(b.load(total, typ=DOUBLE), product), total)
        b.store(b.load(total, typ=DOUBLE), w.at(out, b.add(to, k), DOUBLE))
    b.ret_void()


def _penalties(made: Any, number: Any) -> None:
    """sums[row, 0] = the sum of the penalties, in float64: a = [sums, place in c of the row, numbers in such a row, how
    many penalties, penalties, numbers between two]."""
    w = _Writer(made, "penalties")
    b = w.b
    out, row, width, count, given, apart = (w.word(i) for i in range(6))
    total = b.alloca(DOUBLE)
    b.store(DOUBLE(0.0), total)
    with w.loop(I64(0), count) as k:
        value = w.load(given, b.mul(k, apart), number)
        value = value if number == DOUBLE else b.fpext(value, DOUBLE)
        b.store(b.fadd(b.load(total, typ=DOUBLE), value), total)
    b.store(b.load(total, typ=DOUBLE), w.at(out, b.mul(w.number(row), width), DOUBLE))
    b.ret_void()


def _copy(made: Any, bits: int) -> None:
    """A block of numbers of so many bits, for each row of the batch: a = [destination, numbers between its rows, its
    offset, source, numbers between its rows, its offset, four dimensions, four strides of the destination, four of the
    source]."""
    w = _Writer(made, f"copy{bits}")
    b, kind = w.b, ir.IntType(bits)
    out, out_apart, out_offset, source, apart, offset = (w.word(i) for i in range(6))
    dims, steps, source_steps = ([w.word(6 + RANK * k + i) for i in range(RANK)] for k in range(3))

    def axis(i: int, to: Any, origin: Any) -> None:
        if i == RANK:
            b.store(w.load(source, origin, kind), w.at(out, to, kind))
            return
        with w.loop(I64(0), dims[i]) as j:
            axis(i + 1, b.add(to, b.mul(j, steps[i])), b.add(origin, b.mul(j, source_steps[i])))

    with w.loop(w.r0, w.r1) as r:
        axis(0, b.add(out_offset, b.mul(r, out_apart)), b.add(offset, b.mul(r, apart)))
    b.ret_void()
