"""Pictures of what happens inside layers: over time, and over depth."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath import activations, datasets, initializers, plots
from deepmath.activations import ActivationFunction
from deepmath.formulas.affine import affine
from deepmath.gallery.training import SETTINGS, Watch, chain, outputs
from deepmath.model import Sequential
from deepmath.optimizers import Adam
from deepmath.plots import style

EPOCHS = (0, 1, 2, 4, 8, 16, 32)


def over_time() -> Any:
    """Weights and outputs of three layers over the epochs of a training on digits."""
    X, y = datasets.digits()
    X = X / 16.0
    model = chain((64, 32, 16, 10), "tanh", "softmax")
    model.compile(Adam(0.003), "sparse_categorical_crossentropy")
    weights: list[Any] = []
    found: list[Any] = []

    def look(_: int, twin: Sequential) -> None:
        weights.append(twin.get_weights()[::2])
        found.append(outputs(twin, X[:300]))

    model.fit(X, y, epochs=EPOCHS[-1], callbacks=[Watch(model, EPOCHS, look)], **SETTINGS)
    axes = style.new_axes(10.4, 7.4, 3, rows=2)
    for i in range(3):
        name = ("first layer", "second layer", "output layer")[i]
        plots.histograms([w[i] for w in weights], axes[i], labels=EPOCHS, title=f"weights, {name}")
        plots.histograms([a[i] for a in found], axes[3 + i], labels=EPOCHS, title=f"outputs, {name}")
    for ax in (axes[0], axes[3]):
        ax.set_ylabel("epoch")
    return axes[0].figure


def initialization() -> Any:
    """Outputs of fifteen layers of tanh and of relu, as each initialiser leaves them."""
    X = np.random.default_rng(0).normal(size=(256, 64))
    cases: dict[str, Any] = {
        "zeros": "zeros", "normal, 0.01": initializers.RandomNormal(0.0, 0.01),
        "normal, 1": initializers.RandomNormal(0.0, 1.0),
        "Xavier, 1 / n": "xavier", "Glorot, 2 / (n + m)": "glorot_normal", "He, 2 / n": "he_normal",
        "orthogonal": "orthogonal",
    }  # fmt: skip
    axes = style.new_axes(13.0, 4.2, 2)
    for ax, activation in zip(axes, ("tanh", "relu"), strict=True):
        found = {}
        for name, way in cases.items():
            found[name] = _through(X, initializers.get(way), activations.get(activation), 15)
        plots.depth(found, ax)
        ax.set_title(f"{activation}, 64 units in each layer")
    legend = axes[0].get_legend()
    assert legend is not None
    legend.remove()  # the right one is for both
    return axes[0].figure


def _through(x: Any, way: initializers.Initializer, activation: ActivationFunction, depth: int) -> list[Any]:
    """The outputs of layers as wide as their inputs, with weights as they are drawn first."""
    found = []
    for i in range(depth):
        kernel = way.draw(initializers.Draws(seed=0, layer=i, parameter=0), (x.shape[1], x.shape[1]))
        z = affine(np, x, kernel, None)
        x = activation.value(np, z, *activation.constants)
        found.append(x)
    return found


def exploding() -> Any:
    """Linear layers of 1.5 I and 0.5 I: signals grow and shrink as powers."""
    X = np.random.default_rng(0).normal(size=(64, 8))
    found = {}
    for factor in (1.5, 1.0, 0.5):
        model = chain([8] * 31, "linear", "linear", use_bias=False)
        model.set_weights([factor * np.eye(8)] * 30)
        found[f"weights {factor:g} I"] = outputs(model, X)
    ax = plots.depth(found)
    ax.set_title("a linear network of 30 layers")
    return ax.figure
