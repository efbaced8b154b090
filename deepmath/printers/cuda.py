"""A traced formula as CUDA C: one block for each row, or one thread for each column where rows are summed.

The text needs no header and holds no hyperparameter and no size, so one compilation serves every
network. Literals take the kernel's dtype and NaN passes through `maximum`, `minimum` and row maxima. A C++
compiler reads the same text with one thread in place of a grid (`cuda_functions.cuh`). Every
sum is taken in an order that only the launch's size decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

from deepmath.errors import TraceError
from deepmath.graph import Node
from deepmath.printers.loops import Kernel, new_arrays
from deepmath.printers.spelling import Spelling, array_name, parameter, variable

TYPES = {"float32": "float", "float64": "double"}
CUDA = Spelling(
    patterns={
        "neg": "-{0}", "//": "floor_divide({0}, {1})", "%": "modulo({0}, {1})",
        "isnan": "is_nan({0})", "isinf": "is_infinite({0})", "isfinite": "(!is_nan({0}) && !is_infinite({0}))",
        "logical_and": "({0} && {1})", "logical_or": "({0} || {1})", "logical_not": "!{0}",
    },
    places={(True, True): "[r * columns + j]", (True, False): "[r]", (False, True): "[j]", (False, False): ""},
    sizes={"rows": "rows", "columns": "columns"},
    infinity="infinity()",
    nan="not_a_number()",
    whole="{0}LL",
    integer="(long long)({0})",
    truth="({0} != 0)",
    choice="({0} ? {1} : {2})",
)  # fmt: skip


@cache
def _functions() -> str:
    return resources.files(__package__).joinpath("cuda_functions.cuh").read_text(encoding="utf-8")


def module(kernels: Sequence[Kernel], dtype: str) -> str:
    """The text of one translation unit with these kernels, for "float32" or "float64".

    A kernel `extern "C" __global__ void name(arguments..., results..., long long rows, long long columns)` takes
    contiguous arrays: element arrays [rows, columns], row arrays [rows], column arrays [columns], of T, of
    long long for integers and of bool for truths. Scalars come by value, as double or long long. A total goes to
    an array double [blocks], one part from each block. A result that is named like an argument is written into it.

    Launch with blocks of a multiple of 32 threads, at most 1024; any number of blocks is right. A kernel
    covers rows by blocks, one with a "column" result covers columns by threads. Raises TraceError for a kernel
    that stores a sum over rows beside anything that belongs to a whole row.
    """
    texts = [f"typedef {TYPES[dtype]} T;", _functions(), *map(function, kernels)]
    return "\n".join(texts) + "\n"


def function(kernel: Kernel) -> str:
    """The text of one kernel alone."""
    lines = [_assign(n, kernel) for n in kernel.hoisted]
    lines += _by_columns(kernel) if any(kind == "column" for _, kind, _ in kernel.outputs) else _by_rows(kernel)
    head = f'extern "C" __global__ void {kernel.name}({", ".join(_parameters(kernel))}) {{'
    return "\n".join([head, *(f"  {line}" for line in lines), "}"])


def _parameters(kernel: Kernel) -> list[str]:
    written = {array_name(kernel, name) for name, _, _ in kernel.outputs}
    texts = []
    for node in kernel.arguments:
        name = parameter(node)
        if any(node.axes):
            texts.append(f"{'' if name in written else 'const '}{_type(node)}* {name}")
        else:
            texts.append(f"{'double' if node.dtype == 'float' else _type(node)} {name}")
    values = {name: value for name, _, value in kernel.outputs}
    texts += [f"{_type(values[name])}* {name}" for name, _ in new_arrays(kernel)]
    texts += [f"double* {name}" for name, kind, _ in kernel.outputs if kind == "total"]
    return [*texts, "long long rows", "long long columns"]


def _by_rows(kernel: Kernel) -> list[str]:
    """One block for each row: its threads share the columns, and reductions join them."""
    totals = [(name, value) for name, kind, value in kernel.outputs if kind == "total"]
    lines = [f"double total_{name} = 0;" for name, _ in totals]
    lines.append("for (long long r = blockIdx.x; r < rows; r += gridDim.x) {")
    for step in kernel.passes:
        lines += [f"  {_assign(n, kernel)}" for n in step.before]
        lines += [f"  {_start(n)}" for n in step.reductions]
        body = [_assign(n, kernel) for n in step.inside] + [_gather(n) for n in step.reductions]
        body += [_store(kernel, *o) for o in kernel.outputs if step.last and o[1] == "element"]
        if body:
            lines.append("  for (long long j = threadIdx.x; j < columns; j += blockDim.x) {")
            lines += [f"    {line}" for line in body] + ["  }"]
        lines += [f"  {variable(n)} = {_JOINS[n.op]}({variable(n)});" for n in step.reductions]
    stores = [_store(kernel, *o) for o in kernel.outputs if o[1] == "row"]
    lines += [f"  if (threadIdx.x == 0) {{ {' '.join(stores)} }}"] if stores else []
    lines += [f"  total_{name} += {CUDA.operand(value, 'float')};" for name, value in totals] + ["}"]
    lines += [f"if (threadIdx.x == 0) {name}[blockIdx.x] = total_{name};" for name, _ in totals]
    once = [_store(kernel, *o) for o in kernel.outputs if o[1] == "total_once"]
    return lines + ([f"if (blockIdx.x == 0 && threadIdx.x == 0) {{ {' '.join(once)} }}"] if once else [])


def _by_columns(kernel: Kernel) -> list[str]:
    """One thread for each column, which goes through the rows in order: sums over rows need no second kernel."""
    kinds = {kind for _, kind, _ in kernel.outputs}
    if len(kernel.passes) > 1 or kinds - {"column", "element"}:
        msg = f"kernel '{kernel.name}' sums over rows and also works on whole rows; print these results as two kernels"
        raise TraceError(msg)
    sums = [(name, value) for name, kind, value in kernel.outputs if kind == "column"]
    step = kernel.passes[0]
    body = [_assign(n, kernel) for n in [*step.before, *step.inside]]
    body += [_store(kernel, *o) for o in kernel.outputs if o[1] == "element"]
    body += [f"sum_{name} += {CUDA.operand(value, value.dtype)};" for name, value in sums]
    return [
        "const long long first = (long long)blockIdx.x * blockDim.x + threadIdx.x;",
        "for (long long j = first; j < columns; j += (long long)gridDim.x * blockDim.x) {",
        *(f"  {_type(value)} sum_{name} = 0;" for name, value in sums),
        "  for (long long r = 0; r < rows; ++r) {",
        *(f"    {line}" for line in body),
        "  }",
        *(f"  {name}[j] = sum_{name};" for name, _ in sums),
        "}",
    ]


_JOINS = {"row_sum": "block_sum", "row_max": "block_max"}


def _type(node: Node) -> str:
    return {"float": "T", "int": "long long", "bool": "bool"}[node.dtype]


def _assign(node: Node, kernel: Kernel) -> str:
    return f"const {_type(node)} {variable(node)} = {CUDA.expression(node, kernel)};"


def _start(node: Node) -> str:
    return f"T {variable(node)} = {'T(0)' if node.op == 'row_sum' else 'T(-infinity())'};"


def _gather(node: Node) -> str:
    total, value = variable(node), CUDA.operand(node.args[0], "float")
    return f"{total} += {value};" if node.op == "row_sum" else f"{total} = maximum({total}, {value});"


def _store(kernel: Kernel, name: str, kind: str, value: Node) -> str:
    places = {"element": "[r * columns + j]", "row": "[r]", "total_once": "[0]"}
    return f"{array_name(kernel, name)}{places[kind]} = {CUDA.operand(value, value.dtype)};"
