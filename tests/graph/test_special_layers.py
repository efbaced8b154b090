"""Layers with states, noise, numbers, whole arrays between them: whatever a layer may be, however it is compiled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from deepmath_numpy import is_fused
from graph.networks import WAYS, Own, assert_trains_as_the_reference

from deepmath import Dense
from deepmath.layers import BatchNormalization, LayerNormalization
from deepmath.regularizers import L2, MaxNorm

pytestmark = pytest.mark.skipif(not is_fused(), reason="needs llvmlite")

T, F = 3, 4
R = np.random.default_rng(8)
W, V, B = R.standard_normal((F, F)), R.standard_normal((T, F)), R.standard_normal(F)
SCALE = 1.0 / (1 << 24)


def to_grid(width: int = T * F) -> Own:
    return Own(lambda xp, p, s, x, bits, training: xp.reshape(x, (-1, width // F, F)), (width // F, F))


def to_row(count: int = T * F) -> Own:
    return Own(lambda xp, p, s, x, bits, training: xp.reshape(x, (x.shape[0], -1)), (count,))


def between(*layers: Any, grid: tuple[int, ...] = (T, F)) -> tuple[Any, ...]:
    """Layers of [batch, time, features] between a layer that makes such arrays and one that needs rows."""
    return (Dense(T * F, "tanh"), to_grid(), *layers, to_row(math.prod(grid)), Dense(2))


def moving(xp, p, s, x, bits, training):
    """Normalises over the batch and time in training, by a running average else."""
    if not training:
        return (x - s["mean"]) * p["g"], {}
    mean = xp.mean(x, axis=(0, 1))
    return (x - mean) * p["g"], {"mean": 0.9 * s["mean"] + 0.1 * mean}


def counting(xp, p, s, x, bits, training):
    """A state of one number, one that depends on a parameter, and one that stays."""
    new = {"n": s["n"] + 1.0, "w": p["w"] * 2.0, "same": s["same"]}
    return x * p["w"] / (1.0 + s["n"]) + s["same"], new


def silent(xp, p, s, x, bits, training):
    return x * s["a"], {}


def dropped(xp, p, s, x, bits, training):
    """Each feature of a row drops out together at all times."""
    if not training:
        return x, {}
    drawn = xp.astype(bits(x.shape[0], F), x.dtype) * SCALE
    return x * xp.astype(drawn > 0.3, x.dtype)[:, None, :], {}


def noisy(xp, p, s, x, bits, training):
    """Noise for every number, of rows that are no multiple of four; and of wider ones."""
    drawn = xp.astype(bits(x.shape[0], T), x.dtype) * SCALE
    wide = xp.astype(bits(x.shape[0], T * F), x.dtype) * SCALE
    return x + drawn[:, :, None] * p["w"] + xp.reshape(wide, x.shape), {}


def by_rows(xp, p, s, x, bits, training):
    """Noise for each time of each row, as rows of their own."""
    drawn = xp.astype(bits(x.shape[0] * T, F), x.dtype) * SCALE
    return x * xp.reshape(drawn, x.shape), {}


def chosen(xp, p, s, x, bits, training):
    """Whole numbers drawn and computed with."""
    kind = bits(x.shape[0], F) % 3
    one, two = (xp.astype(kind == k, x.dtype) for k in (1, 2))
    return x * (1.0 + one - 2.0 * two)[:, None, :], {}


def twice(xp, p, s, x, bits, training):
    """Products used more than once, by each other's shapes."""
    h = xp.tanh(x @ p["w"])
    g = h * h + x
    return xp.concat([g, h, g * h], axis=1)


def dead(xp, p, s, x, bits, training):
    """Values that nobody needs."""
    xp.exp(x @ p["w"])
    xp.sum(x, axis=1)
    bits(x.shape[0], 5)
    return x * 2.0


def numbers(xp, p, s, x, bits, training, rate, power, whole):
    return x * rate + xp.tanh(x) * power + xp.where(x > rate, x, power) / whole


def attention_of_one(xp, p, s, x, bits, training):
    """Weights over time from products with parameters."""
    scores = x @ p["w"]
    e = xp.exp(scores - xp.max(scores, axis=1, keepdims=True))
    return xp.sum(e / xp.sum(e, axis=1, keepdims=True) * x, axis=1, keepdims=True) * p["v"]


def convolved(xp, p, s, x, bits, training):
    """Windows of two times, by one product."""
    windows = xp.concat([x[:, :-1, :], x[:, 1:, :]], axis=-1)
    return windows @ p["k"] + p["b"]


