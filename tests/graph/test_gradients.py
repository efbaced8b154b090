"""Every derivative rule against 5-point differences along random directions, also where arguments are broadcast."""

from __future__ import annotations

import functools
import zlib
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import pytest
from graph.table import SIZES, TABLE
from graph.test_arrays import traced

from deepmath.derivative import FLAT, RULES, gradients
from deepmath.errors import TraceError
from deepmath.evaluation import evaluate
from deepmath.graph import Graph, Node, needed
from deepmath.trace import Arrays

H = 1e-3
TOLERANCE = 1e-8
SMOOTH = [name for name, row in TABLE.items() if row.smooth]
WITHOUT = {"embed"}
"""Operations that only derivatives make."""


@functools.cache
def graph_of(name: str, batch: bool) -> tuple[list[Node], Node]:
    return traced(TABLE[name], SIZES["odd"], batch)


def errors(name: str, batch: bool = False) -> list[float]:
    """How far the gradient by each argument is from differences, along two directions and in its own units."""
    row = TABLE[name]
    given = row.arrays(SIZES["odd"])
    arguments, result = graph_of(name, batch)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    weights = rng.standard_normal(np.shape(row.function(xp, *given)))
    graph = result.graph
    seed = graph.array("seed", result.dims)
    floats = [i for i, node in enumerate(arguments) if node.dtype == "float"]
    found = gradients(Arrays(graph), [result], [seed], [arguments[i] for i in floats])
    assert [g.dims for g in found] == [arguments[i].dims for i in floats]
    values = {node.number: value for node, value in zip(arguments, given, strict=True)} | {seed.number: weights}
    return [
        error(functools.partial(moved, row.function, given, i, weights), given[i], slope, rng)
        for i, slope in zip(floats, evaluate(xp, found, values), strict=True)
    ]


def moved(function: Any, given: list[Any], place: int, weights: Any, x: Any) -> float:
    """The weighed sum of the results where one argument is x."""
    return float(np.sum(weights * function(xp, *given[:place], x, *given[place + 1 :])))


def error(value: Any, x: Any, slope: Any, rng: Any) -> float:
    """How far a slope is from differences: the error of the differences is of order H^4."""
    assert np.shape(slope) == np.shape(x)
    worst = 0.0
    for _ in range(2):
        way = rng.choice([-1.0, 1.0], np.shape(x)) * rng.uniform(0.5, 1.0, np.shape(x))
        near, far = (value(x + h * way) - value(x - h * way) for h in (H, 2.0 * H))
        wanted = (8.0 * near - far) / (12.0 * H)
        worst = max(worst, abs(float(np.sum(slope * way)) - wanted) / (1.0 + abs(wanted)))
    return worst


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name):
    assert max(errors(name)) < TOLERANCE


@pytest.mark.parametrize("name", [name for name in SMOOTH if TABLE[name].layer])
def test_derivatives_where_the_number_of_rows_is_not_known(name):
    assert max(errors(name, batch=True)) < TOLERANCE


def rows_with(op: str) -> list[str]:
    return [name for name in SMOOTH if any(node.op == op for node in needed([graph_of(name, False)[1]]))]


@pytest.mark.parametrize("op", sorted(set(RULES) - WITHOUT))
def test_every_rule_is_tried_and_a_wrong_one_is_found(monkeypatch, op):
    names, right = rows_with(op), RULES[op]
    assert names
    for place in range(len(right_arguments(op))):

        def wrong(xp, y, c, *args, place=place):
            shares = list(right(xp, y, c, *args))
            if place < len(shares) and shares[place] is not None:
                shares[place] = 1.01 * shares[place]
            return tuple(shares)

        if op == "where" and place == 0:
            continue
        monkeypatch.setitem(RULES, op, wrong)
        assert any(max(errors(name)) > 1e-4 for name in names), place


def right_arguments(op: str) -> tuple[Node, ...]:
    """The arguments of one such operation of the table."""
    return next(n.args for n in needed([graph_of(rows_with(op)[0], False)[1]]) if n.op == op)


def test_a_derivative_that_forgets_where_an_argument_was_broadcast_is_found(monkeypatch):
    def first(xp, y, c, a, b):
        return c * b, c * a * 0.5 if a.dims != b.dims else c * a

    monkeypatch.setitem(RULES, "*", first)
    assert max(errors("by features")) > 1e-4


@pytest.mark.parametrize("op", sorted(FLAT))
def test_what_is_flat_stops_the_derivative(op):
    graph = Graph(of_arrays=True)
    x, seed = graph.array("x", (3,)), graph.array("seed", (3,))
    y = graph.cast(x > 0.5, "float") if op == "astype" else graph.node(op, x)
    (slope,) = gradients(Arrays(graph), [y], [seed], [x])
    values = {x.number: np.asarray([0.2, 0.7, -1.0]), seed.number: np.ones(3)}
    np.testing.assert_array_equal(evaluate(xp, [slope], values)[0], np.zeros(3))


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "take"])
def test_what_has_no_derivative_says_so(name):
    with pytest.raises(TraceError, match=r"the derivative passes through '.*', which has none; write"):
        errors(name)


def test_zeros_arrive_where_a_result_does_not_depend_on_a_target():
    graph = Graph(of_arrays=True)
    x, w, seed = graph.array("x", (3, 2)), graph.array("w", (2,)), graph.array("seed", (3, 2))
    found = gradients(Arrays(graph), [x * 2.0], [seed], [w])
    (slope,) = evaluate(xp, found, {w.number: np.ones(2), seed.number: np.ones((3, 2))})
    np.testing.assert_array_equal(slope, np.zeros(2))


def test_the_largest_of_several_share_a_cotangent():
    graph = Graph(of_arrays=True)
    x, seed = graph.array("x", (2, 3)), graph.array("seed", (2,))
    (slope,) = gradients(Arrays(graph), [Arrays(graph).max(x, axis=1)], [seed], [x])
    values = {x.number: np.asarray([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]]), seed.number: np.asarray([4.0, 5.0])}
    assert evaluate(xp, [slope], values)[0].tolist() == [[0.0, 2.0, 2.0], [5.0, 0.0, 0.0]]
