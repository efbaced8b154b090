"""Paths of optimisers against closed forms, and what the drawings hold."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from deepmath.errors import ConfigError
from deepmath.optimizers import SGD, Adam
from deepmath.plots import activation, contours, descent_path, hill, line_descent, paths, rate_laws


def bowl(xp, w):
    return xp.sum(w * w, axis=-1, keepdims=True)


def test_descent_on_a_bowl_shrinks_by_the_same_share():
    path = descent_path(bowl, [3.0, -2.0], SGD(0.1), 30)
    np.testing.assert_allclose(path, np.outer(0.8 ** np.arange(31), [3.0, -2.0]), rtol=1e-12)


def test_momentum_is_polyaks():
    x, v, expected = 2.0, 0.0, [2.0]
    for _ in range(20):
        v = 0.9 * v + 2.0 * x
        x -= 0.05 * v
        expected.append(x)
    np.testing.assert_allclose(descent_path(bowl, [2.0], SGD(0.05, momentum=0.9), 20)[:, 0], expected, rtol=1e-12)


def test_adams_first_step_is_its_rate():
    path = descent_path(bowl, [5.0, -0.01], Adam(0.25), 1)
    np.testing.assert_allclose(path[1] - path[0], [-0.25, 0.25], rtol=1e-6)


def test_a_path_ends_before_a_point_that_is_not_finite():
    path = descent_path(bowl, [1.0], SGD(1e200), 10)
    assert np.isfinite(path).all()
    assert len(path) == 2


def test_paths_stand_where_they_were_walked():
    path = descent_path(bowl, [3.0, -2.0], SGD(0.1), 5)
    ax = paths({"a": path}, contours(lambda w: bowl(np, w), x=(-4, 4), y=(-4, 4)))
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), path)
    assert ax.get_legend().get_texts()[0].get_text() == "a"
    space = hill(lambda w: bowl(np, w), x=(-4, 4), y=(-4, 4), found={"a": path})
    assert space.name == "3d"


@pytest.mark.parametrize(("call", "text"), [
    (lambda: contours(lambda w: w[:, 0], x=(1, 1), y=(0, 1)),
     "contours: x and y must be ranges (low, high); got (1, 1) and (0, 1)"),
    (lambda: contours(lambda w: np.log(w[:, 0]), x=(0.0, 1), y=(0, 1)),
     "contours: height must be finite in the range; choose a smaller one"),
    (lambda: paths({"a": [1.0, 2.0]}), "paths: 'a' must be [points, 2]; got shape (2,)"),
    (lambda: activation("softmax"),
     "activation: 'softmax' works along rows; choose one of a single number, such as tanh"),
    (lambda: activation("relu", low=1.0, high=1.0), "activation: low must be below high; got 1 and 1"),
    (lambda: rate_laws({}, 10), "rate_laws: needs one law and 2 steps at least; got 0 and 10"),
    (lambda: line_descent(np.square, [], low=0, high=1),
     "line_descent: needs a point and low < high; got 0 points, 0 and 1"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_cannot_be_drawn_is_told(call, text):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == text


def test_an_activation_and_its_slope():
    ax = activation("tanh")
    value, slope = (line for line in ax.lines if len(line.get_xdata()) > 2)
    z = value.get_xdata()
    np.testing.assert_allclose(value.get_ydata(), np.tanh(z), rtol=1e-14)
    np.testing.assert_allclose(slope.get_ydata(), np.cosh(z) ** -2.0, rtol=1e-13)


@pytest.mark.parametrize(("rate", "drawn", "leaves"), [(0.4, 15, None), (1.0, 15, None), (1.1, 6, "left")])
def test_a_path_that_leaves_the_picture(rate, drawn, leaves):
    path = descent_path(bowl, [-1.5], SGD(rate), 14)
    ax = line_descent(np.square, path, low=-4, high=4)
    assert len(ax.collections[0].get_offsets()) == drawn
    assert [t.get_text() for t in ax.texts] == ["start", *([f"leaves to the {leaves}"] if leaves else [])]
