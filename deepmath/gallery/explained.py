"""Pictures of formulas and data: activations, rate laws, scales."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepmath import activations as table
from deepmath import datasets, plots, schedules
from deepmath.gallery.training import SETTINGS
from deepmath.layers import Dense
from deepmath.model import Sequential
from deepmath.optimizers import LBFGS
from deepmath.plots import style
from deepmath.preprocessing import MinMax, PCAWhitening, Standardize, ZCAWhitening


def activations() -> Any:
    """The four activations of article 1."""
    axes = style.new_axes(8.8, 6.6, 2, rows=2)
    for ax, name in zip(axes, ("sigmoid", "tanh", "relu", "leaky_relu"), strict=True):
        plots.activation(name, ax)
    return axes[0].figure


def every() -> Any:
    """All activations of a single number that deepmath has."""
    names = [n for n in table.names() if table.get(n).pullback is None and table.get(n).name == n]
    axes = style.new_axes(13.2, 3.1 * math.ceil(len(names) / 4), 4, rows=math.ceil(len(names) / 4))
    for ax, name in zip(axes, names, strict=False):
        plots.activation(name, ax)
    for ax in axes[len(names) :]:
        ax.remove()
    return axes[0].figure


def laws() -> Any:
    """The decay laws of article 3, and those that came later."""
    first, second = style.new_axes(12.6, 3.9, 2)
    plots.rate_laws({
        "inverse time": schedules.InverseTimeDecay(0.1, decay=1.0, steps=20),
        "exponential": schedules.ExponentialDecay(0.1, factor=0.5, steps=20),
        "staircase": schedules.ExponentialDecay(0.1, factor=0.5, steps=20, staircase=True),
        "k / √epoch": schedules.SqrtDecay(0.1, steps=20),
    }, 120, first)  # fmt: skip
    first.set_title("article 3")
    plots.rate_laws({
        "cosine with warm-up": schedules.CosineDecay(0.1, steps=120, warmup=15),
        "cosine with restarts": schedules.CosineRestarts(0.1, period=30),
        "one cycle": schedules.OneCycle(0.1, steps=120),
        "polynomial, power 2": schedules.PolynomialDecay(0.1, steps=120, power=2.0),
    }, 120, second)  # fmt: skip
    second.set_title("and later ones")
    return first.figure


def whitening() -> Any:
    """One cloud of points in five scales; the maps are fitted to the cloud itself."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 2)) @ np.array([[1.6, 0.9], [0.0, 0.5]]) + [3.0, 1.5]
    ways: tuple[tuple[str, Any], ...] = (
        ("as it is", None), ("standardised", Standardize()), ("min-max", MinMax()), ("PCA whitened", PCAWhitening()),
        ("ZCA whitened", ZCAWhitening()),
    )  # fmt: skip
    axes = style.new_axes(14.2, 3.3, len(ways))
    for ax, (name, way) in zip(axes, ways, strict=True):
        points = X if way is None else way.fit(X).apply(X)
        plots.scatter(points, None, ax, title=name)
        middle, reach = (points.max(axis=0) + points.min(axis=0)) / 2, 0.55 * np.ptp(points, axis=0).max()
        ax.set_xlim(middle[0] - reach, middle[0] + reach)
        ax.set_ylim(middle[1] - reach, middle[1] + reach)
        (a, b), (_, c) = np.cov(points.T, ddof=0)
        # The covariance below its picture is what the eye should check.
        ax.set_xlabel(f"variances {a:.2f} and {c:.2f}\ncovariance {abs(b):.2f}")
        ax.set_ylabel("")
        ax.axhline(0.0, color=style.faint(ax), zorder=0)
        ax.axvline(0.0, color=style.faint(ax), zorder=0)
    return axes[0].figure


def houses() -> Any:
    """Prices over sizes, with the line of least squares of a single neuron."""
    X, y = datasets.houses(n=300)
    size, price = X[:, datasets.HOUSE_FEATURES.index("size")], y[:, 0] if np.ndim(y) == 2 else y
    ax = plots.scatter(np.stack([size, price], axis=1), equal=False)
    neuron = Sequential([Dense(1)], preprocessing=Standardize())
    neuron.compile(LBFGS(), "mse")
    neuron.fit(size[:, None], price, epochs=20, batch_size="full", **SETTINGS)
    ends = np.array([[size.min()], [size.max()]])
    ax.plot(ends[:, 0], neuron.predict(ends, precision="float64")[:, 0], color=style.palette(style.is_dark(ax))[1])
    ax.set_title("300 houses and a neuron's line")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("size")
    ax.set_ylabel("price")
    return ax.figure
