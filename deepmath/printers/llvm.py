"""A traced formula's loop nest as LLVM IR: explicit vectors along the columns, or along the rows where rows are short.

A printed module holds one function, `void kernel.name(i64 *a, double *c, i64 n, i64 r0, i64 r1, i64 c0, i64 c1)`. It
computes the rows r0..r1 and columns c0..c1 of the results; `entries` says what `a` holds, and `c` holds numbers that
`a` refers to. It allocates nothing, keeps no state, and touches no memory outside the block.

Sums have one fixed order. A sum over the rows is taken row by row. A sum along a row is taken by lanes, then over the
lanes as a tree; its bits depend on the number of columns alone. So any split of the rows, and of the columns where no
row is summed, gives the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from llvmlite import ir

from deepmath.printers.llvm_nest import Nest
from deepmath.printers.llvm_nests import ByColumns, ByRows, RowsInLanes
from deepmath.printers.loops import Kernel
from deepmath.printers.vectors import I64, POINTER, Vectors

__all__ = ["Entry", "entries", "is_short", "module"]

SIGNATURE = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, I64, I64, I64, I64, I64])


class Entry(NamedTuple):
    """One array or number of a kernel, as `a` holds it: a number by its index in `c`, else an address and a row stride.

    `kind` is "element", "row", "column", "scalar", "total" or "total_once"; `dtype` "float", "int" or "bool".
    """

    name: str
    kind: str
    dtype: str

    @property
    def places(self) -> int:
        """How many numbers of `a` it takes."""
        return 1 if self.kind == "scalar" else 2


_KINDS = {(True, True): "element", (True, False): "row", (False, True): "column", (False, False): "scalar"}


def entries(kernel: Kernel) -> list[Entry]:
    """What `a` holds: the arguments, then each output that isn't written into an argument; totals have a stride too."""
    given = {a.value for a in kernel.arguments}
    arguments = [Entry(a.value, _KINDS[a.axes], a.dtype) for a in kernel.arguments]
    return arguments + [Entry(name, kind, value.dtype) for name, kind, value in kernel.outputs if name not in given]


def module(
    kernel: Kernel,
    precision: str,
    lanes: int,
    column_steps: Mapping[str, int] | None = None,
    short: bool = False,
) -> str:
    """LLVM IR of a module with the one function `kernel.name`, for "float32" or "float64", by vectors of `lanes`.

    `column_steps` gives outputs, by the names they were given, whose neighbours along a row lie so many places apart.
    `short`: the form that `is_short` recommends; it computes the same for any number of columns, slowly for many.
    """
    made = ir.Module(kernel.name)
    function = ir.Function(made, SIGNATURE, kernel.name)
    function.attributes.add("nounwind")
    builder = ir.IRBuilder(function.append_basic_block())
    vectors = Vectors(made, builder, precision, lanes)
    nest = _nest(kernel, short)(kernel, vectors, entries(kernel), column_steps or {})
    nest.begin(function.args)
    nest.emit()
    builder.ret_void()
    return str(made)


def is_short(kernel: Kernel, columns: int, lanes: int) -> bool:
    """Whether sums and maxima of rows with so many columns are faster with a row in each lane."""
    reduces = any(step.reductions for step in kernel.passes)
    return reduces and 3 * columns <= 2 * lanes and _nest(kernel, True) is RowsInLanes


def _nest(kernel: Kernel, short: bool) -> type[Nest]:
    """The loop nest of a kernel."""
    reduces = any(step.reductions for step in kernel.passes)
    kinds = {kind for _, kind, _ in kernel.outputs}
    if "column" in kinds and not reduces:
        return ByColumns
    if kinds & {"column", "total", "total_once"}:
        return ByRows
    by_row = not any(n.axes[1] for step in kernel.passes for n in (*step.inside, *step.reductions))
    return RowsInLanes if by_row or short else ByRows
