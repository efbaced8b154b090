"""The numbers of one training step by name, as an observer of the reference program sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from deepmath.program import Part
from deepmath.reference import ReferenceProgram
from deepmath.study.subject import Subject
from deepmath.study.watched import StageRecorder


class Link(NamedTuple):
    """A part of the chain and the names of what it takes and gives."""

    part: Part
    before: str
    after: str


class Step(StageRecorder):
    """One step of a subject on NumPy, whose numbers are kept in `values`."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject.recipe)
        self.subject = subject
        self.values: dict[str, Any] = {}
        self._program = ReferenceProgram(subject.recipe, subject.values, np, None, subject.data, self)
        self.pace = self._program.pace

    def saw(self, name: str, part: int | None, direction: str, value: Any) -> None:
        super().saw(name, part, direction, value)
        if name.startswith(("gradient.", "clipped.")):
            self.values[name] = value

    def take(self) -> None:
        """Run the step; what was there before has its own names, what comes after has "new." in front."""
        subject, program = self.subject, self._program
        with np.errstate(all="ignore"):
            before = program.state()
            gradients = program.gradients(subject.batch)
            self.values |= {"x": subject.data.x, "target": subject.data.targets}
            self.values |= _renamed(before, "")
            self._passing()
            self._objective(gradients.sums)
            program.apply(gradients)
            self.values |= _renamed(program.state(), "new.")

    @property
    def chain(self) -> list[Link]:
        """The parts with the names of their inputs and outputs."""
        names = ["x", *(s.name for s in self.stages)]
        return [Link(s.part, b, s.name) for s, b in zip(self.stages, names, strict=False)]

    def _passing(self) -> None:
        """What passes from part to part, forward and backward."""
        for stage in self.stages:
            self.values[stage.name] = stage.y
            self.values[f"gradient.{stage.name}"] = stage.dy
            for own in stage.gradients:
                name = f"{stage.part.number}.{own}"
                if name in self.recipe.penalties:
                    self.values[f"cost_gradient.{name}"] = stage.gradients[own]
        if "predictions" in self.head:
            self.values["prediction"] = self.head["predictions"]

    def _objective(self, sums: Any) -> None:
        self.values["losses"] = self.head["loss"]
        self.values["cost"] = np.float64(sums[1])
        self.values["loss"] = np.float64(sums[0] + sums[1])
        for name in self.recipe.penalties:
            self.values[f"penalty.{name}"] = self.head[f"penalty.{name}"][0, 0]


def _renamed(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Values by the names of a step: "params.0.kernel" is "0.kernel", a slot's "m.0.kernel" stays."""
    found = {}
    for name, value in state.items():
        if name not in ("step", "rate"):
            found[prefix + name.removeprefix("params.").removeprefix("state.")] = value
    return found
