"""What every Numba kernel uses, whatever its precision. This text stands in front of the precision's own functions."""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

FAST = {"contract", "nsz"}
"""The only freedoms of the compiler: `reassoc` would cost exp three digits, `nnan` and `ninf` would lose NaN."""

__all__ = ["FAST", "add", "borrow", "give_back", "math", "maximum", "minimum", "njit", "np"]


@intrinsic
def add(typingctx, total, value):
    """total + value, in any order: a sum over a row vectorises."""

    def code(context, builder, signature, args):
        return builder.fadd(args[0], args[1], flags=("reassoc", "contract", "nsz"))

    return total(total, value), code


def _llvm(of_floats, of_integers):
    """The larger or smaller of two numbers as LLVM's own instruction, which vectorises; NaN passes."""

    def build(typingctx, a, b):
        floats = isinstance(a, types.Float)
        kind = a if floats else types.int64
        name, flags = (of_floats, ("nsz",)) if floats else (of_integers, ())

        def code(context, builder, signature, args):
            number = args[0].type
            function = builder.module.declare_intrinsic(f"llvm.{name}", [number], ir.FunctionType(number, [number] * 2))
            return builder.call(function, args, fastmath=flags)

        return kind(kind, kind), code

    return build


maximum = intrinsic(_llvm("maximum", "smax"))
minimum = intrinsic(_llvm("minimum", "smin"))


@intrinsic
def borrow(typingctx, like, count, size):
    """Untouched memory for `count` arrays [size] of the type of `like`, as C's malloc gives it."""
    array = types.Array(like, 2, "C")

    def code(context, builder, signature, args):
        whole, item = context.get_value_type(types.intp), context.get_abi_sizeof(context.get_data_type(like))
        shape = [context.cast(builder, a, t, types.intp) for a, t in zip(args[1:], signature.args[1:], strict=True)]
        pointer = ir.IntType(8).as_pointer()
        malloc = cgutils.get_or_insert_function(builder.module, ir.FunctionType(pointer, [whole]), "malloc")
        row = builder.mul(shape[1], ir.Constant(whole, item))
        view = context.make_array(array)(context, builder)
        context.populate_array(
            view,
            data=builder.bitcast(builder.call(malloc, [builder.mul(row, shape[0])]), view.data.type),
            shape=cgutils.pack_array(builder, shape),
            strides=cgutils.pack_array(builder, [row, ir.Constant(whole, item)]),
            itemsize=ir.Constant(whole, item),
            meminfo=None,
        )
        return view._getvalue()

    return array(like, count, size), code


@intrinsic
def give_back(typingctx, array):
    """Free what `borrow` gave."""

    def code(context, builder, signature, args):
        pointer = ir.IntType(8).as_pointer()
        free = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [pointer]), "free")
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        builder.call(free, [builder.bitcast(data, pointer)])
        return context.get_dummy_value()

    return types.none(array), code
