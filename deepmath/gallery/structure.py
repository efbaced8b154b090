"""Pictures of networks: what they are made of, and what passes through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepmath import datasets, plots
from deepmath.formulas.activations import sigmoid
from deepmath.formulas.affine import affine
from deepmath.gallery.classifiers import circles_model
from deepmath.gallery.training import chain as dense_chain
from deepmath.gallery.training import outputs
from deepmath.plots import Arrow, Box
from deepmath.plots.style import new_axes
from deepmath.study import ComputationGraph, computation_graph
from deepmath.study.example import example
from deepmath.study.subject import subject
from deepmath.study.values import Step


def network() -> Any:
    """Article 1's network with the weights that it has learnt."""
    model, *_ = circles_model()
    kernels = model.get_weights()[::2]
    names = ("inputs\n2", "relu\n4", "relu\n6", "relu\n6", "relu\n4", "sigmoid\n1")
    ax = plots.network(kernels, names=names)
    ax.set_title("solid: weight above 0, dashed: below, wide: large")
    return ax.figure


def wide() -> Any:
    """Article 3's network of five inputs and two outputs, with drawn weights."""
    model = dense_chain((5, 3, 3, 2))
    return plots.network(model.get_weights()[::2], names=("5 inputs", "3 units", "3 units", "2 outputs")).figure


def step() -> Any:
    """Article 5's network with its weights and the values of its step."""
    _, model, x, _ = example("article5")
    weights = model.get_weights()
    hidden, out = outputs(model, x)
    ax = plots.network(
        weights[::2], new_axes(7.8, 4.4)[0], values=[x[0], hidden[0], out[0]], numbers=True, biases=weights[1::2],
        names=("inputs", "hidden, sigmoid", "outputs, sigmoid"),
    )  # fmt: skip
    return ax.figure


def dropout() -> Any:
    """A network in training and in prediction: rate 0.4 in the hidden layers."""
    kernels = dense_chain((4, 6, 6, 2)).get_weights()[::2]
    rng = np.random.default_rng(3)
    dropped = [np.zeros(4, bool), *(rng.random(6) < 0.4 for _ in range(2)), np.zeros(2, bool)]
    training, prediction = new_axes(11.0, 4.4, 2)
    plots.network(kernels, training, dropped=dropped)
    plots.network(kernels, prediction)
    training.set_title("in a step of training: units dropped at random")
    prediction.set_title("in prediction: all units")
    return training.figure


def neuron() -> Any:
    """One neuron: inputs, weights, the sum z, the activation a."""
    x, w, b = np.array([[1.0, 2.0, -1.0]]), np.array([[0.5], [-0.3], [0.8]]), np.array([0.6])
    z = affine(np, x, w, b)
    boxes = [Box(f"$x_{i + 1}$ = {x[0, i]:g}", 0.0, 2.0 * (1 - i)) for i in range(3)]
    boxes += [
        Box("$z = w^T x + b$", 5.0, 0.0, (f"b = {b[0]:g}", f"z = {z[0, 0]:.4g}")),
        Box("$a = g(z)$", 9.6, 0.0, ("sigmoid", f"a = {sigmoid(np, z)[0, 0]:.6f}")),
    ]
    arrows = [Arrow(i, 3, f"$w_{i + 1}$ = {w[i, 0]:g}") for i in range(3)] + [Arrow(3, 4)]
    ax = plots.flow(boxes, arrows)
    return ax.figure


def layer() -> Any:
    """A layer for four samples at once; the bias is the same in each row."""
    rng = np.random.default_rng(5)
    X, W, b = rng.normal(size=(4, 3)), rng.normal(size=(3, 2)), rng.normal(size=2)
    z = affine(np, X, W, b)
    repeated = np.broadcast_to(b, z.shape)
    terms: list[tuple[str, Any] | str] = [
        ("X", X),
        "·",
        ("W", W),
        "+",
        ("b, repeated", repeated),
        "=",
        ("Z", z),
        "→",
        ("A = sigmoid(Z)", sigmoid(np, z)),
    ]
    return plots.matrices(terms).figure


def graph() -> Any:
    """Article 3's graph: values forward, derivatives backward."""
    found = computation_graph(_product, -2.0, 5.0, -4.0)
    names = {v.name: v.name for v in found.vertices}
    names |= {v.name: "f = (x + y) z" for v in found.vertices if v.name == found.result}
    names |= {v.name: f"{v.formula}" for v in found.vertices if v.formula == "x + y"}
    return _of_graph(found, lambda _: True, names, across=4.6, up=2.2).figure


