"""Whole runs as one straight-line function, against the reference."""

from __future__ import annotations

import ctypes
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from deepmath_numpy import straight_line
from deepmath_numpy.compiler import load
from deepmath_numpy.lane_nodes import unsupported
from deepmath_numpy.memory import rates_of

from deepmath.backend import load_backend
from deepmath.batches import batches_of, row_weights
from deepmath.graph import Graph, Node, Size, needed
from deepmath.layers import Activation, BatchNormalization, Dense, PReLU
from deepmath.optimizers import SGD, Adam, Nadam
from deepmath.pace import Pace
from deepmath.parameters import Layout
from deepmath.program import Recipe
from deepmath.regularizers import L1, L2, MaxNorm
from deepmath.step_graph import training_graph
from deepmath.testing.contract import gradients as reference_gradients
from deepmath.testing.contract import length
from deepmath.testing.networks import NETWORKS, Network

STEPS = 200
LOCK_STEPS = 40
SUPPORTED = [name for name in NETWORKS if name != "own layer"]
networks = pytest.mark.parametrize("name", SUPPORTED)
precisions = pytest.mark.parametrize("precision", ["float32", "float64"])


def shapes(values: dict[str, Any], prefix: str) -> dict[str, tuple[int, ...]]:
    return {n.removeprefix(prefix): v.shape for n, v in values.items() if n.startswith(prefix)}


class Run:
    """A program of the function alone: values in flat buffers, batches from memory."""

    def __init__(self, recipe: Recipe, values: dict[str, Any], data: Any, lanes: int = 16) -> None:
        self.recipe, self.data, self.batches = recipe, data, batches_of(recipe, data)
        self.params, self.states = Layout(shapes(values, "params.")), Layout(shapes(values, "state."))
        self.graph = training_graph(recipe, self.params.shapes, self.states.shapes)
        self.text = straight_line.module(recipe, self.graph, self.params, self.states, lanes)
        self.code = load(self.text)
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self.steps = kind(self.code.address("steps"))
        self.pace = Pace(recipe.optimizer)
        self.buffers = {"params": self.params.zeros(recipe.precision), "state": self.states.zeros(recipe.precision)}
        slots = Layout({str(i): (self.params.size,) for i in range(len(recipe.optimizer.slots))})
        self.buffers["slots"] = slots.zeros(recipe.precision)
        self.load(values)

    def views(self) -> dict[str, Any]:
        found = {f"params.{n}": v for n, v in self.params.views(self.buffers["params"]).items()}
        found |= {f"state.{n}": v for n, v in self.states.views(self.buffers["state"]).items()}
        for i, slot in enumerate(self.recipe.optimizer.slots):
            own = self.buffers["slots"][i * self.params.size : (i + 1) * self.params.size]
            found |= {f"{slot}.{n}": v for n, v in self.params.views(own).items()}
        return found

    def load(self, values: dict[str, Any]) -> None:
        for buffer in self.buffers.values():
            buffer[:] = 0.0
        for name, view in self.views().items():
            view[...] = values.get(name, 0.0)
        self.step = int(values.get("step", 0))

    def state(self) -> dict[str, Any]:
        return {n: v.copy() for n, v in self.views().items()}

    def arguments(self, rows: Any, bounds: Any) -> tuple[dict[str, Any], int]:
        """The arrays of a call, by name, and the number of steps."""
        weights, head, count = self.data.weights, self.recipe.head, len(bounds) - 1
        assert head is not None
        shares = [row_weights(weights, rows[a:b], head.loss.summed) for a, b in itertools.pairwise(bounds)]
        x, targets = (np.ascontiguousarray(a.reshape(len(a), -1)) for a in (self.data.x, self.data.targets))
        arrays = {
            "x": x, "x_stride": x.shape[1], "targets": targets, "targets_stride": targets.shape[1], "order": rows,
            "bounds": bounds, "shares": np.concatenate(shares), "weights": self.data.weights_of(rows),
            "coefficients": self.pace.table(self.step, count, rates_of(self.recipe)),
            "results": np.zeros((count, 2 + len(head.metrics))), "next_state": self.buffers["state"],
            "grads": self.params.zeros(self.recipe.precision), **self.buffers,
        }  # fmt: skip
        return arrays, count

    def call(self, rows: Any, bounds: Any) -> Any:
        arrays, count = self.arguments(np.ascontiguousarray(rows), np.ascontiguousarray(bounds))
        given = [arrays[name] for name in straight_line.ARGUMENTS]
        a = np.asarray([g if isinstance(g, int) else g.ctypes.data for g in given], np.int64)
        c = np.asarray(straight_line.numbers(self.recipe, self.graph))
        self.steps(a.ctypes.data, c.ctypes.data, self.step, count)
        self.step += count
        return arrays["results"]

    def run(self, k: int) -> Any:
        found = []
        while k:
            results = self.call(*self.batches.stretch(self.step, k))
            found.append(results)
            k -= len(results)
        return np.concatenate(found)


