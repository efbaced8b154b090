"""Pictures of gradient descent: surfaces, paths, rates."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from deepmath import datasets, losses, plots
from deepmath.gallery.training import SETTINGS, chain
from deepmath.optimizers import SGD, Adam, RMSprop
from deepmath.plots import style
from deepmath.preprocessing import Standardize


def _bowl(xp: Any, w: Any) -> Any:
    """x^2 + y^2."""
    return xp.sum(w * w, axis=-1, keepdims=True)


def _valley(xp: Any, w: Any) -> Any:
    """A long valley, (25 x^2 + y^2) / 2 in turned axes: x and y can't be told apart by gradients of their own."""
    squares = xp.sum(w * w, axis=-1, keepdims=True)
    total = xp.sum(w, axis=-1, keepdims=True)
    return 0.5 * squares + 6.0 * total * total


def _basins(xp: Any, w: Any) -> Any:
    """(x^2 - 1)^2 + 0.3 x summed over both coordinates: four basins, of which one is the deepest."""
    return xp.sum((w * w - 1.0) * (w * w - 1.0) + 0.3 * w, axis=-1, keepdims=True)


def _height(formula: Any) -> Any:
    return lambda points: formula(np, points)


def bowl() -> Any:
    """Descent on z = x^2 + y^2, in space and from above."""
    path = plots.descent_path(_bowl, [2.6, -1.8], SGD(0.1), 25)
    space = plots.hill(_height(_bowl), x=(-3, 3), y=(-3, 3), found={"descent, rate 0.1": path})
    space.set_title("z = x² + y²")
    return space.figure


def two_basins() -> Any:
    """Descent with and without momentum on a hill with basins."""
    start = [1.62, 1.55]
    found = {
        "plain descent": plots.descent_path(_basins, start, SGD(0.02), 150),
        "momentum 0.9": plots.descent_path(_basins, start, SGD(0.02, momentum=0.9), 300),
    }
    ax = plots.hill(_height(_basins), x=(-1.75, 1.75), y=(-1.75, 1.75), found=found)
    ax.set_title("plain descent stays in the first basin")
    return ax.figure


def rates() -> Any:
    """x^2 at four rates: slow, fast, oscillating, diverging."""
    axes = style.new_axes(12.0, 3.3, 4)
    cases = ((0.01, "too small"), (0.4, "good"), (1.0, "oscillates"), (1.1, "diverges"))
    for ax, (rate, what) in zip(axes, cases, strict=True):
        path = plots.descent_path(_bowl, [-1.5], SGD(rate), 14)
        plots.line_descent(lambda x: x * x, path, ax, low=-4, high=4, title=f"rate {rate:g}: {what}")
    axes[0].set_ylabel("x²")
    return axes[0].figure


def optimizers_compared() -> Any:
    """Optimisers with a rate that suits them in a long, turned valley."""
    rules = {
        "SGD(0.03)": SGD(0.03), "SGD(0.075)": SGD(0.075), "momentum 0.9": SGD(0.01, momentum=0.9),
        "Nesterov 0.9": SGD(0.01, momentum=0.9, nesterov=True), "RMSprop(0.05)": RMSprop(0.05), "Adam(0.2)": Adam(0.2),
    }  # fmt: skip
    found = {name: plots.descent_path(_valley, [-2.4, 1.0], rule, 60) for name, rule in rules.items()}
    ax = plots.contours(_height(_valley), style.new_axes(7.6, 5.0)[0], x=(-3.0, 2.0), y=(-1.8, 2.6))
    plots.paths(found, ax)
    ax.set_title("60 updates in a long valley")
    return ax.figure


def scaling() -> Any:
    """The mse of a neuron with two weights on inputs of different scales, before and after standardising."""
    rng = np.random.default_rng(0)
    X = np.stack([rng.normal(0.0, 3.0, 200), rng.normal(0.0, 0.6, 200)], axis=1)
    y = X @ np.array([0.5, 2.0]) + rng.normal(0.0, 0.1, 200)
    axes = style.new_axes(9.6, 4.4, 2)
    cases = (("before", X, 0.1), ("after", Standardize().fit(X).apply(X), 0.4))
    for ax, (name, inputs, rate) in zip(axes, cases, strict=True):
        best = np.linalg.lstsq(inputs, y)[0]
        path = _trained(inputs, y, best + np.array([1.6, -2.2]), rate, 12)
        low, high = best - 2.8, best + 2.8
        plots.contours(functools.partial(_mse, inputs, y), ax, x=(low[0], high[0]), y=(low[1], high[1]))
        plots.paths({name: path}, ax)
        legend = ax.get_legend()
        assert legend is not None
        legend.remove()  # there is but one path, and the title tells of it
        ax.set_title(f"{name} scaling: loss {_mse(inputs, y, path[-1:])[0]:.3g}\nafter 12 steps at rate {rate:g}")
        ax.set_xlabel("$w_1$")
        ax.set_ylabel("$w_2$")
        ax.set_aspect("equal")
    return axes[0].figure


def _mse(X: Any, y: Any, w: Any) -> Any:
    """The mean squared error of a neuron for each of the weights w [points, 2]."""
    values = losses.get("mse").value(np, (X @ w.T).T.reshape(-1, 1), np.tile(y, len(w))[:, None])
    return values.reshape(len(w), -1).mean(axis=1)


def _trained(X: Any, y: Any, start: Any, rate: float, steps: int) -> Any:
    """The weights [steps + 1, 2] of a neuron without bias, trained on all rows."""
    model = chain((2, 1), last="linear", use_bias=False)
    model.set_weights([np.reshape(start, (2, 1))])
    model.compile(SGD(rate), "mse")
    path = [np.array(start, np.float64)]
    for _ in range(steps):
        model.fit(X, y, batch_size="full", **SETTINGS)
        path.append(model.get_weights()[0].ravel())
    return np.stack(path)


def loss_surface() -> Any:
    """The loss of a network over two of its weights, and three optimisers' paths in all weights, seen in these two."""
    X, y = datasets.moons(n=200, noise=0.1)
    start = chain((2, 3, 1), "tanh", seed=3)
    first = start.get_weights()
    found, ends = {}, {}
    rules = {"SGD(0.5)": SGD(0.5), "momentum 0.9": SGD(0.05, momentum=0.9), "Adam(0.05)": Adam(0.05)}
    for name, rule in rules.items():
        model = chain((2, 3, 1), "tanh", seed=3)
        model.compile(rule, "binary_crossentropy")
        path = [first[2][:2, 0]]
        for _ in range(60):
            model.fit(X, y, epochs=2, batch_size="full", **SETTINGS)
            path.append(model.get_weights()[2][:2, 0])
        found[name], ends[name] = np.stack(path), model
    last = ends["Adam(0.05)"]
    weights = last.get_weights()

    def height(points: Any) -> Any:
        values = []
        for point in points:
            weights[2][:2, 0] = point
            last.set_weights(weights)
            values.append(last.evaluate(X, y, backend="reference", precision="float64")["loss"])
        return np.asarray(values)

    seen = np.concatenate(list(found.values()))
    low, high = seen.min(axis=0) - 1.0, seen.max(axis=0) + 1.0
    ax = plots.contours(
        height, style.new_axes(7.4, 5.0)[0], x=(low[0], high[0]), y=(low[1], high[1]), resolution=24, levels=16
    )
    plots.paths(found, ax)
    ax.set_title("loss round Adam's last weights")
    ax.set_xlabel("first output weight")
    ax.set_ylabel("second output weight")
    return ax.figure
