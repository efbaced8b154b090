"""What the functions of a product are written with: LLVM's builder, with numbers and vectors of one precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llvmlite import ir

from deepmath_numpy.target import SIZES, Target

I1, I32, I64, POINTER, NOTHING = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.PointerType(), ir.VoidType()


class Code(ir.IRBuilder):  # type: ignore[misc]
    """Writes one function, with the few forms that products are made of."""

    def __init__(self, function: Any, precision: str, target: Target) -> None:
        super().__init__(function.append_basic_block())
        self.target, self.size, self.lanes = target, SIZES[precision], target.lanes(precision)
        self.number = ir.FloatType() if precision == "float32" else ir.DoubleType()

    def at(self, base: Any, index: Any) -> Any:
        """The place of a number, so many numbers behind another."""
        return self.gep(base, [index], source_etype=self.number)

    def least(self, x: Any, y: Any) -> Any:
        return self.select(self.icmp_signed("<", x, y), x, y)

    def merged(self, values: Mapping[Any, Any]) -> Any:
        """The value that belongs to the block that the processor comes from."""
        phi = self.phi(next(iter(values.values())).type)
        for block, value in values.items():
            phi.add_incoming(value, block)
        return phi

    def loop(self, start: Any, stop: Any, step: Any, body: Callable[[Any], object]) -> Any:
        """Write `body` for start, start + step, ... below stop, and return the first that isn't below."""
        before, inside, after = self.block, self.append_basic_block(), self.append_basic_block()
        self.cbranch(self.icmp_signed("<", start, stop), inside, after)
        self.position_at_end(inside)
        index = self.merged({before: start})
        body(index)
        following = self.add(index, step)
        index.add_incoming(following, self.block)
        last = self.block
        self.cbranch(self.icmp_signed("<", following, stop), inside, after)
        self.position_at_end(after)
        return self.merged({before: start, last: following})

    def intrinsic(self, name: str, result: Any, *arguments: Any) -> Any:
        """A function of LLVM's own, called."""
        known = self.module.globals.get(name)
        kind = ir.FunctionType(result, [x.type for x in arguments])
        return self.call(known or ir.Function(self.module, kind, name), arguments)

    def spelled(self, kind: Any) -> str:
        """A type in the name of an intrinsic."""
        return (f"v{kind.count}" if isinstance(kind, ir.VectorType) else "") + f"f{8 * self.size}"

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        if not self.target.has_fma:
            return self.fadd(self.fmul(x, y), z)
        return self.intrinsic(f"llvm.fma.{self.spelled(x.type)}", x.type, x, y, z)

    def everywhere(self, x: Any, lanes: int) -> Any:
        """A vector of the same number."""
        if lanes == 1:
            return x
        unset = ir.Constant(ir.VectorType(x.type, lanes), ir.Undefined)
        zeros = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        return self.shuffle_vector(self.insert_element(unset, x, I32(0)), unset, zeros)

    def first(self, count: Any) -> Any:
        """The mask of the first `count` lanes."""
        order = ir.Constant(ir.VectorType(I32, self.lanes), list(range(self.lanes)))
        return self.icmp_signed("<", order, self.everywhere(self.trunc(count, I32), self.lanes))

    def read(self, place: Any, lanes: int = 1, mask: Any = None) -> Any:
        """A number or a vector; lanes that a mask leaves out aren't touched and give 0."""
        kind = self.number if lanes == 1 else ir.VectorType(self.number, lanes)
        if mask is None:
            return self.load(place, typ=kind, align=self.size)
        name = f"llvm.masked.load.{self.spelled(kind)}.p0"
        return self.intrinsic(name, kind, place, I32(self.size), mask, ir.Constant(kind, None))

    def write(self, value: Any, place: Any, mask: Any = None) -> None:
        if mask is None:
            self.store(value, place, align=self.size)
        else:
            name = f"llvm.masked.store.{self.spelled(value.type)}.p0"
            self.intrinsic(name, NOTHING, value, place, I32(self.size), mask)


def internal(text: Any, name: str, kinds: list[Any], precision: str, target: Target) -> tuple[Code, Any]:
    """A function that only this module calls."""
    function = ir.Function(text, ir.FunctionType(NOTHING, kinds), name)
    function.linkage = "internal"
    return Code(function, precision, target), function
