"""Values of a graph of arrays as LLVM vectors: one axis, such as the batch, lies in the lanes, all others are unrolled.

The value of a node is a NumPy array of objects with the node's axes, where the axis in the lanes has length 1 (k, where
the node's dimension is k times the axis). An object is a vector, with a lane for each place of the axis; a scalar, where
all lanes would be the same; a Python number, which is a constant; or a `LaneSum`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from deepmath.errors import TraceError
from deepmath.graph import FUNCTIONS, OPERATORS, Node, Size, needed
from deepmath.printers.vectors import Vectors, absorbed_product, computed
from deepmath_numpy.text_builder import TextBuilder, Value

I32, I64 = ir.IntType(32), ir.IntType(64)
PACKED = 16
"""The most sums that are taken at once, and lanes of the vectors that they lie in."""


class LaneSum:
    """A number: the sum of the lanes of a vector of so many lanes, which isn't computed yet.

    Products over the batch are many. Each is printed where it is added to others, so that it lives in a register.
    """

    __slots__ = ("lanes", "vector")

    def __init__(self, lanes: int, vector: Callable[[], Any]) -> None:
        self.lanes, self.vector = lanes, vector


class Place:
    """A scalar in memory, which is loaded wherever it is used: registers are few."""

    __slots__ = ("pointer", "type")

    def __init__(self, pointer: Any, type_: Any) -> None:
        self.pointer, self.type = pointer, type_


class Printer:
    """What all values of a module share: its builder, and `Vectors` of any number of lanes."""

    def __init__(self, module: Any, builder: TextBuilder, precision: str, inline: bool) -> None:
        self.module, self.builder, self.precision, self.inline = module, builder, precision, inline
        self._vectors: dict[int, Vectors] = {}
        self._constants: dict[tuple[str, str, int], Any] = {}

    def vectors(self, lanes: int) -> Vectors:
        if lanes not in self._vectors:
            self._vectors[lanes] = _Vectors(self.module, self.builder, self.precision, lanes, self.inline)
        return self._vectors[lanes]

    def constant(self, value: float, dtype: str, lanes: int) -> Any:
        key = repr(value), dtype, lanes
        if key not in self._constants:
            self._constants[key] = self.vectors(lanes).constant(value, dtype)
        return self._constants[key]

    def spread(self, element: Any, dtype: str, lanes: int) -> Any:
        """A number, a scalar or a vector of so many lanes as a value of so many lanes."""
        if not hasattr(element, "type"):
            return self.constant(element, dtype, lanes)
        if isinstance(element, Place):
            element = self.builder.load(element.pointer, self.vectors(1).size, element.type)
        if lanes == 1 or is_vector(element):
            return element
        return self.builder.splat(element, self.vectors(lanes).types[dtype])

    def blocks(self, vector: Any) -> list[Any]:
        """A vector of floats cut into vectors of at most `PACKED` lanes."""
        count, lanes = vector.type.count, min(vector.type.count, PACKED)
        if count == lanes:
            return [vector]
        kind = self.vectors(lanes).types["float"]
        return [self.builder.picked(vector, vector, range(i, i + lanes), kind) for i in range(0, count, lanes)]

    def packed(self, elements: Sequence[Any], lanes: int) -> Any:
        """Numbers, scalars and `LaneSum`s side by side in a vector of so many lanes, at least 4; 0 behind them.

        The sums are taken by a tree that adds two vectors at a time: after log2(lanes) levels each lane is one sum.
        """
        count = next((e.lanes for e in elements if isinstance(e, LaneSum)), 0)
        if not count:
            return self._side_by_side(elements, lanes)
        zero = self.constant(0.0, "float", count)

        def vector(place: int) -> Any:
            element = elements[place] if place < len(elements) else 0.0
            return element.vector() if isinstance(element, LaneSum) else self._first_lane(element, zero)

        def tree(place: int, width: int) -> tuple[Any, int]:
            """The vector of so many numbers from this place on, and how many partial sums each still consists of."""
            if width == 1:
                return vector(place), count
            (a, parts), (b, _) = (tree(p, width // 2) for p in (place, place + width // 2))
            if width <= 4:
                return self._joined(a, b, 1), parts // 2
            return (self._joined(a, b, 4), parts // 2) if parts > 1 else (self._concatenated(a, b), 1)

        found, parts = tree(0, lanes)
        while parts > 1:
            found, parts = self._joined(found, None, 4), parts // 2
        return found

    def _joined(self, a: Any, b: Any, block: int) -> Any:
        """The even blocks of lanes of both plus the odd ones; of four lanes, in each of those, where a block is one."""
        if a is b is self.constant(0.0, "float", a.type.count):
            return a
        count = a.type.count
        if block == 1:
            even = [i + j + n for i in range(0, count, 4) for n in (0, count) for j in (0, 2)]
        else:
            ends = (0,) if b is None else (0, count)
            even = [i + j + n for n in ends for i in range(0, count, 2 * block) for j in range(block)]
        kind = self.vectors(len(even)).types["float"]
        low, high = (self.builder.picked(a, a if b is None else b, places, kind)
                     for places in (even, [i + block for i in even]))  # fmt: skip
        return self.builder.fadd(low, high)

    def _concatenated(self, a: Any, b: Any) -> Any:
        count = 2 * a.type.count
        return self.builder.picked(a, b, range(count), self.vectors(count).types["float"])

    def _first_lane(self, element: Any, zero: Any) -> Any:
        if element == 0.0:
            return zero
        return self.builder.insert_element(zero, self.spread(element, "float", 1), I32(0))

    def _side_by_side(self, elements: Sequence[Any], lanes: int) -> Any:
        vector = self.constant(0.0, "float", lanes)
        for i, element in enumerate(elements):
            vector = self.builder.insert_element(vector, self.spread(element, "float", 1), I32(i))
        return vector

    def scalars(self, elements: Sequence[Any]) -> list[Any]:
        """The elements with their sums taken."""
        found = list(elements)
        places = [i for i, e in enumerate(found) if isinstance(e, LaneSum)]
        for start in range(0, len(places), PACKED):
            some = places[start : start + PACKED]
            vector = self.packed([found[i] for i in some], packed_lanes(len(some)))
            for lane, i in enumerate(some):
                found[i] = self.builder.extract_element(vector, I32(lane))
        return found


class _Vectors(Vectors):
    """`Vectors` whose builder is a `TextBuilder`, where that is shorter."""

    def splat(self, scalar: Any) -> Any:
        if self.lanes == 1:
            return scalar
        dtype = next(d for d, t in self.scalars.items() if t == scalar.type)
        return self.builder.splat(scalar, self.types[dtype])

    def gather(self, pointers: Any, dtype: str, mask: Any = None) -> Any:
        """Numbers from an address for each lane."""
        kind = self.types[dtype]
        everywhere = Value(self.types["bool"], "splat (i1 true)")
        given = [pointers, I32(self._align(dtype)), everywhere, Value(kind, "poison")]
        return self._intrinsic("masked.gather", kind, given, [kind, pointers.type])

    def at(self, builder: Any) -> Vectors:
        return Vectors(self.module, builder, self.precision, self.lanes, self.inline)


def packed_lanes(count: int) -> int:
    """The number of lanes for so many numbers: 4, 8 or 16."""
    return 4 if count <= 4 else 8 if count <= 8 else PACKED


def is_vector(element: Any) -> bool:
    return isinstance(getattr(element, "type", None), ir.VectorType)


class Axis:
    """The axis in the lanes: `name` of its size, `lanes`, `inside` (which lanes count, a mask; None: all), `count` of
    those, a float scalar or a number.
    """

    def __init__(self, name: str, lanes: int, inside: Any = None, count: Any = None) -> None:
        self.name, self.lanes, self.inside, self.count = name, lanes, inside, count


class Evaluation:
    """Evaluates nodes whose arguments are given. `random` prints what a node "random" draws."""

    def __init__(
        self, printer: Printer, axis: Axis, values: Mapping[int, Any], random: Callable[[Node], Any] | None = None
    ) -> None:
        self.printer, self.axis, self.builder = printer, axis, printer.builder
        self._values = dict(values)
        self._random = random
        self._zero: dict[int, bool] = {}
        self._blocks: dict[tuple[int, bool], list[Any]] = {}
        self._pending: dict[int, Node] = {}
        self._shape: tuple[int, ...] = ()

    def run(self, outputs: Sequence[Node]) -> list[Any]:
        """The values of these nodes, in which sums may not be taken yet."""
        for node in computed(needed(outputs), outputs):
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
        if len(shape) > len(self._shape) and self._pending or not _fit(shape, self._shape):
            self._flush()
        self._shape = np.broadcast_shapes(shape, self._shape)
        self._pending[node.number] = node

    def _is_element_wise(self, node: Node) -> bool:
        if node.op == "matmul":
            return not isinstance(node.args[0].dims[-1], Size)
        return node.op in _ELEMENT_WISE

    def _flush(self) -> None:
        """Evaluate the nodes that wait."""
        nodes, self._pending = self._pending, {}
        steps = []
        for node in nodes.values():
            self._values[node.number] = np.empty(self.shape(node.dims), object)
        for node in nodes.values():
            compute = self._product_of(node) if node.op == "matmul" else self._element_of(node)
            steps.append((self._values[node.number], compute))
        for place in np.ndindex(*self._shape):
            for array, compute in steps:
                at = _within(place, array.shape)
                if array[at] is None:
                    array[at] = compute(at)
        self._shape = ()

    def shape(self, dims: Sequence[Any]) -> tuple[int, ...]:
        """The shape of a value with these dimensions."""
        if any(isinstance(d, Size) and d.name != self.axis.name for d in dims):
            raise TraceError(f"an array of shape {tuple(dims)} has sizes that aren't known")
        if sum(isinstance(d, Size) for d in dims) > 1:
            raise TraceError(f"an array of shape {tuple(dims)} has the rows along two axes")
        return tuple(d.times if isinstance(d, Size) else d for d in dims)

    def _value(self, node: Node) -> Any:
        op = node.op
        if op in ("constant", "columns"):
            return _single(node.value)
        if op == "size":
            self.shape((Size(node.graph, node.value),))
            return _single(self.axis.count)
        if op == "index":
            return filled(node.dims, list(range(math.prod(node.dims))))
        if op == "random" and self._random is not None:
            return self._random(node)
        whole = getattr(self, f"_{op}", None)
        if whole is not None:
            return whole(node, *(self._values[a.number] for a in node.args))
        if op in ("argument", "opaque", "random", "take"):
            raise TraceError(f"'{op}' isn't compiled into straight lines")
        raise TraceError(f"'{op}' is no operation that is known here")

    def _element_of(self, node: Node) -> Callable[[tuple[int, ...]], Any]:
        """What computes an element of an operation that goes element by element."""
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

        return compute

    def _taken(self, node: Node) -> Any:
        """The value of a node without `LaneSum`s."""
        value = self._values[node.number]
        if any(isinstance(e, LaneSum) for e in value.flat):
            value = self._values[node.number] = filled(value.shape, self.printer.scalars(value.ravel()))
        return value

    # Products and reductions

    def _product_of(self, node: Node) -> Callable[[tuple[int, ...]], Any]:
        """What computes an element of a matrix product."""
        left, right = node.args
        a, b = self._taken(left), self._taken(right)

        def compute(place: tuple[int, ...]) -> Any:
            *stack, i, j = place
            row, column = a[(*_within(stack, a.shape[:-2]), i)], b[(*_within(stack, b.shape[:-2]), slice(None), j)]
            return self._dot(row, column)

        return compute

    def _matmul(self, node: Node, *_: Any) -> Any:
        """A matrix product over the axis in the lanes."""
        left, right = node.args
        a, b = self._taken(left), self._taken(right)
        outside = not self._is_zero_outside(left) and not self._is_zero_outside(right)
        shape = self.shape(node.dims)
        a = np.broadcast_to(a, (*shape[:-2], *a.shape[-2:]))
        b = np.broadcast_to(b, (*shape[:-2], *b.shape[-2:]))
        places = np.ndindex(*shape)
        return filled(shape, [self._over_lanes(a[(*s, i)], b[(*s, slice(None), j)], outside) for *s, i, j in places])

    def _dot(self, row: Any, column: Any) -> Any:
        """The product of a row and a column whose numbers are unrolled."""
        lanes = self.axis.lanes if any(map(is_vector, (*row, *column))) else 1
        pairs = [[self.printer.spread(e, "float", lanes) for e in pair] for pair in zip(row, column, strict=True)]
        return self._products(pairs, lanes)

    def _over_lanes(self, row: Any, column: Any, outside: bool) -> LaneSum:
        """The same where the lanes are summed too; `outside`: lanes that don't count must be set to 0."""
        lanes = min(self.axis.lanes, PACKED)

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
        key = id(element), outside
        if key not in self._blocks:
            wide = self._inside(element) if outside else self.printer.spread(element, "float", self.axis.lanes)
            self._blocks[key] = [element, *self.printer.blocks(wide)]  # the element is kept, so that its id stays its own
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
        value = self._taken(below)
        across = any(isinstance(below.dims[a], Size) for a in axes)
        rest = [i for i in range(value.ndim) if i not in axes]
        count = math.prod(value.shape[i] for i in rest)
        groups = np.transpose(value, (*rest, *axes)).reshape(count, -1)
        outside = across and not self._is_zero_outside(below)
        found = []
        for group in groups:
            if across and op == "+":
                total = LaneSum(min(self.axis.lanes, PACKED), lambda group=group: self._summed(group, outside))
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
        return bool(zero) and op in _KEEP_ZEROS and all(zero)

    # Shapes

    def _reshape(self, node: Node, value: Any) -> Any:
        before, after = (math.prod(_in_front(n.dims)) for n in (node.args[0], node))
        if before != after:
            raise TraceError(f"{node.args[0].dims} reshaped to {node.dims} moves rows between lanes")
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


