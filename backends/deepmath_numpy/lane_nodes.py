"""Which nodes of a graph can be printed with one axis in the lanes, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from deepmath.graph import FUNCTIONS, OPERATORS, Node, Size

ELEMENT_WISE = {*OPERATORS, *FUNCTIONS, "where", "astype"}
"""Operations that go element by element."""
KEEP_ZEROS = {
    "+", "-", "neg", "abs", "sign", "sqrt", "astype", "reshape", "permute_dims", "broadcast_to", "concat", "slice",
    "embed", "row_sum", "row_max", "sum", "max", "minimum", "maximum", "floor", "tanh", "expm1",
}  # fmt: skip
"""Operations that give 0 where all their arguments are 0."""
_SHAPES = {"reshape", "permute_dims", "broadcast_to", "concat", "slice", "embed"}
_SUMS = {"row_sum", "row_max", "sum", "max", "batch_sum"}
_GIVEN = {"argument", "constant", "columns", "size", "index"}
CALLED = {"exp", "expm1", "log", "log1p", "tanh", "cos", "sin", "pow", "//", "%"}
"""Operations that call a function."""


def is_single(node: Node) -> bool:
    """Whether a node goes element by element, or is given."""
    return node.op in ELEMENT_WISE or node.op in _GIVEN


def unsupported(node: Node) -> str:
    """Why the values of a node can't be printed, or nothing if they can."""
    if not is_single(node) and node.op not in _SHAPES | _SUMS | {"matmul", "random"}:
        return f"'{node.op}' isn't compiled into straight lines"
    if sum(isinstance(d, Size) for d in node.dims) > 1:
        return f"an array of shape {node.dims} has the rows along two axes"
    if node.op == "reshape" and _moves_rows(node):
        return f"{node.args[0].dims} reshaped to {node.dims} moves rows between lanes"
    return ""


def cost(node: Node, vectors: int) -> int:
    """About how many instructions compute a node, where a value of all rows is so many vectors."""
    elements = math.prod(d.times if isinstance(d, Size) else d for d in node.dims)
    wide = vectors if any(isinstance(d, Size) for d in node.dims) else 1
    if node.op == "matmul":
        inner = node.args[0].dims[-1]
        return elements * (vectors + 4 if isinstance(inner, Size) else inner * (wide + 1))
    if node.op in _SUMS:
        below = node.args[0].dims
        return math.prod(d.times if isinstance(d, Size) else d for d in below) * vectors + 4 * elements
    if node.op == "random":
        return elements * 4 * vectors
    if node.op in CALLED:
        return elements * (wide + 4)
    return elements * wide if node.op in ELEMENT_WISE else 0


def _moves_rows(node: Node) -> bool:
    """Whether a reshape puts what was in one lane into others."""
    before, after = (math.prod(_in_front(n.dims)) for n in (node.args[0], node))
    return before != after


def _in_front(dims: Sequence[Any]) -> Sequence[Any]:
    """The dimensions in front of the one in the lanes; none if there is none."""
    place = next((i for i, d in enumerate(dims) if isinstance(d, Size)), 0)
    return dims[:place]
