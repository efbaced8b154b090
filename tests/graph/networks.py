"""Small networks with a layer of somebody's own, on the reference and compiled in every way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import array_api_compat.numpy as xnp
import numpy as np
from deepmath_numpy import program, schedule, straight_line
from graph.table import Row

from deepmath import Dense, Layer
from deepmath.backend import load_backend
from deepmath.data import validation
from deepmath.losses import get as loss_of
from deepmath.optimizers import SGD
from deepmath.program import Program
from deepmath.recipes import first_values, recipe_of, shapes_of
from deepmath.testing.close import assert_close

SIZES = {"b": 5, "t": 3, "f": 4, "k": 2}
ROWS, BATCH, STEPS = 13, 5, 4
"""Batches of 5, 5 and 3 rows."""
PLACES = ("first", "middle", "last")
WAYS = ("straight line", "kernels", "split", "shared")


@dataclass(frozen=True)
class Own(Layer):
    """`function(xp, params, state, x, bits, training, *constants)` gives y, or y and new states."""

    function: Callable[..., Any]
    outputs: tuple[int, ...]
    params: dict[str, Any] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    numbers: tuple[float, ...] = ()

    def init(self, shape: Any, draws: Any) -> Any:
        return self.params, self.states

    @property
    def constants(self) -> tuple[float, ...]:
        return self.numbers

    def forward(self, xp, params, state, x, bits, training, *constants):
        found = self.function(xp, params, state, x, bits, training, *constants)
        return found if isinstance(found, tuple) else (found, {})

    def output_shape(self, shape: Any) -> Any:
        return self.outputs


def layer_of(row: Row) -> tuple[tuple[int, ...], Own]:
    """The shape of the inputs, and a row of the table as a layer: what doesn't begin with the batch are parameters.

    All that begins with the batch is cut out of the inputs [batch, numbers].
    """
    words = [word.rpartition(":")[2] for word in row.takes.split()]
    given = row.arrays(SIZES, seed=3)
    shapes, inputs = [a.shape for a in given], [i for i, word in enumerate(words) if word.startswith("b")]
    counts = [math.prod(shapes[i][1:]) for i in inputs]
    params = {f"w{i}": a for i, a in enumerate(given) if i not in inputs}

    def function(xp, own, state, x, bits, training):
        arrays: list[Any] = [own.get(f"w{i}") for i in range(len(words))]
        at = 0
        for i, count in zip(inputs, counts, strict=True):
            arrays[i] = xp.reshape(x[:, at : at + count], (x.shape[0], *shapes[i][1:]))
            at += count
        if row.positive:
            arrays = [a if i not in inputs else 0.2 + xp.abs(a) for i, a in enumerate(arrays)]
        y = row.function(xp, *arrays)
        return xp.reshape(xp.astype(y, x.dtype), (x.shape[0], -1))

    y = row.function(xnp, *given)
    return (sum(counts),), Own(function, (math.prod(y.shape[1:]),), params)


def around(own: Own, shape: tuple[int, ...], place: str) -> tuple[tuple[int, ...], Sequence[Layer]]:
    """The shape of a network's inputs, and its layers: the own one first, in the middle, or last before the loss."""
    if place == "first":
        return shape, (own, Dense(3, "tanh"), Dense(2))
    before = (Dense(math.prod(shape), "tanh"),)
    return (3,), (*before, own, Dense(2)) if place == "middle" else (*before, own)


def recipe_for(shape: tuple[int, ...], layers: Sequence[Layer], **settings: Any) -> Any:
    settings = {"precision": "float64", "seed": 7, "batch_size": BATCH, **settings}
    return recipe_of(layers, shape, SGD(0.05, momentum=0.5), loss_of("mse"), ("mae",), **settings)


def data_of(shape: tuple[int, ...], layers: Sequence[Layer]) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(5)
    outputs = shapes_of(layers, shape)[-1][0]
    return (
        rng.standard_normal((ROWS, *shape)) * 0.7, rng.standard_normal((ROWS, outputs)),
        rng.choice([0.5, 1.0, 2.0], ROWS),
    )  # fmt: skip


def compiled(backend: str, shape: tuple[int, ...], layers: Sequence[Layer], **settings: Any) -> tuple[Program, Any]:
    """A program of these layers, and its data."""
    recipe, there = recipe_for(shape, layers, **settings), load_backend(backend)
    data = validation.validated(there, recipe, *data_of(shape, layers))
    return there.compile(recipe, first_values(layers, shape, 7), data), data


def compile_as(monkeypatch: Any, way: str) -> None:
    """Let the CPU's programs be compiled in one of `WAYS`."""
    monkeypatch.setattr(straight_line, "LIMIT", 1 << 20)
    if way != "straight line":
        monkeypatch.setattr(program, "small", lambda *_: (None, "not now"))
    if way == "split":
        monkeypatch.setattr(schedule, "IN_CACHE", 0)
    if way in ("split", "shared"):
        for setting, value in (("SHARED", 0), ("WORTH", 0), ("FLAT", 4)):
            monkeypatch.setattr(schedule, setting, value)


def numbers_of(made: Program, data: Any, x: Any) -> dict[str, Any]:
    """All that a program says after some steps: results, values with the gradients in them, predictions, measures."""
    results = np.array(made.run(STEPS))
    return {
        "results": results,
        **made.state(),
        "predictions": np.array(made.predict(x)),
        "measures": made.measure(data),
    }


def assert_trains_as_the_reference(
    monkeypatch: Any, shape: tuple[int, ...], layers: Sequence[Layer], ways: Sequence[str] = WAYS, **settings: Any
) -> list[Program]:
    """Raise AssertionError unless every way gives the reference's numbers; the compiled programs otherwise."""
    made, data = compiled("reference", shape, layers, **settings)
    x = data_of(shape, layers)[0]
    wanted = numbers_of(made, data, x)
    assert np.all(np.isfinite(wanted["results"]))
    found = []
    for way in ways:
        with monkeypatch.context() as patched:
            compile_as(patched, way)
            other, its = compiled("numpy", shape, layers, **settings)
            if way in ("split", "shared"):
                other._training._threads.most = 2
            assert_close(numbers_of(other, its, x), wanted, 1e-10, who=way)
            found.append(other)
    return found
