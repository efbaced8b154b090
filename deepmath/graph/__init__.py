"""Formulas as graphs: nodes and what they may be."""

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
    Graph,
    Node,
    Size,
    broadcast,
    needed,
)

__all__ = [
    "ARRAYS", "BATCH_SUM", "COMPARISONS", "FUNCTIONS", "INTEGER", "KINDS", "LOGICAL", "OPERATORS", "REDUCTIONS",
    "Dims", "Graph", "Node", "Size", "broadcast", "needed",
]  # fmt: skip
