"""A graph as something that runs: kernels lowered to calls, arrays placed in memory, tables for the driver."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepmath.graph import Node, Size, needed
from deepmath.graph.cut import cut
from deepmath.graph.kernels import Kernel, Opaque, Product, root
from deepmath.program import Recipe
from deepmath.step_graph import StepGraph
from deepmath_numpy.driver import Driver
from deepmath_numpy.lowering import LAUNCH, ROWS, Call, Lowering, Place, size_within, wide_units
from deepmath_numpy.memory import Arena, Memory
from deepmath_numpy.schedule import Phase, phases_of, tables_of

OPEN = -(1 << 60)
"""Addresses below this are not addresses: they mark what is filled in before a run."""


class Hook(NamedTuple):
    """Work that Python does between compiled phases."""

    kernel: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Section:
    """The calls of one graph.

    `given` says where arguments lie whose place isn't known by their name: an address, or None for what is filled in
    before each run (`fill`). `results` says the same for outputs; what neither names lies in the section's own memory.
    """

    def __init__(
        self, recipe: Recipe, memory: Memory, step: StepGraph, capacity: int, state: str,
        given: Mapping[str, int | None], results: Mapping[str, int | None], coefficients: int = 0, sparse: bool = False,
    ) -> None:  # fmt: skip
        self.recipe, self.memory, self.step, self.capacity, self.sparse = recipe, memory, step, capacity, sparse
        self.item = np.dtype(recipe.precision).itemsize
        self._names: dict[str, int] = {"rows": ROWS}
        self._values: list[float] = [0.0] * (LAUNCH + coefficients)
        self._open: dict[str, int] = {}
        self._patches: dict[str, list[tuple[Any, int]]] = {}
        self._filled: dict[int, int] = {}
        self.arena = Arena()
        self.outputs = self._separate(step.outputs)
        self.kernels = cut(step.graph, list(self.outputs.values()))
        self.places = self._placed(self.outputs, state, given, results)
        self.lowering = Lowering(recipe.precision, self.places, self.number, recipe.seed, capacity)
        self.items: list[Any] = []
        for kernel in self.kernels:
            self.items += self._lowered(kernel)

    def number(self, name: str, value: float | None = None) -> int:
        """The place in c of a number of this name; a new one has this value, or that of the step."""
        if name not in self._names:
            self._names[name] = len(self._values)
            self._values.append(float(self.step.numbers[name] if value is None else value))
        return self._names[name]

    def _separate(self, outputs: Mapping[str, Node]) -> dict[str, Node]:
        """Each output as an array of its own."""
        found, used = {}, set()
        for name, node in outputs.items():
            base = root(node)
            if not node.dims:  # a number is an array of one
                node = base = node.graph.add("reshape", (node,), (1,), node.dtype, (1,))
                base = root(node)
            if base.op in ("argument", "constant") or base.number in used or node.dtype != "float":
                whole = (len(node.dims) - 1, 0, 1, node.dims[-1], name)
                node = node.graph.add("slice", (node,), whole, node.dtype, node.dims)
                base = node
            used.add(base.number)
            found[name] = node
        return found

    def _placed(
        self,
        outputs: Mapping[str, Node],
        state: str,
        given: Mapping[str, int | None],
        results: Mapping[str, int | None],
    ) -> dict[int, Place]:
        """Where each array lies that a kernel reads or writes."""
        named = {root(node).number: name for name, node in outputs.items()}
        nodes = {root(n).number: root(n) for k in self.kernels for n in (*k.inputs, *k.outputs)}
        taken: dict[int, int] = {}
        fixed: dict[int, int] = {}
        for number, node in nodes.items():
            if number in named:
                address = self._known(named[number], results, {"grad": "grads", "state": "next_state"})
            elif node.op == "argument":
                address = self._known(str(node.value), given, {"params": "params", "state": state})
            else:
                address = 0
            if address:
                fixed[number] = address
            else:
                taken[number] = self.arena.take(self.bytes_of(node))
        found = fixed | {number: self.arena.address(at) for number, at in taken.items()}
        return {number: Place(address, self._apart(nodes[number])) for number, address in found.items()}

    def _known(self, name: str, given: Mapping[str, int | None], parts: Mapping[str, str]) -> int:
        """Where an array lies that has a name, or 0; `parts` says which part of memory holds those of a kind."""
        if name in given:
            address = given[name]
            return self.placeholder(name) if address is None else address
        kind, _, rest = name.partition(".")
        if kind not in parts:
            return 0
        layout = self.memory.states if kind == "state" else self.memory.params
        return self.memory.address(parts[kind], layout, rest)

    def placeholder(self, name: str) -> int:
        """What stands for an address until `fill` says it."""
        self._open.setdefault(name, OPEN - 64 * len(self._open))
        return self._open[name]

    def _apart(self, node: Node) -> int:
        return size_within(node.dims[1:]) * (node.dims[0].times if node.dims and isinstance(node.dims[0], Size) else 1)

    def bytes_of(self, node: Node) -> int:
        """The memory of an array for as many rows as the section can take."""
        batched = bool(node.dims) and isinstance(node.dims[0], Size)
        size = self._apart(node) if batched else size_within(node.dims)
        if node.op == "random" and node.dims[1] % 4:  # packed from wider rows, which lie behind
            size += wide_units(node.dims[1]) * node.dims[0].times
        item = 8 if node.dtype == "int" else 1 if node.dtype == "bool" else self.item
        return size * item * (self.capacity if batched else 1)

    def _lowered(self, kernel: Kernel) -> list[Any]:
        hooked = isinstance(kernel, Opaque) or (self.sparse and isinstance(kernel, Product) and self._of_inputs(kernel))
        if not hooked:
            return list(self.lowering.calls(kernel))
        numbers = [tuple(root(n).number for n in nodes) for nodes in (kernel.inputs, kernel.outputs)]
        return [Hook(kernel, *numbers)]

    def is_hooked(self, node: Node) -> bool:
        """Whether Python computes this array."""
        return any(isinstance(i, Hook) and root(node).number in i.outputs for i in self.items)

    def _of_inputs(self, kernel: Product) -> bool:
        node = root(kernel.a.array)
        return node.op == "argument" and node.value == "x"

    def finish(self, phases: Sequence[Phase], flush: bool = False) -> None:
        """Make the tables of these phases; `flush`: subnormal numbers count as zero in them."""
        self.tables = tables_of(phases)
        opened = {address: name for name, address in self._open.items()}
        for words in self.tables.kept:
            for i, word in enumerate(words.tolist()):
                if word in opened:
                    self._patches.setdefault(opened[word], []).append((words, i))
        self.c = np.asarray([*self._values, 0.0], np.float64)
        self.driver = Driver(self.tables.calls, self.tables.groups, self.tables.phases, self.c, flush)

    def phases(self, items: Sequence[Any]) -> list[Phase]:
        """The phases of these calls and hooks."""
        weights = sum(math.prod(s) for s in self.memory.params.shapes.values()) * self.item
        return phases_of(items, self.capacity, weights)

    def fill(self, name: str, address: int) -> None:
        """Say where an array lies in the next runs."""
        self._filled[self.placeholder(name)] = address
        for words, i in self._patches.get(name, ()):
            words[i] = address

    def filled_in(self, name: str) -> list[int]:
        """The addresses of the words that `fill` writes."""
        return [int(words.ctypes.data) + 8 * i for words, i in self._patches.get(name, ())]

    def run(self, launches: Any, numbers: Any, hook: Callable[[Any, Any], None], threads: int = 1) -> None:
        """Run launches; `hook(kernel, numbers of the launch)` is called for what Python does."""
        hooks = self.tables.hooks
        if not hooks:
            self.driver.run(launches, numbers, threads)
            return
        for first, stop, n, row in launches.tolist():
            at = first
            for i in [*(h for h in sorted(hooks) if first <= h < stop), stop]:
                if i > at:
                    self.driver.run(np.asarray([[at, i, n, row]], np.int64), numbers, threads)
                if i < stop:
                    hook(hooks[i], numbers[row])
                at = i + 1

    def view(self, node: Node, n: int) -> Any:
        """The array of a node, for n rows of the batch."""
        dims = [d.times * n if isinstance(d, Size) else d for d in node.dims]
        dtype = np.dtype({"int": "int64", "bool": "bool"}.get(node.dtype, self.recipe.precision))
        size = math.prod(dims) * dtype.itemsize
        if not size:
            return np.empty(dims, dtype)
        place = self.places[root(node).number].address
        address = self._filled.get(place, place)
        return np.frombuffer(memoryview((ctypes.c_char * size).from_address(address)), dtype).reshape(dims)

    def plan(self) -> list[tuple[str, str]]:
        """How each part runs."""
        found = layers_of(self.recipe, self.step.reasons)
        found += [(w, f"reference on numpy: {self.step.reasons[k]}") for k, w in _OTHERS if k in self.step.reasons]
        return found


_OTHERS = (("head", "loss and metrics"), ("last", "last activation"), ("update", "optimizer"))


def layers_of(recipe: Recipe, reasons: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each layer, and how it runs; of the parts of a layer, the reason of one that isn't compiled."""
    names: dict[int, str] = {}
    how: dict[int, str] = {}
    for i, part in enumerate(recipe.parts):
        names.setdefault(part.number, type(part.layer).__name__)
        why = reasons.get(f"part{i}")
        if why or part.number not in how:
            how[part.number] = f"reference on numpy: {why}" if why else "compiled"
    return [(name, how[number]) for number, name in names.items()]


def calls_in(items: Sequence[Any]) -> list[Call]:
    """The calls among them."""
    return [item for item in items if isinstance(item, Call)]


def nodes_named(step: StepGraph) -> dict[str, Node]:
    """The arguments of a graph by name."""
    return {str(n.value): n for n in needed(step.outputs.values()) if n.op == "argument"}
