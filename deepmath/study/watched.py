"""The reference program, watched: every value that passes between the parts of a chain, forward and backward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepmath.program import Batch, Part
from deepmath.reference import Gradients, ReferenceProgram


@dataclass
class Stage:
    """One part of the chain: what goes in and out, and the derivatives of the objective by both.

    `gradients` are those of the loss alone, without penalties.
    """

    part: Part
    letter: str
    x: Any
    y: Any
    dy: Any = None
    dx: Any = None
    gradients: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its output is called: "0.z"."""
        return f"{self.part.number}.{self.letter}"


LETTERS = {"Dense": "z", "Activation": "a"}
"""What a part's outputs are called; y for any other."""


class Watched(ReferenceProgram):
    """A reference program that keeps what it has seen in its last call of `gradients`."""

    stages: list[Stage]
    losses: Any
    scores: Any
    dscores: Any

    def gradients(self, batch: Batch, previous: Gradients | None = None) -> Gradients:
        self.stages = []
        head = self._head
        assert head is not None

        def seen(xp: Any, z: Any, targets: Any, index: Any, weight: Any, *constants: Any) -> tuple[Any, ...]:
            dz, loss, *metrics = head(xp, z, targets, index, weight, *constants)
            self.scores, self.losses, self.dscores = z, loss, dz
            self.saw_loss(targets, index, weight)
            return (self.dscores, self.losses, *metrics)

        self._head = seen
        try:
            return super().gradients(batch, previous)
        finally:
            self._head = head

    def _forward(self, part: Part, x: Any, state: Mapping[str, Any], first: int, training: bool) -> Any:
        y, pullback, new_state = super()._forward(part, x, state, first, training)
        if not training:
            return y, pullback, new_state
        stage = Stage(part, self._letter(part), x, y)
        self.stages.append(stage)
        self.saw_forward(stage, new_state)

        def seen(dy: Any) -> Any:
            stage.dy = dy
            self.before_backward(stage)
            stage.dx, stage.gradients = pullback(dy)
            self.saw_backward(stage)
            return stage.dx, stage.gradients

        return y, seen, new_state

    def _letter(self, part: Part) -> str:
        letter = LETTERS.get(type(part.layer).__name__, "y")
        taken = [s.letter for s in self.stages if s.part.number == part.number]
        while letter in taken:
            letter += "'"
        return letter

    def saw_forward(self, stage: Stage, new_state: Mapping[str, Any]) -> None:
        """A part has run forward."""

    def saw_loss(self, targets: Any, index: Any, weight: Any) -> None:
        """The losses of the rows and their derivative by the scores are there."""

    def before_backward(self, stage: Stage) -> None:
        """A part is about to run backward."""

    def saw_backward(self, stage: Stage) -> None:
        """A part has run backward."""
