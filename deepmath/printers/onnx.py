"""A graph as ONNX nodes of the default operator set, which any runtime has.

Literals take the graph's dtype. What ONNX lacks is written in what it has, without losing digits: log(1 + x) and
e^x - 1 by Kahan's corrections, whole quotients that round down, and shifts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepmath.errors import require
from deepmath.graph import BATCH_SUM, Node, Size, needed
from deepmath.trace import Formula, trace

OPSET = 21
_NAMES = {
    "+": "Add", "-": "Sub", "*": "Mul", "/": "Div", "neg": "Neg", "abs": "Abs", "exp": "Exp", "log": "Log",
    "sqrt": "Sqrt", "tanh": "Tanh", "cos": "Cos", "sin": "Sin", "sign": "Sign", "floor": "Floor", "pow": "Pow",
    "maximum": "Max", "minimum": "Min", "where": "Where", "logical_and": "And", "logical_or": "Or",
    "logical_not": "Not", "isnan": "IsNaN", "isinf": "IsInf", "<": "Less", "<=": "LessOrEqual", ">": "Greater",
    ">=": "GreaterOrEqual", "==": "Equal", "&": "BitwiseAnd", "|": "BitwiseOr", "^": "BitwiseXor",
}  # fmt: skip
_OF_TRUTHS = {"&": "And", "|": "Or", "^": "Xor"}
_OVER = {"row_sum": ("ReduceSum", -1, 1), "row_max": ("ReduceMax", -1, 1), BATCH_SUM: ("ReduceSum", 0, 0)}


def log1p(xp: Any, x: Any) -> Any:
    """log(1 + x), as log(u) x / (u - 1) with u = 1 + x rounded: the error of u is taken out again.

    Source: Hewlett-Packard, "HP-15C Advanced Functions Handbook" (1982), after Kahan.

    >>> float(log1p(np, np.asarray(1e-20)))
    1e-20
    """
    u = 1.0 + x
    moved = xp.where(xp.logical_or(u == 1.0, u == x), 2.0, u)  # no division by 0 in a branch that isn't taken
    return xp.where(u == 1.0, x, xp.where(u == x, xp.log(u), xp.log(u) * (x / (moved - 1.0))))


def expm1(xp: Any, x: Any) -> Any:
    """e^x - 1, as (u - 1) x / log(u) with u = e^x rounded. Source: Higham (2002), algorithm 2 of section 1.14.1.

    >>> float(expm1(np, np.asarray(1e-20)))
    1e-20
    """
    u = xp.exp(x)
    low = u - 1.0
    near = xp.logical_and(u != 1.0, xp.logical_and(low != -1.0, low != u))
    moved = xp.where(near, u, 2.0)
    return xp.where(u == 1.0, x, xp.where(near, low * (x / xp.log(moved)), low))


def floor_divide(xp: Any, a: Any, b: Any) -> Any:
    """a / b rounded down, from the remainder, so that it is right where a / b rounds up to a whole number."""
    quotient = (a - a % b) / b
    whole = xp.floor(quotient)
    return xp.where(b == 0.0, a / b, xp.where(quotient - whole > 0.5, whole + 1.0, whole))


def is_finite(xp: Any, x: Any) -> Any:
    """Neither NaN nor infinite."""
    return xp.logical_not(xp.logical_or(xp.isnan(x), xp.isinf(x)))


_LOWERED: dict[str, Formula] = {"log1p": log1p, "expm1": expm1, "//": floor_divide, "isfinite": is_finite}
"""What is printed as other operations on floats."""


class Printer:
    """Collects the nodes and the constants of one graph; every formula printed gets names of its own.

    `nodes` and `initializers` are what `onnx.helper.make_graph` takes; all names begin with `prefix`.
    """

    def __init__(self, prefix: str = "") -> None:
        self.onnx = require("onnx", "onnx", "ONNX files")
        self.prefix = prefix
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._constants: dict[tuple[Any, ...], str] = {}

    def formula(self, formula: Formula, kinds: Sequence[str], names: Sequence[str], dtype: str) -> list[str]:
        """The names of a formula's results for arguments [rows, columns] and [columns] of these names.

        `dtype` is "float32" or "float64". Raises TraceError where the formula can't be traced.
        """
        traced = trace(formula, kinds, [f"arg{i}" for i in range(len(kinds))])
        bound = {a.number: name for a, name in zip(traced.arguments, names, strict=True)}
        return self.graph(traced.outputs, bound, dtype)

    def graph(self, outputs: Sequence[Node], known: dict[int, str], dtype: str) -> list[str]:
        """The names of nodes of a graph. `known` has those of its arguments, and gets what is computed on the way."""
        for node in needed(outputs, known):
            if node.op not in ("constant", "columns"):
                known[node.number] = _Step(self, node, known, dtype).name()
        return [_Step(self, o, known, dtype).operand(o, o.dtype) for o in outputs]

    def emit(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Append one node; the name of its result."""
        name = f"{self.prefix}{op.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def array(self, name: str, value: Any) -> str:
        """Append an initializer of numbers, or of objects that are text; its name."""
        self.initializers.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), self.prefix + name))
        return self.prefix + name

    def constant(self, value: float, dtype: str) -> str:
        """The name of a number, of which there is one for each value and dtype."""
        key = (repr(value), dtype)
        if key not in self._constants:
            self._constants[key] = self.array(f"constant_{len(self._constants)}", np.asarray(value, dtype))
        return self._constants[key]

    def cast(self, name: str, dtype: str) -> str:
        """A value as another dtype."""
        return self.emit("Cast", name, to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def whole(self, *values: int) -> str:
        """The name of an array of whole numbers, such as a shape, of which there is one for the same numbers."""
        key = (repr(values), "whole")
        if key not in self._constants:
            name = f"whole_{len(self._constants)}"
            self._constants[key] = self.array(name, np.asarray(values, np.int64))
        return self._constants[key]


class _Step:
    """One node of a traced graph, printed."""

    def __init__(self, printer: Printer, node: Node, known: dict[int, str], dtype: str) -> None:
        self.printer, self.node, self.known = printer, node, known
        self.dtypes = {"float": dtype, "int": "int64", "bool": "bool"}

    def operand(self, node: Node, dtype: str) -> str:
        """A node as an operand in an expression of this dtype."""
        if node.op in ("constant", "columns"):
            return self.printer.constant(node.value, self.dtypes[dtype])
        name = self.known[node.number]
        return name if node.dtype in (dtype, "bool") else self.printer.cast(name, self.dtypes[dtype])

    def name(self) -> str:
        """The name of the node's value."""
        node, emit = self.node, self.printer.emit
        if node.op == "size":
            return self._size()
        if node.op == "astype":
            return self.printer.cast(self.operand(node.args[0], node.args[0].dtype), self.dtypes[node.dtype])
        if node.op in _OVER:
            op, axis, keep = _OVER[node.op]
            return emit(op, self.operand(node.args[0], "float"), self.printer.whole(axis), keepdims=keep)
        if node.op in _MOVES:
            return _MOVES[node.op](self, *(self.operand(a, a.dtype) for a in node.args))
        floats = node.dtype == "float" or any(a.dtype == "float" for a in node.args)
        common = "float" if floats or node.op in ("isnan", "isinf", "isfinite") else "int"
        args = [self.operand(a, "bool" if a.dtype == "bool" else common) for a in node.args]
        if common == "int" and node.op in _WHOLE:
            return _WHOLE[node.op](self, *args)
        if node.op in _LOWERED:
            return self.printer.formula(_LOWERED[node.op], ["element"] * len(args), args, self.dtypes["float"])[0]
        if node.op == "!=":
            return emit("Not", emit("Equal", *args))
        if node.op == "%":
            return self._modulo(*args)
        if all(a.dtype == "bool" for a in node.args) and node.op in _OF_TRUTHS:
            return emit(_OF_TRUTHS[node.op], *args)
        return emit(_NAMES[node.op], *args)

    def _size(self) -> str:
        """The number of rows or columns of what varies along both, as a float."""
        array = next(n for n in self.node.graph.nodes if n.axes == (True, True) and n.number in self.known)
        first = 0 if self.node.value == "rows" else -1
        end = {} if first else {"end": 1}
        shape = self.printer.emit("Shape", self.known[array.number], start=first, **end)
        return self.printer.cast(shape, self.dtypes["float"])

    def _product(self, a: str, b: str) -> str:
        """Not MatMul: onnxruntime moves a factor beside one into the product, as a float32, whatever the dtype."""
        emit, whole, dims = self.printer.emit, self.printer.whole, self.node.args[0].dims
        if len(dims) == 2:
            return emit("Gemm", a, b)
        return emit("Reshape", emit("Gemm", emit("Reshape", a, whole(-1, dims[-1])), b), whole(*self._flexible))

    @property
    def _flexible(self) -> list[int]:
        """The node's shape with -1 in the place of the rows."""
        return [-1 if isinstance(d, Size) else d for d in self.node.dims]

    def _expanded(self, x: str) -> str:
        """x along more axes, and as many rows as the batch has."""
        printer, dims = self.printer, self.node.dims
        if not isinstance(dims[0], Size):
            return printer.emit("Expand", x, printer.whole(*dims))
        arguments = (n for n in self.node.graph.nodes if n.op == "argument" and n.number in self.known)
        batch = next(n for n in arguments if n.dims and isinstance(n.dims[0], Size))
        rows = printer.emit("Shape", self.known[batch.number], start=0, end=1)
        if dims[0].times > 1:
            rows = printer.emit("Mul", rows, printer.whole(dims[0].times))
        return printer.emit("Expand", x, printer.emit("Concat", rows, printer.whole(*dims[1:]), axis=0))

    def _sliced(self, x: str) -> str:
        axis, start, step, count = self.node.value
        stop, whole = start + step * count, self.printer.whole
        last = np.iinfo(np.int64).min if stop < 0 else stop
        return self.printer.emit("Slice", x, whole(start), whole(last), whole(axis), whole(step))

    def _modulo(self, a: str, b: str) -> str:
        """The remainder of floats, with the divisor's sign."""
        emit, zero = self.printer.emit, self.printer.constant(0.0, self.dtypes["float"])
        rest = emit("Mod", a, b, fmod=1)
        other = emit("Xor", emit("Less", rest, zero), emit("Less", b, zero))
        wrong = emit("And", other, emit("Not", emit("Equal", rest, zero)))
        return emit("Where", wrong, emit("Add", rest, b), rest)

    def _quotient(self, a: str, b: str) -> str:
        """Whole numbers' a // b: the difference to the remainder divides without a rest."""
        emit = self.printer.emit
        return emit("Div", emit("Sub", a, emit("Mod", a, b)), b)

    def _shifted(self, direction: str, a: str, b: str) -> str:
        """A shift; ONNX has those of unsigned numbers. Negative numbers are turned into their complement first."""
        emit, cast, zero = self.printer.emit, self.printer.cast, self.printer.constant(0, "int64")
        low = emit("Less", a, zero)
        start = emit("Where", low, emit("BitwiseNot", a), a) if direction == "RIGHT" else a
        moved = emit("BitShift", cast(start, "uint64"), cast(b, "uint64"), direction=direction)
        result = cast(moved, "int64")
        return emit("Where", low, emit("BitwiseNot", result), result) if direction == "RIGHT" else result


_MOVES: dict[str, Callable[..., str]] = {
    "matmul": _Step._product,
    "reshape": lambda step, x: step.printer.emit("Reshape", x, step.printer.whole(*step._flexible)),
    "permute_dims": lambda step, x: step.printer.emit("Transpose", x, perm=step.node.value),
    "broadcast_to": _Step._expanded,
    "concat": lambda step, *arrays: step.printer.emit("Concat", *arrays, axis=step.node.value),
    "slice": _Step._sliced,
    "take": lambda step, x, places: step.printer.emit("Gather", x, places, axis=step.node.value),
}
"""Operations on whole arrays."""
_WHOLE: dict[str, Callable[..., str]] = {
    "%": lambda step, a, b: step.printer.emit("Mod", a, b),
    "//": _Step._quotient,
    "<<": lambda step, a, b: step._shifted("LEFT", a, b),
    ">>": lambda step, a, b: step._shifted("RIGHT", a, b),
}
"""Operations on whole numbers that floats have others for."""
