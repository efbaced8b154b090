"""The loop nest that computes a traced formula: what stands before the rows, in front of and inside each pass.

Every row is passed over once for each row reduction that depends on another, and once more to store
the results. Element-wise values are computed again in each pass that needs them: that is cheaper than a
trip to memory. The printers only spell this nest in their language.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from deepmath.errors import TraceError
from deepmath.graph import BATCH_SUM, KINDS, Node, needed
from deepmath.trace import Formula, trace

REDUCTIONS = {"row_sum", "row_max"}


class Pass(NamedTuple):
    """One loop over the columns of a row.

    `before`: values of the whole row, computed first. `inside`: values of each element. `reductions`: what the
    loop gathers. `last`: results are stored in this pass.
    """

    before: list[Node]
    inside: list[Node]
    reductions: list[Node]
    last: bool


class Kernel(NamedTuple):
    """A formula ready for printing.

    `arguments` come first in the printed function, then the arrays to write. An output is (the array's name, how
    it is stored, its value); it is stored by "element" or by "row", or summed over all rows into a "column" or a
    "total". An output of an argument's name is written into that argument and needs no array of its own.
    """

    name: str
    arguments: tuple[Node, ...]
    outputs: tuple[tuple[str, str, Node], ...]
    hoisted: list[Node]
    passes: list[Pass]


def kernel(
    name: str, formula: Formula, kinds: Sequence[str], outputs: Sequence[str], names: Sequence[str] | None = None
) -> Kernel:
    """Trace a formula and lay out its loops; `outputs` names its results, `names` its arguments.

    A result that has the name of an element argument is written into it. Compilers vectorise that, while two
    names for one array make them fall back to single elements. Any other result goes to an array "out_" + name.

    The argument kinds are those of `trace`, and besides "index" (the column's number, 0, 1, ...) and
    "row_index" (the row's), which are computed and not passed.
    """
    traced = trace(formula, [traced_kind(k) for k in kinds], names)
    virtual = {n.number for n, k in zip(traced.arguments, kinds, strict=True) if k in _VIRTUAL}
    arguments = tuple(n for n in traced.arguments if n.number not in virtual)
    elements = {a.value for a in arguments if a.axes == KINDS["element"]}
    stored = []
    for given, output in zip(outputs, traced.outputs, strict=True):
        kind, value = _stored(output)
        in_place = given in elements and kind == "element"
        stored.append((given if in_place else f"out_{given}", kind, value))
    hoisted, passes = _passes([value for _, _, value in stored])
    return Kernel(name, arguments, tuple(stored), hoisted, passes)


_VIRTUAL = {"index": "column:int", "row_index": "row:int"}


def traced_kind(kind: str) -> str:
    """The kind that `trace` knows: a loop's counter is a whole number for it like any other."""
    return _VIRTUAL.get(kind, kind)


def new_arrays(kernel: Kernel) -> list[tuple[str, str]]:
    """(name, how it is stored) of the outputs that need an array of their own."""
    given = {a.value for a in kernel.arguments}
    return [(name, kind) for name, kind, _ in kernel.outputs if name not in given and kind != "total"]


def is_virtual(node: Node, kernel: Kernel) -> bool:
    """Whether an argument is a loop counter instead of an array."""
    return node.op == "argument" and all(node is not a for a in kernel.arguments)


def _stored(output: Node) -> tuple[str, Node]:
    """How a result is written, and the value that is written or summed."""
    if output.op == BATCH_SUM:
        value = output.args[0]
        return ("column" if value.axes[1] else "total"), value
    rows, columns = output.axes
    if columns:
        return "element", output
    return ("row" if rows else "total_once"), output


def levels(nodes: Sequence[Node]) -> dict[int, int]:
    """How many reductions stand below each node, one behind the other."""
    level: dict[int, int] = {}
    for node in nodes:
        below = max((level[a.number] for a in node.args), default=0)
        level[node.number] = below + (node.op in REDUCTIONS)
    return level


def _passes(values: Sequence[Node]) -> tuple[list[Node], list[Pass]]:
    nodes = needed(values)
    if any(n.op == BATCH_SUM for n in nodes):
        raise TraceError("the formula goes on computing with a sum over the batch; only a result may be one")
    level = levels(nodes)
    top = max(level.values())
    hoisted = [n for n in nodes if n.axes == (False, False) and n.op != "constant" and level[n.number] == 0]
    outside = {n.number for n in hoisted}
    passes: list[Pass] = []
    for number in range(top + 1):
        last = number == top
        reductions = [n for n in nodes if n.op in REDUCTIONS and level[n.number] == number + 1]
        targets = [n.args[0] for n in reductions] + (list(values) if last else [])
        wanted = _recomputed(targets, outside)
        before = [n for n in wanted if not n.axes[1]]
        inside = [n for n in wanted if n.axes[1]]
        outside |= {n.number for n in before} | {n.number for n in reductions}
        passes.append(Pass(before, inside, reductions, last))
    return hoisted, passes


def _recomputed(targets: Sequence[Node], known: set[int]) -> list[Node]:
    """The nodes that a pass computes for its targets, given what is known already."""
    found: dict[int, Node] = {}
    stack = list(targets)
    while stack:
        node = stack.pop()
        if node.number not in found and node.number not in known and node.op != "constant":
            found[node.number] = node
            stack.extend(node.args)
    return [found[n] for n in sorted(found)]
