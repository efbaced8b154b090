"""Tracing: a graph computes what the formula computes, holds equal things once, and refuses what it can't hold."""

import array_api_compat.numpy as xp
import numpy as np
import pytest
from helpers import SHAPES, has_row_max, reference
from table import TABLE, by_name

from deepmath.derivative import pullback
from deepmath.errors import TraceError
from deepmath.evaluation import evaluate
from deepmath.graph import Graph
from deepmath.trace import Symbols, argument_names, trace

NAMES = [row.name for row in TABLE]


@pytest.mark.parametrize("name", NAMES)
def test_graph_computes_what_the_formula_computes(name):
    row = by_name(name)
    traced = trace(row.formula, row.trace_kinds)
    for shape in SHAPES:
        if shape[0] or not has_row_max(row):
            arguments = row.draw(np.random.default_rng(shape), shape)
            values = {a.number: v for a, v in zip(traced.arguments, arguments, strict=True)}
            for got, want in zip(evaluate(xp, traced.outputs, values), reference(row, arguments), strict=True):
                np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_traced_again_is_the_same_graph(name):
    row = by_name(name)
    first = trace(row.formula, row.trace_kinds)

    def again(xp, *arguments):
        return evaluate(xp, first.outputs, {a.number: v for a, v in zip(first.arguments, arguments, strict=True)})

    second = trace(again, row.trace_kinds)
    twins: dict[int, int] = {}
    stack = list(zip(first.outputs, second.outputs, strict=True))
    while stack:
        node, twin = stack.pop()
        if node.number not in twins:
            assert (node.op, node.dtype, node.axes) == (twin.op, twin.dtype, twin.axes)
            stack.extend(zip(node.args, twin.args, strict=True))
        assert twins.setdefault(node.number, twin.number) == twin.number
    assert len(set(twins.values())) == len(twins) == len(first.needed()) == len(second.needed())


def count(formula, op, kinds=("element",)):
    return sum(node.op == op for node in trace(formula, kinds).needed())


def test_equal_nodes_are_one_node():
    assert count(lambda xp, z: xp.exp(z) + xp.exp(z), "exp") == 1
    assert count(lambda xp, z: xp.exp(z) * xp.exp(-z), "exp") == 2
    assert count(lambda xp, z: (z + 2.0) * (z + 2.0), "constant") == 1
    assert count(lambda xp, z: (z + 2) * (z + 2.0), "constant") == 2


def test_needed_leaves_out_what_no_result_uses():
    def formula(xp, z):
        xp.exp(z)
        return z + 1.0

    assert [n.op for n in trace(formula, ["element"]).needed()] == ["argument", "constant", "+"]


def test_neutral_operations_disappear_and_products_with_zero_stay():
    for formula in (lambda xp, z: z + 0.0, lambda xp, z: 1.0 * z, lambda xp, z: z / 1.0, lambda xp, z: z - 0.0):
        assert trace(formula, ["element"]).outputs[0].op == "argument"
    assert trace(lambda xp, z: 0.0 * z, ["element"]).outputs[0].op == "*"


def test_axes_and_dtypes():
    def formula(xp, x, row, column, number):
        return x + row, row * number, column > number, xp.sum(x, axis=-1, keepdims=True), xp.astype(x > row, x.dtype)

    outputs = trace(formula, ["element", "row", "column", "scalar"]).outputs
    assert [o.axes for o in outputs] == [(True, True), (True, False), (False, True), (True, False), (True, True)]
    assert [o.dtype for o in outputs] == ["float", "float", "bool", "float", "float"]


def test_integers_stay_integers_until_they_meet_a_float():
    def formula(xp, k, z):
        return k & 3, k + 1, k + 1.0, k / 2, k * z, k == 2

    outputs = trace(formula, ["element:int", "element"]).outputs
    assert [o.dtype for o in outputs] == ["int", "int", "float", "float", "float", "bool"]


def test_names_of_arguments():
    assert argument_names(lambda xp, z, *rest: z, 3) == ["z", "arg0", "arg1"]


def branches(xp, z):
    return z if z > 0.0 else -z


REJECTED = [
    (branches, r"branches on a value; use xp.where\(condition, a, b\) instead of if"),
    (lambda xp, z: 0.0 < z < 1.0, "branches on a value"),
    (lambda xp, z: max(z, 0.0), "branches on a value"),
    (lambda xp, z: xp.tan(z), "xp.tan is outside what can be traced: abs, cos, exp, "),
    (lambda xp, z: xp.zeros(3) + z, "xp.zeros is outside what can be traced"),
    (lambda xp, z: xp.sum(z, axis=0, keepdims=True), "must be along the last axis: axis=-1, keepdims=True"),
    (lambda xp, z: xp.sum(z), "must be along the last axis"),
    (lambda xp, z: xp.max(z, axis=-1), "must be along the last axis"),
    (lambda xp, z: xp.sum(xp.max(z, axis=-1, keepdims=True), axis=-1, keepdims=True),
     "reduces a value that doesn't vary along the last axis"),
    (lambda xp, z: z + "1", "mixes a str into its arithmetic; constants must be numbers"),
    (lambda xp, z: z * [1.0, 2.0], "mixes a list into its arithmetic"),
    (lambda xp, z: z + True, "mixes a bool into its arithmetic"),
    (lambda xp, z: z * np.ones(2), "mixes a ndarray into its arithmetic"),
    (lambda xp, z: z + None, "mixes a NoneType into its arithmetic"),
    (lambda xp, z: xp.where(z > 0.0, 1.0, 0.0), "xp.where needs an array in one of its branches"),
    (lambda xp, z: xp.exp(z, z), "xp.exp takes 1 arguments, not 2"),
    (lambda xp, z: z & 1, "uses & on numbers that are not integers"),
    (lambda xp, z: z << 1, "uses << on numbers that are not integers"),
    (lambda xp, z: z + OTHER, "mixes values of two traces"),
]  # fmt: skip
OTHER = Graph().argument("other", "element")


@pytest.mark.parametrize(("formula", "message"), REJECTED, ids=[m for _, m in REJECTED])
def test_rejected_formulas(formula, message):
    with pytest.raises(TraceError, match=message):
        trace(formula, ["element"])


def test_a_derivative_is_a_formula_and_can_be_traced():
    first = pullback(lambda xp, z: z * z * z, ["element"])
    second = pullback(first, ["element", "element"])
    z, one = np.asarray([[2.0, -3.0]]), np.ones((1, 2))
    np.testing.assert_array_equal(second(xp, z, one, one), 6.0 * z)


def test_symbols_have_the_constants_of_the_standard():
    names = Symbols(Graph())
    assert (names.pi, names.e, names.inf) == (np.pi, np.e, np.inf)
    assert names.nan != names.nan
