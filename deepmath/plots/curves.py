"""Curves over the epochs of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmath.errors import ConfigError
from deepmath.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANELS = (("Loss", "loss"), ("Accuracy", "accuracy"))


def history_curves(history: Mapping[str, Sequence[float]], axes: Sequence[Axes] | Axes | None = None) -> list[Axes]:
    """Loss and accuracy over the epochs, side by side, in training and in validation.

    `history` maps names to one number for each epoch: `loss`, `val_loss`, `accuracy`, `val_accuracy`.
    Panels without any number are left out, other names are passed over, and epochs count from 1.

    Args:
        history: what `fit(...).history` holds.
        axes: where to draw, one for each panel; by default a new figure.

    Returns:
        The axes, one for each panel.

    Raises:
        ConfigError: none of the four is in `history`, or `axes` has another length.
        MissingExtra: matplotlib is not installed.
    """
    panels = [
        (title, name) for title, name in _PANELS if len(_curve(history, name)) or len(_curve(history, "val_" + name))
    ]
    if not panels:
        known = ", ".join(f"{name}, val_{name}" for _, name in _PANELS)
        came = ", ".join(map(str, history)) or "nothing"
        msg = f"history_curves: history must hold numbers for one of {known}; got {came}"
        raise ConfigError(msg)
    if axes is None:
        axes = style.new_axes(4.6 * len(panels), 3.4, len(panels))
    drawn = list(np.atleast_1d(np.asarray(axes, dtype=object)).ravel())
    if len(drawn) != len(panels):
        msg = f"history_curves: axes must be {len(panels)} ({', '.join(t for t, _ in panels)}), got {len(drawn)}"
        raise ConfigError(msg)
    for ax, (title, name) in zip(drawn, panels, strict=True):
        _panel(ax, title, _curve(history, name), _curve(history, "val_" + name))
    return drawn


def _curve(history: Mapping[str, Sequence[float]], name: str) -> Any:
    return np.asarray(history.get(name, ()), dtype=np.float64)


def _panel(ax: Axes, title: str, training: Any, validation: Any) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    colours = style.palette(style.is_dark(ax))
    for values, label, colour in ((training, "training", colours[0]), (validation, "validation", colours[1])):
        if len(values):
            # A short curve shows its points: one epoch alone would draw nothing as a line.
            marker = "o" if len(values) <= 12 else ""
            ax.plot(np.arange(1, len(values) + 1), values, color=colour, label=label, marker=marker, markersize=4)
    ax.set_title(title)
    ax.set_xlabel("epoch")
    epochs = max(len(training), len(validation))
    margin = 0.02 * (epochs - 1) or 0.5
    ax.set_xlim(1 - min(margin, 0.5), epochs + margin)  # there is no epoch 0 to put a tick on
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    ax.grid(axis="y")
    values = np.concatenate([training, validation])
    values = values[np.isfinite(values)]
    if title == "Accuracy":
        ax.yaxis.set_major_formatter(PercentFormatter(xmax=1.0))
        _at_least_a_tenth(ax, values)
    else:
        _from_zero(ax, values)
    ax.legend(loc="best")


def _from_zero(ax: Axes, values: Any) -> None:
    """Let the axis of a loss begin at 0, so that heights compare, unless the loss goes below."""
    if len(values) and values.min() >= 0.0 and values.max() > 0.0:
        ax.set_ylim(0.0, 1.05 * float(values.max()))


def _at_least_a_tenth(ax: Axes, values: Any) -> None:
    """Let the axis of an accuracy span 10 % or more, so that noise in the last digit isn't drawn as a mountain."""
    if len(values) and values.max() - values.min() < 0.1:
        top = min(1.0, float(values.max() + values.min()) / 2 + 0.05)
        ax.set_ylim(top - 0.105, top + 0.005)
