"""Training steps as launches: gather, forward, backward, sums of results, penalties, clipping, update."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from deepmath.checks import is_sparse
from deepmath.graph import Node, needed
from deepmath.graph.kernels import is_turn, root
from deepmath.parameters import segments
from deepmath.program import Data, Recipe
from deepmath.step_graph import StepGraph, training_graph
from deepmath_numpy import compiled
from deepmath_numpy.hooks import Hooks
from deepmath_numpy.lowering import FIRST, LAUNCH, OFFSET, ROW, ROWS, STEP, Call, words_of
from deepmath_numpy.memory import Arena, Memory
from deepmath_numpy.schedule import ALL, Group, Phase
from deepmath_numpy.section import Section, calls_in, nodes_named
from deepmath_numpy.threads import Threads
from deepmath_numpy.updates import Updates

MASK = 0xFFFFFFFF


class Training:
    """The tables of a recipe's training steps for micro-batches of up to `capacity` rows."""

    def __init__(self, recipe: Recipe, memory: Memory, capacity: int, rates: Sequence[float], sparse: bool) -> None:
        self.recipe, self.memory, self.rates = recipe, memory, rates
        step = training_graph(recipe, memory.params.shapes, memory.states.shapes)
        self._micro, self._capacity = capacity, -(-capacity // 16) * 16
        self._count = 1 + len(recipe.head.metrics if recipe.head is not None else ())
        self._item = np.dtype(recipe.precision).itemsize
        self._coefficients = len(recipe.optimizer.coefficients(0))
        self._sparse = sparse and _only_multiplied(step)
        self._dense_inputs = sparse and not self._sparse
        self._arena = Arena()
        results = self._arena.take(self._count * self._capacity * self._item)
        self._results = self._arena.address(results)
        outputs = {f"result.{i}": self._results + i * self._capacity * self._item for i in range(self._count)}
        self._section = Section(
            recipe, memory, step, self._capacity, "given_state", {"x": None} if self._sparse else {}, outputs,
            len(rates) * self._coefficients, self._sparse,
        )  # fmt: skip
        self._updates = Updates(self._section, rates, self._count)
        self._lay_out()
        self._hooks = Hooks(self._section, "given_state", training=True)
        self._threads = Threads()

    def _lay_out(self) -> None:
        """Put the phases in an order in which each kind of launch is a range of them."""
        section, has_state = self._section, self.memory.states.size > 0
        states = self.memory.states.size
        begin = [self._updates.copy("state", "next_state", states)] if has_state else []
        given = [self._updates.copy("next_state", "given_state", states)] if has_state else []
        enter, collect, penalize = self._enter(), self._collect(), self._updates.penalize()
        early = self._early_updates()
        parts = {
            "save": [self._updates.copy("grads", "total", self.memory.params.size)],
            "whole step": [
                *begin, *given, *_with_updates(section.phases([*enter, *self._after_readers(early)]), early), collect,
                *penalize, *self._apply(early),
            ],
            "begin": begin,
            "learn": [*given, *section.phases([*enter, *section.items]), collect],
            "penalize": penalize,
            "apply": self._apply({}),
            "add": [self._updates.add()],
        }  # fmt: skip
        phases: list[Phase] = []
        self._range: dict[str, tuple[int, int]] = {}
        for name, own in parts.items():
            self._range[name] = len(phases), len(phases) + len(own)
            phases += own
        section.finish(phases, flush=True)

    def _early_updates(self) -> dict[int, list[Call]]:
        """By the number of a gradient's node, the calls that update its parameter as soon as a block of it is there.

        What the whole gradient must be known for, clipping by its norm, or a penalty of the parameter, forbids it.
        """
        found: dict[int, list[Call]] = {}
        if self.recipe.optimizer.clipnorm is not None or self._updates.why:
            return found
        items = self._section.items
        named = {n.value.removeprefix("params."): n.number for n in nodes_named(self._section.step).values()}
        for name, shape in self.memory.params.shapes.items():
            rate, node = self.recipe.rates.get(name, 1.0), self._section.step.outputs.get(f"grad.{name}")
            if not rate or node is None or name in self.recipe.penalties or self._section.is_hooked(node):
                continue
            number, start = root(self._section.outputs[f"grad.{name}"]).number, self.memory.params.offsets[name]
            writers = [c for c in calls_in(self._section.items) if number in c.outputs]
            call, param = writers[-1], named.get(name)
            rows, columns = 1 if call.over_batch else call.rows, call.columns
            if len(writers) > 1 or (call.batched and not call.over_batch) or rows * columns != math.prod(shape):
                continue  # it isn't computed in blocks of the parameter
            at = next(i for i, item in enumerate(items) if item is call)
            if param is not None and any(param in later.inputs for later in items[at:]):
                continue  # who reads the parameter now would read some of it updated
            clip = self._updates.clip_value(start, rows, columns)
            found[number] = [*clip, self._updates.update_call(start, rate, rows, columns)]
        return found

    def _after_readers(self, early: Mapping[int, list[Call]]) -> list[Any]:
        """The section's items, where gradients with early updates come after all that reads their parameters."""
        owner = {root(self._section.outputs[f"grad.{n}"]).number: n for n in self.memory.params.shapes
                 if f"grad.{n}" in self._section.outputs}  # fmt: skip
        named = {n.value.removeprefix("params."): n.number for n in nodes_named(self._section.step).values()}
        found = []
        for item in self._section.items:
            extra: tuple[int, ...] = ()
            for number in item.outputs:
                if number in early:
                    param = named.get(owner[number])
                    readers = (i for i in self._section.items if param in i.inputs and i is not item)
                    extra += tuple(out for i in readers for out in i.outputs)
            found.append(replace(item, inputs=item.inputs + extra) if extra and isinstance(item, Call) else item)
        return found

    def _launch(self, first: str, last: str) -> tuple[int, int]:
        return self._range[first][0], self._range[last][1]

    def _enter(self) -> list[Any]:
        """Calls that bring the rows of a batch: inputs, targets or labels, shares."""
        opened = self._section.placeholder
        found: list[Any] = []
        for name, node in nodes_named(self._section.step).items():
            if node.number not in self._section.places:
                continue
            address = self._section.places[node.number].address
            if name == "weight":
                words = [opened("shares"), address, OFFSET]
                found.append(self._move("shares", words, node))
            elif name in ("x", "targets", "labels") and not (name == "x" and (self._sparse or self._dense_inputs)):
                size = math.prod(node.dims[1:]) * (8 if name == "labels" else self._item)
                words = [
                    opened(f"data.{name}"),
                    size,
                    address,
                    size,
                    size,
                    opened("order"),
                    OFFSET,
                ]
                found.append(self._move("gather", words, node))
        return found

    def _move(self, name: str, words: Sequence[int], node: Node) -> Call:
        address = compiled.move(self.recipe.precision, name)
        return Call(name, address, words_of(words), True, 1, 1, outputs=(node.number,))

    def _collect(self) -> Phase:
        opened = self._section.placeholder
        words = [
            opened("shares"), opened("weights"), opened("sums"), OFFSET, ROW, 1 + self._count,
            self._count, self._results, self._capacity,
        ]  # fmt: skip
        call = Call("collect", compiled.move(self.recipe.precision, "collect"), words_of(words), True, 1, 1, True)
        return Phase([Group([call], -1, ALL)])

    def _apply(self, early: Mapping[int, list[Call]]) -> list[Phase]:
        """Clipping, the update, constraints, and the layers' new state; without what was updated early."""
        done = {n for n in self.memory.params.shapes if f"grad.{n}" in self._section.outputs
                and root(self._section.outputs[f"grad.{n}"]).number in early}  # fmt: skip
        phases = [*self._updates.clip(done), *self._updates.update(done), *self._updates.constrain()]
        if self.memory.states.size:
            phases.append(self._updates.copy("next_state", "state", self.memory.states.size))
        return phases

    def attach(self, data: Data) -> None:
        """Take the rows of batches from these data from now on."""
        self._data = data
        labelled = self.recipe.head is not None and self.recipe.head.labelled
        if not is_sparse(data.x):
            self._inputs = np.ascontiguousarray(data.x)
            self._section.fill("data.x", self._inputs.ctypes.data)
        self._targets = np.ascontiguousarray(data.targets, np.int64 if labelled else self.recipe.precision)
        self._section.fill("data.labels" if labelled else "data.targets", self._targets.ctypes.data)

    def run(self, rows: Any, bounds: Any, shares: Any, weights: Any, step: int, coefficients: Any) -> Any:
        """Train the steps between `bounds`; gives float64 [steps, 1 + results]: penalty, sums of loss and metrics."""
        sizes, starts = np.diff(bounds), bounds[:-1]
        micro = self._micro
        if sizes.max(initial=0) <= micro:
            steps = np.arange(len(sizes))
            launches = np.empty((len(sizes), 4), np.int64)
            launches[:, :2], launches[:, 2], launches[:, 3] = self._range["whole step"], sizes, steps
            table = np.column_stack([starts, np.zeros_like(starts), step + steps, steps, sizes])
            numbers = self._numbers(table, coefficients)
            return self._execute(launches, numbers, rows, shares, weights, len(sizes), len(sizes))
        listed: list[tuple[int, int, int, int]] = []
        given: list[tuple[int, int, int, int, int]] = []
        for i, (start, n) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
            for first in range(0, n, micro):
                size = min(micro, n - first)
                row = len(given)
                given.append((start + first, first, step + i, row, size))
                names = [("save", "save"), ("learn", "learn"), ("add", "add")] if first else [("begin", "penalize")]
                listed += [(*self._launch(*pair), size, row) for pair in names]
            listed.append((*self._launch("apply", "apply"), size, row))
        table = np.asarray(given)
        numbers = self._numbers(table, coefficients[table[:, 2] - step])
        sums = self._execute(np.asarray(listed, np.int64), numbers, rows, shares, weights, len(given), len(sizes))
        total = np.zeros((len(sizes), sums.shape[1]))
        for _, _, at, row, _ in given:
            total[at - step] += sums[row]
        return total

    def gradients(
        self, rows: Any, shares: Any, weights: Any, step: int, first: int, again: bool, coefficients: Any
    ) -> Any:
        """The gradient of one micro-batch, `again`: added to those before; gives its sums."""
        names = [("save", "save"), ("learn", "learn"), ("add", "add")] if again else [("begin", "penalize")]
        launches = np.asarray([(*self._launch(*pair), len(rows), 0) for pair in names], np.int64)
        assert len(rows) <= self._capacity, f"{len(rows)} rows; there is space for {self._capacity}"
        numbers = self._numbers(np.asarray([[0, first, step, 0, len(rows)]]), coefficients)
        return self._execute(launches, numbers, rows, shares, weights, 1, 0)[0]

    def apply(self, coefficients: Any, step: int) -> None:
        """Clip the gradient, update the parameters, put them back into what is allowed, take over the new state."""
        numbers = self._numbers(np.asarray([[0, 0, step, 0, 0]]), coefficients)
        empty = np.zeros(0)
        launches = np.asarray([(*self._launch("apply", "apply"), 0, 0)], np.int64)
        self._execute(launches, numbers, np.zeros(0, np.int64), empty, empty, 1, 0)

    def _numbers(self, launches: Any, coefficients: Any) -> Any:
        """The numbers of each launch: [launches, LAUNCH + coefficients].

        `launches` [launches, 5]: where its rows begin, the place of the first in the logical batch, the step, the
        row of the sums, how many rows.
        """
        table = np.empty((len(launches), LAUNCH + math.prod(coefficients.shape[1:])))
        table[:, [OFFSET, FIRST, STEP, ROW, ROWS]] = launches
        table[:, STEP] = launches[:, 2] & MASK
        table[:, LAUNCH:] = coefficients.reshape(len(coefficients), -1)
        return table

    def _execute(
        self, launches: Any, numbers: Any, rows: Any, shares: Any, weights: Any, count: int, steps: int
    ) -> Any:
        sums = np.zeros((count, 1 + self._count))
        order = np.ascontiguousarray(rows, np.int64)
        given = {"order": order, "shares": shares, "weights": weights, "sums": sums}
        for name, array in given.items():
            self._section.fill(name, array.ctypes.data)
        if self._sparse or self._dense_inputs or self._section.tables.hooks:
            self._by_launch(launches, numbers, order)
        else:
            self._threads.run(self._section.driver, launches, numbers)
        return sums

    def _by_launch(self, launches: Any, numbers: Any, order: Any) -> None:
        """Launches that need Python in between."""
        for launch in launches:
            row = numbers[launch[3]]
            if self._sparse or self._dense_inputs:
                start, n = int(row[OFFSET]), int(launch[2])
                self._hooks.inputs = self._data.x[order[start : start + n]]
                if self._dense_inputs and n:
                    node = nodes_named(self._section.step)["x"]
                    self._section.view(node, n)[...] = self._hooks.inputs.toarray().reshape(n, *node.dims[1:])
            self._section.run(launch[None, :], numbers, self._hook)

    def _hook(self, hook: Any, numbers: Any) -> None:
        if hook.kernel == "update":
            self._update_by_reference(numbers)
        else:
            self._hooks(hook, numbers)

    def _update_by_reference(self, numbers: Any) -> None:
        optimizer, memory = self.recipe.optimizer, self.memory
        for where, rate in segments(memory.params, self.recipe.rates):
            if rate:
                size = memory.params.size
                w, g = (memory.floats[part][where] for part in ("params", "grads"))
                slots = [memory.floats["slots"][i * size : (i + 1) * size][where] for i in range(len(optimizer.slots))]
                first = LAUNCH + self.rates.index(rate) * self._coefficients
                given = numbers[first : first + self._coefficients].tolist()
                found = optimizer.update(np, w, g, *slots, *given)
                for old, new in zip((w, *slots), found, strict=True):
                    old[...] = new

    def plan(self) -> list[tuple[str, str]]:
        """How each part runs."""
        calls = calls_in(self._section.items)
        words = f"steps compiled: {len(calls)} kernels in {len(self._section.tables.phases)} phases"
        if self._section.tables.hooks:
            words += f", {len(self._section.tables.hooks)} of them by Python"
        inputs = [("inputs", "sparse: their products by SciPy")] if self._sparse else []
        if self._dense_inputs:
            inputs = [("inputs", "sparse: made dense batch by batch, for they aren't only multiplied")]
        return [("steps", words), *inputs, *self._section.plan()]


def _with_updates(phases: Sequence[Phase], early: Mapping[int, list[Call]]) -> list[Phase]:
    """The phases, with the early updates behind the gradients that they wait for, block by block."""
    for phase in phases:
        for group in phase.groups:
            updates = [u for c in group.calls for number in c.outputs for u in early.get(number, ())]
            group.calls += updates
            phase.work += sum(u.work for u in updates)
    return list(phases)


def _only_multiplied(step: StepGraph) -> bool:
    """Whether the inputs are only read by products with them on the left."""
    for node in needed(step.outputs.values()):
        for i, a in enumerate(node.args):
            if a.op == "argument" and a.value == "x" and not (node.op == "matmul" and i == 0) and not is_turn(node):
                return False
    return True
