"""A graph as Python text on NumPy arrays: one line for each operation.

The text needs the name `np` alone. Numbers are Python's own, so that arrays keep their dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from deepmath.errors import TraceError
from deepmath.graph import BATCH_SUM, FUNCTIONS, Node, Size, needed
from deepmath.printers.loops import Kernel
from deepmath.printers.spelling import Spelling, variable

_OVER = {"row_sum": "np.sum({0}, axis=-1, keepdims=True)", "row_max": "np.max({0}, axis=-1, keepdims=True)"}
_GIVEN = ("argument", "constant", "columns")
_NOWHERE = Kernel("", (), (), [], [])


class _Python(Spelling):
    """NumPy's names; literals stay bare, and an argument is its name."""

    def literal(self, value: float, dtype: str) -> str:
        if dtype != "float":
            return repr(value)
        if math.isnan(value):
            return self.nan
        text = repr(float(value)) if math.isfinite(value) else f"{'-' if value < 0 else ''}{self.infinity}"
        return f"({text})" if value < 0 else text

    def operand(self, node: Node, dtype: str) -> str:
        if node.op == "columns":
            return self.literal(node.value, dtype)
        if node.op == "argument":
            return self.real.format(node.value) if (node.dtype, dtype) == ("int", "float") else str(node.value)
        return super().operand(node, dtype)

    def expression(self, node: Node, kernel: Kernel) -> str:
        if node.op == "size":
            return self.sizes[node.value]
        if node.op == "astype" and node.dtype == "float":
            return self.real.format(self.operand(node.args[0], node.args[0].dtype))
        if node.op in _MOVES:
            return _MOVES[node.op](node, *(self.operand(a, a.dtype) for a in node.args))
        if node.op == "broadcast_to":
            given = self.operand(node.args[0], node.dtype)
            if node.args[0].dims:
                return f"np.broadcast_to({given}, {_shape(node)})"
            return self.typed(f"np.full({_shape(node)}, {given})", node)
        text = super().expression(node, kernel)
        fresh = node.op == "where" and all(a.op == "constant" for a in node.args[1:])
        return self.typed(text, node) if fresh else text

    def typed(self, text: str, node: Node) -> str:
        """What NumPy makes of numbers alone, in the dtype of a node."""
        return {"float": self.real, "int": self.integer, "bool": self.truth}[node.dtype].format(text)


def _shape(node: Node) -> str:
    """A node's shape, in which the variable `rows` is the number of rows."""
    sizes = [d if not isinstance(d, Size) else "rows" if d.times == 1 else f"{d.times} * rows" for d in node.dims]
    return f"({', '.join(map(str, sizes))}{',' * (len(sizes) == 1)})"


def _flexible(node: Node) -> str:
    """A node's shape with -1 in the place of the rows."""
    return ", ".join("-1" if isinstance(d, Size) else str(d) for d in node.dims)


def _slice(node: Node, x: str) -> str:
    axis, start, step, count = node.value
    stop = start + step * count
    return f"{x}[{':, ' * axis}{start}:{'' if stop < 0 else stop}{f':{step}' if step != 1 else ''}]"


_MOVES: dict[str, Callable[..., str]] = {
    "matmul": lambda _, a, b: f"{a} @ {b}",
    "reshape": lambda node, x: f"{x}.reshape({_flexible(node)})",
    "permute_dims": lambda node, x: f"np.transpose({x}, {node.value})",
    "concat": lambda node, *arrays: f"np.concatenate(({', '.join(arrays)}), axis={node.value})",
    "slice": _slice,
    "take": lambda node, x, places: f"np.take({x}, {places}, axis={node.value})",
}
"""Operations on whole arrays: the text, from a node and its operands."""


def spelling(dtype: str) -> Spelling:
    """How Python text spells formulas of "float32" or "float64"; their first argument is called x."""
    calls = {n: f"np.{n}({', '.join(f'{{{i}}}' for i in range(count))})" for n, count in FUNCTIONS.items()}
    return _Python(
        patterns={**calls, "neg": "-{0}", "pow": "np.power({0}, {1})", **_OVER},
        places={},
        sizes={"rows": "x.shape[0]", "columns": "x.shape[1]"},
        infinity="np.inf",
        nan="np.nan",
        whole="{0}",
        integer="({0}).astype(np.int64)",
        truth="({0} != 0)",
        choice="np.where({0}, {1}, {2})",
        real=f"({{0}}).astype(np.{dtype})",
    )


def statements(results: Mapping[str, Node], dtype: str) -> list[str]:
    """Statements that set variables to nodes of a graph, whose arguments are named as the variables that hold them.

    Arrays of a graph of whole arrays keep their shapes; where the text needs the number of rows, it calls it `rows`.
    Raises TraceError for what sums over the rows.

    >>> from deepmath.trace import trace
    >>> y = trace(lambda xp, z: xp.maximum(z, 0.0) + 1.0, ["element"], ["x"]).outputs[0]
    >>> print("\\n".join(statements({"y": y}, "float32")))
    t2 = np.maximum(x, 0.0)
    y = t2 + 1.0
    """
    nodes = needed(results.values())
    if any(n.op == BATCH_SUM for n in nodes):
        raise TraceError("the formula sums over the rows, which predictions of single rows can't")
    words, inner = spelling(dtype), {a.number for n in nodes for a in n.args}
    steps = [n for n in nodes if n.op not in _GIVEN]
    names = {n.number: name for name, n in results.items() if n.op not in _GIVEN and n.number not in inner}
    texts = [f"{names.get(n.number, variable(n))} = {words.expression(n, _NOWHERE)}" for n in steps]
    others = ((name, words.operand(node, node.dtype)) for name, node in results.items() if node.number not in names)
    return texts + [f"{name} = {value}" for name, value in others if name != value]
