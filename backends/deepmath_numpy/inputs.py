"""What becomes of inputs before the first layer: checked, preprocessed, brought to the program's precision.

Preprocessing is computed in float64 and rounded to the inputs' own type after each step, as `Fitted.apply` does it,
with the same bits: each operation is rounded by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from deepmath.graph import Graph, Size, needed
from deepmath.graph.kernels import Space
from deepmath.parameters import aligned
from deepmath.program import ColumnMap
from deepmath.trace import Arrays, Formula
from deepmath_numpy import compiled, compiler
from deepmath_numpy.lowering import Call, value_of, words_of
from deepmath_numpy.moves import KERNEL
from deepmath_numpy.target import host

I8, I64, FLOAT, DOUBLE, POINTER = ir.IntType(8), ir.IntType(64), ir.FloatType(), ir.DoubleType(), ir.PointerType()
KINDS = {"check32": (FLOAT, FLOAT), "check64": (DOUBLE, DOUBLE), "widen": (FLOAT, DOUBLE), "narrow": (DOUBLE, FLOAT)}
"""Kernels by name, with the types of what they read and write. "round" rounds float64 numbers in place, to float32."""
BUFFER = -1
"""The number of the float64 array that preprocessing works on; it is no node of the graph."""


class Inputs:
    """The calls that turn rows of the type `given` into what the network reads; `capacity` rows at a time.

    `in_place`: the network reads them where they are. Else it reads at `address`, or where it likes if that is None.
    `bad` holds 1 after a run in which a number wasn't finite, before or after preprocessing.
    """

    def __init__(self, given: str, precision: str, columns: int, capacity: int, maps: Sequence[ColumnMap]) -> None:
        self._given, self._precision, self._columns, self._maps = given, precision, columns, maps
        self._buffer = aligned(columns * capacity if maps else 0, "float64")
        self._kept: list[Any] = []
        self.bad = np.zeros(1, np.int64)
        self.in_place = given == precision and not maps
        self.address = int(self._buffer.ctypes.data) if maps and precision == "float64" else None

    def calls(self, source: int, address: int, number: int) -> list[Call]:
        """The calls; what the network reads at `address` is the node of this number."""
        check = self._move(f"check{self._given.removeprefix('float')}", source, source, (), ())
        if self._maps:
            return [check, *self._preprocessed(source, address, number)]
        if self._given == self._precision:
            return [check]
        if self._given == "float64":
            return [self._move("narrow", source, address, (), (number,))]
        return [check, self._move("widen", source, address, (), (number,))]

    def _preprocessed(self, source: int, address: int, number: int) -> list[Call]:
        at = buffer = int(self._buffer.ctypes.data)
        short, found = self._given == "float32", []
        if short:
            found.append(self._move("widen", source, buffer, (), (BUFFER,)))
        else:
            at = source
        for i, (formula, constants) in enumerate(self._maps):
            if i and short:
                found.append(self._move("round", buffer, buffer, (BUFFER,), (BUFFER,)))
            found.append(self._map(formula, constants, at, buffer))
            at = buffer
        if self._precision == "float32":
            return [*found, self._move("narrow", buffer, address, (BUFFER,), (number,))]
        if short:
            found.append(self._move("round", buffer, buffer, (BUFFER,), (BUFFER,)))
        return [*found, self._move("check64", buffer, buffer, (BUFFER,), (number,))]

    def _move(self, name: str, source: int, out: int, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Call:
        words = words_of([source, out, self._columns, self.bad.ctypes.data])
        return Call(name, move(name), words, True, 1, 1, work=1.0 * self._columns, inputs=inputs, outputs=outputs)

    def _map(self, formula: Formula, constants: Sequence[Any], source: int, out: int) -> Call:
        given = [np.ascontiguousarray(c, np.float64) for c in constants]
        self._kept += given
        kinds = ["element", *["column"] * len(given), "index"]
        in_place = source == out
        exact, outputs = each_rounded(formula, len(given)), ["a0" if in_place else "o"]
        address, entries = compiled.loop(exact, kinds, outputs, "float64", self._columns)
        arrays = {"a0": source, "out_o": out} | {f"a{i + 1}": int(c.ctypes.data) for i, c in enumerate(given)}
        words = [word for entry in entries for word in (arrays[entry.name], self._columns)]
        inputs = (BUFFER,) if in_place else ()
        return Call(
            "map", address, words_of(words), True, 1, self._columns, work=8.0 * self._columns, inputs=inputs,
            outputs=(BUFFER,),
        )  # fmt: skip


def each_rounded(formula: Formula, columns: int) -> Formula:
    """A formula of an element and so many columns whose products are rounded before anything is added to them."""
    graph = Graph(of_arrays=True)
    size = 7  # of no meaning: nothing depends on it
    given = [graph.array("x", (Size(graph, "rows"), size)), *(graph.array(f"c{i}", (size,)) for i in range(columns))]
    result = formula(Arrays(graph), *given)
    body = [node for node in needed([result]) if node.op != "argument"]
    space = Space(True, 1, size)

    def rounded(xp: Any, *values: Any) -> Any:
        index = values[-1]
        found = {node.number: value for node, value in zip(given, values, strict=False)}
        for node in body:
            value = value_of(xp, node, [found[a.number] for a in node.args], index, index, space)
            found[node.number] = xp.where(index >= 0, value, value) if node.op == "*" else value
        return found[result.number]

    return rounded


@functools.cache
def move(name: str) -> int:
    """The address of a kernel that this module prints."""
    return compiler.load(module()).address(name)


@functools.cache
def module() -> str:
    """LLVM IR of all kernels, `void (i64 *a, double *c, i64 n, i64 r0, i64 r1, i64 c0, i64 c1)`.

    a = [source, destination, columns of both, address of a word that becomes 1 where a number isn't finite]; "widen"
    and "round" look at none, "check32" and "check64" write nothing else.
    """
    text = ir.Module("inputs")
    for name, (source, out) in (KINDS | {"round": (DOUBLE, DOUBLE)}).items():
        _kernel(text, name, source, out)
    return str(text)


def _kernel(text: Any, name: str, source: Any, out: Any) -> None:
    function = ir.Function(text, KERNEL, name)
    b = ir.IRBuilder(function.append_basic_block())
    a, _, _, r0, r1, _, _ = function.args
    origin, target, columns, bad = (b.load(b.gep(a, [I64(i)], source_etype=I64), typ=I64) for i in range(4))
    origin, target, bad = (b.inttoptr(address, POINTER) for address in (origin, target, bad))
    start, stop = b.mul(r0, columns), b.mul(r1, columns)
    lanes = host().lanes("float32")
    whole = b.add(start, b.mul(b.sdiv(b.sub(stop, start), I64(lanes)), I64(lanes)))

    def piece(index: Any, count: int) -> None:
        kinds = [ir.VectorType(kind, count) if count > 1 else kind for kind in (source, out, FLOAT)]
        value = b.load(b.gep(origin, [index], source_etype=source), typ=kinds[0], align=4)
        if name == "round":
            value = b.fpext(b.fptrunc(value, kinds[2]), kinds[1])
        elif source is not out:
            value = (b.fpext if name == "widen" else b.fptrunc)(value, kinds[1])
        if name in ("round", "widen", "narrow"):
            b.store(value, b.gep(target, [index], source_etype=out), align=4)
        if name not in ("round", "widen"):
            with b.if_then(_is_bad(b, value, count), likely=False):
                b.store(I64(1), bad)

    _loop(b, start, whole, lanes, lambda i: piece(i, lanes))
    _loop(b, whole, stop, 1, lambda i: piece(i, 1))
    b.ret_void()


def _is_bad(b: Any, value: Any, count: int) -> Any:
    """Whether a number isn't finite: then it minus itself is NaN."""
    difference = b.fsub(value, value)
    found = b.fcmp_unordered("uno", difference, difference)
    if count == 1:
        return found
    bits = ir.IntType(count)
    return b.icmp_unsigned("!=", b.bitcast(found, bits), bits(0))


def _loop(b: Any, start: Any, stop: Any, step: int, body: Any) -> None:
    before, inside, after = b.block, b.append_basic_block(), b.append_basic_block()
    b.cbranch(b.icmp_signed("<", start, stop), inside, after)
    b.position_at_end(inside)
    index = b.phi(I64)
    index.add_incoming(start, before)
    body(index)
    following = b.add(index, I64(step))
    index.add_incoming(following, b.block)
    b.cbranch(b.icmp_signed("<", following, stop), inside, after)
    b.position_at_end(after)
