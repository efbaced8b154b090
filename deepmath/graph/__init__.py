"""Formulas as graphs: nodes and what they may be."""

from deepmath.graph.graphs import Graph, broadcast
from deepmath.graph.nodes import (
    ARRAYS,
    BATCH_SUM,
    COMPARISONS,
    FUNCTIONS,
    INTEGER,
    KINDS,
    LOGICAL,
    OPERATORS,
    REDUCTIONS,
    Dims,
    Node,
    Size,
    needed,
)

__all__ = [
    "ARRAYS", "BATCH_SUM", "COMPARISONS", "FUNCTIONS", "INTEGER", "KINDS", "LOGICAL", "OPERATORS", "REDUCTIONS",
    "Dims", "Graph", "Node", "Size", "broadcast", "needed",
]  # fmt: skip
