"""What passes between the parts of a chain: in a training step, forward and backward, and in a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepmath.layers import Layer
from deepmath.optimizers import SGD
from deepmath.program import Part, Recipe
from deepmath.recipes import recipe_of
from deepmath.reference import ReferenceProgram
from deepmath.step_evaluation import Observer


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


class StageRecorder(Observer):
    """Keeps what it has seen in the last forward and backward pass.

    `head` holds what belongs to no part, by name: "z", the scores, "loss", that of each row, and what else there is.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.stages: list[Stage] = []
        self.head: dict[str, Any] = {}

    def saw(self, name: str, part: int | None, direction: str, value: Any) -> None:
        if part is None and direction != "update":
            if name == "x":
                self.stages, self.head = [], {}
            self.head[name] = value
        elif part is not None and name == "y":
            before = self.stages[-1].y if self.stages else self.head["x"]
            self.stages.append(Stage(self.recipe.parts[part], self._letter(self.recipe.parts[part]), before, value))
        elif part is not None and direction == "backward":
            stage = self.stages[part]
            if name == "dy":
                stage.dy = value
            elif name == "dx":
                stage.dx = value
            else:
                stage.gradients[name.removeprefix(f"grad.{stage.part.number}.")] = value

    def _letter(self, part: Part) -> str:
        letter = LETTERS.get(type(part.layer).__name__, "y")
        taken = [s.letter for s in self.stages if s.part.number == part.number]
        while letter in taken:
            letter += "'"
        return letter


class LayerOutputs(Observer):
    """The outputs of each layer in prediction mode, in float64, for rows [rows, *shape]."""

    def __init__(self, layers: Sequence[Layer], shape: tuple[int, ...], values: Mapping[str, Any]) -> None:
        self._recipe = recipe_of(layers, shape, SGD(), None, (), precision="float64")
        self._program = ReferenceProgram(self._recipe, values, np, None, None, self)
        self._pieces: list[dict[int, Any]] = []

    def saw(self, name: str, part: int | None, direction: str, value: Any) -> None:  # noqa: ARG002 - all is forward
        if name == "x":
            self._pieces.append({})
        elif part is not None:
            self._pieces[-1][self._recipe.parts[part].number] = value  # the last part's outputs are the layer's

    def load(self, values: Mapping[str, Any]) -> None:
        """Go on with other values."""
        self._program.load(values)

    def of(self, X: Any) -> list[Any]:
        """The outputs for these rows, of the first layer to the last."""
        self._pieces = []
        self._program.predict(np.asarray(X, np.float64))
        return [np.concatenate([piece[number] for piece in self._pieces]) for number in self._pieces[0]]
