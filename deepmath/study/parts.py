"""The objective of a subject taken apart, so that each part can be held alone against differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepmath.formulas import random
from deepmath.program import Part, head_formula, results_formula
from deepmath.study.subject import Subject

Values = dict[str, Any]


class Objective:
    """The objective of a batch as a function of all parameters, in training mode, from any part on."""

    def __init__(self, subject: Subject) -> None:
        self.subject, self.recipe = subject, subject.recipe
        assert self.recipe.head is not None
        self.head, targets = self.recipe.head, subject.data.targets
        self.params = subject.parameters
        self.state = {n.removeprefix("state."): v for n, v in subject.values.items() if n.startswith("state.")}
        self.targets = np.reshape(targets, (-1, 1)) if self.head.labelled else targets
        self.index = np.arange(self.head.outputs)[None, :]
        self.shares = np.asarray(subject.batch.weights)

    def forward(self, part: Part, params: Mapping[str, Any], x: Any) -> tuple[Any, Any]:
        """(y, pullback) of one part; its state and random bits are those of the step, at every call."""
        start, step = f"{part.number}.", int(self.subject.values.get("step", 0))

        def own(values: Mapping[str, Any]) -> Values:
            return {n.removeprefix(start): v for n, v in values.items() if n.startswith(start)}

        def bits(rows: int, units: int) -> Any:
            words = random.host_words(self.recipe.seed, random.NOISE, rows, units, step=step, layer=part.number)
            return words >> 8

        y, pullback, _ = part.layer.apply(np, own(params), own(self.state), x, bits, training=True)
        return y, pullback

    def inputs(self, params: Mapping[str, Any]) -> list[Any]:
        """What each part takes, and at the end the scores."""
        passing = [self.subject.data.x]
        for part in self.recipe.parts:
            passing.append(self.forward(part, params, passing[-1])[0])
        return passing

    def value(self, params: Mapping[str, Any], start: int, x: Any) -> float:
        """Loss and penalties, where x goes into part number `start` of the chain."""
        for part in self.recipe.parts[start:]:
            x, _ = self.forward(part, params, x)
        return self.loss(x) + self.penalty(params)

    def loss(self, scores: Any) -> float:
        """The batch's loss of scores."""
        constants = self.head.loss.constants
        rows = results_formula(self.head)(np, scores, self.targets, self.index, *constants)[0][:, 0]
        counted = self.shares > 0.0
        return float(np.sum(self.shares[counted] * rows[counted]))

    def dscores(self, scores: Any) -> Any:
        """The derivative of the batch's loss by the scores, as the program takes it."""
        weight, constants = self.shares[:, None], self.head.loss.constants
        return head_formula(self.head)(np, scores, self.targets, self.index, weight, *constants)[0]

    def penalty(self, params: Mapping[str, Any]) -> float:
        """All penalties."""
        rules = self.recipe.penalties.items()
        return sum(float(r.penalty(np, np.reshape(params[n], (1, -1)), *r.strengths)[0, 0]) for n, r in rules)

    def first_part(self, name: str) -> int:
        """The number in the chain of the part that a parameter belongs to."""
        layer = int(name.partition(".")[0])
        return next(i for i, part in enumerate(self.recipe.parts) if part.number == layer)
