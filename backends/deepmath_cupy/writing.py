"""Writing a plan: nodes are appended, buffers grow to what they need, kernels are printed when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deepmath.parameters import Layout
from deepmath_cupy import geometry
from deepmath_cupy.epilogues import HALVES
from deepmath_cupy.kernels import Kernels, Printed
from deepmath_cupy.nodes import Buffer, Launch, Node, Place, Product, Ref, Work

Arguments = Sequence[Ref | int | float]
PAGE = 1024
"""Flat buffers of parameters end on a multiple of so many elements: they are also read as rows of this length."""


class Writer:
    """The buffers and kernels of a program, and the nodes of what is being written.

    `layout` and `states` say where parameters and layers' states lie in their flat buffers. `accepts` tells whether
    a product can be made with its epilogue.
    """

    def __init__(self, precision: str, layout: Layout, states: Layout, accepts: Callable[[Product], bool]) -> None:
        self.precision, self.layout, self.states, self.accepts = precision, layout, states, accepts
        self.kernels = Kernels(precision)
        self.buffers: dict[str, Buffer] = {}
        self.nodes: list[Node] = []
        self.rows = 0
        self.first = 0
        self.training = False
        self.gradients = "g"
        self.reasons: dict[str, str] = {}
        """What runs by the reference besides layers, and why."""

    def begin(self, rows: int, first: int = 0, *, training: bool, gradients: str = "g") -> None:
        """Start a new list of nodes, for so many rows, the first of which has this place in the logical batch."""
        self.nodes, self.rows, self.first, self.training = [], rows, first, training
        self.gradients = gradients

    @property
    def half(self) -> bool:
        """Whether activations and products are of 16 bits."""
        return self.precision in HALVES

    def buffer(self, name: str, count: int, dtype: str = "T") -> Ref:
        """A buffer with room for so many elements at least."""
        known = self.buffers.get(name)
        size = max(count, 1, 0 if known is None else known.size)
        self.buffers[name] = Buffer(size, dtype)
        return Ref(name)

    def activations(self, name: str, columns: int) -> Ref:
        """A buffer [rows, columns] of what flows through the network."""
        return self.buffer(name, self.rows * columns, "S")

    @property
    def sources(self) -> Ref:
        """Where the addresses of inputs and targets stand: those that are trained on, or those asked for."""
        return self.buffer("sources" if self.training else "asked", 2, "int64")

    def flat(self, name: str) -> Ref:
        """A buffer with a place for each parameter."""
        return self.buffer(name, -(-self.layout.size // PAGE) * PAGE)

    def parameter(self, name: str) -> Ref:
        """A parameter in full precision."""
        return self.flat("theta").at(self.layout.offsets[name])

    def operand(self, name: str) -> Ref:
        """A parameter as products take it: in half precision, its rounded copy."""
        if not self.half:
            return self.parameter(name)
        return self.buffer("half", self.flat_size, "S").at(self.layout.offsets[name])

    def gradient(self, name: str) -> Ref:
        """Where the gradient of a parameter goes."""
        return self.flat(self.gradients).at(self.layout.offsets[name])

    def state(self, name: str) -> Ref:
        """A layer's state: that which training is about to hand on, or in inference the present one."""
        which = "next_state" if self.training else "state"
        return self.buffer(which, self.states.size).at(self.states.offsets[name])

    @property
    def flat_size(self) -> int:
        """Elements of a flat buffer of parameters, with what rounds it up."""
        return -(-self.layout.size // PAGE) * PAGE

    def call(
        self, printed: Printed, arguments: Arguments, rows: int, columns: int, sums: Mapping[str, Ref] | None = None
    ) -> None:
        """Launch a printed kernel. Sums over rows go to `sums`, in a second pass where there are several stretches."""
        grid, block = geometry.BY_LAYOUT[printed.layout](rows, columns)
        targets = dict(sums or {})
        stretches = grid[1] if printed.sums else 1
        parts = {
            n: self.buffer(f"parts.{n}", stretches * columns) if stretches > 1 else targets[n] for n in printed.sums
        }
        places = [*arguments, *(parts[n] for n in printed.sums), rows, columns]
        self.nodes.append(Launch(printed.name, tuple(places), grid, block))
        for n in printed.sums if stretches > 1 else ():
            self.fixed("add_stretches", (parts[n], targets[n], stretches, columns), geometry.elements(1, columns))

    def fixed(self, kernel: str, arguments: Arguments, grid: geometry.Grid) -> None:
        """Launch one of the kernels of `step.cu`."""
        self.nodes.append(Launch(kernel, tuple(arguments), *grid))

    def elementwise(self, name: str, formula: Any, arguments: Arguments, rows: int, columns: int, **forms: Any) -> None:
        """Launch a formula of elements that is written into the first of its arguments."""
        kinds = ["element" if isinstance(a, Ref) else "scalar" for a in arguments]
        names = [f"a{i}" for i in range(len(kinds))]
        printed = self.kernels.get(name, lambda: formula, kinds, ["a0"], names, key=(name, len(kinds)), **forms)
        self.call(printed, arguments, rows, columns)

    def shorten(self, to: Ref, source: Ref, columns: int, rows: int | None = None) -> None:
        """Round full precision to the type in which activations are stored; as many rows as the batch's if not told."""
        self.elementwise("round", _second, [to, source], self.rows if rows is None else rows, columns, stored={"a0"})

    def widen(self, to: Ref, source: Ref, columns: int) -> None:
        """Copy activations [rows, columns] in full precision."""
        self.elementwise("widen", _second, [to, source], self.rows, columns, stored={"a1"})

    def widened(self, x: Ref, name: str, columns: int) -> Ref:
        """Activations in full precision: where they are, or copied to the buffer of that name."""
        if self.half:
            self.widen(self.buffer(name, self.rows * columns), x, columns)
        return Ref(name) if self.half else x

    def shortened(self, x: Ref, name: str, columns: int) -> Ref:
        """Numbers [rows, columns] as activations are stored: where they are, or rounded to the buffer of that name."""
        if self.half:
            self.shorten(self.activations(name, columns), x, columns)
        return Ref(name) if self.half else x

    def copy(self, to: Ref, source: Ref, count: int) -> None:
        """Copy numbers of full precision."""
        self.elementwise("copy", _second, [to, source], 1, count)

    def work(self, work: Callable[..., None], *places: Place) -> None:
        """Append work that the device's library does."""
        self.nodes.append(Work(work, places))

    def product(self, product: Product, plain: str = "none") -> str:
        """Append a product; with the epilogue `plain` where its own can't be had. Gives the epilogue that it got."""
        if product.epilogue != plain and not self.accepts(product):
            product = product._replace(epilogue=plain, bias=None, mask=None, sums=None)
        self.nodes.append(product)
        return product.epilogue


def _second(xp: Any, a: Any, b: Any) -> Any:
    return b
