"""A traced formula as Numba text: a serial loop over rows and columns that LLVM vectorises.

The text is self-contained. It holds no hyperparameter and no size, so one compilation serves every
network. Literals take the kernel's dtype. float32 functions are polynomials (`float32_functions.py`);
float64 uses the C library. NaN passes through `maximum`, `minimum` and row maxima.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from deepmath.graph import Node
from deepmath.printers.loops import Kernel, new_arrays
from deepmath.printers.spelling import Spelling, array_name, parameter, variable
from deepmath.printers.transposed import TransposedLoops

NUMBA = Spelling(
    patterns={
        "neg": "-{0}", "sqrt": "np.sqrt({0})", "floor": "np.floor({0})",
        "sign": "((T(1) if {0} > T(0) else T(-1)) if abs({0}) > T(0) else {0})", "pow": "T(math.pow({0}, {1}))",
        "isnan": "({0} != {0})", "isinf": "(abs({0}) == T(np.inf))", "isfinite": "(abs({0}) < T(np.inf))",
        "logical_and": "({0} & {1})", "logical_or": "({0} | {1})", "logical_not": "(not {0})",
    },
    places={(True, True): "[r, j]", (True, False): "[r]", (False, True): "[j]", (False, False): ""},
    sizes={"rows": "R", "columns": "C"},
    infinity="np.inf",
    nan="np.nan",
    whole="{0}",
    integer="np.int64({0})",
    truth="({0} != 0)",
    choice="({1} if {0} else {2})",
)  # fmt: skip
OPTIONS = 'nogil=True, error_model="numpy", fastmath=FAST'
"""Nothing is kept on disk by itself, and kernels go wholly into what is: a part that is compiled beside it may be
optimised otherwise, and the same program would have other bits in its first process than in the next."""


@cache
def functions(dtype: str) -> str:
    """The functions that kernels call, as one text that imports nothing of deepmath."""
    folder = resources.files(__package__)
    texts = [folder.joinpath(f"{name}_functions.py").read_text(encoding="utf-8") for name in ("loop", dtype)]
    return "\n".join(line for text in texts for line in text.splitlines() if not line.startswith("from deepmath"))


def module(kernel: Kernel, dtype: str, transposed: bool = False) -> str:
    """The text of a module that defines one compiled function, `kernel.name`, for "float32" or "float64".

    The function takes the formula's arguments, then the arrays to write: element arrays [rows, columns], row
    arrays [rows], column arrays [columns]. Column arrays are overwritten by sums over the rows; totals are
    returned.
    """
    return f"{functions(dtype)}\n\n{function(kernel, transposed)}\n"


def function(kernel: Kernel, transposed: bool = False) -> str:
    """The text of the function alone; `transposed`: for element arrays that are stored [columns, rows]."""
    rows, columns = _sizes(kernel, transposed)
    body = TransposedLoops(kernel, NUMBA).lines() if transposed else _body(kernel)
    lines = [f"@njit({OPTIONS}, forceinline=True)", f"def {kernel.name}({', '.join(_parameters(kernel))}):"]
    lines += [f"    {line}" for line in (f"R = {rows}", f"C = {columns}", *body)]
    return "\n".join(lines)


def _parameters(kernel: Kernel) -> list[str]:
    return [parameter(a) for a in kernel.arguments] + [name for name, _ in new_arrays(kernel)]


def _body(kernel: Kernel) -> list[str]:
    lines = [f"{name}[:] = T(0)" for name, kind, _ in kernel.outputs if kind == "column"]
    lines += [f"total_{name} = 0.0" for name, kind, _ in kernel.outputs if kind == "total"]
    lines += [_assign(n, kernel) for n in kernel.hoisted]
    lines.append("for r in range(R):")
    for step in kernel.passes:
        lines += [f"    {_assign(n, kernel)}" for n in step.before]
        lines += [f"    {_start(n)}" for n in step.reductions]
        body = [_assign(n, kernel) for n in step.inside] + [_gather(n) for n in step.reductions]
        body += [_store(kernel, *o) for o in kernel.outputs if step.last and _by_column(o[2], o[1])]
        if body:
            lines.append("    for j in range(C):")
            lines += [f"        {line}" for line in body]
    lines += [f"    {_store(kernel, *o)}" for o in kernel.outputs if not _by_column(o[2], o[1])]
    totals = [f"total_{name}" for name, kind, _ in kernel.outputs if kind == "total"]
    return [*lines, f"return {', '.join(totals)}"] if totals else lines


def _by_column(value: Node, kind: str) -> bool:
    return value.axes[1] or kind in ("element", "column")


def _sizes(kernel: Kernel, transposed: bool) -> tuple[str, str]:
    """Where the numbers of rows and columns are read off: the first array that has both."""
    rows, columns = (1, 0) if transposed else (0, 1)
    arrays = [(parameter(a), a.axes) for a in kernel.arguments]
    arrays += [(name, (kind != "column", kind != "row")) for name, kind in new_arrays(kernel)]
    for name, axes in arrays:
        if axes == (True, True):
            return f"{name}.shape[{rows}]", f"{name}.shape[{columns}]"
    return f"{next(n for n, a in arrays if a == (True, False))}.shape[0]", "0"


def _assign(node: Node, kernel: Kernel) -> str:
    return f"{variable(node)} = {NUMBA.expression(node, kernel)}"


def _start(node: Node) -> str:
    return f"{variable(node)} = {'T(0)' if node.op == 'row_sum' else 'T(-np.inf)'}"


def _gather(node: Node) -> str:
    total, value = variable(node), NUMBA.operand(node.args[0], "float")
    return f"{total} = {'add' if node.op == 'row_sum' else 'maximum'}({total}, {value})"


def _store(kernel: Kernel, name: str, kind: str, value: Node) -> str:
    operand, array = NUMBA.operand(value, value.dtype), array_name(kernel, name)
    return {
        "element": f"{array}[r, j] = {operand}",
        "row": f"{array}[r] = {operand}",
        "column": f"{array}[j] += {operand}",
        "total": f"total_{name} += {operand}",
        "total_once": f"{array}[0] = {operand}",
    }[kind]
