"""Computation graphs: the articles' numbers, derivatives by another way, and files that other programs read."""

import itertools
import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from random_networks import random_case
from studied import model_of

from deepmath import Dense, Sequential, computation_graph, datasets, errors, explain_step
from deepmath.formulas.softmax import softmax
from deepmath.study.example import example


def product(xp, a, b, c):
    return 3.0 * (a + b * c)


def test_the_graph_of_the_textbook():
    graph = computation_graph(product, 5.0, 3.0, 2.0)
    assert [(v.name, v.value, v.derivative) for v in graph.vertices] == [
        ("a", 5.0, 3.0), ("b", 3.0, 6.0), ("c", 2.0, 9.0), ("t1", 6.0, 3.0), ("t2", 11.0, 3.0), ("product", 33.0, 1.0),
    ]  # fmt: skip
    assert {(e.source, e.target, e.value, e.derivative) for e in graph.edges} == {
        ("b", "t1", 3.0, 6.0), ("c", "t1", 2.0, 9.0), ("a", "t2", 5.0, 3.0), ("t1", "t2", 6.0, 3.0),
        ("t2", "product", 11.0, 3.0),
    }  # fmt: skip


def test_article_3():
    graph = computation_graph(lambda xp, x, y, z: (x + y) * z, -2.0, 5.0, -4.0)
    assert graph["f"].value == -12.0
    assert [graph[n].derivative for n in "xyz"] == [-4.0, -4.0, 3.0]


def test_functions_of_every_kind_are_differentiated():
    def formula(xp, x, y):
        return xp.tanh(x) * xp.exp(-y) + xp.log1p(x * x) / xp.sqrt(y) + xp.maximum(x, y) - xp.abs(x - y) + x**3

    graph, h = computation_graph(formula, 0.7, 1.9), 1e-6
    by_x = (float(formula(np, 0.7 + h, 1.9)) - float(formula(np, 0.7 - h, 1.9))) / (2 * h)
    by_y = (float(formula(np, 0.7, 1.9 + h)) - float(formula(np, 0.7, 1.9 - h))) / (2 * h)
    assert graph["x"].derivative == pytest.approx(by_x, rel=1e-8)
    assert graph["y"].derivative == pytest.approx(by_y, rel=1e-8)


def test_rows_are_taken_apart():
    def first(xp, z):
        return softmax(xp, z)[:, :1]

    graph = computation_graph(first, [[1.0, 2.0, 3.0]])
    p = math.exp(1.0) / sum(map(math.exp, (1.0, 2.0, 3.0)))
    q = math.exp(2.0) / sum(map(math.exp, (1.0, 2.0, 3.0)))
    assert graph["first"].value == pytest.approx(p, rel=1e-14)
    assert graph["z[1,1]"].derivative == pytest.approx(p * (1 - p), rel=1e-13)
    assert graph["z[1,2]"].derivative == pytest.approx(-p * q, rel=1e-13)


@pytest.mark.parametrize("seed", [0, 8, 11])
def test_a_model_s_derivatives_are_the_gradient(seed, monkeypatch):
    """Taken through the graph of scalars, without any pullback of a layer, an activation or a loss."""
    monkeypatch.setattr("deepmath.study.graphs.LARGEST", 10**6)
    case = random_case(seed)
    X, y = case.X[:5], case.y[:5]
    model = model_of(case)
    graph, step = computation_graph(model, X, y), explain_step(model, X, y)
    detailed = explain_step(model, X, y, detail="weights")
    names = {v.name for v in graph.vertices}
    scale = max(1.0, *(float(np.abs(v).max()) for n, v in step.values.items() if n.startswith("gradient.")))
    compared = 0
    for equation in detailed.equations:
        name, place = equation.left.place
        if f"gradient.{name}" in step.values and equation.left.plain in names and not name.startswith("gradient"):
            expected = step.values[f"gradient.{name}"][place]
            assert graph[equation.left.plain].derivative == pytest.approx(expected, rel=1e-9, abs=1e-11 * scale)
            compared += 1
    assert compared > 10


def test_a_larger_model_has_a_vertex_for_each_array():
    X, y = datasets.digits()
    model = Sequential([Dense(32, "relu"), Dense(10, "softmax", kernel_regularizer="l2")])
    model.compile("adam", "sparse_categorical_crossentropy")
    graph, step = computation_graph(model, X[:8] / 16, y[:8]), explain_step(model, X[:8] / 16, y[:8])
    assert [v.name for v in graph.vertices] == [
        "x",
        "0.kernel",
        "0.bias",
        "0.z",
        "0.a",
        "1.kernel",
        "1.bias",
        "1.z",
        "J",
    ]
    assert graph["0.kernel"].derivative == pytest.approx(np.linalg.norm(step.values["gradient.0.kernel"]))
    assert graph["0.a"].value == pytest.approx(np.linalg.norm(step.values["0.a"]))
    assert graph["J"].value == pytest.approx(float(step.values["loss"]))


def test_svg_and_dot():
    graph = computation_graph(product, 5.0, 3.0, 2.0)
    root = ElementTree.fromstring(graph.svg())
    assert root.tag.endswith("svg")
    shown = "".join(root.itertext())
    for part in ("product", "33", "t2", "11"):
        assert part in shown
    width, high = float(root.get("width")), float(root.get("height"))
    boxes = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("class") == "box"]
    assert len(boxes) == len(graph.vertices)
    places = {(float(b.get("x")), float(b.get("y"))) for b in boxes}
    assert len(places) == len(boxes)
    assert all(0 <= x < width and 0 <= y < high for x, y in places)
    dot = graph.dot()
    assert dot.startswith("digraph computation {")
    assert re.findall(r'"(\w+)" -> "(\w+)"', dot) == [(e.source, e.target) for e in graph.edges]


def test_refusals():
    with pytest.raises(errors.ConfigError, match="computation_graph: expected a formula such as"):
        computation_graph(3)
    with pytest.raises(errors.ConfigError, match="computation_graph: a model needs X and y; got 1 arguments"):
        computation_graph(Sequential([Dense(1)]), [[1.0]])
    with pytest.raises(errors.TraceError, match="must give one number that depends on its arguments"):
        computation_graph(lambda xp, x: x + 1.0, [1.0, 2.0])
    with pytest.raises(KeyError):
        computation_graph(product, 5.0, 3.0, 2.0)["nothing"]


def test_no_two_labels_of_a_small_networks_graph_cover_each_other():
    _, model, x, y = example("article5")
    root = ElementTree.fromstring(computation_graph(model, x, y).svg())
    found = [t for t in root.iter("{http://www.w3.org/2000/svg}text") if "label" in t.get("class")]
    boxes = [(float(t.get("x")), float(t.get("y")), 5.5 * len(t.text)) for t in found]
    for (x1, y1, w1), (x2, y2, w2) in itertools.combinations(boxes, 2):
        assert abs(x1 - x2) >= (w1 + w2) / 2 or abs(y1 - y2) >= 10.5
