"""The reference program run on a notebook: it leaves the equation of every number of one training step.

Nothing of the step is written a second time here: layers, loss, penalties and optimiser are called as always, and
this file only says what the numbers are called as they come by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np

from deepmath.activations import ActivationFunction
from deepmath.formulas.losses import one_hot
from deepmath.graph import Node
from deepmath.layers import Activation
from deepmath.pace import Pace
from deepmath.program import Data
from deepmath.reference import Gradients
from deepmath.study import symbols
from deepmath.study.grid import Grid, Grids
from deepmath.study.notebook import Equation, Notebook, Symbol
from deepmath.study.subject import Subject
from deepmath.study.symbols import Namer
from deepmath.study.watched import Stage, Watched


class Passage(NamedTuple):
    """Some equations that belong together. `phase` is given, forward, loss, backward, penalty, clip or update."""

    phase: str
    title: str
    equations: list[Equation]
    stage: Stage | None = None


class Derivation(Watched):
    """One training step of a subject, number by number.

    `found` are the program's gradients by parameter name. They equal the derived ones but for rounding; the update
    begins with them, since a rule that divides by the gradient's own size makes much of a zero's rounding.
    """

    def __init__(self, subject: Subject, found: Mapping[str, Any]) -> None:
        self.subject, self.found = subject, found
        self.book = Notebook()
        self.rows = subject.data.rows
        self.passages: list[Passage] = []
        self.inputs = symbols.data("x", None, self.rows, "x")
        x = self._given(subject.data.x, self.inputs)
        self._pairs(subject.data.x, x, "inputs")
        labels = bool(subject.recipe.head and subject.recipe.head.labelled)
        letter = symbols.data("c" if labels else "d", None, self.rows, "target")
        targets = self._given(subject.data.targets, letter)
        self._pairs(subject.data.targets, targets, "labels" if labels else "targets")
        super().__init__(subject.recipe, subject.values, Grids(self.book), None, Data(x, targets, subject.data.weights))

    def load(self, state: Mapping[str, Any]) -> None:
        self._params, self._state = {}, {}
        self._slots = {slot: {} for slot in self.recipe.optimizer.slots}
        for name, value in state.items():
            kind, _, own = name.partition(".")
            if kind == "params":
                self._params[own] = self._given(value, symbols.parameter(own))
                self._pairs(value, self._params[own], f"parameter {own}")
            elif kind == "state":
                self._state[own] = self._given(value, symbols.parameter(own))
        for slot in self._slots:
            for own, w in self._params.items():
                value = state.get(f"{slot}.{own}", np.zeros(w.shape))
                self._slots[slot][own] = self._given(value, symbols.slot(slot, own, "", f"{slot}.{own}"))
        self.step = int(state.get("step", 0))
        self.pace = NamedPace(self.recipe.optimizer, self.book)
        self.pace.value = state.get("rate", 1.0)

    def derive(self) -> None:
        """Run the step."""
        with np.errstate(all="ignore"):
            self.batch = self.subject.batch
            gradients = self.gradients(self.batch)
            self._penalties(gradients)
            self.apply(gradients)

    def namer(self, stage: Stage) -> Namer:
        """What a stage's outputs are called."""
        return symbols.data(stage.letter, stage.part.number + 1, self.rows, stage.name)

    def before(self, stage: Stage) -> tuple[Namer, str]:
        """What a stage's inputs are called, and their key."""
        place = self.stages.index(stage)
        return (self.namer(self.stages[place - 1]), self.stages[place - 1].name) if place else (self.inputs, "x")

    def saw_forward(self, stage: Stage, new_state: Mapping[str, Any]) -> None:
        equations = self._define(stage.y, self.namer(stage))
        for own, value in new_state.items():
            name = f"{stage.part.number}.{own}"
            equations += self._define(value, symbols.parameter(name, "'", f"new.{name}"))
        self.passages.append(Passage("forward", stage.name, equations, stage))

    def saw_loss(self, targets: Any, index: Any, weight: Any) -> None:
        head = self.recipe.head
        assert head is not None
        equations: list[Equation] = []
        scores, key = self.namer(self.stages[-1]), self.stages[-1].name
        if head.activation is not None:
            p = head.activation.value(self.xp, self.scores)
            equations += self._define(p, symbols.data("p", None, self.rows, "prediction"))
        if head.labelled:
            d = one_hot(self.xp, targets, index, self.scores)
            equations += self._define(d, symbols.data("d", None, self.rows, "one_hot"))
        if self.rows > 1:
            equations += self._define(self.losses, _row_losses)
        counted = [i for i, share in enumerate(self.batch.weights) if share > 0.0]
        total = self.xp.sum((self.losses * weight)[counted])
        equations += self._define(total, lambda _: Symbol("E", "E", ("cost", ())))
        self.passages.append(Passage("loss", "loss", equations))
        derivatives = self._define(self.dscores, symbols.derivative("E", scores, f"gradient.{key}"))
        self.passages.append(Passage("backward", "loss", derivatives))

    def before_backward(self, stage: Stage) -> None:
        layer = stage.part.layer
        function: Any = layer.activation if isinstance(layer, Activation) else None
        if not isinstance(function, ActivationFunction) or function.slope is None:
            return
        slope = function.slope(self.xp, stage.x, stage.y, *function.constants)
        names = symbols.slope(self.namer(stage), self.before(stage)[0], f"slope.{stage.name}")
        nodes = [(names(p), slope.nodes[p]) for p in np.ndindex(slope.shape)]
        equations = self.book.define([(s, n) for s, n in nodes if n.op != "constant"])
        self.passages.append(Passage("backward", "slope", equations, stage))

    def saw_backward(self, stage: Stage) -> None:
        equations: list[Equation] = []
        letter = "J" if self.recipe.penalties else "E"
        for own, value in stage.gradients.items():
            name = f"{stage.part.number}.{own}"
            of, key = ("E", "cost_gradient") if name in self.recipe.penalties else (letter, "gradient")
            equations += self._define(value, symbols.derivative(of, symbols.parameter(name), f"{key}.{name}"))
        names, key = self.before(stage)
        if key != "x":
            equations += self._define(stage.dx, symbols.derivative("E", names, f"gradient.{key}"))
        self.passages.append(Passage("backward", stage.name, equations, stage))

    def _penalty(self) -> float:
        """The penalties as equations, and the objective J = E + penalties."""
        if not self.recipe.penalties:
            return 0.0
        equations: list[Equation] = []
        whole = self.passages_total()
        for name, rule in self.recipe.penalties.items():
            w = self.xp.reshape(self._params[name], (1, -1))
            value = rule.penalty(self.xp, w, *rule.strengths)
            layer = int(name.partition(".")[0]) + 1
            symbol = Symbol(f"R{layer}", f"R^{{({layer})}}", (f"penalty.{name}", ()))
            equations += self.book.define([(symbol, value.nodes.flat[0])])
            whole = whole + value.nodes.flat[0]
        equations += self.book.define([(Symbol("J", "J", ("loss", ())), whole)])
        self.passages.append(Passage("penalty", "objective", equations))
        return float(self.book.value(whole)) - float(self.book.value(self.passages_total()))

    def passages_total(self) -> Node:
        """The node of E."""
        return next(e.node for p in self.passages if p.phase == "loss" for e in p.equations if e.left.plain == "E")

    def _penalties(self, gradients: Gradients) -> None:
        for name in self.recipe.penalties:
            names = symbols.derivative("J", symbols.parameter(name), f"gradient.{name}")
            self.passages.append(Passage("penalty", name, self._define(gradients.values[name], names)))

    def _clipped(self, gradients: dict[str, Any]) -> dict[str, Any]:
        clipped = super()._clipped(gradients)
        if clipped is not gradients:
            equations: list[Equation] = []
            for name, value in clipped.items():
                equations += self._define(value, _clipped_name(name))
            self.passages.append(Passage("clip", "clip", equations))
        return clipped

    def apply(self, gradients: Gradients) -> None:
        before = dict(self._params)
        whole = "J" if self.recipe.penalties else "E"
        known = {}  # by their own names: a bias's derivative is that of its score, and would go by that
        for name in gradients.values:
            names = symbols.derivative(whole, symbols.parameter(name), f"gradient.{name}")
            known[name] = self._given(self.found[name], names)
        super().apply(Gradients(known, gradients.state, gradients.sums))
        slots = self.recipe.optimizer.slots
        for name, value in self._params.items():
            equations: list[Equation] = []
            for slot in slots:
                names = symbols.slot(slot, name, "'", f"new.{slot}.{name}")
                equations += self._define(self._slots[slot][name], names)
            equations += self._define(value, symbols.parameter(name, "'", f"new.{name}"))
            frozen = value is before[name]
            self.passages.append(Passage("update", name, [] if frozen else equations))

    def _put(self, x: Any, dtype: str | None = None) -> Any:
        return self.xp.asarray(x if dtype is None else np.asarray(x, np.float64))

    def _bits(self, rows: int, units: int, first: int, layer: int) -> Any:
        bits = _host_bits(self, rows, units, first, layer)
        return self._given(bits, symbols.data("r", layer + 1, self.rows, f"{layer}.bits"))

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


def _host_bits(program: Derivation, rows: int, units: int, first: int, layer: int) -> Any:
    """The bits that every program draws here."""
    from deepmath.formulas import random

    seed = program.recipe.seed
    words = random.host_words(seed, random.NOISE, rows, units, step=program.step, layer=layer, first=first)
    return np.asarray(words >> 8, np.int64)
