"""Layers of somebody's own: what they are made of is compiled or runs beside what is, and the numbers are the same."""

from dataclasses import dataclass

import numpy as np
import pytest
from deepmath_numpy import program

from deepmath import Dense, Layer, Sequential
from deepmath.errors import ConfigError, TraceError

X = np.random.default_rng(0).standard_normal((37, 12))
Y = np.sin(X[:, :2])


@dataclass(frozen=True)
class Own(Layer):
    """A layer of a function (xp, w, x, bits), with one parameter w [4, 3]."""

    function: object = None
    units: int = 12

    def init(self, shape, draws):
        return {"w": np.linspace(0.5, 1.5, 12).reshape(4, 3)}, {}

    def forward(self, xp, params, state, x, bits, training):
        return self.function(xp, params["w"], x, bits), {}

    def output_shape(self, shape):
        return (self.units,)


def grid(xp, x):
    return xp.reshape(x, (-1, 4, 3))


def flat(xp, x):
    return xp.reshape(x, (x.shape[0], -1))


def attention(xp, w, x, bits):
    q = grid(xp, x) * w
    scores = xp.matmul(q, xp.matrix_transpose(q))
    e = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    return flat(xp, xp.matmul(e / xp.sum(e, axis=-1, keepdims=True), q))


def mixed(xp, w, x, bits):
    q = grid(xp, x) * w + xp.mean(grid(xp, x), axis=1, keepdims=True)
    q = xp.concat([q[:, ::-1, :], q[:, :2, :]], axis=1)
    return xp.concat([flat(xp, q), xp.max(q, axis=1)], axis=1)


def noisy(xp, w, x, bits):
    drawn = xp.astype(bits(x.shape[0], 12), x.dtype) / 16777216.0
    return x + drawn * flat(xp, xp.expand_dims(w, axis=0) * grid(xp, x))


def centred(xp, w, x, bits):
    return x - xp.mean(x, axis=0, keepdims=True) * xp.sum(w)


COMPILED = {
    "scaled in a grid": (lambda xp, w, x, bits: flat(xp, grid(xp, x) * w), 12),
    "mixed, reversed, joined": (mixed, 21),
    "turned": (lambda xp, w, x, bits: flat(xp, xp.permute_dims(grid(xp, x) * w, (0, 2, 1))), 12),
    "products of rows in a grid": (lambda xp, w, x, bits: flat(xp, xp.matmul(grid(xp, x), xp.matrix_transpose(w))), 16),
    "every other": (lambda xp, w, x, bits: flat(xp, (grid(xp, x) * w)[:, ::2, 1:]), 4),
    "spread": (lambda xp, w, x, bits: flat(xp, grid(xp, x) / xp.std(grid(xp, x) + w, axis=(1, 2), keepdims=True)), 12),
    "over the batch": (centred, 12),
    "stacked": (lambda xp, w, x, bits: flat(xp, xp.stack([x, xp.tanh(x) * xp.sum(w)], axis=1)), 24),
    "whole numbers": (
        lambda xp, w, x, bits: x * xp.astype(xp.astype(x > 0.0, xp.int64) * 3 + 1, x.dtype) * xp.sum(w),
        12,
    ),
    "noisy": (noisy, 12),
    "unused": (lambda xp, w, x, bits: xp.clip(x, -1.0, 1.0), 12),
}
BESIDE = {
    "attention": (attention, 12),
    "the batch turned": (lambda xp, w, x, bits: xp.permute_dims(xp.permute_dims(x, (1, 0)) * xp.sum(w), (1, 0)), 12),
}


def trained(backend, function, units, place):
    layers = [Dense(12, "tanh"), Dense(2)]
    layers.insert(place, Own(function, units))
    model = Sequential(layers, seed=0)
    model.compile("adam", "mse")
    settings = {"precision": "float64", "backend": backend}
    model.fit(X, Y, epochs=3, batch_size=16, verbose=0, **settings)
    alone = function not in (noisy, centred)  # predictions draw anew, and go through rows some at a time
    looked_at = [model.predict(X, **settings)] if alone else []
    return model, [*model.get_weights(), *looked_at]


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("way", ["straight line or kernels", "kernels"])
@pytest.mark.parametrize("name", COMPILED | BESIDE)
def test_it_trains_as_by_the_reference(monkeypatch, name, way, place):
    monkeypatch.setattr("deepmath.descriptions.config_of", lambda value: [])
    if way == "kernels":
        monkeypatch.setattr(program, "small", lambda *_: (None, "not now"))
    function, units = (COMPILED | BESIDE)[name]
    _, wanted = trained("reference", function, units, place)
    model, found = trained("numpy", function, units, place)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    how = dict(line.split(None, 1) for line in model.plan(backend="numpy").splitlines())["Own"]
    assert how == "compiled" if name in COMPILED else how.startswith("reference on numpy: ")


WRONG = {
    "branches": (lambda xp, w, x, bits: x if x[0, 0] > 0 else -x, 12, TraceError, "takes rows of the batch apart"),
    "another shape": (
        lambda xp, w, x, bits: xp.concat([x, x], axis=1),
        12,
        ConfigError,
        r"gives \[rows, 24\], and output_shape says \[rows, 12\]",
    ),
    "not of the standard": (lambda xp, w, x, bits: np.tanh(x), 12, TraceError, "calls np.tanh; write xp.tanh"),
    "written to": (lambda xp, w, x, bits: x.__setitem__(0, 1.0), 12, TraceError, "can't be traced"),
    "no functions": (lambda xp, w, x, bits: xp.fft(x), 12, TraceError, "xp.fft is outside what can be traced"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cant_be_traced_is_named_with_its_cure(monkeypatch, name):
    monkeypatch.setattr("deepmath.descriptions.config_of", lambda value: [])
    function, units, kind, message = WRONG[name]
    with pytest.raises(kind, match=message) as caught:
        trained("numpy", function, units, 1)
    assert "layer 2 (Own)" in str(caught.value)
