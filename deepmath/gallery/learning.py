"""Pictures of learning: curves, approximation, bias and variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath import datasets, plots
from deepmath.gallery.classifiers import circles_model
from deepmath.gallery.training import SETTINGS, chain
from deepmath.initializers import RandomUniform
from deepmath.optimizers import Adam
from deepmath.plots import style


def curves() -> Any:
    """Loss and accuracy of article 1's training."""
    *_, history = circles_model()
    return plots.history_curves(history.history)[0].figure


SPREAD = RandomUniform(-3.0, 3.0)
"""Weights for one input in [-1, 1]: without a spread of biases the units bend at the same place."""


def approximation() -> Any:
    """One hidden layer of 1, 4 and 16 units on a sine and on a box."""
    x = np.linspace(-1.0, 1.0, 120)
    axes = style.new_axes(12.0, 3.8, 2)
    for ax, (name, y) in zip(
        axes, (("sin 2πx", np.sin(2 * np.pi * x)), ("a box", np.where(np.abs(x) < 0.5, 1.0, 0.0))), strict=True
    ):
        found = {}
        for width in (1, 4, 16):
            model = chain((1, width, 1), "tanh", "linear", kernel_initializer=SPREAD, bias_initializer=SPREAD)
            model.compile(Adam(0.03), "mse")
            model.fit(x[:, None], y, epochs=600, batch_size="full", **SETTINGS)
            line = model.predict(x[:, None], precision="float64")[:, 0]
            found[f"{width} unit{'s' * (width > 1)}: error {np.sqrt(np.mean((line - y) ** 2)):.2g}"] = line
        plots.fits(x, y, found, ax)
        ax.set_title(f"{name}, root mean square error")
    return axes[0].figure


def early_stopping() -> Any:
    """A large network on few, noisy rows: the validation loss turns while the training loss falls."""
    X, y = datasets.moons(n=240, noise=0.4, seed=2)
    model = chain((2, 64, 64, 1), seed=2)
    model.compile(Adam(0.003), "binary_crossentropy")
    history = model.fit(X, y, epochs=200, validation_split=0.5, **SETTINGS).history
    ax = plots.history_curves(history)[0]
    best = int(np.argmin(history["val_loss"])) + 1
    ax.axvline(best, color=style.ink(ax), linewidth=1.0, linestyle=(0, (4, 3)))
    ax.annotate(f"stop: epoch {best}", (best, 0.97), xycoords=("data", "axes fraction"), xytext=(6, 0),
                textcoords="offset points", va="top")  # fmt: skip
    ax.set_title("Where training and validation part")
    return ax.figure


def learning_curve() -> Any:
    """Loss over the number of training rows, three draws of each."""
    X_val, y_val = datasets.moons(n=1000, noise=0.25, seed=99)
    sizes, training, validation = (8, 16, 32, 64, 128, 256, 512), [], []
    for size in sizes:
        pairs = []
        for seed in range(3):
            X, y = datasets.moons(n=size, noise=0.25, seed=seed)
            model = chain((2, 12, 1), "tanh", seed=seed)
            model.compile(Adam(0.03), "binary_crossentropy")
            model.fit(X, y, epochs=150, batch_size="full", **SETTINGS)
            pairs.append([model.evaluate(X, y)["loss"], model.evaluate(X_val, y_val)["loss"]])
        training.append([p[0] for p in pairs])
        validation.append([p[1] for p in pairs])
    ax = plots.learning_curve(sizes, training, validation, what="binary cross-entropy")
    ax.set_title("moons with noise 0.25")
    return ax.figure


NOISE = 0.3


def _resampled(degree: int, runs: int = 200, rows: int = 24) -> tuple[float, float]:
    """Mean squared bias and variance of polynomials fitted to `runs` training sets of y = sin(2 pi x) + noise."""
    rng = np.random.default_rng(0)
    x0 = np.linspace(0.05, 0.95, 60)
    fits = []
    for _ in range(runs):
        x = rng.uniform(0.0, 1.0, rows)
        y = np.sin(2 * np.pi * x) + rng.normal(0.0, NOISE, rows)
        fits.append(np.polynomial.Polynomial.fit(x, y, degree, domain=[0.0, 1.0])(x0))
    found = np.stack(fits)
    bias = found.mean(axis=0) - np.sin(2 * np.pi * x0)
    return float(np.mean(bias**2)), float(np.mean(found.var(axis=0)))


def bias_and_variance() -> Any:
    """Polynomials of growing degree, each fitted to 200 training sets of 24 rows."""
    degrees = (0, 1, 2, 3, 4, 5, 6, 7)
    bias, variance = zip(*(_resampled(d) for d in degrees), strict=True)
    ax = plots.bias_variance(degrees, bias, variance, NOISE**2, label="degree of the polynomial")
    ax.set_title("200 training sets of 24 rows")
    return ax.figure


def darts() -> Any:
    """Four boards: low and high bias, low and high variance."""
    rng = np.random.default_rng(4)
    axes = style.new_axes(6.0, 6.4, 2, rows=2)
    for i, ax in enumerate(axes):
        middle, spread = (0.0, 0.45)[i // 2], (0.07, 0.26)[i % 2]
        hits = middle * np.array([0.8, 0.6]) + rng.normal(0.0, spread, (18, 2))
        plots.dart_board(hits, ax, f"{('low', 'high')[i // 2]} bias, {('low', 'high')[i % 2]} variance")
    return axes[0].figure
