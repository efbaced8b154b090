"""The loops of a kernel over matrices that are stored the other way round, [columns, rows].

There the elements of a column lie side by side, so the inner loop goes over the rows. What a reduction gathers
for each row stands in an array of its own. Few long columns (a narrow network and its batch) vectorise so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from deepmath.graph import Node
from deepmath.printers.loops import Kernel, Pass
from deepmath.printers.spelling import Spelling, array_name, variable


class TransposedLoops:
    """Prints one kernel's body, in the words of Numba text."""

    def __init__(self, kernel: Kernel, spelling: Spelling) -> None:
        self._kernel = kernel
        self._spelling = spelling._replace(places={**spelling.places, (True, True): "[j, r]"})
        kept = [
            n.number for step in kernel.passes for n in (*step.before, *step.reductions)
            if n.dtype == "float" and n.axes == (True, False) and n.op != "argument"
        ]  # fmt: skip
        self._kept = {number: i for i, number in enumerate(kept)}

    def lines(self) -> list[str]:
        """The body's lines behind those that set R and C, not indented."""
        kernel = self._kernel
        lines = []
        if self._kept:
            lines.append(f"kept = borrow(T(0), {len(self._kept)}, R)")
        lines += [f"total_{name} = 0.0" for name, kind, _ in kernel.outputs if kind == "total"]
        lines += [self._assign(n) for n in kernel.hoisted]
        for step in kernel.passes:
            lines += self._pass(step)
        by_row = [o for o in kernel.outputs if not _by_column(o) and o[1] != "total_once"]
        if by_row:
            lines += self._over_rows([self._store(*o) for o in by_row], self._values([o[2] for o in by_row]))
        once = [o for o in kernel.outputs if not _by_column(o) and o[1] == "total_once"]
        lines += [self._store(*o) for o in once]
        lines += ["give_back(kept)"] if self._kept else []
        totals = [f"total_{name}" for name, kind, _ in kernel.outputs if kind == "total"]
        return [*lines, f"return {', '.join(totals)}"] if totals else lines

    def _pass(self, step: Pass) -> list[str]:
        lines = []
        before = {n.number for n in step.before} & set(self._kept)
        if before:
            lines += self._over_rows([], self._values(step.before, before))
        lines += [f"kept[{self._kept[n.number]}, :] = {_start(n)}" for n in step.reductions]
        outputs = [o for o in self._kernel.outputs if step.last and _by_column(o)]
        columns = [n for n in step.inside if not n.axes[0]]
        inside = [n for n in step.inside if n.axes[0]]
        body = [self._assign(n) for n in inside] + [self._gather(n) for n in step.reductions]
        body += [self._store(*o) for o in outputs]
        if not body:
            return lines
        sums = [name for name, kind, _ in outputs if kind == "column"]
        lines.append("for j in range(C):")
        lines += [f"    {self._assign(n)}" for n in columns]
        lines += [f"    sum_{name} = T(0)" for name in sums]
        wanted = [a for n in inside for a in n.args] + [n.args[0] for n in step.reductions] + [o[2] for o in outputs]
        lines += [f"    {line}" for line in self._over_rows(body, self._values(wanted))]
        return lines + [f"    {name}[j] = sum_{name}" for name in sums]

    def _over_rows(self, body: Sequence[str], first: Sequence[str]) -> list[str]:
        return ["for r in range(R):", *(f"    {line}" for line in (*first, *body))]

    def _values(self, wanted: Iterable[Node], fresh: Set[int] = frozenset()) -> list[str]:
        """Lines that bring what a row needs into variables: what is kept is read, what is cheap computed again.

        What is `fresh` is computed now, and kept.
        """
        found: dict[int, Node] = {}
        stack = list(wanted)
        while stack:
            node = stack.pop()
            if node.axes == (True, False) and node.number not in found:
                found[node.number] = node
                if node.number in fresh or node.number not in self._kept:
                    stack.extend(node.args)
        lines = []
        for number, node in sorted(found.items()):
            computed = number in fresh or number not in self._kept
            lines.append(self._assign(node) if computed else f"{variable(node)} = {self._place(node)}")
            lines += [f"{self._place(node)} = {variable(node)}"] if number in fresh else []
        return lines

    def _place(self, node: Node) -> str:
        return f"kept[{self._kept[node.number]}, r]"

    def _assign(self, node: Node) -> str:
        return f"{variable(node)} = {self._spelling.expression(node, self._kernel)}"

    def _gather(self, node: Node) -> str:
        value = self._spelling.operand(node.args[0], "float")
        return f"{self._place(node)} = {'add' if node.op == 'row_sum' else 'maximum'}({self._place(node)}, {value})"

    def _store(self, name: str, kind: str, value: Node) -> str:
        operand, array = self._spelling.operand(value, value.dtype), array_name(self._kernel, name)
        return {
            "element": f"{array}[j, r] = {operand}",
            "row": f"{array}[r] = {operand}",
            "column": f"sum_{name} = add(sum_{name}, {operand})",
            "total": f"total_{name} += {operand}",
            "total_once": f"{array}[0] = {operand}",
        }[kind]


def _by_column(output: tuple[str, str, Node]) -> bool:
    _, kind, value = output
    return value.axes[1] or kind in ("element", "column")


def _start(node: Node) -> str:
    return "T(0)" if node.op == "row_sum" else "T(-np.inf)"