def convolved_by_slices(xp, p, s, x, bits, training):
    return sum(x[:, i : i + 2, :] @ p["k"][i * F : i * F + F, :] for i in range(2)) + p["b"]


def gated(xp, p, s, x, bits, training):
    """A recurrence of three steps, written out."""
    h = x[:, 0, :] * 0.0
    out = []
    for t in range(T):
        h = xp.tanh(x[:, t, :] @ p["w"] + h @ p["u"])
        out.append(h)
    return xp.stack(out, axis=1)


def whitened(xp, p, s, x, bits, training):
    """Normalised over the batch and over time."""
    mean = xp.mean(x, axis=(0, 1), keepdims=True)
    centred = x - mean
    return centred / xp.sqrt(xp.mean(centred * centred, axis=(0, 1), keepdims=True) + 0.1) * p["g"] + p["b"]


def by_each_time(xp, p, s, x, bits, training):
    """Normalised over the batch, for each time and feature."""
    return (x - xp.mean(x, axis=0, keepdims=True)) / (xp.std(x, axis=0, keepdims=True) + 0.5) + p["v"]


def own(
    function: Any, outputs: tuple[int, ...] = (T, F), states: Any = None, constants: Any = (), **params: Any
) -> Own:
    return Own(function, outputs, params, states or {}, constants)


def plain(function: Any, outputs: tuple[int, ...] = (T, F), **params: Any) -> Own:
    """A layer of (xp, x, params)."""
    return own(lambda xp, p, s, x, bits, training: function(xp, x, p), outputs, **params)


