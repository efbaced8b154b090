"""A function of arrays as matrix products and maps of elements between them, by tracing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepmath.errors import TraceError
from deepmath.evaluation import evaluate
from deepmath.graph import Graph, Node, needed
from deepmath.trace import Symbols


class Product(NamedTuple):
    """y = x matrix for rows x; the matrix is [features, outputs]."""

    what: str
    matrix: Any

    @property
    def outputs(self) -> int:
        """The length of a row of y."""
        return int(self.matrix.shape[1])


class Map(NamedTuple):
    """y = formula(xp, x, *columns), of one shape with x [rows, outputs]; the columns are arrays [outputs]."""

    what: str
    formula: Callable[..., Any]
    columns: tuple[Any, ...]
    outputs: int

    @property
    def kinds(self) -> list[str]:
        """The kinds of the formula's arguments, as `trace` takes them."""
        return ["element", *["column"] * len(self.columns)]

    @property
    def names(self) -> list[str]:
        """Names for the formula's arguments."""
        return ["x", *(f"c{i}" for i in range(len(self.columns)))]


class _Cutting(Symbols):
    """Symbols that cut at every matrix product: its matrix is kept, and a new argument stands for its result."""

    def __init__(self, graph: Graph, start: Node) -> None:
        super().__init__(graph)
        self.cuts: list[tuple[Node, Any]] = []
        self.starts = [start]

    def matmul(self, x: Node, matrix: Any) -> Node:
        if not isinstance(x, Node) or not isinstance(matrix, np.ndarray) or matrix.ndim != 2:
            raise TraceError("a matrix product must be that of rows with a fixed matrix: xp.matmul(x, kernel)")
        self.cuts.append((x, matrix))
        self.starts.append(self._graph.argument(f"x{len(self.cuts)}", "element"))
        return self.starts[-1]


def cut(what: str, formula: Callable[..., Any], features: int, values: Sequence[Any]) -> list[Product | Map]:
    """The stages of `formula(xp, x, *values)` for rows x [rows, features].

    Matrices among the values may only be multiplied with; arrays with one axis are columns. Raises TraceError for
    anything else, for example what goes round a product.

    >>> stages = cut("sum", lambda xp, x, w, b: xp.matmul(x, w) + b, 2, [np.ones((2, 3)), np.ones(3)])
    >>> [(type(s).__name__, s.outputs) for s in stages]
    [('Product', 3), ('Map', 3)]
    """
    graph = Graph()
    xp = _Cutting(graph, graph.argument("x", "element"))
    columns = {i: graph.argument(f"value{i}", "column") for i, v in enumerate(values) if np.ndim(v) == 1}
    result = formula(xp, xp.starts[0], *(columns.get(i, v) for i, v in enumerate(values)))
    known = {node.number: np.asarray(values[i], np.float64) for i, node in columns.items()}
    stages: list[Product | Map] = []
    ends = [(x, matrix) for x, matrix in xp.cuts] + [(result, None)]
    for start, (end, matrix) in zip(xp.starts, ends, strict=True):
        if not isinstance(end, Node) or end.axes != (True, True):
            raise TraceError("its result doesn't vary from row to row and from column to column")
        if end is not start:
            stages.append(_map(what, start, end, known, features))
        if matrix is not None:
            if matrix.shape[0] != features:
                raise TraceError(f"a matrix of shape {matrix.shape} is multiplied with rows of {features} numbers")
            stages.append(Product(what, np.asarray(matrix, np.float64)))
            features = matrix.shape[1]
    return stages


def _map(what: str, start: Node, end: Node, known: dict[int, Any], features: int) -> Map:
    """The map from one product's result to what goes into the next."""
    others = [n for n in needed([end]) if n.op == "argument" and n is not start]
    if any(n.number not in known for n in others):
        raise TraceError("it uses values from in front of a matrix product behind it")
    for n in others:
        if len(known[n.number]) != features:
            raise TraceError(f"an array of {len(known[n.number])} numbers meets rows of {features}")

    def formula(xp: Any, x: Any, *columns: Any) -> Any:
        values = {start.number: x} | {n.number: c for n, c in zip(others, columns, strict=True)}
        return evaluate(xp, [end], values)[0]

    return Map(what, formula, tuple(known[n.number] for n in others), features)
