"""Values of a graph of arrays as LLVM vectors: one axis, such as the batch, lies in the lanes, all others are unrolled.

The value of a node is a NumPy array of objects with the node's axes. The axis in the lanes has length 1 there, or k
where the node's dimension is k times the axis. An object is a vector, with a lane for each place of the axis; a scalar,
where all lanes would be the same; either of them as a `Place` in memory; a Python number, a constant; or a `LaneSum`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from deepmath.errors import TraceError
from deepmath.graph import Node, Size, needed
from deepmath.printers.vectors import absorbed_product, computed
from deepmath_numpy.lane_nodes import CALLED, ELEMENT_WISE, KEEP_ZEROS, unsupported
from deepmath_numpy.lane_values import LaneSum, Place, Printer, block_lanes, filled, is_vector

TOGETHER = 4
"""How many elements are computed side by side: what they take is loaded once, and the processor does some at once."""


Compute = Callable[[Sequence[tuple[int, ...]]], list[Any]]
"""Gives the elements of a node's value at these places."""


class Axis:
    """The axis in the lanes: the name of its size, and how many lanes there are.

    `inside` is a mask of the lanes that count (None: all), and `count` how many those are: a number, or a scalar.
    """

    def __init__(self, name: str, lanes: int, inside: Any = None, count: Any = None) -> None:
        self.name, self.lanes, self.inside, self.count = name, lanes, inside, count


