"""LLVM values of numbers along the lanes of vectors: those in registers, those in memory, and sums over all lanes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from deepmath.printers.vectors import Vectors
from deepmath_numpy.target import host
from deepmath_numpy.text_builder import TextBuilder, Value

I32, POINTER = ir.IntType(32), ir.PointerType()
ALIGN = 64
"""Where vectors in scratch memory begin, in bytes."""
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
    """A float or a vector in memory, which is loaded wherever it is used: registers are few."""

    __slots__ = ("align", "pointer", "type")

    def __init__(self, pointer: Any, type_: Any, align: int) -> None:
        self.pointer, self.type, self.align = pointer, type_, align


class Printer:
    """What all values of a module share: its builder, and `Vectors` of any number of lanes."""

    def __init__(self, module: Any, builder: TextBuilder, precision: str, inline: bool) -> None:
        self.module, self.builder, self.precision, self.inline = module, builder, precision, inline
        self.scratch_size = 0
        self.returned = 4 * host().lanes(precision)
        self._at_hand: dict[tuple[int, int], tuple[Place, Any]] = {}
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
            return self._once(element, lanes, lambda: self._spread(self._loaded(element), dtype, lanes))
        return self._spread(element, dtype, lanes)

    def _spread(self, element: Any, dtype: str, lanes: int) -> Any:
        if lanes == 1 or is_vector(element):
            return element
        return self.builder.splat(element, self.vectors(lanes).types[dtype])

    def _loaded(self, place: Place) -> Any:
        return self.builder.load(place.pointer, place.align, place.type)

    def _once(self, place: Place, how: int, load: Callable[[], Any]) -> Any:
        """What `load` gives, printed once between two fences."""
        key = id(place), how
        if key not in self._at_hand:
            self._at_hand[key] = place, load()  # the place is kept, so that its id stays its own
        return self._at_hand[key][1]

    def fence(self) -> None:
        """What lies in memory is loaded anew from here on."""
        self._at_hand.clear()
        self.builder.fence()

    def gathered(self, pointers: Any, dtype: str) -> Any:
        """The numbers at these addresses, one for each lane."""
        lanes = pointers.type.count
        v = self.vectors(lanes)
        kind, size = v.types[dtype], v.size if dtype == "float" else 8
        everywhere = Value(v.types["bool"], "splat (i1 true)")
        name = f"llvm.masked.gather.v{lanes}{'f' if dtype == 'float' else 'i'}{8 * size}.v{lanes}p0"
        function = self.module.globals.get(name)
        if function is None:
            kinds = [pointers.type, I32, everywhere.type, kind]
            function = ir.Function(self.module, ir.FunctionType(kind, kinds), name)
        return self.builder.call(function, [pointers, I32(size), everywhere, Value(kind, "poison")])

    def stored(self, vector: Any) -> Place:
        """A vector of floats, put down in the scratch memory, of which `scratch_size` numbers are used."""
        v = self.vectors(vector.type.count)
        pointer = self.builder.offset(v.scalars["float"], Value(POINTER, "%scratch"), self.scratch_size)
        self.builder.store(vector, pointer, ALIGN)
        self.scratch_size += -(-v.lanes * v.size // ALIGN) * ALIGN // v.size
        return Place(pointer, vector.type, ALIGN)

    def blocks(self, vector: Any) -> list[Any]:
        """A vector of floats cut into vectors of `block_lanes`."""
        count, lanes = vector.type.count, block_lanes(vector.type.count)
        kind = self.vectors(lanes).types["float"]
        if isinstance(vector, Place):
            return self._once(vector, 0, lambda: self._loaded_blocks(vector, kind, count // lanes))
        if count == lanes:
            return [vector]
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

    def _loaded_blocks(self, place: Place, kind: Any, count: int) -> list[Any]:
        pointers = [self.builder.offset(kind, place.pointer, i) for i in range(count)]
        return [self.builder.load(p, place.align, kind) for p in pointers]

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

    def called(self, name: str, vectors: Sequence[Any]) -> list[Any]:
        """The values of a function of one number for vectors; a call takes as many as a function can give back."""
        lanes, found, rest = vectors[0].type.count, [], list(vectors)
        most = max(1, self.returned // lanes)
        while rest:
            count = 1 << (min(len(rest), most).bit_length() - 1)
            some, rest = rest[:count], rest[count:]
            while len(some) > 1:
                some = [self._concatenated(a, b) for a, b in zip(some[::2], some[1::2], strict=True)]
            value, kind = self.vectors(count * lanes).function(name, *some), vectors[0].type
            starts = range(0, count * lanes, lanes)
            found += [self.builder.picked(value, value, range(i, i + lanes), kind) for i in starts]
        return found

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

    def at(self, builder: Any) -> Vectors:
        return Vectors(self.module, builder, self.precision, self.lanes, self.inline)


def block_lanes(lanes: int) -> int:
    """Lanes of the blocks that vectors of so many are cut into, to be summed: 4, 8 or 16, for a multiple of 4."""
    return math.gcd(lanes, PACKED)


def packed_lanes(count: int) -> int:
    """The number of lanes for so many numbers: 4, 8 or 16."""
    return 4 if count <= 4 else 8 if count <= 8 else PACKED


def is_vector(element: Any) -> bool:
    """Whether it is a vector of LLVM's, and no scalar."""
    return isinstance(getattr(element, "type", None), ir.VectorType)


def filled(shape: Sequence[int], elements: Sequence[Any]) -> Any:
    """An array of objects with these elements."""
    flat = np.empty(len(elements), object)
    for i, element in enumerate(elements):
        flat[i] = element
    return flat.reshape(tuple(shape))
