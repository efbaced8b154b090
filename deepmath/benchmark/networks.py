"""What is trained: a network, a batch size and data that every candidate gets alike."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepmath import datasets
from deepmath.benchmark import own
from deepmath.errors import ConfigError
from deepmath.model import Sequential
from deepmath.optimizers import Optimizer

LEARNING_RATE = 1e-3
ROWS, STEPS = 8192, 256
"""An epoch has at most so many steps, and so many rows unless two batches need more."""

CHECKED_STEPS = 4
LARGEST_WIDTH, LARGEST_BATCH = 1 << 14, 1 << 16


@dataclass(frozen=True)
class Network:
    """Dense layers of these widths, inputs first, with ReLU between, trained by Adam on batches of this size.

    One output learns 0 or 1 by binary cross-entropy, several learn classes by softmax with cross-entropy. An epoch
    has `steps` whole batches, and one of `rest` rows if that isn't 0. `part` is one of `own.PARTS`; where the network
    is `scaled`, its inputs are far from zero and standardised before it sees them.
    """

    widths: tuple[int, ...]
    batch: int
    steps: int
    rest: int = 0
    title: str | None = None
    part: str = ""
    scaled: bool = False

    @property
    def name(self) -> str:
        """Its widths, such as 64-64-10, or the name of its data, and its part."""
        return (self.title or "-".join(map(str, self.widths))) + (f" with {self.part}" if self.part else "")

    @property
    def rows(self) -> int:
        """Rows of an epoch."""
        return self.steps * self.batch + self.rest

    @property
    def updates(self) -> int:
        """Updates of an epoch."""
        return self.steps + (self.rest > 0)

    @property
    def loss(self) -> str:
        """The loss that fits the outputs."""
        return "binary_crossentropy" if self.widths[-1] == 1 else "sparse_categorical_crossentropy"

    @property
    def products(self) -> list[tuple[int, int, int]]:
        """(m, k, n) of each matrix product [m, k] x [k, n] of a whole batch's step, in the order of a step.

        >>> Network((3, 4, 2), 8, 1).products
        [(8, 3, 4), (8, 4, 2), (4, 8, 2), (8, 2, 4), (3, 8, 4)]
        """
        pairs = list(itertools.pairwise(self.widths))
        found = [(self.batch, a, b) for a, b in pairs]
        for place, (a, b) in reversed(list(enumerate(pairs))):
            found.append((a, self.batch, b))
            if place:
                found.append((self.batch, b, a))
        return found

    @property
    def flops(self) -> int:
        """Additions and multiplications of a step's matrix products; what stands between them isn't counted.

        >>> Network((3, 4, 2), 8, 1).flops
        768
        """
        return sum(2 * m * k * n for m, k, n in self.products)

    def checked(self) -> Network:
        """The same network on few rows: what a candidate must get right before it is timed."""
        return replace(self, steps=min(CHECKED_STEPS, self.steps))

    def model(self, optimizer: Optimizer | None = None, order: int = 0) -> Sequential:
        """The network as deepmath's own model, with its first weights rounded to float32, and Adam unless told.

        `order` decides the order of shuffled rows; the weights are always the same.
        """
        layers, sample = own.layers(self.widths, self.part), self.data()[0] if self.scaled else None
        first = Sequential(layers).get_weights()
        model = Sequential(layers, seed=order, preprocessing=own.scaling(sample))
        model.compile(own.optimizer(self.part, LEARNING_RATE, optimizer), own.loss(self.part, self.loss))
        model.set_weights([w.astype(np.float32) for w in first])
        return model

    def data(self) -> tuple[Any, ...]:
        """Inputs float32 [rows, features], and targets: 0.0 or 1.0 as float32 [rows], or labels int64 [rows].

        One target in ten is drawn by chance, so that no network learns all of them: gradients stay far from the
        numbers that processors are slow with.
        """
        if self.title == "circles":
            return tuple(a.astype(np.float32) for a in datasets.circles(n=self.rows, noise=0.1, factor=0.2, seed=0))
        draw = np.random.default_rng(7)
        Z = draw.standard_normal((self.rows, self.widths[0]), dtype=np.float32)
        X = 3.0 * Z + 5.0 if self.scaled else Z
        chance = draw.random(self.rows) < 0.1
        if self.widths[-1] == 1:
            y = (Z**2).sum(axis=1) > self.widths[0]
            return X, np.where(chance, draw.random(self.rows) < 0.5, y).astype(np.float32)
        y = (Z @ draw.standard_normal((self.widths[0], self.widths[-1]), dtype=np.float32)).argmax(axis=1)
        y = np.where(chance, draw.integers(0, self.widths[-1], self.rows), y).astype(np.int64)
        return X, np.eye(self.widths[-1], dtype=np.float32)[y] if self.part == "own loss" else y


def network(widths: tuple[int, ...], batch: int) -> Network:
    """A network with epochs of a length that suits its batches."""
    return Network(widths, batch, max(2, min(STEPS, ROWS // batch)))


CIRCLES = Network((2, 4, 6, 6, 4, 1), 32, 28, 4, "circles")
"""The first article's own run: 900 rows, 29 steps an epoch."""

NETWORKS = {
    n.name: n
    for n in (
        CIRCLES,
        network((2, 4, 6, 6, 4, 1), 32),
        network((64, 64, 10), 32),
        network((784, 256, 128, 10), 128),
        network((1024, 1024, 1024, 1024, 10), 512),
    )
}

BATCHES = [network((784, 256, 128, 10), 1 << power) for power in range(0, 13, 2)]
WIDTHS = [network((1 << power, 1 << power, 1 << power, 10), 128) for power in range(4, 12)]
"""How cost grows: over batch sizes 1 to 4096, and over widths 16 to 2048."""

SINGLE = network((20, 64, 32, 1), 32)
"""The network whose single rows are predicted."""

SEARCHED = [Network((64, width, 10), 32, 32) for width in range(24, 184, 8)]
"""What a search for the best width tries."""


def parse(text: str) -> Network:
    """A network from its name, or from WIDTHS:BATCH.

    >>> parse("64-64-10").batch, parse("8-16-3:64").rows
    (32, 8192)
    >>> parse("8-16")
    Traceback (most recent call last):
    ...
    deepmath.errors.ConfigError: bench: --networks must be names (circles, 2-4-6-6-4-1, 64-64-10, 784-256-128-10, \
1024-1024-1024-1024-10) or WIDTHS:BATCH such as 64-32-10:16; got '8-16'
    """
    if text in NETWORKS:
        return NETWORKS[text]
    shape, _, batch = text.partition(":")
    numbers = shape.split("-")
    if all(n.isdecimal() for n in (*numbers, batch)) and len(numbers) > 1:
        widths, rows = tuple(map(int, numbers)), int(batch)
        if all(1 <= w <= LARGEST_WIDTH for w in widths) and 1 <= rows <= LARGEST_BATCH:
            return network(widths, rows)
    known = ", ".join(NETWORKS)
    raise ConfigError(f"bench: --networks must be names ({known}) or WIDTHS:BATCH such as 64-32-10:16; got {text!r}")


def parameters(widths: tuple[int, ...]) -> int:
    """Weights and biases of a network.

    >>> parameters((2, 3, 1))
    13
    """
    return sum(math.prod(pair) + pair[1] for pair in itertools.pairwise(widths))
