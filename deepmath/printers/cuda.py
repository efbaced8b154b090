"""A traced formula as CUDA C: element by element, one block for each row, or one thread for each column.

The text needs no header and holds no hyperparameter and no size, so one compilation serves every
network. Literals take the kernel's dtype and NaN passes through `maximum`, `minimum` and row maxima. A C++
compiler reads the same text with one thread in place of a grid (`cuda_functions.cuh`). Every
sum is taken in an order that only the launch's size decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from deepmath.errors import TraceError
from deepmath.graph import Node
from deepmath.printers.loops import Kernel, new_arrays
from deepmath.printers.spelling import Spelling, array_name, parameter, variable

TYPES = {"float32": "float", "float64": "double"}
STORAGE = {"bf16": "BFloat", "float16": "Half"}
"""Precisions whose activations are stored in a shorter type than T."""

CUDA = Spelling(
    patterns={
        "neg": "-{0}", "//": "floor_divide({0}, {1})", "%": "modulo({0}, {1})", "int *": "wrapped_product({0}, {1})",
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
TRANSPOSED = CUDA._replace(places={**CUDA.places, (True, True): "[j * rows + r]"})


THREADS = {"elements": 256, "columns": 128, "rows": 256, "transposed": 256}
"""Threads of a block at most, for each layout: so many can be launched whatever registers they take."""


class Form(NamedTuple):
    """How a kernel takes its arguments, apart from its formula.

    `transposed`: element arrays are [columns, rows], so that a "row" is a column of memory. `stored`: these element
    arrays hold the storage type S, which may be shorter than T. `resident`: these scalars are read from the
    device's memory, through a pointer, because they change while a recorded launch stays as it is.
    """

    transposed: bool = False
    stored: frozenset[str] = frozenset()
    resident: frozenset[str] = frozenset()


PLAIN = Form()


@cache
def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def prelude(precision: str) -> str:
    """What stands in front of kernels: T, the storage type S, and the functions that kernels call."""
    storage = (
        [_text("cuda_storage.cuh"), f"typedef {STORAGE[precision]} S;"] if precision in STORAGE else ["typedef T S;"]
    )
    return "\n".join([f"typedef {TYPES.get(precision, 'float')} T;", _text("cuda_functions.cuh"), *storage])


def module(kernels: Sequence[Kernel], precision: str) -> str:
    """The text of one translation unit with these kernels, for a precision: T is float unless it is "float64".

    A kernel `extern "C" __global__ void name(arguments..., results..., long long rows, long long columns)` takes
    contiguous arrays: element arrays [rows, columns], row arrays [rows], column arrays [columns], of T, of
    long long for integers and of bool for truths. Scalars come by value, as double or long long. A total goes to
    an array double [blocks], one part from each block. A result that is named like an argument is written into it.

    Any number of blocks is right; `layout` says how a kernel spreads over them. Raises TraceError for a kernel
    that stores a sum over rows beside anything that belongs to a whole row.
    """
    return "\n".join([prelude(precision), *map(function, kernels)]) + "\n"


def layout(kernel: Kernel, form: Form = PLAIN) -> str:
    """How a kernel's threads share its work.

    "elements": blocks and threads have two axes, x for columns and y for rows. "columns": threads along x have
    columns, and blocks along y have stretches of rows; a sum over rows is [blocks along y, columns], to be added
    up in that order. "rows": blocks of a multiple of 32 threads have rows. "transposed": blocks of 32 x n threads
    have 32 rows, which lie side by side in memory. Blocks have `THREADS` at most.
    """
    if any(kind == "column" for _, kind, _ in kernel.outputs):
        return "columns"
    if len(kernel.passes) > 1 or any(kind != "element" for _, kind, _ in kernel.outputs):
        return "transposed" if form.transposed else "rows"
    return "elements"


def function(kernel: Kernel, form: Form = PLAIN) -> str:
    """The text of one kernel alone."""
    by = {"elements": _by_elements, "columns": _by_columns, "rows": _by_rows, "transposed": _by_rows}
    lines = [_assign(n, kernel, form) for n in kernel.hoisted]
    lines += by[layout(kernel, form)](kernel, form)
    head = f'extern "C" __global__ void {kernel.name}({", ".join(_parameters(kernel, form))}) {{'
    return "\n".join([head, *(f"  {line}" for line in lines), "}"])


def _parameters(kernel: Kernel, form: Form) -> list[str]:
    written = {array_name(kernel, name) for name, _, _ in kernel.outputs}
    texts = []
    for node in kernel.arguments:
        name = parameter(node)
        if any(node.axes):
            kind = "S" if node.value in form.stored else _type(node)
            texts.append(f"{'' if name in written else 'const '}{kind}* {name}")
        else:
            kind = "double" if node.dtype == "float" else _type(node)
            texts.append(f"const {kind}* {name}" if node.value in form.resident else f"{kind} {name}")
    values = {name: value for name, _, value in kernel.outputs}
    for name, _ in new_arrays(kernel):
        kind = "S" if name.removeprefix("out_") in form.stored else _type(values[name])
        texts.append(f"{kind}* {name}")
    texts += [f"double* {name}" for name, kind, _ in kernel.outputs if kind == "total"]
    return [*texts, "long long rows", "long long columns"]


def _by_elements(kernel: Kernel, form: Form) -> list[str]:
    """Two loops that stride over the grid; neither a sum nor a barrier."""
    step = kernel.passes[0]
    return [
        "for (long long r = (long long)blockIdx.y * blockDim.y + threadIdx.y; r < rows;",
        "     r += (long long)gridDim.y * blockDim.y) {",
        *(f"  {_assign(n, kernel, form)}" for n in step.before),
        "  for (long long j = (long long)blockIdx.x * blockDim.x + threadIdx.x; j < columns;",
        "       j += (long long)gridDim.x * blockDim.x) {",
        *(f"    {_assign(n, kernel, form)}" for n in step.inside),
        *(f"    {_store(kernel, form, *o)}" for o in kernel.outputs),
        "  }",
        "}",
    ]


def _by_rows(kernel: Kernel, form: Form) -> list[str]:
    """Threads share the columns of a row, and reductions join them: a block for a row, or for 32 that lie together."""
    totals = [(name, value) for name, kind, value in kernel.outputs if kind == "total"]
    if totals and form.transposed:
        raise TraceError(f"kernel '{kernel.name}' adds up all rows of a transposed array; print it untransposed")
    guard, j, joins = ("inside && ", "y", _JOINS_TRANSPOSED) if form.transposed else ("", "x", _JOINS)
    lines = [f"double total_{name} = 0;" for name, _ in totals]
    if form.transposed:
        lines += [
            "for (long long first = 32LL * blockIdx.x; first < rows; first += 32LL * gridDim.x) {",
            "  const bool inside = first + threadIdx.x < rows;",
            "  const long long r = inside ? first + threadIdx.x : rows - 1;",
        ]
    else:
        lines.append("for (long long r = blockIdx.x; r < rows; r += gridDim.x) {")
    for step in kernel.passes:
        lines += [f"  {_assign(n, kernel, form)}" for n in step.before]
        lines += [f"  {_start(n)}" for n in step.reductions]
        body = [_assign(n, kernel, form) for n in step.inside] + [_gather(n) for n in step.reductions]
        body += [_store(kernel, form, *o) for o in kernel.outputs if step.last and o[1] == "element"]
        if body:
            lines.append(f"  for (long long j = threadIdx.{j}; {guard}j < columns; j += blockDim.{j}) {{")
            lines += [f"    {line}" for line in body] + ["  }"]
        lines += [f"  {variable(n)} = {joins[n.op]}({variable(n)});" for n in step.reductions]
    stores = [_store(kernel, form, *o) for o in kernel.outputs if o[1] == "row"]
    lines += [f"  if ({guard}threadIdx.{j} == 0) {{ {' '.join(stores)} }}"] if stores else []
    lines += [f"  total_{name} += {CUDA.operand(value, 'float')};" for name, value in totals] + ["}"]
    lines += [f"if (threadIdx.x == 0) {name}[blockIdx.x] = total_{name};" for name, _ in totals]
    once = [_store(kernel, form, *o) for o in kernel.outputs if o[1] == "total_once"]
    return lines + ([f"if (blockIdx.x == 0 && threadIdx.x == 0) {{ {' '.join(once)} }}"] if once else [])


def _by_columns(kernel: Kernel, form: Form) -> list[str]:
    """One thread for each column and stretch of rows, which goes through them in order."""
    kinds = {kind for _, kind, _ in kernel.outputs}
    if len(kernel.passes) > 1 or kinds - {"column", "element"}:
        msg = f"kernel '{kernel.name}' sums over rows and also works on whole rows; print these results as two kernels"
        raise TraceError(msg)
    sums = [(name, value) for name, kind, value in kernel.outputs if kind == "column"]
    step = kernel.passes[0]
    body = [_assign(n, kernel, form) for n in [*step.before, *step.inside]]
    body += [_store(kernel, form, *o) for o in kernel.outputs if o[1] == "element"]
    body += [f"sum_{name} += {CUDA.operand(value, value.dtype)};" for name, value in sums]
    return [
        "const long long stretch = (rows + gridDim.y - 1) / gridDim.y, top = stretch * blockIdx.y;",
        "const long long bottom = top + stretch < rows ? top + stretch : rows;",
        "const long long first = (long long)blockIdx.x * blockDim.x + threadIdx.x;",
        "for (long long j = first; j < columns; j += (long long)gridDim.x * blockDim.x) {",
        *(f"  {_type(value)} sum_{name} = 0;" for name, value in sums),
        "  for (long long r = top; r < bottom; ++r) {",
        *(f"    {line}" for line in body),
        "  }",
        *(f"  {name}[blockIdx.y * columns + j] = sum_{name};" for name, _ in sums),
        "}",
    ]


_JOINS = {"row_sum": "block_sum", "row_max": "block_max"}
_JOINS_TRANSPOSED = {"row_sum": "lane_sum", "row_max": "lane_max"}


def _type(node: Node) -> str:
    return {"float": "T", "int": "long long", "bool": "bool"}[node.dtype]


def _assign(node: Node, kernel: Kernel, form: Form) -> str:
    spelling = TRANSPOSED if form.transposed else CUDA
    value = spelling.expression(node, kernel)
    if node.op == "argument" and node.value in form.resident:
        value = value.replace(parameter(node), f"*{parameter(node)}")
    return f"const {_type(node)} {variable(node)} = {value};"


def _start(node: Node) -> str:
    return f"T {variable(node)} = {'T(0)' if node.op == 'row_sum' else 'T(-infinity())'};"


def _gather(node: Node) -> str:
    total, value = variable(node), CUDA.operand(node.args[0], "float")
    return f"{total} += {value};" if node.op == "row_sum" else f"{total} = maximum({total}, {value});"


def _store(kernel: Kernel, form: Form, name: str, kind: str, value: Node) -> str:
    spelling = TRANSPOSED if form.transposed else CUDA
    places = {"element": spelling.places[(True, True)], "row": "[r]", "total_once": "[0]"}
    return f"{array_name(kernel, name)}{places[kind]} = {CUDA.operand(value, value.dtype)};"
