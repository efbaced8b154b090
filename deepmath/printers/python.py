"""A traced formula as Python text on NumPy arrays: one line for each operation.

The text needs the name `np` alone. Numbers are Python's own, so that arrays keep their dtype.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from deepmath.errors import TraceError
from deepmath.graph import BATCH_SUM, FUNCTIONS, Node, needed
from deepmath.printers.loops import Kernel
from deepmath.printers.spelling import Spelling, variable
from deepmath.trace import Formula, trace

_OVER = {"row_sum": "np.sum({0}, axis=-1, keepdims=True)", "row_max": "np.max({0}, axis=-1, keepdims=True)"}
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
        if node.op == "argument":
            return str(node.value)
        return super().operand(node, dtype)

    def expression(self, node: Node, kernel: Kernel) -> str:
        if node.op == "size":
            return self.sizes[node.value]
        if node.op == "astype" and node.dtype == "float":
            return self.real.format(self.operand(node.args[0], node.args[0].dtype))
        return super().expression(node, kernel)


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


def lines(formula: Formula, kinds: Sequence[str], names: Sequence[str], result: str, dtype: str) -> list[str]:
    """Statements that set `result` to the formula of arrays of these names, the first of which is x [rows, columns].

    `kinds` are those of `trace`. Raises TraceError where the formula can't be traced, or sums over the rows.

    >>> print("\\n".join(lines(lambda xp, z: xp.maximum(z, 0.0) + 1.0, ["element"], ["x"], "y", "float32")))
    t2 = np.maximum(x, 0.0)
    y = t2 + 1.0
    """
    (output,) = trace(formula, kinds, names).outputs
    nodes = needed([output])
    if any(n.op == BATCH_SUM for n in nodes):
        raise TraceError("the formula sums over the rows, which predictions of single rows can't")
    words = spelling(dtype)
    steps = [n for n in nodes if n.op not in ("argument", "constant")]
    return [f"{result if n is output else variable(n)} = {words.expression(n, _NOWHERE)}" for n in steps]