class Evaluation:
    """Evaluates nodes whose arguments are given. `random` prints what a node "random" draws.

    `stores`: vectors that later nodes take are put down in memory in between. A step has hundreds; to find registers
    for all of them takes LLVM longer than all else.
    """

    def __init__(
        self, printer: Printer, axis: Axis, values: Mapping[int, Any], random: Callable[[Node], Any] | None = None,
        stores: bool = False,
    ) -> None:  # fmt: skip
        self.printer, self.axis, self.builder = printer, axis, printer.builder
        self._values = dict(values)
        self._random, self._stores = random, stores
        self._users: dict[int, set[int]] = {}
        self._zero: dict[int, bool] = {}
        self._blocks: dict[tuple[int, bool], list[Any]] = {}
        self._pending: dict[int, Node] = {}
        self._shape: tuple[int, ...] = ()

    def run(self, outputs: Sequence[Node]) -> list[Any]:
        """The values of these nodes, in which sums may not be taken yet."""
        nodes = computed(needed(outputs), outputs)
        for node in nodes:
            for below in (*node.args, *(f for a in node.args for f in a.args if a.op == "*")):
                self._users.setdefault(below.number, set()).add(node.number)
        for node in nodes:
            if node.number not in self._values:
                self._add(node)
        self._flush()
        return [self._values[o.number] for o in outputs]

    def _add(self, node: Node) -> None:
        """Evaluate a node, or put it to those that are evaluated together, one element of all after the other.

        So what the nodes of a layer compute for one unit stays in registers.
        """
        single = self._is_element_wise(node)
        depends = any(a.number in self._pending for a in node.args)
        if (not single and depends) or (node.op == "matmul" and depends):
            self._flush()
        if not single:
            self._values[node.number] = self._value(node)
            return
        shape = self.shape(node.dims)
        if (self._pending and len(shape) > len(self._shape)) or not _fit(shape, self._shape):
            self._flush()
        self._shape = np.broadcast_shapes(shape, self._shape)
        self._pending[node.number] = node

    def _is_element_wise(self, node: Node) -> bool:
        if node.op == "matmul":
            return not isinstance(node.args[0].dims[-1], Size)
        return node.op in ELEMENT_WISE

    def _flush(self) -> None:
        """Evaluate the nodes that wait."""
        nodes, self._pending = self._pending, {}
        steps = []
        for node in nodes.values():
            self._values[node.number] = np.empty(self.shape(node.dims), object)
        for node in nodes.values():
            compute = self._products_of(node) if node.op == "matmul" else self._elements_of(node)
            steps.append((self._values[node.number], compute))
        kept = [
            self._values[n.number] for n in nodes.values()
            if self._stores and n.dtype == "float" and self._users.get(n.number, set()) - nodes.keys()
        ]  # fmt: skip
        places = list(np.ndindex(*self._shape))
        for start in range(0, len(places), TOGETHER):
            if self._stores:
                self.printer.fence()
            for array, compute in steps:
                some = dict.fromkeys(_within(place, array.shape) for place in places[start : start + TOGETHER])
                new = [at for at in some if array[at] is None]
                for at, element in zip(new, compute(new), strict=True):
                    array[at] = element
            for array in kept:
                for place in places[start : start + TOGETHER]:
                    at = _within(place, array.shape)
                    if is_vector(array[at]) and not isinstance(array[at], Place):
                        array[at] = self.printer.stored(array[at])
        self._shape = ()

    def shape(self, dims: Sequence[Any]) -> tuple[int, ...]:
        """The shape of a value with these dimensions."""
        if any(isinstance(d, Size) and d.name != self.axis.name for d in dims):
            raise TraceError(f"an array of shape {tuple(dims)} has sizes that aren't known")
        if sum(isinstance(d, Size) for d in dims) > 1:
            raise TraceError(f"an array of shape {tuple(dims)} has the rows along two axes")
        return tuple(d.times if isinstance(d, Size) else d for d in dims)

    def _value(self, node: Node) -> Any:
        op, reason = node.op, unsupported(node)
        if reason:
            raise TraceError(reason)
        if op in ("constant", "columns"):
            return _single(node.value)
        if op == "size":
            self.shape((Size(node.graph, node.value),))
            return _single(self.axis.count)
        if op == "index":
            return filled(node.dims, list(range(math.prod(node.dims))))
        if op == "random" and self._random is not None:
            return self._random(node)
        if op in ("argument", "random"):
            raise TraceError(f"'{op}' has no value here")
        return getattr(self, f"_{op}")(node, *(self._values[a.number] for a in node.args))

    def _elements_of(self, node: Node) -> Compute:
        """What computes elements of an operation that goes element by element."""
        operands = [(o.number, o.dtype, self._taken(o)) for o in _operands(node)]
        printer, wide = self.printer, self.axis.lanes

        def compute(place: tuple[int, ...]) -> Any:
            elements = [array[_within(place, array.shape)] for _, _, array in operands]
            lanes = wide if any(map(is_vector, elements)) else 1
            ready = {
                number: printer.spread(element, dtype, lanes)
                for (number, dtype, _), element in zip(operands, elements, strict=True)
            }
            return printer.vectors(lanes).evaluate(node, lambda below: ready[below.number])

        def called(places: Sequence[tuple[int, ...]]) -> list[Any]:
            array = operands[0][2]
            elements = [array[_within(place, array.shape)] for place in places]
            if not elements or not all(map(is_vector, elements)):
                return [compute(place) for place in places]
            return printer.called(node.op, [printer.spread(e, "float", wide) for e in elements])

        one_float = len(node.args) == len(operands) == 1 and operands[0][1] == "float"
        return called if node.op in CALLED and one_float else lambda places: [compute(place) for place in places]

    def _taken(self, node: Node) -> Any:
        """The value of a node without `LaneSum`s."""
        value = self._values[node.number]
        if any(isinstance(e, LaneSum) for e in value.flat):
            value = self._values[node.number] = filled(value.shape, self.printer.scalars(value.ravel()))
        return value

    def _now(self, value: Any) -> Any:
        """A value whose scalars are loaded now, before somebody writes there."""
        now = [
            self.printer.spread(e, "float", 1) if isinstance(e, Place) and not is_vector(e) else e for e in value.flat
        ]
        return filled(value.shape, now)

    # Products and reductions

    def _products_of(self, node: Node) -> Compute:
        """What computes elements of a matrix product."""
        left, right = node.args
        a, b = self._taken(left), self._taken(right)

        def compute(place: tuple[int, ...]) -> Any:
            *stack, i, j = place
            row, column = a[(*_within(stack, a.shape[:-2]), i)], b[(*_within(stack, b.shape[:-2]), slice(None), j)]
            return self._dot(row, column)

        return lambda places: [compute(place) for place in places]

    def _matmul(self, node: Node, *_: Any) -> Any:
        """A matrix product over the axis in the lanes."""
        left, right = node.args
        a, b = self._taken(left), self._taken(right)
        outside = not self._is_zero_outside(left) and not self._is_zero_outside(right)
        shape = self.shape(node.dims)
        a, b = (np.broadcast_to(self._now(x), (*shape[:-2], *x.shape[-2:])) for x in (a, b))
        places = np.ndindex(*shape)
        return filled(shape, [self._over_lanes(a[(*s, i)], b[(*s, slice(None), j)], outside) for *s, i, j in places])

    def _dot(self, row: Any, column: Any) -> Any:
        """The product of a row and a column whose numbers are unrolled."""
        lanes = self.axis.lanes if any(map(is_vector, (*row, *column))) else 1
        pairs = [[self.printer.spread(e, "float", lanes) for e in pair] for pair in zip(row, column, strict=True)]
        return self._products(pairs, lanes)

    def _over_lanes(self, row: Any, column: Any, outside: bool) -> LaneSum:
        """The same where the lanes are summed too; `outside`: lanes that don't count must be set to 0."""
        lanes = block_lanes(self.axis.lanes)

        def vector() -> Any:
            pairs: list[Any] = []
            for x, y in zip(row, column, strict=True):
                pairs += zip(self._cut(x, outside), self._cut(y), strict=True)
            return self._products(pairs, lanes)

        return LaneSum(lanes, vector)

    def _products(self, pairs: Sequence[Sequence[Any]], lanes: int) -> Any:
        v, total = self.printer.vectors(lanes), None
        for x, y in pairs:
            total = self.builder.fmul(x, y) if total is None else v.multiply_add(x, y, total)
        return total

    def _cut(self, element: Any, outside: bool = False) -> list[Any]:
        """The blocks of an element's lanes; `outside`: with 0 in lanes that don't count."""
        if isinstance(element, Place) and is_vector(element) and not outside:
            return self.printer.blocks(element)
        key = id(element), outside
        if key not in self._blocks:
            wide = self._inside(element) if outside else self.printer.spread(element, "float", self.axis.lanes)
            self._blocks[key] = [
                element,
                *self.printer.blocks(wide),
            ]  # the element is kept, so that its id stays its own
        return self._blocks[key][1:]

    def _inside(self, element: Any, otherwise: float = 0.0) -> Any:
        """An element, `otherwise` in lanes that don't count."""
        lanes = self.axis.lanes
        wide = self.printer.spread(element, "float", lanes)
        if self.axis.inside is None:
            return wide
        return self.builder.select(self.axis.inside, wide, self.printer.constant(otherwise, "float", lanes))

    def _row_sum(self, node: Node, *_: Any) -> Any:
        return self._reduced(node, (len(node.args[0].dims) - 1,), "+")

    def _row_max(self, node: Node, *_: Any) -> Any:
        return self._reduced(node, (len(node.args[0].dims) - 1,), "maximum")

    def _sum(self, node: Node, *_: Any) -> Any:
        return self._reduced(node, node.value, "+")

    def _max(self, node: Node, *_: Any) -> Any:
        return self._reduced(node, node.value, "maximum")

    def _batch_sum(self, node: Node, *_: Any) -> Any:
        return self._reduced(node, (0,), "+")

    def _reduced(self, node: Node, axes: Sequence[int], op: str) -> Any:
        """The sum or the largest along axes."""
        below = node.args[0]
        across = any(isinstance(below.dims[a], Size) for a in axes)
        value = self._now(self._taken(below)) if across else self._taken(below)
        rest = [i for i in range(value.ndim) if i not in axes]
        count = math.prod(value.shape[i] for i in rest)
        groups = np.transpose(value, (*rest, *axes)).reshape(count, -1)
        outside = across and not self._is_zero_outside(below)
        found = []
        for group in map(list, groups):
            if across and op == "+":
                total = LaneSum(block_lanes(self.axis.lanes), functools.partial(self._summed, group, outside))
            elif across:
                total = self.printer.vectors(self.axis.lanes).max(self._inside(self._folded(group, op), -math.inf))
            else:
                total = self._folded(group, op)
            found.append(total)
        return filled([1 if i in axes else n for i, n in enumerate(value.shape)], found)

    def _summed(self, group: Sequence[Any], outside: bool) -> Any:
        """The vector whose lanes' sum is the sum of all lanes of a group."""
        return self._folded([block for element in group for block in self._cut(element, outside)], "+")

    def _folded(self, group: Sequence[Any], op: str) -> Any:
        lanes = max((e.type.count for e in group if is_vector(e)), default=1)
        total, *others = (self.printer.spread(e, "float", lanes) for e in group)
        for element in others:
            total = self.printer.vectors(lanes).apply(op, "float", [total, element])
        return total

    def _is_zero_outside(self, node: Node) -> bool:
        """Whether lanes that don't count hold 0, or infinity times 0 or 0 / 0 where a lane that counts does too."""
        if self.axis.inside is None:
            return True
        for below in needed([node]):  # in the order of their making: no recursion
            if below.number not in self._zero:
                self._zero[below.number] = self._is_zero(below)
        return self._zero[node.number]

    def _is_zero(self, node: Node) -> bool:
        op, zero = node.op, [self._zero[a.number] for a in node.args]
        if op == "constant" or not any(isinstance(d, Size) for d in node.dims):
            return op == "constant" and node.value == 0
        if op == "argument":
            return node.value == "weight"
        if op in ("*", "matmul"):
            return any(zero)
        if op in ("where", "/"):
            return all(zero[1:]) if op == "where" else zero[0]
        return bool(zero) and op in KEEP_ZEROS and all(zero)

    # Shapes

    def _reshape(self, node: Node, value: Any) -> Any:
        return value.reshape(self.shape(node.dims))

    def _permute_dims(self, node: Node, value: Any) -> Any:
        return np.transpose(value, node.value)

    def _broadcast_to(self, node: Node, value: Any) -> Any:
        return np.broadcast_to(value, self.shape(node.dims))

    def _concat(self, node: Node, *values: Any) -> Any:
        return np.concatenate(values, axis=node.value)

    def _slice(self, node: Node, value: Any) -> Any:
        axis, start, step, count = node.value
        return np.take(value, range(start, start + step * count, step), axis=axis)

    def _embed(self, node: Node, value: Any) -> Any:
        axis, start, step, count = node.value
        shape = self.shape(node.dims)
        found = filled(shape, [0.0] * math.prod(shape))
        found[(*[slice(None)] * axis, list(range(start, start + step * count, step)))] = value
        return found


def _fit(shape: Sequence[int], other: Sequence[int]) -> bool:
    """Whether one of the shapes can be broadcast to the other."""
    pairs = list(zip(reversed(shape), reversed(other), strict=False))
    return all(a in (1, b) for a, b in pairs) or all(b in (1, a) for a, b in pairs)


def _within(place: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """The place in an array of this shape that is broadcast to this place."""
    start = len(place) - len(shape)
    return tuple(p if n > 1 else 0 for p, n in zip(place[start:], shape, strict=True))


def _operands(node: Node) -> list[Node]:
    """The nodes whose values an operation takes, without constants: of a product that it absorbs, the factors."""
    place = absorbed_product(node)
    found: list[Node] = []
    for i, below in enumerate(node.args):
        found += below.args if i == place else (below,)
    return list({n.number: n for n in found if n.op != "constant"}.values())


def _single(element: Any) -> Any:
    return filled((), [element])
