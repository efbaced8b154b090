"""The equation of every number of one training step: the reference program run on a notebook, and looked at.

Nothing of the step is written a second time here: its graph, penalties and optimiser are run as always, and this file
only says what the numbers are called as they come by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np

from deepmath.activations import ActivationFunction
from deepmath.graph import Node
from deepmath.layers import Activation
from deepmath.pace import Pace
from deepmath.program import Data
from deepmath.reference import Gradients, ReferenceProgram
from deepmath.study import symbols
from deepmath.study.grid import Grid, Grids
from deepmath.study.notebook import Equation, Notebook, Symbol
from deepmath.study.subject import Subject
from deepmath.study.symbols import Namer
from deepmath.study.watched import Stage, StageRecorder


class Passage(NamedTuple):
    """Some equations that belong together. `phase` is given, forward, loss, backward, penalty, clip or update."""

    phase: str
    title: str
    equations: list[Equation]
    stage: Stage | None = None


class Derivation(StageRecorder):
    """One training step of a subject, number by number.

    `found` are the program's gradients by parameter name. They equal the derived ones but for rounding; the update
    begins with them, since a rule that divides by the gradient's own size makes much of a zero's rounding.
    """

    def __init__(self, subject: Subject, found: Mapping[str, Any]) -> None:
        super().__init__(subject.recipe)
        self.subject, self.found = subject, found
        self.book = Notebook()
        self.xp = Grids(self.book)
        self.rows, self.batch = subject.data.rows, subject.batch
        self.passages: list[Passage] = []
        self._pending: list[Equation] = []
        self._params: dict[str, Grid] = {}
        self.inputs = symbols.data("x", None, self.rows, "x")
        x = self._given(subject.data.x, self.inputs)
        self._pairs(subject.data.x, x, "inputs")
        labels = bool(subject.recipe.head and subject.recipe.head.labelled)
        letter = symbols.data("c" if labels else "d", None, self.rows, "target")
        targets = self._given(subject.data.targets, letter)
        self._pairs(subject.data.targets, targets, "labels" if labels else "targets")
        data = Data(x, targets, subject.data.weights)
        self._program = ReferenceProgram(subject.recipe, subject.values, self.xp, None, data, self, self._put)
        self.pace = NamedPace(subject.recipe.optimizer, self.book)
        self.pace.value = self._program.pace.value
        self._program.pace = self.pace

    def derive(self) -> None:
        """Run the step."""
        with np.errstate(all="ignore"):
            gradients = self._program.gradients(self.batch)
            for name in self.recipe.penalties:
                names = symbols.derivative("J", symbols.parameter(name), f"gradient.{name}")
                self.passages.append(Passage("penalty", name, self._define(gradients.values[name], names)))
            whole = "J" if self.recipe.penalties else "E"
            known = {}  # by their own names: a bias's derivative is that of its score, and would go by that
            for name in gradients.values:
                names = symbols.derivative(whole, symbols.parameter(name), f"gradient.{name}")
                known[name] = self._given(self.found[name], names)
            self._program.apply(Gradients(known, gradients.state, gradients.sums))

    def namer(self, stage: Stage) -> Namer:
        """What a stage's outputs are called."""
        return symbols.data(stage.letter, stage.part.number + 1, self.rows, stage.name)

    def before(self, stage: Stage) -> tuple[Namer, str]:
        """What a stage's inputs are called, and their key."""
        place = self.stages.index(stage)
        return (self.namer(self.stages[place - 1]), self.stages[place - 1].name) if place else (self.inputs, "x")

    def saw(self, name: str, part: int | None, direction: str, value: Any) -> None:
        super().saw(name, part, direction, value)
        kind, _, own = name.partition(".")
        if direction == "update":
            self._saw_update(kind, own, value)
        elif kind in ("predictions", "one_hot", "loss", "dz"):
            self._saw_head(kind, value)
        elif kind == "penalty" and self.recipe.penalties:
            self._saw_penalty(own, value)
        elif part is not None and direction == "forward":
            self._saw_forward(kind, own, self.stages[part], value)
        elif part is not None:
            self._saw_backward(kind, own, self.stages[part], value)

    def _saw_forward(self, kind: str, own: str, stage: Stage, value: Any) -> None:
        """A part's outputs, and its new state after them."""
        if kind == "y":
            self.passages.append(Passage("forward", stage.name, self._define(value, self.namer(stage)), stage))
        else:
            self.passages[-1].equations.extend(self._define(value, symbols.parameter(own, "'", f"new.{own}")))

    def _saw_head(self, kind: str, value: Any) -> None:
        """Predictions, targets as numbers, the rows' losses, and their derivatives by the scores."""
        scores, key = self.namer(self.stages[-1]), self.stages[-1].name
        if kind == "predictions":
            self._pending += self._define(value, symbols.data("p", None, self.rows, "prediction"))
        elif kind == "one_hot":
            self._pending += self._define(value, symbols.data("d", None, self.rows, "one_hot"))
        elif kind == "loss":
            if self.rows > 1:
                self._pending += self._define(value, _row_losses)
            counted = [i for i, share in enumerate(self.batch.weights) if share > 0.0]
            total = self.xp.sum((value * self.head["weight"])[counted])
            self._pending += self._define(total, lambda _: Symbol("E", "E", ("cost", ())))
            self._passage("loss", "loss")
        else:
            derivatives = self._define(value, symbols.derivative("E", scores, f"gradient.{key}"))
            self.passages.append(Passage("backward", "loss", derivatives))

    def _saw_backward(self, kind: str, own: str, stage: Stage, value: Any) -> None:
        """What comes to a part, its parameters' derivatives, and those of its inputs."""
        if kind == "dy":
            self._slope(stage)
        elif kind == "grad":
            letter = "J" if self.recipe.penalties else "E"
            of, key = ("E", "cost_gradient") if own in self.recipe.penalties else (letter, "gradient")
            self._pending += self._define(value, symbols.derivative(of, symbols.parameter(own), f"{key}.{own}"))
        else:
            names, key = self.before(stage)
            if key != "x":
                self._pending += self._define(value, symbols.derivative("E", names, f"gradient.{key}"))
            self._passage("backward", stage.name, stage)

    def _slope(self, stage: Stage) -> None:
        """An activation's slope at each number, which its derivatives are made of."""
        layer = stage.part.layer
        function: Any = layer.activation if isinstance(layer, Activation) else None
        if not isinstance(function, ActivationFunction) or function.slope is None:
            return
        slope = function.slope(self.xp, stage.x, stage.y, *function.constants)
        names = symbols.slope(self.namer(stage), self.before(stage)[0], f"slope.{stage.name}")
        nodes = [(names(p), slope.nodes[p]) for p in np.ndindex(slope.shape)]
        equations = self.book.define([(s, n) for s, n in nodes if n.op != "constant"])
        self.passages.append(Passage("backward", "slope", equations, stage))

    def _saw_penalty(self, own: str, value: Any) -> None:
        """A penalty R, and after the last of them the objective J = E + penalties."""
        if own:
            layer = int(own.partition(".")[0]) + 1
            symbol = Symbol(f"R{layer}", f"R^{{({layer})}}", (f"penalty.{own}", ()))
            self._pending += self.book.define([(symbol, value.nodes.flat[0])])
            return
        whole = next(e.node for p in self.passages if p.phase == "loss" for e in p.equations if e.left.plain == "E")
        for name in self.recipe.penalties:
            whole = whole + self.head[f"penalty.{name}"].nodes.flat[0]
        self._pending += self.book.define([(Symbol("J", "J", ("loss", ())), whole)])
        self._passage("penalty", "objective")

    def _saw_update(self, kind: str, own: str, value: Any) -> None:
        """A clipped gradient, a parameter's new slot, or after its slots its new value."""
        if kind == "clipped":
            if self.passages[-1].phase != "clip":
                self.passages.append(Passage("clip", "clip", []))
            self.passages[-1].equations.extend(self._define(value, _clipped_name(own)))
        elif kind in self.recipe.optimizer.slots:
            self._pending += self._define(value, symbols.slot(kind, own, "'", f"new.{kind}.{own}"))
        elif kind == "params":
            self._pending += self._define(value, symbols.parameter(own, "'", f"new.{own}"))
            if value is self._params[own]:  # frozen
                self._pending = []
            self._passage("update", own)

    def _passage(self, phase: str, title: str, stage: Stage | None = None) -> None:
        """The equations so far are a passage."""
        self.passages.append(Passage(phase, title, self._pending, stage))
        self._pending = []

    def _put(self, name: str, x: Any, dtype: str | None) -> Grid:
        """What the program takes from the host: values and random bits get names, all else is constants."""
        kind, _, own = name.partition(".")
        if kind == "params":
            self._params[own] = self._given(x, symbols.parameter(own))
            self._pairs(x, self._params[own], f"parameter {own}")
            return self._params[own]
        if kind == "state":
            return self._given(x, symbols.parameter(own))
        if kind in self.recipe.optimizer.slots:
            return self._given(x, symbols.slot(kind, own, "", name))
        if kind == "bits":
            return self._given(x, symbols.data("r", int(own) + 1, self.rows, f"{own}.bits"))
        return self.xp.asarray(x if dtype is None else np.asarray(x, np.float64))

    def _given(self, value: Any, names: Namer) -> Grid:
        array = np.asarray(value)
        out = np.empty(array.shape, object)
        for place in np.ndindex(array.shape):
            out[place] = self.book.given(names(place), array[place])
        return Grid(self.book, out)

    def _pairs(self, array: Any, grid: Grid, title: str) -> None:
        """Keep what was given as equations without a formula: they are listed at the beginning."""
        nodes = [cast(Node, grid.nodes[p]) for p in np.ndindex(np.shape(array))]
        equations = self.book.define([(self.book.names[n.number], n) for n in nodes])
        self.passages.append(Passage("given", title, equations))

    def _define(self, grid: Any, names: Namer) -> list[Equation]:
        return self.book.define([(names(p), grid.nodes[p]) for p in np.ndindex(grid.shape)])


class NamedPace(Pace):
    """A pace whose coefficients have names."""

    def __init__(self, optimizer: Any, book: Notebook) -> None:
        super().__init__(optimizer)
        self.book = book
        self.named: dict[float, list[tuple[Symbol, float]]] = {}

    def coefficients(self, step: int, share: float = 1.0) -> tuple[Any, ...]:
        numbers = super().coefficients(step, share)
        found = symbols.coefficients(self._plain, len(numbers))
        if share != 1.0:
            found = [Symbol(f"{s.plain}({share:g})", s.latex, (f"{s.place[0]}({share:g})", ())) for s in found]
        self.named[share] = list(zip(found, numbers, strict=True))
        return tuple(Grid(self.book, self.book.given(s, float(v))) for s, v in self.named[share])


def _row_losses(place: tuple[int, ...]) -> Symbol:
    row = place[0] + 1
    return Symbol(f"L[{row}]", f"L_{{{row}}}", ("losses", place))


def _clipped_name(name: str) -> Namer:
    by = symbols.parameter(name)

    def named(place: tuple[int, ...]) -> Symbol:
        below = by(place)
        return Symbol(f"g[{below.plain}]", f"g_{{{below.latex}}}", (f"clipped.{name}", place))

    return named
