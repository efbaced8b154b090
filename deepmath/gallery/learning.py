"""Pictures of learning: curves, approximation, bias and variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepmath import datasets, plots, study
from deepmath.gallery.classifiers import circles_model
from deepmath.gallery.training import SETTINGS, chain
from deepmath.initializers import RandomUniform
from deepmath.optimizers import LBFGS, Adam
from deepmath.plots import style


def curves() -> Any:
    """Loss and accuracy of article 1's training."""
    *_, history = circles_model()
    return plots.history_curves(history.history)[0].figure


WIDTHS = (1, 4, 16, 64, 256)
"""How many units the hidden layers have; lines are drawn for the first three."""

GAP = 0.2
"""So far from its jump no row of the step trains or is judged: a continuous function can't follow there."""


def approximation() -> Any:
    """One hidden layer of 1 to 256 units on a sine and on a step: lines, and the largest error over the width."""
    x = np.linspace(-np.pi, np.pi, 201)
    sine, step, over = style.new_axes(14.4, 3.9, 3)
    cases = (
        (sine, "sin x", np.sin, np.ones(len(x), bool)), (step, "a step", np.sign, np.abs(x) >= GAP),
    )  # fmt: skip
    for i, (ax, name, function, kept) in enumerate(cases):
        y = np.where(kept, function(x), np.nan)
        lines = {width: _closest(x[kept], y[kept], x, width) for width in WIDTHS}
        errors = [float(np.max(np.abs(line - y)[kept])) for line in lines.values()]
        shown = list(zip(lines.items(), errors, strict=True))[:3]
        plots.fits(x, y, {f"{w} unit{'s' * (w > 1)}: {error:.3f}": line for (w, line), error in shown}, ax)
        ax.set_title(f"{name}: largest error")
        ax.set_xticks([-np.pi, 0.0, np.pi], ["-π", "0", "π"])
        colour, mark, dash = style.lines(ax)[i], ("o", "s")[i], ("-", "--")[i]
        over.plot(WIDTHS, errors, color=colour, marker=mark, ms=4, linestyle=dash, label=name)
    over.set_xscale("log", base=4)
    over.set_ylim(bottom=0.0)
    over.set_xticks(list(WIDTHS), list(map(str, WIDTHS)))
    over.minorticks_off()
    over.set_xlabel("units of the hidden layer")
    over.set_title("largest error over width")
    over.grid(axis="y")
    over.legend()
    return sine.figure


def _closest(x: Any, y: Any, everywhere: Any, width: int) -> Any:
    """What a network of this width makes of `everywhere` [points] after it learned y at x: the best of three begins."""
    best, lowest = None, np.inf
    for seed in range(3):
        model = chain((1, width, 1), last="linear", seed=seed, bias_initializer=RandomUniform(-3.0, 3.0))
        model.compile(LBFGS(tolerance=1e-9), "mse")
        cost = model.fit(x[:, None], y, epochs=300, batch_size="full", **SETTINGS).history["cost"][-1]
        if cost < lowest:
            best, lowest = model.predict(everywhere[:, None], precision="float64")[:, 0], cost
    return best


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


def bias_and_variance() -> Any:
    """Polynomials of growing degree, each fitted to 40 training sets of 24 rows of a sine with noise."""
    degrees, trials = (1, 2, 3, 4, 5, 6, 7), 40
    found = [_resampled(degree, trials) for degree in degrees]
    bias, variance = ([float(np.mean(getattr(f, part))) for f in found] for part in ("bias_squared", "variance"))
    ax = plots.bias_variance(degrees, bias, variance, NOISE**2, label="degree of the polynomial")
    measured = [float(np.mean(f.measured)) for f in found]
    ax.plot(degrees, measured, color=style.ink(ax), linestyle="", marker="x", label="measured error")
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    ax.set_title(f"{trials} training sets of 24 rows")
    return ax.figure


def _resampled(degree: int, trials: int) -> study.BiasVariance:
    """A neuron on the Legendre polynomials up to a degree, trained many times on y = sin(pi x) + noise."""

    def powers(x: Any) -> Any:
        return np.polynomial.legendre.legvander(x, degree)[:, 1:]  # the first is the neuron's bias

    neuron = chain((degree, 1), last="linear")
    neuron.compile(LBFGS(tolerance=1e-9), "mse")
    return study.bias_variance(
        neuron, lambda X: np.sin(np.pi * X[:, 0]), powers(np.linspace(-0.9, 0.9, 60)), noise=NOISE, rows=24,
        inputs=lambda rows, seed: powers(np.random.default_rng([4, seed]).uniform(-1.0, 1.0, rows)),
        trials=trials, epochs=100, redraw=False, batch_size="full", precision="float64",
    )  # fmt: skip


ROUNDS: dict[str, Any] = {"epochs": 150, "batch_size": "full"}
"""How the networks of `risk` train."""


def risk() -> Any:
    """The loss of one network over m rows and over the distribution: as it is, and trained on the m rows."""
    sizes = (8, 16, 32, 64, 128, 256, 512, 1024)
    model = chain((2, 12, 1), "tanh", seed=1)
    model.compile(Adam(0.03), "binary_crossentropy")
    same, trained = style.new_axes(10.6, 3.8, 2)
    cases: tuple[tuple[Any, int, dict[str, Any], str], ...]
    cases = ((same, 12, {}, "the network as it is"), (trained, 3, ROUNDS, "trained on the m rows"))
    for ax, draws, settings, title in cases:
        runs = [
            study.risk(model, _drawn, sizes=sizes, fresh=5000, seed=100 * i, precision="float64", **settings)
            for i in range(draws)
        ]
        empirical, expected = (np.transpose([getattr(r, part) for r in runs]) for part in ("empirical", "expected"))
        plots.learning_curve(
            sizes, empirical, expected, ax, "binary cross-entropy", ("empirical risk", "expected risk")
        )
        ax.set_xlabel("rows m")
        ax.set_title(f"{title}, {draws} draws")
    same.autoscale(axis="y")  # what shrinks with m is small beside the risk itself
    return same.figure


def _drawn(rows: int, seed: int) -> Any:
    """Moons with noise."""
    return datasets.moons(n=rows, noise=0.25, seed=seed)


def darts() -> Any:
    """Four boards: low and high bias, low and high variance."""
    rng = np.random.default_rng(4)
    axes = style.new_axes(6.0, 6.4, 2, rows=2)
    for i, ax in enumerate(axes):
        middle, spread = (0.0, 0.45)[i // 2], (0.07, 0.26)[i % 2]
        hits = middle * np.array([0.8, 0.6]) + rng.normal(0.0, spread, (18, 2))
        plots.dart_board(hits, ax, f"{('low', 'high')[i // 2]} bias, {('low', 'high')[i % 2]} variance")
    return axes[0].figure
