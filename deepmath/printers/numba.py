"""A traced formula as Numba text: a serial loop over rows and columns that LLVM vectorises.

The text is self-contained. It holds no hyperparameter and no size, so one compilation serves every
network. Literals take the kernel's dtype. float32 functions are polynomials (`float32_functions.py`);
float64 uses the C library. NaN passes through `maximum`, `minimum` and row maxima.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources

from deepmath.printers.loops import Kernel, is_virtual, new_arrays
from deepmath.trace import COMPARISONS, Node

INFIX = COMPARISONS | {"+", "-", "*", "/", "//", "%", "&", "|", "^", "<<", ">>"}
SPELLINGS = {
    "neg": "-{0}", "abs": "abs({0})", "sqrt": "np.sqrt({0})", "floor": "floor({0})",
    "where": "({1} if {0} else {2})",
    "maximum": "maximum({0}, {1})", "minimum": "minimum({0}, {1})",
    "sign": "(T(0) if {0} == T(0) else {0} / abs({0}))", "pow": "T(math.pow({0}, {1}))",
    "isnan": "({0} != {0})", "isinf": "(abs({0}) == T(np.inf))", "isfinite": "(abs({0}) < T(np.inf))",
    "logical_and": "({0} & {1})", "logical_or": "({0} | {1})", "logical_not": "(not {0})",
}  # fmt: skip
OPTIONS = 'nogil=True, error_model="numpy", fastmath=FAST, cache=CACHED'


@cache
def _functions(dtype: str) -> str:
    return resources.files(__package__).joinpath(f"{dtype}_functions.py").read_text(encoding="utf-8")


def module(kernel: Kernel, dtype: str) -> str:
    """The text of a module that defines one compiled function, `kernel.name`, for "float32" or "float64".

    The function takes the formula's arguments, then the arrays to write: element arrays [rows, columns], row
    arrays [rows], column arrays [columns]. Column arrays are overwritten by sums over the rows; totals are
    returned. Compiled code is kept on disk where the module's name begins with "deepmath_kernel_".
    """
    return f"{_functions(dtype)}\n\n{function(kernel)}\n"


def function(kernel: Kernel) -> str:
    """The text of the function alone."""
    lines = [f"@njit({OPTIONS})", f"def {kernel.name}({', '.join(_parameters(kernel))}):"]
    lines += [f"    {line}" for line in _body(kernel)]
    return "\n".join(lines)


def _parameters(kernel: Kernel) -> list[str]:
    return [a.value for a in kernel.arguments] + [name for name, _ in new_arrays(kernel)]


def _body(kernel: Kernel) -> list[str]:
    rows, columns = _sizes(kernel)
    lines = [f"R = {rows}", f"C = {columns}"]
    lines += [f"{name}[:] = T(0)" for name, kind, _ in kernel.outputs if kind == "column"]
    lines += [f"total_{name} = 0.0" for name, kind, _ in kernel.outputs if kind == "total"]
    lines += [_assign(n, kernel) for n in kernel.hoisted]
    lines.append("for r in range(R):")
    for step in kernel.passes:
        lines += [f"    {_assign(n, kernel)}" for n in step.before]
        lines += [f"    {_name(n)} = {'T(0)' if n.op == 'row_sum' else 'T(-np.inf)'}" for n in step.reductions]
        body = [_assign(n, kernel) for n in step.inside] + [_gather(n) for n in step.reductions]
        body += [_store(*o) for o in kernel.outputs if step.last and _by_column(o[2], o[1])]
        if body:
            lines.append("    for j in range(C):")
            lines += [f"        {line}" for line in body]
    lines += [f"    {_store(*o)}" for o in kernel.outputs if not _by_column(o[2], o[1])]
    totals = [f"total_{name}" for name, kind, _ in kernel.outputs if kind == "total"]
    return [*lines, f"return {', '.join(totals)}"] if totals else lines


def _by_column(value: Node, kind: str) -> bool:
    return value.axes[1] or kind in ("element", "column")


def _sizes(kernel: Kernel) -> tuple[str, str]:
    """Where the numbers of rows and columns are read off: the first array that has both."""
    arrays = [(a.value, a.axes) for a in kernel.arguments]
    arrays += [(name, (kind != "column", kind != "row")) for name, kind in new_arrays(kernel)]
    for name, axes in arrays:
        if axes == (True, True):
            return f"{name}.shape[0]", f"{name}.shape[1]"
    return f"{next(n for n, a in arrays if a == (True, False))}.shape[0]", "0"


def _name(node: Node) -> str:
    return f"t{node.number}"


def _operand(node: Node, dtype: str) -> str:
    """A node as an operand in an expression of this dtype."""
    if node.op == "constant":
        return _literal(node.value, dtype)
    return f"T({_name(node)})" if dtype == "float" and node.dtype == "int" else _name(node)


def _literal(value: float, dtype: str) -> str:
    if dtype != "float":
        return repr(value)
    text = {float("inf"): "np.inf", float("-inf"): "-np.inf"}.get(value, "np.nan" if value != value else repr(float(value)))
    return f"T({text})"


def _assign(node: Node, kernel: Kernel) -> str:
    return f"{_name(node)} = {_expression(node, kernel)}"


def _expression(node: Node, kernel: Kernel) -> str:
    if node.op == "constant":
        return _literal(node.value, node.dtype)
    if node.op == "size":
        return "T(R)" if node.value == "rows" else "T(C)"
    if node.op == "argument":
        return _argument(node, kernel)
    if node.op == "astype":
        return _cast(node)
    common = "float" if any(a.dtype == "float" for a in node.args) or node.dtype == "float" else "int"
    operands = [_operand(a, "bool" if a.dtype == "bool" else common) for a in node.args]
    if node.op in INFIX:
        return f"{operands[0]} {node.op} {operands[1]}"
    return SPELLINGS.get(node.op, f"{node.op}({{0}})").format(*operands)


def _argument(node: Node, kernel: Kernel) -> str:
    rows, columns = node.axes
    if is_virtual(node, kernel):
        return "r" if rows else "j"
    index = {(True, True): "[r, j]", (True, False): "[r]", (False, True): "[j]", (False, False): ""}[node.axes]
    read = f"{node.value}{index}"
    if (rows or columns) and node.dtype == "float":
        return read
    return f"T({read})" if node.dtype == "float" else f"np.int64({read})"


def _cast(node: Node) -> str:
    source = node.args[0]
    if source.dtype == "bool":
        return f"(T(1) if {_name(source)} else T(0))" if node.dtype == "float" else f"(1 if {_name(source)} else 0)"
    return f"{'T' if node.dtype == 'float' else 'np.int64'}({_name(source)})"


def _gather(node: Node) -> str:
    gather: Callable[[str, str], str] = lambda total, value: f"{total} = {'add' if node.op == 'row_sum' else 'maximum'}({total}, {value})"  # noqa: E731
    return gather(_name(node), _operand(node.args[0], "float"))


def _store(name: str, kind: str, value: Node) -> str:
    operand = _operand(value, value.dtype)
    return {
        "element": f"{name}[r, j] = {operand}",
        "row": f"{name}[r] = {operand}",
        "column": f"{name}[j] += {operand}",
        "total": f"total_{name} += {operand}",
        "total_once": f"{name}[0] = {operand}",
    }[kind]
