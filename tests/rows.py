"""A row of the table of formulas: a formula, the kinds of its arguments, and how each is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepmath.formulas import losses

Draw = Callable[[np.random.Generator, tuple[int, int]], Any]


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Standard normal numbers, but at least 0.05 away from the kink at 0."""
    x = rng.standard_normal(shape)
    return x + np.copysign(0.05, x)


def wide(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Numbers of either sign and of magnitude 0.05 to 20."""
    return np.copysign(np.exp(rng.uniform(np.log(0.05), np.log(20.0), shape)), rng.standard_normal(shape))


def positive(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    return rng.uniform(0.1, 2.0, shape)


def above_one(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Second moments that lie above the square of every mean drawn by `probability`."""
    return rng.uniform(1.2, 3.0, shape)


def probability(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    return rng.uniform(0.05, 0.95, shape)


def shifted(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Above every `probability`, by 0.5 at least."""
    return rng.uniform(1.5, 4.0, shape)


def target(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Hard targets 0 and 1, and some between."""
    return rng.choice([0.0, 1.0, 0.25], shape)


def truth(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Hard targets 0 and 1."""
    return rng.integers(0, 2, shape).astype(np.float64)


def label(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    return rng.integers(0, 3, shape)


def word(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    return rng.integers(0, 2**32, shape)


def bits(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    return rng.integers(0, 2**24, shape)


def scalar(value: float) -> Draw:
    """Always this number."""
    return lambda _rng, _shape: value


def columns(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """The counter along the columns: 0, 1, ..."""
    return np.arange(shape[1])[None, :]


def rows(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """The counter along the rows."""
    return np.arange(shape[0])[:, None]


@dataclass(frozen=True)
class Row:
    """A formula, the kinds of its arguments as `loops.kernel` takes them, and how each argument is drawn.

    `smooth` holds the places of the arguments by which the formula has a derivative where they are drawn.
    """

    name: str
    formula: Callable[..., Any]
    kinds: tuple[str, ...]
    draws: tuple[Draw, ...]
    smooth: tuple[int, ...] = ()
    results: int = 1

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> list[Any]:
        """Arguments for the reference: element [rows, columns], row [rows, 1], column [1, columns]."""
        of_kind = {"element": shape, "row": (shape[0], 1), "column": (1, shape[1]), "index": shape, "row_index": shape}
        return [d(rng, of_kind.get(k.partition(":")[0], (1, 1))) for d, k in zip(self.draws, self.kinds, strict=True)]

    @property
    def trace_kinds(self) -> tuple[str, ...]:
        """The kinds as `trace` takes them."""
        return tuple({"index": "column:int", "row_index": "row:int"}.get(k, k) for k in self.kinds)


def elements(formula: Callable[..., Any], *draws: Draw, smooth: tuple[int, ...] = ()) -> Row:
    return Row(formula.__name__, formula, ("element",) * len(draws), draws, smooth)


def update(formula: Callable[..., Any], draws: tuple[Draw, ...], numbers: tuple[float, ...]) -> Row:
    kinds = ("element",) * len(draws) + ("scalar",) * len(numbers)
    smooth = tuple(range(len(kinds)))
    return Row(formula.__name__, formula, kinds, (*draws, *map(scalar, numbers)), smooth, len(draws) - 1)


def sparse(formula: Callable[..., Any], draw: Draw) -> Row:
    def sparse(xp: Any, p: Any, label: Any, index: Any) -> Any:
        return formula(xp, p, losses.one_hot(xp, label, index, p))

    name = f"sparse_{formula.__name__}"
    return Row(name, sparse, ("element", "row:int", "index"), (draw, label, columns), (0,))


def with_numbers(formula: Callable[..., Any], draws: tuple[Draw, ...], numbers: tuple[float, ...], smooth: Any) -> Row:
    kinds = ("element",) * len(draws) + ("scalar",) * len(numbers)
    return Row(formula.__name__, formula, kinds, (*draws, *map(scalar, numbers)), smooth)


def smoothed(formula: Callable[..., Any], draw: Draw) -> Row:
    return Row(
        f"{formula.__name__}smoothed", formula, ("element", "element", "scalar"), (draw, target, scalar(0.1)), (0,)
    )
