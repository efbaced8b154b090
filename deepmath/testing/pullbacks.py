"""Derivatives against differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepmath import derivative
from deepmath.testing.close import assert_close
from deepmath.trace import Formula

KINDS = {2: "element", 1: "column", 0: "scalar"}


def check_pullback(
    formula: Formula, arguments: Sequence[Any], pullback: Formula | None = None, *, step: float = 3e-4,
    tolerance: float = 1e-8,
) -> float:  # fmt: skip
    """Compare a pullback with differences of its formula in float64; the largest error, AssertionError beyond.

    `formula(xp, *arguments)` gives one array. `pullback(xp, *arguments, dy)` gives the gradient of sum(dy formula) by
    each argument, in their order, with None for those that have none; without it, the derivative that deepmath takes
    on the formula's graph is checked, for arguments [rows, columns], [columns] and numbers. Stay a few steps away from
    kinks. The differences use five points: their error is step^4 / 30 times the fifth derivative, and rounding.

    >>> check_pullback(lambda xp, z: xp.tanh(z), [np.asarray([[0.5, -1.0]])]) < 1e-8
    True
    >>> check_pullback(lambda xp, z: z * z, [np.asarray([3.0])], lambda xp, z, dy: z * dy) < 1e-8
    Traceback (most recent call last):
    ...
    AssertionError: the gradient by argument 0 at [0]: 4.62... instead of 9.24..., an error of 0.5; at most 1e-08 ...
    """
    given = [np.asarray(a, np.float64) for a in arguments]
    y = np.asarray(formula(np, *given))
    dy = np.cos(1.0 + np.arange(y.size)).reshape(y.shape) * 1.0 + 1.0
    gradients = (pullback or _derived(formula, given))(np, *given, dy)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    assert len(gradients) == len(given), f"the pullback gives {len(gradients)} gradients of {len(given)} arguments"
    worst = 0.0
    for number, gradient in enumerate(gradients):
        if gradient is not None:
            wanted = _differences(formula, given, number, dy, step)
            found = np.broadcast_to(np.asarray(gradient, np.float64), wanted.shape)
            worst = max(worst, assert_close(found, wanted, tolerance, who=f"the gradient by argument {number}"))
    return worst


def _derived(formula: Formula, given: Sequence[Any]) -> Formula:
    kinds = [KINDS[a.ndim] for a in given]
    wanted = [i for i, kind in enumerate(kinds) if kind != "scalar"]
    taken = derivative.pullback(formula, kinds, wanted)

    def pullback(xp: Any, *values: Any) -> tuple[Any, ...]:
        found = taken(xp, *values)
        by_place = dict(zip(wanted, found if isinstance(found, tuple) else (found,), strict=True))
        return tuple(by_place.get(i) for i in range(len(kinds)))

    return pullback


def _differences(formula: Formula, given: Sequence[Any], number: int, dy: Any, step: float) -> Any:
    """The gradient of sum(dy formula) by one argument, from five points of each of its numbers."""
    gradient = np.empty(given[number].shape)
    for place in np.ndindex(gradient.shape):

        def at(steps: int, place: tuple[int, ...] = place) -> float:
            moved = given[number].copy()
            moved[place] += steps * step
            y = formula(np, *given[:number], moved, *given[number + 1 :])
            return float(np.sum(dy * y))

        gradient[place] = (8.0 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12.0 * step)
    return gradient
