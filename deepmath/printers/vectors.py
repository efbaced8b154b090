"""Element-wise operations as LLVM IR, on scalars or on vectors of any number of lanes.

`Vectors` spells every operation of `deepmath.graph` on values: numbers of a kernel's float, 64-bit integers and
truths. It knows no loops and no kernels. A lane's result has the same bits whatever the number of lanes, whatever the
other lanes hold and wherever the operation stands: multiply-adds are formed here, by the graph alone, and not by the
compiler where it sees fit.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from deepmath.errors import TraceError
from deepmath.graph import COMPARISONS, LOGICAL, Node
from deepmath.printers.vector_functions import FUNCTIONS, divided, divided_integers, from_library

I1, I8, I32, I64, POINTER = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.PointerType()
SIZES = {"float32": 4, "float64": 8}
_OF_TRUTHS = {"&": "and_", "|": "or_", "^": "xor", "+": "or_", "*": "and_", "maximum": "or_", "minimum": "and_",
              "logical_and": "and_", "logical_or": "or_"}  # fmt: skip
_OF_INTEGERS = {"+": "add", "-": "sub", "*": "mul", "&": "and_", "|": "or_", "^": "xor", "<<": "shl", ">>": "ashr"}
_OF_FLOATS = {"+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv"}


class Vectors:
    """Operations on values of `lanes` lanes, printed by `builder`; one lane means scalars.

    A value's dtype is "float" (the precision's), "int" (64 bits) or "bool" (one bit a lane). `builder` may be replaced
    at any time. Functions that a processor has no instruction for are defined in `module` when they are first used;
    `inline` says whether the compiler must copy them to where they are called.
    """

    def __init__(self, module: Any, builder: Any, precision: str, lanes: int = 1, inline: bool = True) -> None:
        self.module, self.builder, self.precision, self.lanes, self.inline = module, builder, precision, lanes, inline
        self.size = SIZES[precision]
        number = ir.FloatType() if precision == "float32" else ir.DoubleType()
        self.scalars = {"float": number, "int": I64, "bool": I1}
        self.types = {dtype: self.shaped(scalar) for dtype, scalar in self.scalars.items()}

    def at(self, builder: Any) -> Vectors:
        """The same operations, printed by another builder."""
        return Vectors(self.module, builder, self.precision, self.lanes, self.inline)

    def shaped(self, scalar: Any) -> Any:
        """The type of a value whose lanes have this type."""
        return scalar if self.lanes == 1 else ir.VectorType(scalar, self.lanes)

    # Values

    def constant(self, value: float, dtype: str = "float") -> Any:
        """A value with the same number in every lane."""
        if dtype == "float":
            exact = float(np.float32(value)) if self.precision == "float32" else float(value)
            text = f"0x{struct.unpack('<Q', struct.pack('<d', exact))[0]:016x}"
        else:
            text = str(int(value)) if dtype == "int" else str(bool(value)).lower()
        return self._constant(self.scalars[dtype], text)

    def whole(self, value: int, scalar: Any = I32) -> Any:
        """A constant of another integer type."""
        return self._constant(scalar, str(value))

    def _constant(self, scalar: Any, text: str) -> Any:
        return constant(self.shaped(scalar), text if self.lanes == 1 else f"splat ({scalar} {text})")

    def numbers(self, scalar: Any = I64) -> Any:
        """0, 1, 2, ... by lane."""
        if self.lanes == 1:
            return scalar(0)
        return constant(self.shaped(scalar), f"<{', '.join(f'{scalar} {i}' for i in range(self.lanes))}>")

    def splat(self, scalar: Any) -> Any:
        """A scalar in every lane."""
        if self.lanes == 1:
            return scalar
        nothing = constant(self.shaped(scalar.type), "poison")
        first = self.builder.insert_element(nothing, scalar, I32(0))
        return self.builder.shuffle_vector(first, nothing, _picks((0,) * self.lanes))

    def cast(self, value: Any, source: str, dtype: str) -> Any:
        """A value of dtype `source` as one of `dtype`; a truth becomes 1 or 0, a float is cut towards 0."""
        if source == dtype:
            return value
        b, wanted = self.builder, self.types[dtype]
        if dtype == "bool":
            zero = self.constant(0, source)
            return b.fcmp_unordered("!=", value, zero) if source == "float" else b.icmp_signed("!=", value, zero)
        if source == "bool":
            return b.select(value, self.constant(1, dtype), self.constant(0, dtype))
        return b.sitofp(value, wanted) if dtype == "float" else b.fptosi(value, wanted)

    # Memory

    def load(self, pointer: Any, dtype: str, mask: Any = None) -> Any:
        """Numbers that lie side by side; those outside the mask are not touched, and 0. A truth lies in a byte."""
        scalar = I8 if dtype == "bool" else self.scalars[dtype]
        kind, align = self.shaped(scalar), self._align(dtype)
        if mask is None:
            value = self.builder.load(pointer, align=align, typ=kind)
        else:
            given = [pointer, I32(align), mask, constant(kind, "zeroinitializer")]
            value = self._intrinsic("masked.load", kind, given, [kind, POINTER])
        return self._truth(value) if dtype == "bool" else value

    def store(self, value: Any, dtype: str, pointer: Any, mask: Any = None) -> None:
        """The inverse of `load`."""
        value, align = self._stored(value, dtype), self._align(dtype)
        if mask is None:
            self.builder.store(value, pointer, align=align)
        else:
            given = [value, pointer, I32(align), mask]
            self._intrinsic("masked.store", ir.VoidType(), given, [value.type, POINTER])

    def gather(self, addresses: Any, dtype: str, mask: Any) -> Any:
        """Numbers from an address for each lane (64-bit integers); those outside the mask are not touched, and 0.

        A single lane is always inside.
        """
        pointers = self._pointers(addresses)
        if self.lanes == 1:
            return self.load(pointers, dtype)
        kind = self.shaped(I8 if dtype == "bool" else self.scalars[dtype])
        given = [pointers, I32(self._align(dtype)), mask, constant(kind, "zeroinitializer")]
        value = self._intrinsic("masked.gather", kind, given, [kind, pointers.type])
        return self._truth(value) if dtype == "bool" else value

    def scatter(self, value: Any, dtype: str, addresses: Any, mask: Any) -> None:
        """The inverse of `gather`."""
        pointers = self._pointers(addresses)
        if self.lanes == 1:
            self.store(value, dtype, pointers)
        else:
            value = self._stored(value, dtype)
            given = [value, pointers, I32(self._align(dtype)), mask]
            self._intrinsic("masked.scatter", ir.VoidType(), given, [value.type, pointers.type])

    def _pointers(self, addresses: Any) -> Any:
        return self.builder.inttoptr(addresses, self.shaped(POINTER))

    def _align(self, dtype: str) -> int:
        """How long a number is in memory, and what its addresses are multiples of."""
        return {"float": self.size, "int": 8, "bool": 1}[dtype]

    def _truth(self, value: Any) -> Any:
        return self.builder.icmp_signed("!=", value, self.whole(0, I8))

    def _stored(self, value: Any, dtype: str) -> Any:
        return self.builder.zext(value, self.shaped(I8)) if dtype == "bool" else value

    # Operations

    def evaluate(self, node: Node, value: Callable[[Node], Any]) -> Any:
        """The value of a node; `value` gives those of the nodes below that are no constants."""

        def operand(below: Node, dtype: str) -> Any:
            if below.op == "constant":
                return self.constant(below.value, dtype)
            return self.cast(value(below), below.dtype, dtype)

        if node.op == "constant":
            return self.constant(node.value, node.dtype)
        if node.op == "astype":
            return operand(node.args[0], node.dtype)
        if node.op == "where":
            chosen = [operand(a, node.dtype) for a in node.args[1:]]
            return self.builder.select(operand(node.args[0], "bool"), *chosen)
        place = absorbed_product(node)
        if place is not None:
            a, b = (operand(factor, "float") for factor in node.args[place].args)
            other = operand(node.args[1 - place], "float")
            if node.op == "-":
                a, other = (a, self._negative(other)) if place == 0 else (self._negative(a), other)
            return self.multiply_add(a, b, other)
        dtype = _common(node)
        return self.apply(node.op, dtype, [operand(a, dtype) for a in node.args])

    def apply(self, op: str, dtype: str, values: Sequence[Any]) -> Any:
        """An operation on values that have this dtype; comparisons and tests give truths."""
        b = self.builder
        if op == "logical_not":
            return b.not_(values[0])
        if op in COMPARISONS:
            if dtype == "float":
                return (b.fcmp_unordered if op == "!=" else b.fcmp_ordered)(op, *values)
            return b.icmp_signed(op, *values)
        if dtype == "float":
            return self._of_floats(op, values)
        return self._of_integers(op, values) if dtype == "int" else self._of_truths(op, values)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c with one rounding where the processor does that, else with two."""
        return self._intrinsic("fmuladd", a.type, [a, b, c], [a.type])

    def maximum(self, a: Any, b: Any) -> Any:
        """The larger of two floats; NaN if either is."""
        return self._intrinsic("maximum", a.type, [a, b], [a.type], ("nsz",))

    def function(self, name: str, *values: Any) -> Any:
        """A function of the standard that has no instruction, such as "exp", on floats."""
        full = f"{name}.{self.precision}.{self.lanes}"
        defined = self.module.globals.get(full)
        if defined is None:
            defined = self._define(full, name, len(values))
        return self.builder.call(defined, values)

    def _define(self, full: str, name: str, count: int) -> Any:
        kind = self.types["float"]
        function = ir.Function(self.module, ir.FunctionType(kind, [kind] * count), full)
        function.linkage = "internal"
        function.attributes.add("nounwind")
        v = self.at(ir.IRBuilder(function.append_basic_block()))
        polynomial = FUNCTIONS.get(name) if self.precision == "float32" else None
        if polynomial is not None and self.inline:
            function.attributes.add("alwaysinline")
        elif polynomial is None:
            function.attributes.add("noinline")  # a call for each lane, which copies would make no faster
        v.builder.ret(polynomial(v, *function.args) if polynomial else from_library(v, name, function.args))
        return function

    def _of_floats(self, op: str, values: Sequence[Any]) -> Any:
        b, x = self.builder, values[0]
        if op in _OF_FLOATS:
            return getattr(b, _OF_FLOATS[op])(*values)
        if op == "neg":
            return self._negative(x)
        if op in ("sqrt", "floor", "abs"):
            return self._intrinsic("fabs" if op == "abs" else op, x.type, values, [x.type])
        if op in ("maximum", "minimum"):
            return self._intrinsic(op, x.type, values, [x.type], ("nsz",))
        if op == "isnan":
            return b.fcmp_unordered("uno", x, x)
        if op in ("isinf", "isfinite"):
            size = self._intrinsic("fabs", x.type, [x], [x.type])
            return b.fcmp_ordered("==" if op == "isinf" else "<", size, self.constant(math.inf))
        if op == "sign":
            zero, one, less = (self.constant(n) for n in (0, 1, -1))
            below = b.select(b.fcmp_ordered("<", x, zero), less, x)
            return b.select(b.fcmp_ordered(">", x, zero), one, below)
        if op in ("//", "%"):
            return divided(self, *values)[op == "%"]
        return self.function(op, *values)

    def _of_integers(self, op: str, values: Sequence[Any]) -> Any:
        b, x = self.builder, values[0]
        if op in _OF_INTEGERS:
            return getattr(b, _OF_INTEGERS[op])(*values)
        if op == "neg":
            return b.neg(x)
        if op == "abs":
            return self._intrinsic("abs", x.type, [x, I1(0)], [x.type])
        if op in ("maximum", "minimum"):
            return self._intrinsic("smax" if op == "maximum" else "smin", x.type, values, [x.type])
        if op == "sign":
            positive = b.zext(b.icmp_signed(">", x, self.constant(0, "int")), x.type)
            return b.or_(b.ashr(x, self.constant(63, "int")), positive)
        if op in ("//", "%"):
            return divided_integers(self, *values)[op == "%"]
        raise TraceError(f"the formula uses {op} on whole numbers; turn them into its own numbers by xp.astype first")

    def _of_truths(self, op: str, values: Sequence[Any]) -> Any:
        if op not in _OF_TRUTHS:
            raise TraceError(f"the formula uses {op} on truths; turn them into its own numbers by xp.astype first")
        return getattr(self.builder, _OF_TRUTHS[op])(*values)

    def _negative(self, x: Any) -> Any:
        return self.builder.fneg(x)

    # Across lanes

    def sum(self, value: Any) -> Any:
        """The sum of all lanes, a scalar: the second half is added to the first, and so on."""
        return self._folded(value, 0.0, lambda v, a, b: v.builder.fadd(a, b))

    def max(self, value: Any) -> Any:
        """The largest of all lanes, a scalar; NaN if one is."""
        return self._folded(value, -math.inf, lambda v, a, b: v.maximum(a, b))

    def _folded(self, value: Any, start: float, join: Callable[[Vectors, Any, Any], Any]) -> Any:
        count = self.lanes
        while count > 1:
            half = (count + 1) // 2
            v = Vectors(self.module, self.builder, self.precision, half, self.inline)
            filler = Vectors(self.module, self.builder, self.precision, count).constant(start)
            low, high = (range(i, i + half) for i in (0, half))
            value = join(v, v.picked(value, filler, low), v.picked(value, filler, high))
            count = half
        return value

    def picked(self, a: Any, b: Any, lanes: Sequence[int]) -> Any:
        """Lanes by their numbers, those of b after those of a."""
        if self.lanes == 1:
            return self.builder.extract_element(a, I32(lanes[0]))
        return self.builder.shuffle_vector(a, b, _picks(tuple(lanes)))

    def _intrinsic(self, name: str, result: Any, values: Sequence[Any], kinds: Sequence[Any], flags: Any = ()) -> Any:
        """Call llvm.`name` for these types; it is declared when it is first used."""
        full = ".".join(["llvm", name, *map(_mangled, kinds)])
        function = self.module.globals.get(full)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(result, [v.type for v in values]), full)
        return self.builder.call(function, values, fastmath=flags)


