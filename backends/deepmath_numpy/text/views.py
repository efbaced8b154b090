"""Arrays at an address, which own nothing: what compiled code makes of places in the program's buffer."""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from deepmath.printers.float32_functions import T, np

TRANSPOSED = False
"""Whether `matrix` and `integers` are stored [columns, rows]."""
FLOAT = types.float32 if T is np.float32 else types.float64
X86 = platform.machine() in {"x86_64", "AMD64"}


def control(builder, name, place):
    """An instruction on the word that controls SSE's arithmetic."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(place, byte)])


def view(dtype, turned=False):
    """An intrinsic's (address, *shape): the C-contiguous array that lies there; `turned`: of the shape turned round."""

    def build(typingctx, address, *shape):
        array = types.Array(dtype, len(shape), "C")

        def code(context, builder, signature, args):
            whole, item = context.get_value_type(types.intp), context.get_abi_sizeof(context.get_data_type(dtype))
            sizes = [context.cast(builder, a, t, types.intp) for a, t in zip(args[1:], signature.args[1:], strict=True)]
            sizes = sizes[::-1] if turned else sizes
            strides = [ir.Constant(whole, item)]
            for size in sizes[:0:-1]:
                strides.insert(0, builder.mul(size, strides[0]))
            made = context.make_array(array)(context, builder)
            context.populate_array(
                made,
                data=builder.inttoptr(args[0], made.data.type),
                shape=cgutils.pack_array(builder, sizes),
                strides=cgutils.pack_array(builder, strides),
                itemsize=ir.Constant(whole, item),
                meminfo=None,
            )
            return made._getvalue()

        return array(types.int64, *shape), code

    return build


@intrinsic
def vector(typingctx, address, size):
    """Floats [size] at an address."""
    return view(FLOAT)(typingctx, address, size)


@intrinsic
def table(typingctx, address, rows, columns):
    """Floats [rows, columns] at an address, row by row."""
    return view(FLOAT)(typingctx, address, rows, columns)


@intrinsic
def matrix(typingctx, address, rows, columns):
    """Floats of the batch at an address."""
    return view(FLOAT, TRANSPOSED)(typingctx, address, rows, columns)


@intrinsic
def integers(typingctx, address, rows, columns):
    """32-bit whole numbers of the batch at an address."""
    return view(types.int32, TRANSPOSED)(typingctx, address, rows, columns)


@intrinsic
def whole(typingctx, address, size):
    """64-bit whole numbers [size] at an address."""
    return view(types.int64)(typingctx, address, size)


@intrinsic
def wholes(typingctx, address, rows, columns):
    """64-bit whole numbers [rows, columns] at an address."""
    return view(types.int64)(typingctx, address, rows, columns)