def whole(network: Network) -> Network:
    """The network with every step on one batch."""
    settings = {n: v for n, v in network.settings.items() if n != "accumulate"}
    return replace(network, settings=settings)


def pair(network: Network, precision: str, lanes: int = 16) -> tuple[Run, Any]:
    """The run, and the reference's program, for the same data."""
    backend = load_backend("reference")
    data = network.data(backend, precision)
    reference = network.compiled(backend, precision)
    return Run(network.recipe(precision), network.values, data, lanes), reference


def assert_agrees(run: Run, reference: Any, steps: int, tolerance: float) -> None:
    """Raise AssertionError unless results and values are the reference's after so many steps."""
    found, expected = run.run(steps), reference.run(steps)
    scale = 1.0 + np.abs(expected)
    assert np.all(np.isfinite(found))
    assert np.max(np.abs(found[:, 0] + found[:, 1] - expected[:, 0]) / scale[:, 0]) < tolerance
    assert np.max(np.abs(found[:, 1] - expected[:, 1]) / scale[:, 1]) < tolerance
    weight = np.where(expected[:, 2:3] > 0.0, expected[:, 2:3], 1.0)
    assert np.max(np.abs(found[:, 2:] / weight - expected[:, 4:]) / scale[:, 4:], initial=0.0) < tolerance
    state = reference.state()
    for name, value in run.state().items():
        assert np.max(np.abs(value - state[name]), initial=0.0) < tolerance * (
            1.0 + np.max(np.abs(value), initial=0.0)
        ), name


@networks
def test_float64_agrees_with_the_reference_over_many_steps(name: str) -> None:
    assert_agrees(*pair(whole(NETWORKS[name]), "float64"), STEPS, 1e-11)


@networks
def test_float32_gradients_agree_with_the_reference(name: str) -> None:
    network = whole(NETWORKS[name])
    probe, reference = pair(network.probe(), "float32")
    exact = network.compiled(load_backend("reference"), "float32")
    for _ in range(LOCK_STEPS):
        values = exact.state()
        kept = {n: v for n, v in values.items() if n.startswith(("params.", "state."))}
        probe.load(kept | {"step": values["step"]})
        expected = reference_gradients(reference, values, probe.batches.at(exact.step), exact.step)
        probe.run(1)
        found = {n.removeprefix("v."): v for n, v in probe.state().items() if n.startswith("v.")}
        apart = {n: found[n].astype(np.float64) - expected[n] for n in expected}
        assert length(apart) <= 1e-5 * length(expected)
        exact.run(1)


@precisions
@networks
def test_steps_of_one_call_have_the_bits_of_one_call_for_each(name: str, precision: str) -> None:
    network = whole(NETWORKS[name])
    one, many = pair(network, precision)[0], pair(network, precision)[0]
    results = many.run(9)
    assert results.tobytes() == np.concatenate([one.run(1) for _ in range(9)]).tobytes()
    for name, value in many.state().items():
        assert value.tobytes() == one.state()[name].tobytes(), name