def _product(_: Any, x: Any, y: Any, z: Any) -> Any:
    """Article 3's function."""
    return (x + y) * z


def chain() -> Any:
    """The two ways on which the error of article 5's step comes back to the weight w1."""
    _, model, x, y = example("article5")
    found = computation_graph(model, x, y)
    weight = "w1[1,1]"
    after, below = _reached(found, weight, forward=True), _reached(found, found.result, forward=False)
    ax = _of_graph(found, lambda name: name in after & below, {}, across=3.7, up=2.8)
    total = found[weight].derivative
    ax.set_title(f"d{found.result}/d{weight}: both ways together give {total:.9f}")
    return ax.figure


def _reached(graph: ComputationGraph, start: str, *, forward: bool) -> set[str]:
    """The names that edges lead to from `start`, itself among them."""
    found, waiting = {start}, [start]
    while waiting:
        name = waiting.pop()
        for edge in graph.edges:
            here, there = (edge.source, edge.target) if forward else (edge.target, edge.source)
            if here == name and there not in found:
                found.add(there)
                waiting.append(there)
    return found


def _of_graph(
    graph: ComputationGraph, keep: Callable[[str], bool], names: dict[str, str], across: float, up: float
) -> Any:
    """The kept part of a graph in columns by depth: values on the way there, derivatives on the way back."""
    kept = [v for v in graph.vertices if keep(v.name)]
    edges = [e for e in graph.edges if keep(e.source) and keep(e.target)]
    last = {v.name: 0 for v in kept}
    for vertex in kept:  # each after those that it depends on
        last[vertex.name] = max((last[e.source] + 1 for e in edges if e.target == vertex.name), default=0)
    columns: dict[int, list[str]] = {}
    for vertex in kept:
        columns.setdefault(last[vertex.name], []).append(vertex.name)
    place = {n: i for i, n in enumerate(v.name for v in kept)}
    boxes = []
    for vertex in kept:
        column = columns[last[vertex.name]]
        y = up * ((len(column) - 1) / 2 - column.index(vertex.name))
        name = names.get(vertex.name, vertex.name)
        boxes.append(Box(name, across * last[vertex.name], y, (f"{vertex.value:.6g}",)))
    arrows: list[Arrow] = []
    for e in edges:
        arrows += [Arrow(place[e.source], place[e.target])]
        arrows += [Arrow(place[e.target], place[e.source], f"{e.derivative:.6g}", backward=True)]
    return plots.flow(boxes, arrows)


def forward_backward() -> Any:
    """A batch of 64 moons through a network 2-4-1: what each part gives on, and the derivatives that come back."""
    X, y = datasets.moons(n=64)
    model = dense_chain((2, 4, 1))
    model.compile("sgd", "binary_crossentropy")
    taken = Step(subject("flow", model, X, y))
    taken.take()
    forward: list[tuple[str, Any]] = [("X", X)]
    backward: list[tuple[str, Sequence[str]]] = [("", ())]
    for stage in taken.stages:
        name = f"{stage.letter.upper()}{stage.part.number + 1}"
        forward.append((name, stage.y))
        own = tuple(
            f"|d{k[0].upper().replace('K', 'W')}{stage.part.number + 1}| = {_norm(g)}"
            for k, g in stage.gradients.items()
        )
        backward.append((f"d{name}", (f"{_shape(stage.dy)}  |·| = {_norm(stage.dy)}", *own)))
    boxes = [Box(n, 3.7 * i, 0.0, (_shape(a), f"norm {_norm(a)}")) for i, (n, a) in enumerate(forward)]
    boxes.append(Box("loss", 3.7 * len(forward), 0.0, (f"{float(taken.values['loss']):.6f}",)))
    top, arrows = len(boxes), [Arrow(i, i + 1) for i in range(len(forward))]
    boxes += [Box(n, 3.7 * (i + 1), -3.2, tuple(lines), True) for i, (n, lines) in enumerate(backward[1:])]
    arrows += [Arrow(top - 1, len(boxes) - 1, backward=True)]
    arrows += [Arrow(i + 1, i, backward=True) for i in range(top, len(boxes) - 1)]
    return plots.flow(boxes, arrows, unit=0.56).figure


def _shape(array: Any) -> str:
    return f"[{', '.join(map(str, np.shape(array)))}]"


def _norm(array: Any) -> str:
    return f"{float(np.linalg.norm(np.asarray(array))):.4g}"
