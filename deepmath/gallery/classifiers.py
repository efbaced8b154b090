"""Pictures of classifiers: data, regions, and how right they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from deepmath import datasets, metrics, plots
from deepmath.gallery.training import SETTINGS, Watch, chain
from deepmath.model import Sequential
from deepmath.optimizers import Adam
from deepmath.plots import style

EPOCHS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 34, 38, 42, 46, 50)
"""The epochs of the animation: most happens at the beginning."""


def data() -> Any:
    """Article 1's circles."""
    ax = plots.scatter(*datasets.circles(), title="circles: noise 0.1, factor 0.2")
    return ax.figure


def circles_model(look: Watch | None = None) -> tuple[Sequential, Any, Any, Any]:
    """Article 1's network, trained on its circles: (model, X, y, history)."""
    X, y = datasets.circles()
    model = chain((2, 4, 6, 6, 4, 1))
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    history = model.fit(X, y, epochs=50, validation_split=0.1, callbacks=[look] if look else [], **SETTINGS)
    return model, X, y, history


def regions() -> Any:
    """The regions that article 1's network has learnt."""
    model, X, y, _ = circles_model()
    ax = plots.decision_regions(model.predict, X, y)
    ax.set_title("2-4-6-6-4-1 after 50 epochs")
    return ax.figure


def training() -> Iterator[Any]:
    """Article 1's network at several epochs, frame by frame."""
    X, y = datasets.circles()
    model, seen = chain((2, 4, 6, 6, 4, 1)), []
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    watch = Watch(model, EPOCHS, lambda epoch, twin: seen.append((epoch, twin.get_weights())))
    model.fit(X, y, epochs=EPOCHS[-1], callbacks=[watch], **SETTINGS)
    for epoch, weights in seen:
        model.set_weights(weights)
        ax = style.new_axes(5.2, 3.9)[0]
        plots.decision_regions(model.predict, X, y, ax, resolution=120)
        right = model.evaluate(X, y)["accuracy"]
        ax.set_title(f"epoch {epoch:2}: {100 * right:.1f} % right")
        yield ax.figure


def truth_tables() -> Any:
    """A perceptron on AND, OR and XOR, and a hidden layer of four on XOR."""
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    tables = (("AND", (0, 0, 0, 1), (2, 1)), ("OR", (0, 1, 1, 1), (2, 1)), ("XOR", (0, 1, 1, 0), (2, 1)),
              ("XOR, 4 hidden", (0, 1, 1, 0), (2, 4, 1)))  # fmt: skip
    axes = style.new_axes(12.4, 3.4, len(tables))
    for ax, (name, labels, widths) in zip(axes, tables, strict=True):
        y = np.array(labels)
        model = chain(widths, "tanh")
        model.compile(Adam(0.05), "binary_crossentropy", ["accuracy"])
        model.fit(corners, y, epochs=500, batch_size="full", **SETTINGS)
        plots.decision_regions(model.predict, corners, y, ax, resolution=80, names=())
        ax.set_title(f"{name}: {100 * model.evaluate(corners, y)['accuracy']:.0f} % right")
        ax.set_aspect("equal")
    return axes[0].figure


def _digits() -> tuple[Any, Any, Any]:
    """Shares [rows, 10] that a small network gives the test digits, their labels, and their images [rows, 64]."""
    X, y = datasets.digits()
    X = X / 16.0
    X_train, X_test, y_train, y_test = datasets.train_test_split(X, y, test=0.3)
    model = chain((64, 16, 10), last="softmax")
    model.compile(Adam(0.003), "sparse_categorical_crossentropy")
    model.fit(X_train, y_train, epochs=12, **SETTINGS)
    return model.predict(X_test), y_test, X_test


def confusion() -> Any:
    """The confusion matrix of a small network on test digits."""
    p, y, _ = _digits()
    ax = plots.confusion_matrix(metrics.ConfusionMatrix().of(p, y))
    ax.set_title(f"digits: {100 * np.mean(p.argmax(axis=1) == y):.1f} % of {len(y)} right")
    return ax.figure


def one_hot() -> Any:
    """An image of a digit, and what the network says of it: the test digit that it is least sure of."""
    p, y, X = _digits()
    row = int(np.argmin(p.max(axis=1)))
    image, ax = style.new_axes(8.2, 3.4, 2)
    image.imshow(X[row].reshape(8, 8), cmap="gray", interpolation="nearest")
    image.set_axis_off()
    image.set_title("input")
    plots.shares(p[row], np.eye(10)[y[row]], ax)
    ax.set_title("output and desired output")
    return ax.figure


def roc() -> Any:
    """ROC curves on noisy moons: one neuron, a small network, and one that is barely trained."""
    X, y = datasets.moons(n=1200, noise=0.35)
    X_train, X_test, y_train, y_test = datasets.train_test_split(X, y, test=0.5)
    ax = None
    for name, widths, epochs in (
        ("2-16-16-1", (2, 16, 16, 1), 40),
        ("one neuron", (2, 1), 40),
        ("2-1, 1 epoch", (2, 1), 1),
    ):
        model = chain(widths, seed=1)
        model.compile(Adam(0.01), "binary_crossentropy")
        model.fit(X_train, y_train, epochs=epochs, **SETTINGS)
        ax = plots.roc(model.predict(X_test), y_test, ax, name)
    assert ax is not None
    ax.set_title("moons with noise 0.35, test part")
    return ax.figure
