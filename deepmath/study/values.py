"""The numbers of one training step by name, from the watched reference program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from deepmath.program import Part
from deepmath.study.subject import Subject
from deepmath.study.watched import Watched


class Chain(NamedTuple):
    """A part of the chain and the names of what it takes and gives."""

    part: Part
    before: str
    after: str


class Step(Watched):
    """One step of a subject on NumPy, whose numbers are kept in `values`."""

    values: dict[str, Any]

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject.recipe, subject.values, np, None, subject.data)
        self.subject = subject

    def take(self) -> None:
        """Run the step; what was there before has its own names, what comes after has "new." in front."""
        with np.errstate(all="ignore"):
            before = self.state()
            gradients = self.gradients(self.subject.batch)
            self.values = {"x": self.subject.data.x, "target": self.subject.data.targets}
            self.values |= _renamed(before, "")
            self._passing()
            self._objective(gradients.sums)
            self.values |= {f"gradient.{n}": g for n, g in gradients.values.items()}
            clipped = self._clipped(gradients.values)
            if clipped is not gradients.values:
                self.values |= {f"clipped.{n}": g for n, g in clipped.items()}
            self.apply(gradients)
            self.values |= _renamed(self.state(), "new.")

    @property
    def chain(self) -> list[Chain]:
        """The parts with the names of their inputs and outputs."""
        names = ["x", *(s.name for s in self.stages)]
        return [Chain(s.part, b, s.name) for s, b in zip(self.stages, names, strict=False)]

    def _passing(self) -> None:
        """What passes from part to part, forward and backward."""
        for stage in self.stages:
            self.values[stage.name] = stage.y
            self.values[f"gradient.{stage.name}"] = stage.dy
            for own in stage.gradients:
                name = f"{stage.part.number}.{own}"
                if name in self.recipe.penalties:
                    self.values[f"cost_gradient.{name}"] = stage.gradients[own]
        head = self.recipe.head
        if head is not None and head.activation is not None:
            self.values["prediction"] = head.activation.value(np, self.scores)

    def _objective(self, sums: Any) -> None:
        self.values["losses"] = self.losses
        self.values["cost"] = np.float64(sums[1])
        self.values["loss"] = np.float64(sums[0] + sums[1])
        for name, rule in self.recipe.penalties.items():
            w = np.reshape(self._params[name], (1, -1))
            self.values[f"penalty.{name}"] = rule.penalty(np, w, *rule.strengths)[0, 0]


def _renamed(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Values by the names of a step: "params.0.kernel" is "0.kernel", a slot's "m.0.kernel" stays."""
    found = {}
    for name, value in state.items():
        if name not in ("step", "rate"):
            found[prefix + name.removeprefix("params.").removeprefix("state.")] = value
    return found
