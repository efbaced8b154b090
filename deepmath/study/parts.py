"""The chain of a subject taken apart, so that each part can be held alone against differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepmath.program import Part, head_formula, results_formula
from deepmath.reference import ReferenceProgram
from deepmath.study.subject import Subject

Values = dict[str, Any]


class Chain(ReferenceProgram):
    """The objective of a batch as a function of all parameters, in training mode, from any part on."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject.recipe, subject.values, np, None, subject.data)
        self.subject = subject
        assert self.recipe.head is not None
        self.rows = self.subject.batch
        self.targets = self._targets(subject.data.targets)
        self.shares = np.asarray(self.rows.weights)

    def forward(self, part: Part, params: Mapping[str, Any], x: Any) -> tuple[Any, Any]:
        """(y, pullback) of one part; its state and random bits are those of the step, at every call."""
        self._params = dict(params)
        y, pullback, _ = self._forward(part, x, self._state, 0, training=True)
        return y, pullback

    def inputs(self, params: Mapping[str, Any]) -> list[Any]:
        """What each part takes, and at the end the scores."""
        passing = [self.subject.data.x]
        for part in self.recipe.parts:
            passing.append(self.forward(part, params, passing[-1])[0])
        return passing

    def objective(self, params: Mapping[str, Any], start: int, x: Any) -> float:
        """Loss and penalties, where x goes into part number `start` of the chain."""
        for part in self.recipe.parts[start:]:
            x, _ = self.forward(part, params, x)
        return self.loss(x) + self.penalty(params)

    def loss(self, scores: Any) -> float:
        """The batch's loss of scores."""
        head = self.recipe.head
        assert head is not None
        rows = results_formula(head)(np, scores, self.targets, self._index, *head.loss.constants)[0][:, 0]
        counted = self.shares > 0.0
        return float(np.sum(self.shares[counted] * rows[counted]))

    def dscores(self, scores: Any) -> Any:
        """The derivative of the batch's loss by the scores, as the program takes it."""
        head = self.recipe.head
        assert head is not None
        weight = self.shares[:, None]
        return head_formula(head)(np, scores, self.targets, self._index, weight, *head.loss.constants)[0]

    def penalty(self, params: Mapping[str, Any]) -> float:
        """All penalties."""
        self._params = dict(params)
        return self._penalty()

    def first_part(self, name: str) -> int:
        """The number in the chain of the part that a parameter belongs to."""
        layer = int(name.partition(".")[0])
        return next(i for i, part in enumerate(self.recipe.parts) if part.number == layer)