LAYERS = {
    "batch normalised with a state": between(own(moving, states={"mean": np.zeros(F)}, g=B)),
    "states of one number": between(
        own(counting, states={"n": np.zeros(()), "w": np.zeros((T, F)), "same": np.full(F, 0.3)}, w=V)
    ),
    "a state that is not handed on": between(own(silent, states={"a": B})),
    "dropped features": between(own(dropped)),
    "chosen features": between(own(chosen)),
    "noise in training": between(own(noisy, w=V)),
    "noise by rows": between(own(by_rows)),
    "used twice": between(own(twice, (3 * T, F), w=W), grid=(3 * T, F)),
    "dead values": between(own(dead, w=W)),
    "numbers": between(own(numbers, constants=(0.7, 1.3, 3))),
    "weights over time": between(own(attention_of_one, w=W, v=V)),
    "windows": between(own(convolved, (2, F), k=R.standard_normal((2 * F, F)), b=B), grid=(2, F)),
    "windows by slices": between(
        own(convolved_by_slices, (2, F), k=R.standard_normal((2 * F, F)), b=B), grid=(2, F)
    ),
    "recurrent": between(own(gated, w=W, u=W[::-1] * 0.5)),
    "normalised over batch and time": between(own(whitened, g=B, b=B)),
    "normalised over the batch for each time": between(own(by_each_time, v=V)),
    "standard layers of arrays": between(Dense(F, "relu"), LayerNormalization(), BatchNormalization(), Dense(F)),
    "parameters of every shape": between(plain(
        lambda xp, x, p: x * p["f"] + p["tf"] * p["one"] - p["t"] / p["none"], f=B, tf=V, t=V[:, :1], one=B[:1],
        none=np.asarray(1.7),
    )),
    "a parameter by a parameter": between(
        plain(lambda xp, x, p: x @ (p["w"] @ p["w"]) + p["v"] @ p["w"], w=0.4 * W, v=V)
    ),
    "a parameter turned": between(plain(lambda xp, x, p: x @ p["w"].mT + (p["v"] @ p["w"].mT), w=0.4 * W, v=V)),
    "a parameter normalised": between(plain(
        lambda xp, x, p: x @ (p["w"] / xp.sqrt(xp.sum(p["w"] * p["w"], axis=0, keepdims=True))), w=W
    )),
    "a parameter sliced and reversed": between(plain(lambda xp, x, p: x * p["v"][::-1, ::-1] + p["v"][1:2, :], v=V)),
    "a parameter that is not used": between(plain(lambda xp, x, p: x + 1.0, w=W)),
    "a number that is not used": between(plain(lambda xp, x, p: x * 2.0, none=np.asarray(0.7))),
    "a parameter that counts nothing": between(plain(lambda xp, x, p: x + 0.0 * p["v"], v=V)),
    "nothing but a parameter": between(plain(lambda xp, x, p: xp.broadcast_to(p["v"], x.shape), v=V)),
    "nothing but a number": between(plain(lambda xp, x, p: xp.ones_like(x) * 0.3)),
    "zeros": between(plain(lambda xp, x, p: xp.zeros_like(x))),
    "the inputs": between(plain(lambda xp, x, p: x)),
    "maximum over time": between(plain(lambda xp, x, p: xp.max(x, axis=1), (F,)), grid=(F,)),
    "sums in the middle": between(plain(lambda xp, x, p: x / (1.0 + xp.sum(xp.abs(x), axis=(1, 2), keepdims=True)))),
    "slices joined the other way": between(plain(
        lambda xp, x, p: xp.concat([x[:, 1:, ::-1], x[:, :1, :]], axis=1)
    )),
    "reversed time": between(plain(lambda xp, x, p: x[:, ::-1, :] * p["v"], v=V)),
    "turned and back": between(plain(
        lambda xp, x, p: xp.permute_dims(xp.permute_dims(x, (0, 2, 1)) @ p["u"], (0, 2, 1)), u=W[:T, :T]
    )),
    "six axes, some of length one": between(plain(
        lambda xp, x, p: xp.reshape(x[:, None, :, None, :, None] * p["v"][None, :, None, :, None], x.shape), v=V
    )),
    "whole numbers by time": between(plain(
        lambda xp, x, p: x * xp.astype((xp.astype(x * 4.0, xp.int64) + 5) % 3 - 1, x.dtype)
    )),
    "truths": between(plain(lambda xp, x, p: xp.where((x > 0.1) & ~(x > 0.5) | (x < -0.4), x, 0.2 * x))),
    "the same layer twice": between(*[plain(lambda xp, x, p: xp.tanh(x @ p["w"]), w=W)] * 2),
    "one after the other": (
        Dense(6), plain(lambda xp, x, p: x * p["a"], (6,), a=np.ones(6)), plain(lambda xp, x, p: x[:, ::2], (3,)),
        plain(lambda xp, x, p: xp.concat([x, x * x], axis=1), (6,)), Dense(2),
    ),
    "nothing but own layers": (
        to_grid(8), plain(lambda xp, x, p: xp.sum(x * p["v"], axis=1), (F,), v=V[:2]),
        plain(lambda xp, x, p: x[:, :2], (2,)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_it_trains_as_by_the_reference(monkeypatch, name):
    layers = LAYERS[name]
    shape = (8,) if name == "nothing but own layers" else (3,)
    i = list(LAYERS).index(name)
    assert_trains_as_the_reference(monkeypatch, shape, layers, ("straight line", "kernels", WAYS[2 + i % 2]))


OTHER_BATCHES = ("batch normalised with a state", "states of one number", "noise in training", "noise by rows")


@pytest.mark.parametrize("settings", [{"accumulate": 2}, {"batch_size": 1}, {"batch_size": 13, "shuffle": False}])
@pytest.mark.parametrize("name", OTHER_BATCHES)
def test_in_other_batches(monkeypatch, name, settings):
    assert_trains_as_the_reference(monkeypatch, (3,), LAYERS[name], **settings)


JOINED = {
    "before and behind a sum over the batch": lambda xp, x, p: xp.concat([x - xp.mean(x, axis=0), x], axis=1),
    "early and late": lambda xp, x, p: xp.concat([xp.tanh(xp.tanh(x @ p["w"]) @ p["w"]), x], axis=1),
    "late and early": lambda xp, x, p: xp.concat([x, xp.tanh(xp.tanh(x @ p["w"]) @ p["w"])], axis=1),
    "slices of them": lambda xp, x, p: xp.concat(
        [xp.max(x @ p["w"], axis=1, keepdims=True) * x, x[:, 1:, :], x[:, :1, :], xp.exp(-x)[:, :1, :]], axis=1
    ),
}


@pytest.mark.parametrize("name", JOINED)
def test_arrays_joined_from_different_times(monkeypatch, name):
    parts = 2 * T if name != "slices of them" else 2 * T + 1
    joined = plain(JOINED[name], (parts, F), w=W)
    assert_trains_as_the_reference(monkeypatch, (3,), between(joined, grid=(parts, F)))


def test_inputs_of_two_axes(monkeypatch):
    first = plain(lambda xp, x, p: xp.tanh(x @ p["w"]), w=W)
    assert_trains_as_the_reference(monkeypatch, (T, F), (first, to_row(), Dense(2)))


@dataclass(frozen=True)
class Held(Own):
    """An own layer whose parameter w has a penalty and a bound."""

    def penalties(self):
        return {"w": L2(0.1)}

    def constraints(self):
        return {"w": MaxNorm(0.8)}


def test_penalties_and_constraints_of_own_parameters(monkeypatch):
    held = Held(lambda xp, p, s, x, bits, training: x @ p["w"], (T, F), {"w": W})
    assert_trains_as_the_reference(monkeypatch, (3,), between(held))
