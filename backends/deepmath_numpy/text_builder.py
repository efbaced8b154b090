"""Straight-line LLVM IR written at once as text, with the methods of `llvmlite.ir.IRBuilder` that `Vectors` calls.

A small network's steps are thousands of instructions; an object for each of them would take longer to make than their
machine code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

I1, I32, I64, POINTER = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.PointerType()
_SIGNED = {"<": "slt", "<=": "sle", ">": "sgt", ">=": "sge", "==": "eq", "!=": "ne"}
_ORDERED = {"<": "olt", "<=": "ole", ">": "ogt", ">=": "oge", "==": "oeq", "!=": "one", "ord": "ord"}
_UNORDERED = {"<": "ult", "<=": "ule", ">": "ugt", ">=": "uge", "==": "ueq", "!=": "une", "uno": "uno"}
_OPERATORS = {
    "fadd": "fadd", "fsub": "fsub", "fmul": "fmul", "fdiv": "fdiv", "add": "add", "sub": "sub", "mul": "mul",
    "and_": "and", "or_": "or", "xor": "xor", "shl": "shl", "ashr": "ashr", "sdiv": "sdiv",
}  # fmt: skip
_CASTS = ("zext", "trunc", "sitofp", "fptosi", "fptrunc", "fpext", "bitcast", "inttoptr")


class Value:
    """The result of an instruction: its type and its name, as llvmlite's values have them."""

    __slots__ = ("_name", "type")

    def __init__(self, type_: Any, name: str) -> None:
        self.type, self._name = type_, name

    def get_reference(self) -> str:
        """How other instructions name it."""
        return self._name


