"""Initialisers by name: how the first weights are drawn. All draw on the host, in float64, from counters.

>>> from deepmath import initializers
>>> initializers.get("he_normal").name
'he_normal'
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepmath.descriptions import Table, check_number, described
from deepmath.formulas import initializers as formulas
from deepmath.formulas import random

__all__ = [
    "Constant",
    "Draws",
    "Initializer",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "get",
    "names",
    "register",
]


@dataclass(frozen=True)
class Draws:
    """Where a parameter's random numbers come from: they depend on these three whole numbers alone."""

    seed: int
    layer: int
    parameter: int

    def uniforms(self, shape: tuple[int, ...]) -> Any:
        """Numbers in [0, 1), float64."""
        return random.uniforms(self.seed, math.prod(shape), layer=self.layer, parameter=self.parameter).reshape(shape)

    def normals(self, shape: tuple[int, ...]) -> Any:
        """Standard normal numbers, float64."""
        return random.normals(self.seed, math.prod(shape), layer=self.layer, parameter=self.parameter).reshape(shape)


class Initializer(abc.ABC):
    """Gives a parameter its first values."""

    @abc.abstractmethod
    def draw(self, draws: Draws, shape: tuple[int, ...]) -> Any:
        """Values of this shape, float64; for a kernel, shape is (fan_in, fan_out)."""


@dataclass(frozen=True)
class _Scaled(Initializer):
    """Uniform or normal numbers, scaled by a kernel's fan-in and fan-out."""

    name: str
    formula: Callable[[Any, int, int], Any] = field(repr=False)
    normal: bool = field(repr=False)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> Any:
        numbers = draws.normals(shape) if self.normal else draws.uniforms(shape)
        return self.formula(numbers, math.prod(shape[:-1]), shape[-1])


@described
@dataclass(frozen=True)
class Constant(Initializer):
    """The same value everywhere.

    >>> Constant(0.5).draw(Draws(seed=0, layer=0, parameter=0), (2,))
    array([0.5, 0.5])
    """

    value: float = 0.0

    def __post_init__(self) -> None:
        check_number("Constant", "value", self.value)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> Any:
        return np.full(shape, float(self.value))


@described
@dataclass(frozen=True)
class Orthogonal(Initializer):
    """gain times a matrix with orthonormal rows or columns: a linear layer then keeps lengths."""

    gain: float = 1.0

    def __post_init__(self) -> None:
        check_number("Orthogonal", "gain", self.gain)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> Any:
        matrix = (math.prod(shape[:-1]), shape[-1])
        return self.gain * formulas.orthogonal(draws.normals(matrix)).reshape(shape)


@described
@dataclass(frozen=True)
class RandomNormal(Initializer):
    """Normal with this mean and standard deviation, not truncated."""

    mean: float = 0.0
    stddev: float = 0.05

    def __post_init__(self) -> None:
        check_number("RandomNormal", "mean", self.mean)
        check_number("RandomNormal", "stddev", self.stddev, low=0.0)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> Any:
        return self.mean + self.stddev * draws.normals(shape)


@described
@dataclass(frozen=True)
class RandomUniform(Initializer):
    """Uniform on [minval, maxval).

    >>> w = RandomUniform(0.0, 1.0).draw(Draws(seed=0, layer=0, parameter=0), (2, 3))
    >>> w.shape, bool((w >= 0).all() and (w < 1).all())
    ((2, 3), True)
    """

    minval: float = -0.05
    maxval: float = 0.05

    def __post_init__(self) -> None:
        check_number("RandomUniform", "minval", self.minval)
        check_number("RandomUniform", "maxval", self.maxval, low=self.minval)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> Any:
        return formulas.random_uniform(draws.uniforms(shape), self.minval, self.maxval)


_TABLE: Table[Initializer] = Table("initializer", Initializer)  # type: ignore[type-abstract]
register, get, names = _TABLE.add, _TABLE.get, _TABLE.names

register(Constant(0.0), "zeros")
register(Constant(1.0), "ones")
register(_Scaled("glorot_uniform", formulas.glorot_uniform, normal=False))
register(_Scaled("glorot_normal", formulas.glorot_normal, normal=True))
register(_Scaled("he_uniform", formulas.he_uniform, normal=False))
register(_Scaled("he_normal", formulas.he_normal, normal=True))
register(_Scaled("lecun_uniform", formulas.lecun_uniform, normal=False))
register(_Scaled("lecun_normal", formulas.lecun_normal, normal=True))
register(get("lecun_normal"), "xavier")
register(Orthogonal(), "orthogonal")
register(RandomUniform(), "random_uniform")
register(RandomNormal(), "random_normal")
