"""How a language of loops spells the nodes of a graph.

CUDA C, C99 and NumPy text differ in their loops and in few words. What they share stands here once:
one variable for each node, operands promoted to one dtype, literals in the kernel's dtype, arguments read at
the place that their kind says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from deepmath.graph import COMPARISONS, Node
from deepmath.printers.loops import Kernel, is_virtual

INFIX = COMPARISONS | {"+", "-", "*", "/", "//", "%", "&", "|", "^", "<<", ">>"}


class Spelling(NamedTuple):
    """The words of one language.

    `patterns` gives the expression of an operation from its operands {0}, {1}, ..., "int *" that of an operation on
    integers alone; without a pattern an operation is an infix operator or a function of its own name. `places` says
    where an argument is read or a result written, by `Node.axes`. `integer`, `truth` and `choice` are the patterns of
    a cast to 64 bits, of a cast to bool, and of "{1} where {0}, else {2}"; `real` is that of a cast to the kernel's
    float, which CUDA text calls T.
    """

    patterns: Mapping[str, str]
    places: Mapping[tuple[bool, bool], str]
    sizes: Mapping[str, str]
    infinity: str
    nan: str
    whole: str
    integer: str
    truth: str
    choice: str
    real: str = "T({0})"

    def literal(self, value: float, dtype: str) -> str:
        """A constant in an expression of this dtype."""
        if dtype != "float":
            return self.whole.format(value)
        if math.isnan(value):
            return self.real.format(self.nan)
        text = f"{'-' if value < 0 else ''}{self.infinity}" if math.isinf(value) else repr(float(value))
        return self.real.format(text)

    def operand(self, node: Node, dtype: str) -> str:
        """A node as an operand in an expression of this dtype."""
        if node.op == "constant":
            return self.literal(node.value, dtype)
        if dtype == "float" and node.dtype == "int":
            return self.real.format(variable(node))
        return variable(node)

    def expression(self, node: Node, kernel: Kernel) -> str:
        """What is assigned to the node's variable."""
        if node.op == "constant":
            return self.literal(node.value, node.dtype)
        if node.op == "size":
            return self.real.format(self.sizes[node.value])
        if node.op == "argument":
            return self.argument(node, kernel)
        if node.op == "astype":
            return self.cast(node)
        common = "float" if any(a.dtype == "float" for a in node.args) or node.dtype == "float" else "int"
        operands = [self.operand(a, "bool" if a.dtype == "bool" else common) for a in node.args]
        if node.op == "where":
            return self.choice.format(*operands)
        default = f"{{0}} {node.op} {{1}}" if node.op in INFIX else f"{node.op}({', '.join(operands)})"
        pattern = self.patterns.get(node.op, default)
        return self.patterns.get(f"{common} {node.op}", pattern).format(*operands)

    def argument(self, node: Node, kernel: Kernel) -> str:
        """An argument, read at its place; scalars come in the widest type and are cast."""
        if is_virtual(node, kernel):
            return "r" if node.axes[0] else "j"
        read = f"{parameter(node)}{self.places[node.axes]}"
        if node.dtype == "float":
            return read if any(node.axes) else self.real.format(read)
        return (self.integer if node.dtype == "int" else self.truth).format(read)

    def cast(self, node: Node) -> str:
        """`astype`: a truth becomes 1 or 0."""
        source = node.args[0]
        if node.dtype == "bool":
            return self.truth.format(self.operand(source, source.dtype))
        if source.dtype == "bool":
            return self.choice.format(variable(source), self.literal(1, node.dtype), self.literal(0, node.dtype))
        operand = self.operand(source, source.dtype)
        return self.real.format(operand) if node.dtype == "float" else self.integer.format(operand)


def variable(node: Node) -> str:
    """The name of the variable that holds a node."""
    return f"t{node.number}"


def parameter(node: Node) -> str:
    """The name of an argument in the printed function: never that of a loop counter or of a function."""
    return f"in_{node.value}"


def array_name(kernel: Kernel, name: str) -> str:
    """The array that an output of this name is written to: its own, or the argument of this name."""
    return next((parameter(a) for a in kernel.arguments if a.value == name), name)
