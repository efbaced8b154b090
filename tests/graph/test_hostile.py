"""What can't be traced or has no kernel trains right beside the compiled parts, or is refused by name with a cure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from deepmath_numpy import is_fused
from graph.hostile import BESIDE, REFUSED, W
from graph.networks import Own, assert_trains_as_the_reference, compiled, data_of

from deepmath import Dense, Layer
from deepmath.errors import ConfigError, TraceError

fused = pytest.mark.skipif(not is_fused(), reason="needs llvmlite")


def network(function: Any) -> tuple[Layer, ...]:
    """A network in whose middle is a layer of a function (xp, w, x, bits)."""
    own = Own(lambda xp, p, s, x, bits, training: function(xp, p["w"], x, bits), (12,), {"w": W})
    return Dense(12, "tanh"), own, Dense(2)


def tried(backend: str, layers: Any) -> Any:
    """All that a user does with a model: training and predictions."""
    made, data = compiled(backend, (3,), layers)
    made.run(4)
    made.measure(data)
    return made.predict(data_of((3,), layers)[0])


@fused
@pytest.mark.parametrize("name", BESIDE)
def test_it_trains_as_by_the_reference(monkeypatch, name):
    assert_trains_as_the_reference(monkeypatch, (3,), network(BESIDE[name]))


@pytest.mark.parametrize("backend", ["reference", pytest.param("numpy", marks=fused)])
@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(name, backend):
    function, message = REFUSED[name]
    with pytest.raises((TraceError, ConfigError), match=message) as caught:
        tried(backend, network(function))
    assert "layer 2 (Own)" in str(caught.value)


@dataclass(frozen=True)
class Applied(Layer):
    """A layer with a way back of its own: `function(xp, params, state, x, bits, training)` gives all that apply does.

    `shown` is a forward, too, which may be traced.
    """

    function: Any
    params: Any = ()
    states: Any = ()
    outputs: int = 12

    def init(self, shape, draws):
        return dict(self.params), dict(self.states)

    def apply(self, xp, params, state, x, bits, training):
        return self.function(xp, params, state, x, bits, training)

    def output_shape(self, shape):
        return (self.outputs,)


class Branching(Applied):
    """One whose forward can't be traced."""

    def forward(self, xp, params, state, x, bits, training, *constants):
        return (x if xp.sum(x) > 0.0 else -x), {}


def flipped(xp, p, s, x, bits, training):
    return xp.flip(x, axis=-1), lambda dy: (xp.flip(dy, axis=-1), {}), {}


def branching(xp, p, s, x, bits, training):
    sign = 1.0 if xp.sum(x) > 0.0 else -1.0
    return sign * x, lambda dy: (sign * dy, {}), {}


def ordered(xp, p, s, x, bits, training):
    """Sorts the features of each row, and scales them."""
    order = xp.argsort(x, axis=-1)
    back = xp.argsort(order, axis=-1)
    y = xp.take_along_axis(x, order, axis=-1)
    return (
        y * p["w"], lambda dy: (xp.take_along_axis(dy * p["w"], back, axis=-1), {"w": xp.sum(dy * y, axis=0)}),
        {"seen": s["seen"] + 1.0},
    )  # fmt: skip


def noisy(xp, p, s, x, bits, training):
    drawn = xp.astype(bits(x.shape[0], 12), x.dtype) / 16777216.0 if training else xp.ones_like(x)
    return xp.flip(x, axis=-1) * drawn, lambda dy: (xp.flip(dy * drawn, axis=-1), {}), {}


def widened(xp, p, s, x, bits, training):
    y = xp.concat([xp.flip(x, axis=-1), x], axis=1)
    return y, lambda dy: (xp.flip(dy[:, :12], axis=-1) + dy[:, 12:], {}), {}


WAYS_BACK = {
    "flipped": Applied(flipped),
    "branching": Applied(branching),
    "a forward that can't be traced": Branching(branching),
    "with parameters and a state": Applied(ordered, {"w": np.linspace(0.5, 1.5, 12)}, {"seen": np.zeros(3)}),
    "noisy": Applied(noisy),
    "wider": Applied(widened, outputs=24),
}


