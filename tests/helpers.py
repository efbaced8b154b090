"""What several test modules need: bounds on rounding errors, compilers for printed text, finite differences."""

from __future__ import annotations

import ctypes
import math
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import array_api_compat.numpy as xnp
import numpy as np
from table import Row

from deepmath.graph import OPERATORS, Node
from deepmath.printers import loops
from deepmath.trace import Trace, trace

SHAPES = [(1, 1), (3, 1), (1, 7), (5, 16), (33, 17), (0, 4)]


def rounded(arguments: Sequence[Any], dtype: str) -> list[Any]:
    """Float arguments rounded to dtype and back to float64: the numbers that a kernel of this dtype gets."""
    return [a if np.asarray(a).dtype.kind == "i" else np.asarray(a, dtype).astype(np.float64)[()] for a in arguments]


def reference(row: Row, arguments: Sequence[Any]) -> list[Any]:
    """The formula's results on float64 arrays."""
    return list(tupled(row.formula(xnp, *arguments)))


def tupled(results: Any) -> tuple[Any, ...]:
    return results if isinstance(results, tuple) else (results,)


_SLOPES: dict[str, Callable[[Any, Any], Any]] = {
    "exp": lambda y, _: y,
    "expm1": lambda y, _: y + 1.0,
    "tanh": lambda y, _: 1.0 - y * y,
    "cos": lambda _, a: np.sin(a),
    "sin": lambda _, a: np.cos(a),
    "log": lambda _, a: 1.0 / a,
    "log1p": lambda _, a: 1.0 / (1.0 + a),
    "sqrt": lambda y, _: 0.5 / y,
    "abs": lambda *_: 1.0,
    "neg": lambda *_: 1.0,
}


def error_bounds(traced: Trace, arguments: Sequence[Any], dtype: str, ulps: float = 2.0) -> list[Any]:
    """How far each result may be from the exact one if every operation is right to `ulps` of dtype.

    Running error analysis, to first order: an operation hands on the errors of its operands, each times its
    partial derivative, and adds its own rounding. A sum of n numbers, in any order, adds at most n roundings of
    the sum of magnitudes. Branches of `where` and of `maximum` are taken as exact: at the points drawn they are.
    """
    unit, tiny = ulps * float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)
    value: dict[int, Any] = {a.number: v for a, v in zip(traced.arguments, arguments, strict=True)}
    error: dict[int, Any] = {a.number: 0.0 for a in traced.arguments}
    shape = next(np.shape(v) for a, v in zip(traced.arguments, arguments, strict=True) if a.axes[0])
    for node in traced.needed():
        if node.op == "constant":
            value[node.number], error[node.number] = node.value, _constant_error(node.value, unit)
        elif node.op == "size":
            value[node.number], error[node.number] = shape[1 if node.value == "columns" else 0], 0.0
        elif node.op != "argument":
            args = [value[a.number] for a in node.args]
            value[node.number], handed = _step(node, args, [error[a.number] for a in node.args], unit)
            exact = node.dtype != "float" or node.op in (
                "where",
                "maximum",
                "minimum",
                "neg",
                "abs",
                "astype",
                "row_max",
            )
            own = 0.0 if exact or node.op == "row_sum" else np.abs(value[node.number]) * unit + tiny
            error[node.number] = handed + own
    return [error[o.number] for o in traced.outputs]


def _constant_error(value: float, unit: float) -> float:
    return 0.0 if math.isinf(value) or value == int(value) else abs(value) * unit


def _step(node: Node, args: list[Any], errors: list[Any], unit: float) -> tuple[Any, Any]:
    """A node's value, and the error that it takes over from its operands."""
    op = node.op
    if op == "row_sum":
        total = np.sum(np.abs(args[0]), axis=-1, keepdims=True)
        handed = np.sum(np.broadcast_to(errors[0], np.shape(args[0])), axis=-1, keepdims=True)
        return np.sum(args[0], axis=-1, keepdims=True), handed + np.shape(args[0])[-1] * unit * total
    if op == "row_max":
        return np.max(args[0], axis=-1, keepdims=True), np.max(
            np.broadcast_to(errors[0], np.shape(args[0])), axis=-1, keepdims=True
        )
    if op == "astype":
        return np.asarray(args[0]).astype(np.int64 if node.dtype == "int" else np.float64), errors[0]
    y = OPERATORS[op](*args) if op in OPERATORS else getattr(np, op)(*args)
    if node.dtype != "float" or op in ("sign", "floor"):
        return y, 0.0
    if op == "where":
        return y, np.where(args[0], errors[1], errors[2])
    if op == "*":
        return y, np.abs(args[0]) * errors[1] + np.abs(args[1]) * errors[0]
    if op == "/":
        return y, (errors[0] + np.abs(y) * errors[1]) / np.abs(args[1])
    if op == "pow":
        return y, np.abs(args[1] * args[0] ** (args[1] - 1.0)) * errors[0] + np.abs(y * np.log(args[0])) * errors[1]
    if op in _SLOPES:
        return y, np.abs(_SLOPES[op](y, args[0])) * errors[0]
    assert op in ("+", "-", "maximum", "minimum"), f"no rule for the error of {op}"
    return y, errors[0] + errors[1]