_KEEP_ZEROS = {
    "+", "-", "neg", "abs", "sign", "sqrt", "astype", "reshape", "permute_dims", "broadcast_to", "concat", "slice",
    "embed", "row_sum", "row_max", "sum", "max", "minimum", "maximum", "floor", "tanh", "expm1",
}  # fmt: skip
"""Operations that give 0 where all their arguments are 0."""


_ELEMENT_WISE = {*OPERATORS, *FUNCTIONS, "where", "astype"}


def _fit(shape: Sequence[int], other: Sequence[int]) -> bool:
    """Whether one of the shapes can be broadcast to the other."""
    pairs = list(zip(reversed(shape), reversed(other), strict=False))
    return all(a in (1, b) for a, b in pairs) or all(b in (1, a) for a, b in pairs)


def _within(place: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """The place in an array of this shape that is broadcast to this place."""
    start = len(place) - len(shape)
    return tuple(p if n > 1 else 0 for p, n in zip(place[start:], shape, strict=True))


def _in_front(dims: Sequence[Any]) -> Sequence[Any]:
    """The dimensions in front of the one in the lanes; none if there is none."""
    place = next((i for i, d in enumerate(dims) if isinstance(d, Size)), 0)
    return dims[:place]


def _operands(node: Node) -> list[Node]:
    """The nodes whose values an operation takes, without constants: of a product that it absorbs, the factors."""
    place, found = absorbed_product(node), []
    for i, below in enumerate(node.args):
        found += below.args if i == place else (below,)
    return list({n.number: n for n in found if n.op != "constant"}.values())


def _single(element: Any) -> Any:
    return filled((), [element])


def filled(shape: Sequence[int], elements: Sequence[Any]) -> Any:
    """An array of objects with these elements."""
    flat = np.empty(len(elements), object)
    for i, element in enumerate(elements):
        flat[i] = element
    return flat.reshape(tuple(shape))