@fused
@pytest.mark.parametrize("name", WAYS_BACK)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_way_back_of_ones_own_runs_beside_the_compiled_parts(monkeypatch, name, place):
    own = WAYS_BACK[name]
    layers = {"first": (own, Dense(2)), "middle": (Dense(12, "tanh"), own, Dense(2)), "last": (Dense(12, "tanh"), own)}
    shape = (12,) if place == "first" else (3,)
    for made in assert_trains_as_the_reference(monkeypatch, shape, layers[place], ("straight line", "split", "shared")):
        assert any(how.startswith("reference on numpy: ") for who, how in made.plan() if who == type(own).__name__)


@fused
@pytest.mark.parametrize("place", [0, 1])
def test_its_numbers_are_those_of_a_layer_that_can_be_traced(place):
    traced = Own(lambda xp, p, s, x, bits, training: x[:, ::-1], (12,))
    states = []
    for own in (traced, Applied(flipped)):
        layers = [Dense(12, "tanh"), Dense(2)]
        layers.insert(place, own)
        made, _ = compiled("numpy", (12,), layers)
        made.run(5)
        states.append(made.state())
    for name, value in states[0].items():
        np.testing.assert_allclose(states[1][name], value, rtol=1e-12, atol=1e-13)


def gives(y: Any = None, dx: Any = None, grads: Any = None, new: Any = None) -> Any:
    """An apply that is right but for what is given: functions of (xp, x or dy)."""

    def apply(xp, p, s, x, bits, training):
        def pullback(dy):
            own = {"w": xp.sum(dy * xp.flip(x, axis=-1), axis=0)} if grads is None else grads(xp, dy)
            return xp.flip(dy * p["w"], axis=-1) if dx is None else dx(xp, dy), own

        out = xp.flip(x, axis=-1) * p["w"] if y is None else y(xp, x)
        return out, pullback, {"seen": s["seen"]} if new is None else new

    return apply


WRONG = {
    "outputs of another width": gives(y=lambda xp, x: x[:, :5]),
    "one row of outputs": gives(y=lambda xp, x: x[:1, :]),
    "no outputs": gives(y=lambda xp, x: None),
    "a gradient of another width": gives(dx=lambda xp, dy: dy[:, :5]),
    "one row of gradients": gives(dx=lambda xp, dy: dy[:1, :]),
    "no gradient": gives(dx=lambda xp, dy: None),
    "no gradient of the parameter": gives(grads=lambda xp, dy: {}),
    "a gradient of a parameter that isn't there": gives(grads=lambda xp, dy: {"v": dy}),
    "a gradient for each row": gives(grads=lambda xp, dy: {"w": dy}),
    "a gradient of one number": gives(grads=lambda xp, dy: {"w": xp.sum(dy)}),
    "a state of another shape": gives(new={"seen": np.zeros(2)}),
    "a state of one number": gives(new={"seen": np.zeros(())}),
    "two results": lambda xp, p, s, x, bits, training: (x, lambda dy: (dy, {})),
    "nothing": lambda xp, p, s, x, bits, training: None,
}


@pytest.mark.parametrize("backend", ["reference", pytest.param("numpy", marks=fused)])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_way_back_is_named(name, backend):
    own = Applied(WRONG[name], {"w": np.linspace(0.5, 1.5, 12)}, {"seen": np.zeros(3)})
    with pytest.raises(ConfigError, match=r"layer 2 \(Applied\)"):
        tried(backend, (Dense(12, "tanh"), own, Dense(2)))


STATES = {
    "of another shape": lambda xp, x: {"s": xp.sum(x, axis=1)},
    "of other axes": lambda xp, x: {"s": xp.mean(x, axis=0)[None, :]},
    "of rows": lambda xp, x: {"s": x},
    "of another name": lambda xp, x: {"t": xp.mean(x, axis=0)},
    "none": lambda xp, x: None,
    "a number": lambda xp, x: {"s": 1.0},
    "of whole numbers": lambda xp, x: {"s": xp.astype(xp.mean(x, axis=0), xp.int64)},
}


@pytest.mark.parametrize("backend", ["reference", pytest.param("numpy", marks=fused)])
@pytest.mark.parametrize("name", STATES)
def test_a_wrong_new_state_is_named(name, backend):
    own = Own(lambda xp, p, s, x, bits, training: (x + s["s"], STATES[name](xp, x)), (12,), {}, {"s": np.zeros(12)})
    with pytest.raises((ConfigError, TraceError), match=r"layer 2 \(Own\)"):
        tried(backend, (Dense(12, "tanh"), own, Dense(2)))
