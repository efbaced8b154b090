"""A traced function of arrays computes what the function computes, on every library and for every size."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat.numpy as xnp
import array_api_compat.torch as xtorch
import array_api_strict
import numpy as np
import pytest
from graph.table import SIZES, TABLE, Row

from deepmath.arrays import to_numpy
from deepmath.errors import TraceError
from deepmath.evaluation import evaluate
from deepmath.graph import Graph, Node, Size
from deepmath.testing.close import assert_close
from deepmath.trace import Arrays

LIBRARIES = {"numpy": xnp, "torch": xtorch, "strict": array_api_strict}


def traced(row: Row, sizes: dict[str, int], batch: bool = False) -> tuple[list[Node], Node]:
    """The arguments and the result; `batch`: how many rows there are isn't known yet."""
    graph = Graph(of_arrays=True)
    arguments = []
    words = [word.rpartition(":")[2] for word in row.takes.split()]
    for i, (word, shape, dtype) in enumerate(zip(words, row.shapes(sizes), row.dtypes(), strict=True)):
        dims: Any = (Size(graph, "rows"), *shape[1:]) if batch and word.startswith("b") else shape
        arguments.append(graph.array(f"a{i}", dims, dtype))
    return arguments, row.function(Arrays(graph), *arguments)


def known(dims: Any, rows: int) -> tuple[int, ...]:
    return tuple(d.times * rows if isinstance(d, Size) else d for d in dims)


def may_be_empty(row: Row, sizes: dict[str, int]) -> bool:
    return not row.filled or all(map(math.prod, row.shapes(sizes)))


def on(xp: Any, arrays: list[Any]) -> list[Any]:
    return [xp.asarray(a) for a in arrays]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", TABLE)
def test_a_traced_function_computes_what_it_computes_on_arrays(name, sizes):
    row, sizes = TABLE[name], SIZES[sizes]
    if not may_be_empty(row, sizes):
        return
    given = row.arrays(sizes)
    wanted = np.asarray(row.function(xnp, *given))
    for batch in (False, True):
        try:
            arguments, result = traced(row, sizes, batch)
        except TraceError:
            assert batch, name
            assert not row.layer, name
            continue
        values = {node.number: value for node, value in zip(arguments, given, strict=True)}
        found = np.asarray(evaluate(xnp, [result], values)[0])
        assert known(result.dims, sizes["b"]) == wanted.shape
        assert {"f": "float", "i": "int", "b": "bool"}[wanted.dtype.kind] == result.dtype
        assert_close(found, wanted, 1e-14)


@pytest.mark.parametrize("library", ["torch", "strict"])
@pytest.mark.parametrize("name", TABLE)
def test_every_library_computes_the_same(name, library):
    row, xp = TABLE[name], LIBRARIES[library]
    for sizes in (SIZES["odd"], SIZES["no rows"]):
        if not may_be_empty(row, sizes):
            continue
        given = row.arrays(sizes)
        wanted = np.asarray(row.function(xnp, *given))
        arguments, result = traced(row, sizes)
        values = {node.number: value for node, value in zip(arguments, on(xp, given), strict=True)}
        found = evaluate(xp, [result], values)[0]
        assert_close(to_numpy(found), wanted, 1e-14)
        if not (row.flips and library == "torch"):
            assert_close(to_numpy(row.function(xp, *on(xp, given))), wanted, 1e-14)


@pytest.mark.parametrize("name", TABLE)
def test_float32_stays_float32(name):
    row = TABLE[name]
    given = [a.astype(np.float32) if a.dtype == np.float64 else a for a in row.arrays(SIZES["odd"])]
    arguments, result = traced(row, SIZES["odd"])
    found = evaluate(xnp, [result], {n.number: v for n, v in zip(arguments, given, strict=True)})[0]
    assert np.asarray(found).dtype == {"float": np.float32, "int": np.int64, "bool": np.bool_}[result.dtype]
