"""Formulas as graphs: nodes and what they may be."""

from deepmath.graph.graphs import Graph, axis_of, broadcast
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
    "Dims", "Graph", "Node", "Size", "axis_of", "broadcast", "needed",
]  # fmt: skip