class TextBuilder:
    """Appends instructions to `lines`. `typed` and `plain` spell operands with their type and without."""

    fadd: Any
    fsub: Any
    fmul: Any
    fdiv: Any
    add: Any
    sub: Any
    mul: Any
    and_: Any
    or_: Any
    xor: Any
    shl: Any
    ashr: Any
    sdiv: Any
    zext: Any
    trunc: Any
    sitofp: Any
    fptosi: Any
    fptrunc: Any
    fpext: Any
    bitcast: Any
    inttoptr: Any

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._count = 0
        self._types: dict[int, tuple[str, Any]] = {}
        self._truths: dict[int, Any] = {1: I1}
        self._pointers: dict[int, Any] = {1: POINTER}

    def emit(self, type_: Any, text: str) -> Value:
        """An instruction that gives a value of this type."""
        name = f"%v{self._count}"
        self._count += 1
        self.lines.append(f"{name} = {text}")
        return Value(type_, name)

    def spelled(self, type_: Any) -> str:
        """A type as text."""
        known = self._types.get(id(type_))
        if known is None:
            known = self._types[id(type_)] = str(type_), type_  # the type is kept, so that its id stays its own
        return known[0]

    def typed(self, value: Any) -> str:
        return f"{self.spelled(value.type)} {value.get_reference()}"

    # Arithmetic

    def fneg(self, x: Any) -> Value:
        return self.emit(x.type, f"fneg {self.typed(x)}")

    def neg(self, x: Any) -> Value:
        return self.emit(x.type, f"sub {self.spelled(x.type)} zeroinitializer, {x.get_reference()}")

    def not_(self, x: Any) -> Value:
        ones = "true" if x.type == I1 else "splat (i1 true)"
        return self.emit(x.type, f"xor {self.typed(x)}, {ones}")

    def fcmp_ordered(self, op: str, a: Any, b: Any) -> Value:
        return self._compared(f"fcmp {_ORDERED[op]}", a, b)

    def fcmp_unordered(self, op: str, a: Any, b: Any) -> Value:
        return self._compared(f"fcmp {_UNORDERED[op]}", a, b)

    def icmp_signed(self, op: str, a: Any, b: Any) -> Value:
        return self._compared(f"icmp {_SIGNED[op]}", a, b)

    def _compared(self, how: str, a: Any, b: Any) -> Value:
        lanes = getattr(a.type, "count", 1)
        if lanes not in self._truths:
            self._truths[lanes] = ir.VectorType(I1, lanes)
        return self.emit(self._truths[lanes], f"{how} {self.typed(a)}, {b.get_reference()}")

    def select(self, condition: Any, a: Any, b: Any) -> Value:
        return self.emit(a.type, f"select {self.typed(condition)}, {self.typed(a)}, {self.typed(b)}")

    # Lanes

    def splat(self, scalar: Any, type_: Any) -> Value:
        """A scalar in every lane of a vector of this type."""
        spelled = self.spelled(type_)
        first = self.emit(type_, f"insertelement {spelled} poison, {self.typed(scalar)}, i32 0")
        zeros = f"<{type_.count} x i32> zeroinitializer"
        return self.emit(type_, f"shufflevector {self.typed(first)}, {spelled} poison, {zeros}")

    def picked(self, a: Any, b: Any, lanes: Sequence[int], type_: Any) -> Value:
        """A vector of this type of lanes by their numbers, those of b after those of a."""
        numbers = ", ".join(f"i32 {i}" for i in lanes)
        return self.emit(type_, f"shufflevector {self.typed(a)}, {self.typed(b)}, <{len(lanes)} x i32> <{numbers}>")

    def extract_element(self, vector: Any, lane: Any) -> Value:
        return self.emit(vector.type.element, f"extractelement {self.typed(vector)}, {self.typed(lane)}")

    def insert_element(self, vector: Any, value: Any, lane: Any) -> Value:
        return self.emit(vector.type, f"insertelement {self.typed(vector)}, {self.typed(value)}, {self.typed(lane)}")

    def shuffle_vector(self, a: Any, b: Any, mask: Any) -> Value:
        type_ = ir.VectorType(a.type.element, mask.type.count)
        return self.emit(type_, f"shufflevector {self.typed(a)}, {self.typed(b)}, {self.typed(mask)}")

    def extract_value(self, aggregate: Any, place: int) -> Value:
        return self.emit(aggregate.type.elements[place], f"extractvalue {self.typed(aggregate)}, {place}")

    # Memory and calls

    def offset(self, scalar: Any, pointer: Any, places: Any) -> Value:
        """The address so many places, a number or a value, behind another."""
        count = f"i64 {places}" if isinstance(places, int) else self.typed(places)
        lanes = getattr(getattr(places, "type", None), "count", 1)
        if lanes not in self._pointers:
            self._pointers[lanes] = ir.VectorType(POINTER, lanes)
        return self.emit(self._pointers[lanes], f"getelementptr {self.spelled(scalar)}, {self.typed(pointer)}, {count}")

    def load(self, pointer: Any, align: int, typ: Any) -> Value:
        return self.emit(typ, f"load {self.spelled(typ)}, {self.typed(pointer)}, align {align}")

    def store(self, value: Any, pointer: Any, align: int) -> None:
        self.lines.append(f"store {self.typed(value)}, {self.typed(pointer)}, align {align}")

    def fence(self) -> None:
        """What is loaded behind it is loaded anew; the processor gets no instruction."""
        self.lines.append('fence syncscope("singlethread") seq_cst')

    def call(self, function: Any, values: Sequence[Any], fastmath: Sequence[str] = ()) -> Value | None:
        kind = function.function_type.return_type
        given = ", ".join(map(self.typed, values))
        text = " ".join(["call", *fastmath, f'{self.spelled(kind)} @"{function.name}"({given})'])
        if isinstance(kind, ir.VoidType):
            self.lines.append(text)
            return None
        return self.emit(kind, text)


def _methods() -> None:
    for name, word in _OPERATORS.items():

        def operator(self: TextBuilder, a: Any, b: Any, word: str = word) -> Value:
            return self.emit(a.type, f"{word} {self.typed(a)}, {b.get_reference()}")

        setattr(TextBuilder, name, operator)
    for name in _CASTS:

        def cast(self: TextBuilder, x: Any, type_: Any, word: str = name) -> Value:
            return self.emit(type_, f"{word} {self.typed(x)} to {self.spelled(type_)}")

        setattr(TextBuilder, name, cast)


_methods()
