"""Training that breaks: rows that anything learns from, and a rate that is infinite in chosen steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deepmath.schedules import Schedule

RNG = np.random.default_rng(5)
X = RNG.standard_normal((48, 3))
Y = X.sum(1, keepdims=True)
BACKENDS = ("reference", "numpy")


@dataclass(frozen=True)
class Breaking(Schedule):
    """A rate that is infinite from the first step to the last of these, and finite in all others."""

    first: int
    last: float = math.inf

    def __call__(self, t: int) -> float:
        return math.inf if self.first <= t <= self.last else 0.01