RATED = Network(
    (
        Dense(5, "relu", kernel_constraint=MaxNorm(0.7), kernel_regularizer=L1(0.002)), PReLU(),
        Dense(17, "tanh", kernel_regularizer=L2(0.01)), BatchNormalization(), Activation("elu"), Dense(3),
    ),
    "mse", Nadam(0.01, clipnorm=0.2, clipvalue=0.05), "numbers", {"batch_size": 24}, True, ("mae",),
)  # fmt: skip


@pytest.mark.parametrize("rates", [{}, {"0.kernel": 0.0, "2.bias": 0.5, "1.alpha": 2.0}, {"2.kernel": 0.0}])
@pytest.mark.parametrize("lanes", [24, 32, 48, 64])
def test_frozen_parameters_own_rates_and_any_number_of_lanes(rates: dict[str, float], lanes: int) -> None:
    backend = load_backend("reference")
    recipe = replace(RATED.recipe("float64"), rates=rates)
    data = RATED.data(backend, "float64")
    reference = backend.compile(recipe, RATED.values, data)
    assert_agrees(Run(recipe, RATED.values, data, lanes), reference, 30, 1e-11)


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_small_batches_and_one_row(rows: int) -> None:
    network = replace(NETWORKS["truth"], settings={"batch_size": rows}, optimizer=Adam(0.01))
    assert_agrees(*pair(network, "float64", 8), 60, 1e-11)


def test_rows_without_weight_count_nowhere() -> None:
    network = replace(whole(NETWORKS["truth"]), layers=(Dense(4, "relu"), Dense(1)), loss="mse", metrics=("mae",))
    run, other = pair(network, "float64")[0], pair(network, "float64")[0]
    x, none = np.array(run.data.x), run.data.weights == 0.0
    x[none] *= 1e3
    other.data = replace(other.data, x=x)
    assert run.run(20).tobytes() == other.run(20).tobytes()


def supported(network: Network) -> bool | str:
    values, recipe = network.values, network.recipe("float32")
    return straight_line.supports(recipe, training_graph(recipe, shapes(values, "params."), shapes(values, "state.")))


def test_what_is_small_and_can_be_traced_is_supported() -> None:
    assert supported(NETWORKS["truth"]) is True
    assert supported(RATED) is True
    assert "flip" in str(supported(NETWORKS["own layer"]))
    assert supported(NETWORKS["normalised"]) == "gradients are accumulated"
    assert "rows" in str(supported(replace(RATED, settings={"batch_size": 65})))
    assert "instructions" in str(supported(replace(RATED, layers=(Dense(64, "relu"), Dense(64), Dense(3)))))


class Normed(SGD):
    """A rule in which parameters go together."""

    def update(self, xp: Any, w: Any, g: Any, *rest: Any) -> tuple[Any, ...]:
        return (w - rest[0] * g / xp.sum(g * g, axis=-1, keepdims=True),)


def test_rules_that_go_beyond_single_weights_are_not_supported() -> None:
    network = replace(NETWORKS["own formulas"], optimizer=Normed(0.1))
    assert supported(network) == "the update goes beyond single weights"


def test_rows_stay_in_their_lanes() -> None:
    graph = Graph(of_arrays=True)
    x = graph.array("x", (Size(graph, "rows"), 4, 3))
    turned = graph.permute(x, (1, 0, 2))
    moved: list[Node] = [graph.reshape(turned, (-1, 3)), graph.reshape(x, (-1, 3)), graph.reshape(x, (-1, 12))]
    assert [bool(unsupported(node)) for node in moved] == [True, False, False]
    assert not any(map(unsupported, needed([turned])))


@precisions
@networks
def test_the_halves_of_a_step_have_the_bits_of_the_whole(monkeypatch, name, precision):
    network = whole(NETWORKS[name])
    monkeypatch.setattr(straight_line, "LIMIT", 1 << 20)
    one, two = (network.compiled(load_backend("numpy"), precision) for _ in range(2))
    one.run(3)
    for _ in range(3):
        (batch,) = two._batches.at(two.step)
        two.apply(two.gradients(batch))
    for key, value in one.state().items():
        assert two.state()[key].tobytes() == value.tobytes(), key