def kernel_of(row: Row, dtype: str = "") -> loops.Kernel:
    return loops.kernel(f"{row.name}_{dtype}", row.formula, row.kinds, [f"y{i}" for i in range(row.results)])


def kernel_arguments(row: Row, kernel: loops.Kernel, arguments: Sequence[Any], dtype: str) -> list[Any]:
    """What a compiled kernel takes for these arguments of the reference."""
    taken = []
    for kind, value in zip(row.kinds, arguments, strict=True):
        shape, _, integer = kind.partition(":")
        if shape in ("element", "row", "column"):
            array = np.array(value, np.int64 if integer else dtype)
            taken.append(array if shape == "element" else array.reshape(-1))
        elif shape == "scalar":
            taken.append(value)
    return taken


def empty_results(kernel: loops.Kernel, shape: tuple[int, int], dtype: str) -> list[Any]:
    """Arrays for a kernel to write, filled with what is surely wrong."""
    sizes = {"element": shape, "row": shape[:1], "column": shape[1:], "total_once": (1,)}
    types_ = {"float": np.dtype(dtype), "int": np.dtype(np.int64), "bool": np.dtype(np.bool_)}
    return [np.full(sizes[kind], 77, types_[value.dtype]) for _, kind, value in kernel.outputs if kind != "total"]


def assert_close(row: Row, found: Sequence[Any], arguments: Sequence[Any], dtype: str, traced: Trace) -> None:
    """Printed results against the formula in float64, within what rounding in dtype explains."""
    expected = reference(row, arguments)
    assert len(found) == len(expected) == row.results
    bounds = error_bounds(traced, arguments, dtype)
    for number, (got, want, bound) in enumerate(zip(found, expected, bounds, strict=True)):
        want = np.broadcast_to(want, np.broadcast_shapes(np.shape(want), (got.shape[0], 1)))
        got = got.reshape(want.shape)
        if got.dtype.kind == "i":
            np.testing.assert_array_equal(got, want, err_msg=f"{row.name}, result {number}")
            continue
        excess = np.abs(got - want) > bound
        at = np.argwhere(excess)[:3].tolist()
        message = f"{row.name} {dtype}, result {number} at {at}: {got[excess][:3]} instead of {want[excess][:3]}"
        assert not excess.any(), message


def cpp_library(text: str, folder: Path, name: str) -> ctypes.CDLL:
    """Compile C++ text with g++, warnings being errors."""
    source, library = folder / f"{name}.cu", folder / f"{name}.so"
    source.write_text(text, encoding="utf-8")
    options = ["-std=c++17", "-O2", "-shared", "-fPIC", "-x", "c++", "-Wall", "-Werror", "-Wno-unused"]
    done = subprocess.run(["g++", *options, source, "-o", library], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


def call_cpp(function: Any, arguments: Sequence[Any], results: Sequence[Any], shape: tuple[int, int]) -> None:
    """Call a printed C kernel on contiguous arrays and Python numbers."""
    passed: list[Any] = []
    for value in [*arguments, *results]:
        if isinstance(value, np.ndarray):
            passed.append(value.ctypes.data_as(ctypes.c_void_p))
        else:
            passed.append(ctypes.c_longlong(value) if isinstance(value, int) else ctypes.c_double(value))
    function.restype = None
    function(*passed, ctypes.c_longlong(shape[0]), ctypes.c_longlong(shape[1]))


def has_row_max(row: Row) -> bool:
    """Whether the formula takes the largest of a row; NumPy refuses that of no rows at all."""
    return any(n.op == "row_max" for n in trace(row.formula, row.trace_kinds).needed())


def numerical_gradient(f: Callable[[Any], Any], x: Any, h: float = 3e-4) -> Any:
    """The derivative of a number f(x) by each component of x, float64, from five points.

    The error is h^4 / 30 times the fifth derivative, and about 1e-16 |f| / h of rounding.
    """
    x = np.asarray(x, np.float64)
    gradient = np.empty(x.shape)
    for place in np.ndindex(x.shape):

        def at(steps: int, place: tuple[int, ...] = place) -> Any:
            moved = x.copy()
            moved[place] += steps * h
            return f(moved)

        gradient[place] = (8.0 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12.0 * h)
    return gradient
