"""Functions of one number: activations with their derivatives, learning-rate laws, losses along a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmath import activations
from deepmath.errors import ConfigError
from deepmath.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deepmath.schedules import Schedule


def activation(function: Any, ax: Axes | None = None, low: float = -4.0, high: float = 4.0) -> Axes:
    """An activation f(z), solid, and its derivative, dashed, between two numbers; both are deepmath's own formulas.

    `function` is a name, such as "relu", or an object as `activations.get` gives it.

    Raises:
        ConfigError: the name is unknown, the function works along rows (softmax), or low >= high.
        MissingExtra: matplotlib is not installed.
    """
    chosen = activations.get(function)
    if low >= high:
        raise ConfigError(f"activation: low must be below high; got {low:g} and {high:g}")
    if chosen.pullback is not None:
        raise ConfigError(f"activation: '{chosen.name}' works along rows; choose one of a single number, such as tanh")
    ax = style.new_axes(4.4, 3.4)[0] if ax is None else ax
    z = np.linspace(low, high, 801)[:, None]  # 0 is among them: kinks lie there
    y = chosen.value(np, z, *chosen.constants)
    slope = chosen.backward()(np, z, y, np.ones_like(z), *chosen.constants)
    colours = style.palette(style.is_dark(ax))
    ax.axhline(0.0, color=style.ink(ax), linewidth=0.6)
    ax.axvline(0.0, color=style.ink(ax), linewidth=0.6)
    ax.plot(z[:, 0], y[:, 0], color=colours[0], label="f(z)")
    ax.plot(z[:, 0], slope[:, 0], color=colours[1], linestyle=(0, (4, 2)), label="f '(z)")
    ax.set_title(chosen.name.replace("_", " "))
    ax.set_xlabel("z")
    ax.set_xlim(low, high)
    ax.grid(axis="both")
    ax.legend(loc="upper left")
    return ax


def rate_laws(laws: Mapping[str, Schedule], steps: int, ax: Axes | None = None) -> Axes:
    """Learning rates over the updates 0, 1, ..., `steps` - 1, a line for each law by its name.

    >>> from deepmath.schedules import ExponentialDecay
    >>> ax = rate_laws({"exponential": ExponentialDecay(0.1, factor=0.5, steps=10)}, 30)
    >>> [round(float(r), 6) for r in ax.lines[0].get_ydata()[::10]]
    [0.1, 0.05, 0.025]
    """
    if not laws or steps < 2:
        raise ConfigError(f"rate_laws: needs one law and 2 steps at least; got {len(laws)} and {steps}")
    ax = style.new_axes(6.6, 4.0)[0] if ax is None else ax
    colours, dashes = style.lines(ax), ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 2, 1, 2)))
    for i, (name, law) in enumerate(laws.items()):
        rates = [law(t) for t in range(steps)]
        ax.plot(range(steps), rates, label=name, color=colours[i % 7], linestyle=dashes[i % 4], drawstyle="steps-post")
    ax.set_xlabel("update")
    ax.set_ylabel("learning rate")
    ax.set_xlim(0, steps - 1)
    ax.set_ylim(bottom=0.0)
    ax.grid(axis="y")
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return ax


def line_descent(
    height: Callable[[Any], Any], path: Sequence[float], ax: Axes | None = None, *, low: float, high: float,
    title: str = "",
) -> Axes:  # fmt: skip
    """A curve height(x) between `low` and `high`, and the points that a descent visits on it, from light to dark.

    Points outside the range are not drawn; a line at the top says on which side the path left.
    """
    points = np.asarray(path, np.float64).ravel()
    if len(points) < 1 or low >= high:
        raise ConfigError(f"line_descent: needs a point and low < high; got {len(points)} points, {low:g} and {high:g}")
    ax = style.new_axes(4.0, 3.2)[0] if ax is None else ax
    x = np.linspace(low, high, 400)
    first, second = style.palette(style.is_dark(ax))[:2]
    ax.plot(x, height(x), color=first, zorder=1)
    inside = (points >= low) & (points <= high)
    last = len(points) if inside.all() else int(np.argmin(inside))
    seen = points[:last]
    shares = np.linspace(0.35, 1.0, max(len(seen), 2))[: len(seen)]
    tints = [style.mix(second, ax.get_facecolor(), share) for share in shares]
    ax.plot(seen, height(seen), color=second, linewidth=1.0, zorder=2)
    ax.scatter(seen, height(seen), c=tints, s=26, zorder=3)
    if len(seen):
        ax.annotate("start", (seen[0], height(seen[0])), xytext=(-7, -2), textcoords="offset points", ha="right")
    if last < len(points):
        side = "left" if points[last] < low else "right"
        ax.annotate(f"leaves to the {side}", (0.5, 1.0), xycoords="axes fraction", ha="center", va="top")
    ax.set_title(title)
    ax.set_xlim(low, high)
    ax.set_xlabel("x")
    return ax
