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
from deepmath.graph import Node, Size, needed
from deepmath.printers.vectors import Vectors, absorbed_product, computed
from deepmath_numpy.text_builder import TextBuilder, Value

I32, I64 = ir.IntType(32), ir.IntType(64)
PACKED = 16
"""The most sums that are taken at once, and lanes of the vectors that they lie in."""


class LaneSum:
    """A number: the sum of the lanes of a vector of at most `PACKED` lanes, which isn't taken yet."""

    __slots__ = ("vector",)

    def __init__(self, vector: Any) -> None:
        self.vector = vector


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
        sums = [e.vector for e in elements if isinstance(e, LaneSum)]
        if not sums:
            return self._side_by_side(elements, lanes)
        kind = sums[0].type
        zero = self.constant(0.0, "float", kind.count)
        vectors = [e.vector if isinstance(e, LaneSum) else self._first_lane(e, zero) for e in elements]
        vectors += [zero] * (lanes - len(vectors))
        for _ in range(2):
            vectors = [self._joined(a, b, 1) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
        # Each vector now holds four numbers, as partial sums in each of its blocks of four lanes.
        open_blocks = kind.count // 4
        while len(vectors) > 1:
            join = self._joined if open_blocks > 1 else self._concatenated
            vectors = [join(a, b, 4) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
            open_blocks = max(1, open_blocks // 2)
        vector = vectors[0]
        while open_blocks > 1:
            vector = self._joined(vector, None, 4)
            open_blocks //= 2
        return vector

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

    def _concatenated(self, a: Any, b: Any, _: int) -> Any:
        count = 2 * a.type.count
        return self.builder.picked(a, b, range(count), self.vectors(count).types["float"])

    def _first_lane(self, element: Any, zero: Any) -> Any:
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
        self._blocks: dict[int, list[Any]] = {}

    def run(self, outputs: Sequence[Node]) -> list[Any]:
        """The values of these nodes, in which sums may not be taken yet."""
        for node in computed(needed(outputs), outputs):
            if node.number not in self._values:
                self._values[node.number] = self._value(node)
        return [self._values[o.number] for o in outputs]

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
        return self._element_wise(node)

    def _element_wise(self, node: Node) -> Any:
        operands = _operands(node)
        numbers = [o.number for o in operands]
        arrays = [self._taken(o) for o in operands]
        places = [a.ravel() for a in np.broadcast_arrays(*arrays)]
        found = []
        for elements in zip(*places, strict=True) if places else [()]:
            lanes = self.axis.lanes if any(map(is_vector, elements)) else 1
            ready = {
                number: self.printer.spread(element, operand.dtype, lanes)
                for number, operand, element in zip(numbers, operands, elements, strict=True)
            }
            found.append(self.printer.vectors(lanes).evaluate(node, lambda below, r=ready: r[below.number]))
        return filled(self.shape(node.dims) if node.dims else (), found)

    def _taken(self, node: Node) -> Any:
        """The value of a node without `LaneSum`s."""
        value = self._values[node.number]
        if any(isinstance(e, LaneSum) for e in value.flat):
            value = self._values[node.number] = filled(value.shape, self.printer.scalars(value.ravel()))
        return value

    # Products and reductions

    def _matmul(self, node: Node, *_: Any) -> Any:
        left, right = node.args
        a, b = self._taken(left), self._taken(right)
        along = isinstance(left.dims[-1], Size)
        outside = along and not self._is_zero_outside(left) and not self._is_zero_outside(right)
        shape = self.shape(node.dims)
        a = np.broadcast_to(a, (*shape[:-2], *a.shape[-2:]))
        b = np.broadcast_to(b, (*shape[:-2], *b.shape[-2:]))
        found = []
        for *stack, i, j in np.ndindex(*shape):
            row, column = a[(*stack, i)], b[(*stack, slice(None), j)]
            found.append(self._over_lanes(row, column, outside) if along else self._dot(row, column))
        return filled(shape, found)

    def _dot(self, row: Any, column: Any) -> Any:
        """The product of a row and a column whose numbers are unrolled."""
        lanes = self.axis.lanes if any(map(is_vector, (*row, *column))) else 1
        pairs = [[self.printer.spread(e, "float", lanes) for e in pair] for pair in zip(row, column, strict=True)]
        return self._products(pairs, lanes)

    def _over_lanes(self, row: Any, column: Any, outside: bool) -> LaneSum:
        """The same where the lanes are summed too; `outside`: lanes that don't count must be set to 0."""
        pairs = []
        for x, y in zip(row, column, strict=True):
            x = self._inside(x) if outside else x
            pairs += zip(self._cut(x), self._cut(y), strict=True)
        return LaneSum(self._products(pairs, pairs[0][0].type.count))

    def _products(self, pairs: Sequence[Sequence[Any]], lanes: int) -> Any:
        v, total = self.printer.vectors(lanes), None
        for x, y in pairs:
            total = self.builder.fmul(x, y) if total is None else v.multiply_add(x, y, total)
        return total

    def _cut(self, element: Any) -> list[Any]:
        """The blocks of an element's lanes."""
        key = id(element)
        if key not in self._blocks:
            wide = self.printer.spread(element, "float", self.axis.lanes)
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
            total = self._folded(group, op)
            if across and op == "+":
                total = LaneSum(self._folded(self._cut(self._inside(total) if outside else total), op))
            elif across:
                total = self.printer.vectors(self.axis.lanes).max(self._inside(total, -math.inf))
            found.append(total)
        return filled([1 if i in axes else n for i, n in enumerate(value.shape)], found)

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