def constant(kind: Any, text: str) -> Any:
    """A constant of this type, as LLVM writes it. llvmlite's own are written out lane by lane, which takes long."""
    made = ir.FormattedConstant(kind.element if isinstance(kind, ir.VectorType) else kind, text)
    made.type = kind
    return made


@functools.cache
def _picks(lanes: tuple[int, ...]) -> Any:
    """The numbers of lanes that a shuffle picks; llvmlite looks into them."""
    return ir.Constant(ir.VectorType(I32, len(lanes)), [I32(i) for i in lanes])


def absorbed_product(node: Node) -> int | None:
    """Which operand of a sum or difference is a product that becomes part of a multiply-add: the first that can.

    A product of what varies along fewer axes stays on its own: it is computed once, outside a loop.
    """
    if node.op in ("+", "-") and node.dtype == "float":
        for i, below in enumerate(node.args):
            if below.op == "*" and below.dtype == "float" and below.axes == node.axes:
                return i
    return None


def computed(nodes: Sequence[Node], kept: Iterable[Node]) -> list[Node]:
    """`nodes` without products that only multiply-adds use; `kept` are wanted anyway."""
    wanted = {n.number for n in kept}
    for node in nodes:
        place = absorbed_product(node)
        wanted |= {a.number for i, a in enumerate(node.args) if i != place}
        if place is not None:
            wanted |= {a.number for a in node.args[place].args}
    return [n for n in nodes if n.op != "*" or n.number in wanted]


def _common(node: Node) -> str:
    """The dtype that the operands of an operation are brought to."""
    if node.op in ("isnan", "isinf", "isfinite"):
        return "float"
    if node.op in COMPARISONS:
        return "float" if any(a.dtype == "float" for a in node.args) else "int"
    return "bool" if node.op in LOGICAL else node.dtype


def _mangled(kind: Any) -> str:
    """A type as it stands in the name of an intrinsic."""
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{_mangled(kind.element)}"
    if isinstance(kind, ir.PointerType):
        return "p0"
    return {ir.FloatType(): "f32", ir.DoubleType(): "f64"}.get(kind) or f"i{kind.width}"
